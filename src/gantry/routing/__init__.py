"""Stateless rules: when this arrives, it goes there."""
