"""Tests of the room receiver."""
