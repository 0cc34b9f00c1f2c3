"""The one way in: judge, place the bytes, index, announce; duplicates and quarantine."""
