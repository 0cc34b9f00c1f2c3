"""asyncio (and uvloop, where the program installs it) over the protocol core: `Server`, `connect`, `Pool`."""

from dimse.acceptance import Limits
from dimse.aio.acceptor import AsyncAcceptor, AsyncFinds, AsyncGets, AsyncMoves, AsyncNormalised, AsyncStoreSink
from dimse.aio.client import ClientAssociation, connect, connect_over
from dimse.aio.operation import Operation
from dimse.aio.pool import Pool, Target
from dimse.aio.server import Server

__all__ = [
    "AsyncAcceptor",
    "AsyncFinds",
    "AsyncGets",
    "AsyncMoves",
    "AsyncNormalised",
    "AsyncStoreSink",
    "ClientAssociation",
    "Limits",
    "Operation",
    "Pool",
    "Server",
    "Target",
    "connect",
    "connect_over",
]
