"""Deliveries: the ledger, sending, retry, proof."""
