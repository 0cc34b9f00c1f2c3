"""A receiver in a thread, and ways to talk to it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.part10_files import CT_IMAGE_STORAGE, EXPLICIT_LITTLE_ENDIAN

from dimse.blocking import ClientAssociation, connect
from dimse.negotiation import ContextProposal
from gantry.config import Config
from gantry.receiver import listen
from gantry.storage import AssociationEnded, SpooledObject, SpoolReader


@dataclass
class Served:
    """Where it listens, and what it has put into the spool."""

    home: Path
    port: int
    failure: list[BaseException]

    def spooled(self) -> list[SpooledObject]:
        """Every object in the spool now."""
        with SpoolReader(self.home) as reader:
            return [item for item in reader.pending({}, 10_000) if isinstance(item, SpooledObject)]

    def ended(self) -> list[AssociationEnded]:
        """The ends of associations in the spool; the sender knows of the end a moment before."""
        deadline = time.monotonic() + 60
        while True:
            with SpoolReader(self.home) as reader:
                found = [item for item in reader.pending({}, 10_000) if isinstance(item, AssociationEnded)]
            if found or time.monotonic() > deadline:
                return found
            time.sleep(0.02)

    def associate(
        self, *, sop_class: str = CT_IMAGE_STORAGE, syntax: str = EXPLICIT_LITTLE_ENDIAN, called: str = "GANTRY"
    ) -> ClientAssociation:
        """An association that offers one storage class and verification."""
        contexts = [ContextProposal(sop_class, (syntax,)), ContextProposal("1.2.840.10008.1.1", (EXPLICIT_LITTLE_ENDIAN,))]
        return connect(
            "127.0.0.1",
            self.port,
            called_aet=called,
            calling_aet="TESTS",
            contexts=contexts,
            connect_timeout=30,
            response_timeout=60,
        )

    def store(
        self, dataset: bytes, *, instance: str, sop_class: str = CT_IMAGE_STORAGE, syntax: str = EXPLICIT_LITTLE_ENDIAN
    ) -> Any:
        """Send one instance on an association of its own; gives the answer."""
        with self.associate(sop_class=sop_class, syntax=syntax) as association:
            return association.store(
                sop_class_uid=sop_class, sop_instance_uid=instance, transfer_syntax_uid=syntax, data=memoryview(dataset)
            )


@contextmanager
def serving(home: Path, **settings: Any) -> Iterator[Served]:
    """A receiver of `home` on a free port, stopped at the end."""
    config = Config(home=home, **{"disk_reserve_mb": 0, "unknown_callers": "allow", **settings})
    listener = socket.create_server(("127.0.0.1", 0))
    stop = threading.Event()
    failure: list[BaseException] = []

    def run() -> None:
        try:
            listen(listener, config, "r0", stop)
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 60
    while not (home / "spool" / "r0").exists() and thread.is_alive() and time.monotonic() < deadline:
        time.sleep(0.01)
    try:
        yield Served(home, int(listener.getsockname()[1]), failure)
    finally:
        stop.set()
        thread.join(30)
        listener.close()
        assert not thread.is_alive()
