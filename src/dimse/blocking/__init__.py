"""Threads and blocking sockets over the protocol core: `Server`, `connect`."""

from dimse.acceptance import Limits
from dimse.blocking.acceptor import Acceptor, StoreSink
from dimse.blocking.client import ClientAssociation, connect, connect_over
from dimse.blocking.server import Server
from dimse.blocking.sockets import listen

__all__ = [
    "Acceptor",
    "ClientAssociation",
    "Limits",
    "Server",
    "StoreSink",
    "connect",
    "connect_over",
    "listen",
]
