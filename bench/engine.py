"""Our wire engine alone: a C-STORE receiver on `dimse.blocking` that keeps nothing, TCP_QUICKACK on or off.

    python -m bench.engine --port 20104 [--no-quickack]

For `nagle.py`. It is the one file of the benchmark that runs `dimse` itself.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from pathlib import Path
from types import FrameType

from bench.machine import REPOSITORY
from bench.peers import Peer


class Engine(Peer):
    """The engine in a process of its own."""

    def __init__(self, name: str, folder: Path, *, quick_ack: bool) -> None:
        super().__init__(name, folder)
        self._quick_ack = quick_ack

    def command(self) -> list[str]:
        switch = [] if self._quick_ack else ["--no-quickack"]
        return [sys.executable, "-m", "bench.engine", "--port", str(self.port), *switch]

    def environment(self) -> dict[str, str]:
        return {**super().environment(), "PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'src'}"}


def serve(port: int, *, quick_ack: bool) -> None:
    """Receive until SIGTERM."""
    sys.path.append(str(REPOSITORY / "src"))
    from dimse.acceptance import Accept, AssociationInfo, PeerAddress, StoreAnswer, StoreRequest
    from dimse.blocking import Limits, Server, listen
    from dimse.negotiation import AcceptedContext
    from dimse.pdu import AssociateRequest

    class Nowhere:
        """A data set that nobody keeps."""

        def write(self, view: memoryview) -> None:
            pass

        def finish(self) -> StoreAnswer:
            return StoreAnswer()

        def abort(self) -> None:
            pass

    class Everything:
        """Accepts everybody and everything."""

        def association_requested(self, request: AssociateRequest, peer: PeerAddress) -> Accept:
            return Accept()

        def echo(self, association: AssociationInfo) -> int:
            return 0

        def store(self, association: AssociationInfo, command: StoreRequest, context: AcceptedContext) -> Nowhere:
            return Nowhere()

        def association_ended(self, association: AssociationInfo, how: str) -> None:
            pass

    stop = threading.Event()

    def end(number: int, frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, end)
    server = Server(listen("127.0.0.1", port), Everything(), limits=Limits(quick_ack=quick_ack))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    stop.wait()
    server.stop(2.0)


def main() -> None:
    """Serve one port."""
    parser = argparse.ArgumentParser(description="Receive with the wire engine, keep nothing.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--no-quickack", action="store_true")
    arguments = parser.parse_args()
    serve(arguments.port, quick_ack=not arguments.no_quickack)


if __name__ == "__main__":
    main()
