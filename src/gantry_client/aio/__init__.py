"""The same client for asyncio. All but `asking` and `client` is made by tools/generate_async_client.py from `nouns`."""
