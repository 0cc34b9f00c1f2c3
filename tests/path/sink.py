"""A destination that can be told to misbehave; counts every instance that it answered with Success."""

from __future__ import annotations

import hashlib
import ssl
import threading
from collections import Counter
from collections.abc import Callable

from dimse.acceptance import Accept, Limits, StoreAnswer
from dimse.blocking import Server, listen


class _Object:
    def __init__(self, sink: Sink, instance: str) -> None:
        self._sink, self._instance = sink, instance
        self._digest = hashlib.sha256()

    def write(self, view: memoryview) -> None:
        self._digest.update(view)

    def finish(self) -> StoreAnswer:
        return self._sink.received(self._instance, self._digest.hexdigest())

    def abort(self) -> None:
        """Nothing was kept."""


class Sink:
    """Listens on a port of 127.0.0.1; `answer(instance)` gives the status of each C-STORE (default 0000). With `tls` over
    TLS only."""

    def __init__(self, port: int, answer: Callable[[str], int] | None = None, tls: ssl.SSLContext | None = None) -> None:
        self.answer = answer or (lambda _: 0)
        self.digests: dict[str, str] = {}
        self.times: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._server = Server(listen("127.0.0.1", port), self, limits=Limits(), tls=tls)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._server.stop(1)
        self._thread.join(10)

    def received(self, instance: str, digest: str) -> StoreAnswer:
        status = self.answer(instance)
        with self._lock:
            if status == 0:
                self.digests[instance] = digest
                self.times[instance] += 1
        return StoreAnswer(status)

    def association_requested(self, request: object, peer: object) -> Accept:
        return Accept()

    def echo(self, association: object) -> int:
        return 0

    def store(self, association: object, command: object, context: object) -> _Object:
        return _Object(self, str(command.sop_instance_uid))  # type: ignore[attr-defined]

    def association_ended(self, association: object, how: str) -> None:
        """Nothing to do."""
