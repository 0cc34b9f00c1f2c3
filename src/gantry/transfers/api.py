"""Routes: the delivery ledger and receipts."""
from ninja import Router
router = Router(tags=["deliveries"])
