"""What one can do with a server, by noun. `gantry_client.aio` is made from these files by tools/generate_async_client.py."""
