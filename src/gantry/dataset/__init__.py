"""The inside of an instance: header scan, tags, character sets."""
