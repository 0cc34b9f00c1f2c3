"""Tests. Each tier has a clock; see CONTRIBUTING.md."""
