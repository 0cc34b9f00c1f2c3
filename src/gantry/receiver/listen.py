"""Serve a listening socket until told to stop."""

from __future__ import annotations

import logging
import os
import socket
import threading
from pathlib import Path

from dimse.acceptance import Limits
from dimse.blocking.server import Server
from gantry.config import Config
from gantry.receiver.acceptor import Receiver
from gantry.storage.spool_writer import SpoolWriter

log = logging.getLogger("gantry.receiver")
#: How long instances that are under way may take to end at a stop.
GRACE_SECONDS = 6.0
_SYSTEMD_FIRST = 3


def inherited_socket() -> socket.socket | None:
    """The listening socket a supervisor hands over: GANTRY_LISTEN_FD, or systemd's LISTEN_FDS; None without.

    The variables are taken out of the environment, so that no child of ours believes them.
    """
    number = os.environ.pop("GANTRY_LISTEN_FD", "")
    if not number and os.environ.get("LISTEN_PID") == str(os.getpid()) and os.environ.get("LISTEN_FDS", "0") != "0":
        number = str(_SYSTEMD_FIRST)
    for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):
        os.environ.pop(name, None)
    if not number:
        return None
    listener = socket.socket(fileno=int(number))
    os.set_inheritable(listener.fileno(), False)
    return listener


def listen(listener: socket.socket, config: Config, slot: str, stop: threading.Event) -> None:
    """Serve C-ECHO and C-STORE on `listener` into the spool slot `slot` until `stop` is set.

    Then instances under way are finished, idle associations aborted, the spool closed. Several processes may
    serve the same socket, each with its own slot. Raises SlotBusy, StorageFailed, OSError.
    """
    spool = SpoolWriter(Path(config.home), slot, durability=config.durability, reserve_bytes=config.disk_reserve_mb * 1024 * 1024)
    receiver = Receiver(spool, slot, aet=config.aet, any_called_aet=config.accept_any_called_aet)
    receiver.open()
    limits = Limits(
        max_associations=config.max_associations,
        max_pdu=config.max_pdu,
        association_seconds=config.association_seconds,
        idle_seconds=config.idle_seconds,
    )
    server = Server(listener, receiver, limits=limits)
    failure: list[BaseException] = []

    def serve() -> None:
        try:
            server.serve_forever()
        except BaseException as error:
            failure.append(error)
            stop.set()

    thread = threading.Thread(target=serve, name="accept", daemon=True)
    thread.start()
    log.info("slot %s listens on %s:%s as %s", slot, *server.address, config.aet)
    try:
        stop.wait()
        late = server.stop(GRACE_SECONDS)
        thread.join()
        if late:
            log.warning("%s associations were aborted inside an instance", late)
    finally:
        receiver.close()
    if failure:
        raise failure[0]
