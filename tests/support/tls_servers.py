"""A TLS server of either driver that keeps what it hears of its callers."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from dimse import Accept, AssociationInfo, AssociationRequest, Limits, PeerAddress, Reject, aio, blocking
from tests.dimse.drivers import QUICK, Keeper


@dataclass
class Witness(Keeper):
    """Keeps the certificates of those who had an association."""

    certificates: list[bytes | None] = field(default_factory=list)
    asked: int = 0

    def association_requested(self, request: AssociationRequest, peer: PeerAddress) -> Accept | Reject:
        self.asked += 1
        return self.decision

    def echo(self, association: AssociationInfo) -> int:
        self.certificates.append(association.peer.certificate)
        return 0


@contextmanager
def tls_server(
    driver: str, context: ssl.SSLContext | None, host: str = "127.0.0.1", limits: Limits = QUICK
) -> Iterator[tuple[int, Witness]]:
    """Port and witness of a server that runs; driver is threads or asyncio."""
    witness = Witness()
    with blocking.listen(host, 0) as listener:
        if driver == "threads":
            server = blocking.Server(listener, witness, limits=limits, tls=context)
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            try:
                yield server.address[1], witness
            finally:
                server.stop(0)
                thread.join()
            return
        loop = asyncio.new_event_loop()
        other = aio.Server(listener, witness, limits=limits, tls=context)
        loop.call_soon(other.start)
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        try:
            yield other.address[1], witness
        finally:
            asyncio.run_coroutine_threadsafe(other.stop(0), loop).result(30)
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()
