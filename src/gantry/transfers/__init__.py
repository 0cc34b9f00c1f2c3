"""Deliveries: the ledger, sending, retry, proof.

order()                 ledger rows and queue job, in the caller's transaction
deliver()               send what is due to a node
recover(), sweep()      put right what a dead worker left
retry()                 dead and failed go again
find(), receipt()       read the ledger; the proof of a study
send_paths()            files straight from disk, without ledger
"""

from gantry.transfers.deliver import deliver
from gantry.transfers.find import LedgerFilter, count_open, find
from gantry.transfers.order import order
from gantry.transfers.receipt import Receipt, receipt
from gantry.transfers.recover import recover, sweep
from gantry.transfers.retry import retry
from gantry.transfers.send_paths import send_paths

__all__ = [
    "LedgerFilter", "Receipt", "count_open", "deliver", "find", "order", "receipt", "recover", "retry", "send_paths", "sweep",
]  # fmt: skip
