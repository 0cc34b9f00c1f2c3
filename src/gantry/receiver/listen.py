"""Serve a listening socket until told to stop."""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from dimse.acceptance import Limits
from dimse.blocking.doorkeeper import Doorkeeper
from dimse.blocking.server import Server
from dimse.negotiation import AcceptServices
from gantry.config import Config
from gantry.receiver.acceptor import Receiver
from gantry.receiver.callers import Callers
from gantry.receiver.provider import Provider
from gantry.receiver.secure import RenewedContext
from gantry.storage.spool_writer import SpoolWriter

log = logging.getLogger("gantry.receiver")
#: How long instances that are under way may take to end at a stop.
GRACE_SECONDS = 6.0
_SYSTEMD_FIRST = 3
#: What is offered to everybody; what a caller may not do is answered 0124.
OFFERED = AcceptServices(find=True, retrieve=True, commitment=True, relational=True, combined=True)


def inherited_sockets() -> tuple[socket.socket | None, socket.socket | None]:
    """The listening sockets a supervisor hands over, plain and TLS: GANTRY_LISTEN_FD and GANTRY_LISTEN_TLS_FD, or
    systemd's LISTEN_FDS in this order; None where there is none.

    The variables are taken out of the environment, so that no child of ours believes them.
    """
    numbers = [os.environ.pop("GANTRY_LISTEN_FD", ""), os.environ.pop("GANTRY_LISTEN_TLS_FD", "")]
    count = os.environ.get("LISTEN_FDS", "")
    if not any(numbers) and os.environ.get("LISTEN_PID") == str(os.getpid()) and count.isdigit():
        numbers = [str(_SYSTEMD_FIRST + place) if place < int(count) else "" for place in range(2)]
    for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):
        os.environ.pop(name, None)
    plain, tls = (_taken(number) for number in numbers)
    return plain, tls


def _taken(number: str) -> socket.socket | None:
    if not number:
        return None
    listener = socket.socket(fileno=int(number))
    os.set_inheritable(listener.fileno(), False)
    return listener


def listen(
    listener: socket.socket, config: Config, slot: str, stop: threading.Event, tls_listener: socket.socket | None = None
) -> None:
    """Serve `listener`, and `tls_listener` over TLS, until `stop` is set: what is stored goes into the spool slot `slot`.

    Then instances under way are finished, idle associations aborted, the spool closed. Several processes may
    serve the same sockets, each with its own slot. Both listeners together have the places of the settings. Raises
    SlotBusy, StorageFailed, OSError, TlsError.
    """
    context = RenewedContext.of(config) if tls_listener is not None and config.dicom_tls_address else None
    spool = SpoolWriter(Path(config.home), slot, durability=config.durability, reserve_bytes=config.disk_reserve_mb * 1024 * 1024)
    callers, provider = Callers(Path(config.home), config.unknown_callers), Provider(config)
    receiver = Receiver(spool, slot, callers, provider, aet=config.aet, any_called_aet=config.accept_any_called_aet)
    receiver.open()
    callers.start()
    limits = Limits(
        max_associations=config.max_associations,
        max_pdu=config.max_pdu,
        association_seconds=config.association_seconds,
        idle_seconds=config.idle_seconds,
    )
    doorkeeper = Doorkeeper(limits)
    servers = [Server(listener, receiver, limits=limits, policy=OFFERED, doorkeeper=doorkeeper)]
    if tls_listener is not None:
        servers.append(Server(tls_listener, receiver, limits=limits, policy=OFFERED, tls=context, doorkeeper=doorkeeper))
    try:
        _serve(servers, slot, config.aet, stop)
    finally:
        receiver.close()
        callers.close()
        provider.index.close()


def _serve(servers: Sequence[Server], slot: str, aet: str, stop: threading.Event) -> None:
    """All of them until `stop` is set or one breaks; raises what broke it."""
    failure: list[BaseException] = []

    def serve(server: Server) -> None:
        try:
            server.serve_forever()
        except BaseException as error:
            failure.append(error)
            stop.set()

    threads = [threading.Thread(target=serve, args=(server,), name="accept", daemon=True) for server in servers]
    for thread, server, words in zip(threads, servers, ("listens", "listens over TLS"), strict=False):
        thread.start()
        log.info("slot %s %s on %s:%s as %s", slot, words, *server.address, aet)
    stop.wait()
    with ThreadPoolExecutor(len(servers)) as together:
        late = sum(together.map(lambda server: server.stop(GRACE_SECONDS), servers))
    for thread in threads:
        thread.join()
    if late:
        log.warning("%s associations were aborted inside an instance", late)
    if failure:
        raise failure[0]
