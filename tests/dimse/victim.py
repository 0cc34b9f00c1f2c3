"""A server of the engine in a process of its own, so that its memory, threads and descriptors can be counted."""

from __future__ import annotations

import asyncio
import hashlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from dimse import (
    Accept,
    AcceptedContext,
    AcceptServices,
    AssociationInfo,
    AssociationRequest,
    ContextProposal,
    FindRequest,
    Limits,
    Match,
    PeerAddress,
    Reject,
    StoreAnswer,
    StoreRequest,
    aio,
    blocking,
)
from dimse.errors import AssociationRejected, ConnectionLost
from dimse.negotiation import STUDY_ROOT_FIND
from dimse.uids import CT_IMAGE_STORAGE, EXPLICIT_VR_LITTLE_ENDIAN, VERIFICATION

_SOURCE = Path(__file__).parents[2]
#: What is proposed: contexts 1, 3 and 5.
PROPOSALS = (
    ContextProposal(VERIFICATION),
    ContextProposal(CT_IMAGE_STORAGE, (EXPLICIT_VR_LITTLE_ENDIAN,)),
    ContextProposal(STUDY_ROOT_FIND),
)
#: Whoever calls with this title is rejected for good.
UNWANTED = "UNWANTED"
SERVICES = AcceptServices(find=True)


class Digest:
    """Keeps nothing but a checksum, which goes back as the comment of the answer."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def write(self, view: memoryview) -> None:
        self._digest.update(view)

    def finish(self) -> StoreAnswer:
        return StoreAnswer(0, self._digest.hexdigest()[:32])

    def abort(self) -> None:
        pass


class Counting:
    """Accepts everybody but the unwanted."""

    def association_requested(self, request: AssociationRequest, peer: PeerAddress) -> Accept | Reject:
        return Reject(1, 1, 3) if request.calling_aet == UNWANTED else Accept()

    def echo(self, association: AssociationInfo) -> int:
        return 0

    def store(self, association: AssociationInfo, command: StoreRequest, context: AcceptedContext) -> Digest:
        return Digest()

    def association_ended(self, association: AssociationInfo, how: str) -> None:
        pass

    def find(self, association: AssociationInfo, request: FindRequest, cancelled: Callable[[], bool]) -> Iterator[Match]:
        """Matches without end."""
        while not cancelled():
            yield Match(request.identifier)


class AsyncCounting(Counting):
    """The same for asyncio."""

    async def find(  # type: ignore[override]  # an asynchronous iterator
        self, association: AssociationInfo, request: FindRequest, cancelled: Callable[[], bool]
    ) -> AsyncIterator[Match]:
        while not cancelled():
            yield Match(request.identifier)


class Victim:
    """The process; `driver` is threads or asyncio. A context manager."""

    def __init__(self, driver: str, *, max_associations: int = 64) -> None:
        path = os.pathsep.join([str(_SOURCE / "src"), str(_SOURCE), os.environ.get("PYTHONPATH", "")])
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.dimse.victim", driver, str(max_associations)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": path},
            cwd=_SOURCE,
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())
        self._proc = Path(f"/proc/{self._process.pid}")
        self._idle = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        alive = self._process.poll() is None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            status = self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        self._process.stdout.close()
        assert alive, "the server died"
        assert status == 0

    def _status(self, name: str) -> int:
        for line in (self._proc / "status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1])
        raise KeyError(name)

    def memory(self) -> int:
        """Resident memory, KiB."""
        return self._status("VmRSS")

    def peak(self) -> int:
        """The most it has ever been, KiB."""
        return self._status("VmHWM")

    def rest(self) -> None:
        """Wait until all connections are gone, then count the peak anew. The first time says what rest is."""
        if not self._idle:
            counts = [0, 1]
            while len(set(counts[-6:])) > 1:  # half a second without change
                time.sleep(0.1)
                counts.append(self.descriptors())
            self._idle = counts[-1]
        self.calm(self._idle)
        (self._proc / "clear_refs").write_text("5")

    def threads(self) -> int:
        return self._status("Threads")

    def descriptors(self) -> int:
        return len(list((self._proc / "fd").iterdir()))

    def calm(self, descriptors: int, seconds: float = 10.0) -> None:
        """Wait until everything is let go of again."""
        deadline = time.monotonic() + seconds
        while self.descriptors() > descriptors:
            assert time.monotonic() < deadline, f"{self.descriptors()} descriptors are open, {descriptors} were"
            time.sleep(0.02)


class Honest:
    """A client that stores all the while, association after association, and notes how long each answer took."""

    DATA = os.urandom(20_000)

    def __init__(self, port: int) -> None:
        self._port = port
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.seconds: list[float] = []
        #: How long it took to get in, refusals for now included.
        self.entering: list[float] = []
        self.turned_away = 0
        self.problems: list[BaseException] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join(20)
        if error is None:
            assert self.problems == []
            assert self.seconds, "nothing was stored meanwhile"

    @property
    def median(self) -> float:
        """Seconds for a store, in the middle."""
        return sorted(self.seconds)[len(self.seconds) // 2]

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self._visit()
        except BaseException as error:
            self.problems.append(error)

    def _visit(self) -> None:
        began = time.monotonic()
        while True:
            try:
                association = blocking.connect(
                    "127.0.0.1", self._port, called_aet="A", calling_aet="HONEST", contexts=PROPOSALS, response_timeout=15
                )
                break
            except (AssociationRejected, ConnectionLost) as error:
                # Over its limit a server says "for now", and to still more callers nothing at all.
                if isinstance(error, AssociationRejected) and not error.transient:
                    raise
                self.turned_away += 1
                if self._stop.wait(0.02):
                    return
        self.entering.append(time.monotonic() - began)
        wanted = hashlib.sha256(self.DATA).hexdigest()[:32]
        with association:
            for number in range(10):
                before = time.monotonic()
                result = association.store(
                    sop_class_uid=CT_IMAGE_STORAGE,
                    sop_instance_uid=f"1.2.{number}",
                    transfer_syntax_uid=EXPLICIT_VR_LITTLE_ENDIAN,
                    data=self.DATA,
                )
                self.seconds.append(time.monotonic() - before)
                assert (result.status, result.comment) == (0, wanted)
                self._stop.wait(0.005)


def main(driver: str, max_associations: int) -> None:
    """Serve until standard input ends."""
    limits = Limits(
        max_associations=max_associations,
        association_seconds=3,
        idle_seconds=5,
        tick_seconds=0.1,
        close_seconds=0.3,
        send_seconds=1,
        request_grace_seconds=0.2,
    )
    with blocking.listen("127.0.0.1", 0) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)  # full soon when nobody reads
        sys.stdout.write(f"{listener.getsockname()[1]}\n")
        sys.stdout.flush()
        if driver == "threads":
            server = blocking.Server(listener, Counting(), limits=limits, policy=SERVICES)
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            sys.stdin.read()
            server.stop(0)
            thread.join()
        else:
            asyncio.run(_serve(listener, limits))


async def _serve(listener: object, limits: Limits) -> None:
    server = aio.Server(listener, AsyncCounting(), limits=limits, policy=SERVICES)  # type: ignore[arg-type]
    server.start()
    await asyncio.to_thread(sys.stdin.read)
    await server.stop(0)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
