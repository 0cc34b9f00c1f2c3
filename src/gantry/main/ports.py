"""Listening sockets, and what to say when a port is taken."""

from __future__ import annotations

import errno
import os
import socket

from gantry.config import split_address
from gantry.main.errors import PortTaken, SetupError

BACKLOG = 512


def listen(address: str, option: str) -> socket.socket:
    """A listening TCP socket on HOST:PORT; `option` is the setting that chooses it (http, dicom).

    Raises PortTaken, SetupError.
    """
    host, port = split_address(address)
    advice = f"choose another one with --{option} or GANTRY_{option.upper()}"
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise SetupError(f"{address}: no such host", f"Correct the address, or {advice}") from error
    family, kind, protocol, _, where = found[0]
    listener = socket.socket(family, kind, protocol)
    try:
        # Of a crashed run only; another listener is still an error on Linux.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(where)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise PortTaken(
                f"Another program listens on {address}",
                f"See which with `ss -ltnp 'sport = :{port}'` and stop it, or {advice}",
            ) from error
        if error.errno == errno.EACCES:
            raise SetupError(f"This user may not listen on {address}", f"Use a port from 1024 up: {advice}") from error
        raise SetupError(f"Cannot listen on {address}: {os.strerror(error.errno or 0)}", advice.capitalize()) from error
    return listener


def check_free(address: str, option: str) -> None:
    """Raises PortTaken or SetupError when nobody could listen there now."""
    listen(address, option).close()
