"""The other node of the demonstration: a small DICOM archive that writes what it gets to a folder.

It shares the wire engine with the product and nothing else. Run as `python -m gantry.main.demo_archive HOST:PORT FOLDER`.
"""

from __future__ import annotations

import os
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

from dimse.acceptance import Accept, AssociationInfo, PeerAddress, StoreAnswer, StoreRequest
from dimse.blocking import Server, listen
from dimse.negotiation import AcceptedContext
from dimse.pdu import AssociateRequest
from gantry.config import split_address
from gantry.dataset import Envelope, build_prefix, is_valid_uid
from gantry.main.child import die_with_parent
from gantry.main.stopping import stop_event


class _File:
    """One instance on its way to disk."""

    def __init__(self, folder: Path, prefix: bytes, instance: str) -> None:
        self._path = folder / f"{instance}.dcm"
        self._draft = self._path.with_suffix(f".{threading.get_ident()}.part")
        self._file = open(self._draft, "wb")  # noqa: SIM115  closed by finish or abort
        self._file.write(prefix)

    def write(self, view: memoryview) -> None:
        """A piece of the data set."""
        self._file.write(view)

    def finish(self) -> StoreAnswer:
        """Success, after the bytes are on the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        os.replace(self._draft, self._path)
        return StoreAnswer()

    def abort(self) -> None:
        """Leave nothing."""
        self._file.close()
        self._draft.unlink(missing_ok=True)


class _Refusing:
    def write(self, view: memoryview) -> None:
        """Thrown away."""

    def finish(self) -> StoreAnswer:
        """Cannot understand."""
        return StoreAnswer(0xC000, "The SOP Instance UID is not valid")

    def abort(self) -> None:
        """Nothing was kept."""


class Archive:
    """Takes everything."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def association_requested(self, request: AssociateRequest, peer: PeerAddress) -> Accept:
        """Everybody may."""
        return Accept()

    def echo(self, association: AssociationInfo) -> int:
        """Success."""
        return 0

    def store(self, association: AssociationInfo, command: StoreRequest, context: AcceptedContext) -> _File | _Refusing:
        """A file named by its SOP Instance UID."""
        if not is_valid_uid(command.sop_instance_uid):
            return _Refusing()
        envelope = Envelope(
            "dimse", command.sop_class_uid, command.sop_instance_uid, context.transfer_syntax, association.calling_aet,
            association.called_aet, association.peer.host, association.id, "archive", datetime.now(UTC), None,
        )  # fmt: skip
        return _File(self._folder, build_prefix(envelope)[0], command.sop_instance_uid)

    def association_ended(self, association: AssociationInfo, how: str) -> None:
        """Nothing to do."""


def main(address: str, folder: str) -> None:
    """Serve until SIGTERM."""
    die_with_parent()
    server = Server(listen(*split_address(address)), Archive(Path(folder)))
    stop = stop_event()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    stop.wait()
    server.stop(1.0)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
