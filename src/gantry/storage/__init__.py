"""Bytes in, same bytes out: spool, digest, sync, publish, verify."""
