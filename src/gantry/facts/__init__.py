"""Publish a fact in the caller's transaction and wake its subscribers."""
