"""The room `storage`, on real files."""
