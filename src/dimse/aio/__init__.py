"""asyncio (and uvloop, where the program installs it) over the protocol core: `Server`, `connect`."""

from dimse.acceptance import Limits
from dimse.aio.acceptor import AsyncAcceptor, AsyncStoreSink
from dimse.aio.client import ClientAssociation, connect, connect_over
from dimse.aio.server import Server

__all__ = [
    "AsyncAcceptor",
    "AsyncStoreSink",
    "ClientAssociation",
    "Limits",
    "Server",
    "connect",
    "connect_over",
]
