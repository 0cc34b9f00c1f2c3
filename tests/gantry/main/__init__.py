"""Tests of the room main."""
