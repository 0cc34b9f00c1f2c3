"""Threads and blocking sockets over the protocol core: `Server`, `connect`."""

from dimse.acceptance import Limits
from dimse.blocking.acceptor import Acceptor, Finds, Gets, Moves, Normalised, StoreSink
from dimse.blocking.client import ClientAssociation
from dimse.blocking.doorkeeper import Doorkeeper
from dimse.blocking.opening import connect, connect_over
from dimse.blocking.operation import Operation
from dimse.blocking.server import Server
from dimse.blocking.sockets import listen

__all__ = [
    "Acceptor",
    "ClientAssociation",
    "Doorkeeper",
    "Finds",
    "Gets",
    "Limits",
    "Moves",
    "Normalised",
    "Operation",
    "Server",
    "StoreSink",
    "connect",
    "connect_over",
    "listen",
]
