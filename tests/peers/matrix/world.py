"""One running Gantry and one set of peers for the whole matrix; a peer starts when its first cell asks for it."""

from __future__ import annotations

import hashlib
import itertools
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from gantry.nodes import DimseAddress, SendTarget
from gantry.nodes.items import Security
from gantry.transfers.send_paths import send_paths
from tests.conftest import unused_port
from tests.peers.matrix.certificates import Certificates
from tests.support import peers
from tests.support.gantry_process import GantryProcess
from tests.support.part10_files import ROOT, dataset_of, write_series

IN_CI = os.environ.get("GANTRY_CI", "") == "1"
#: AE title that the peers use towards us, and the study every asker finds here.
CALLER = "MATRIX"
STUDY = f"{ROOT}.77"
STUDY_PATIENT = "MATRIX-77"
STUDY_SIZE = 6
_PATIENCE = 60.0


@dataclass
class Peer:
    """A program of another implementation that listens."""

    aet: str
    port: int
    folder: Path
    process: subprocess.Popen[bytes]
    tls: bool = False
    http_port: int = 0

    def stop(self) -> None:
        """End it, for good."""
        self.process.kill()
        self.process.wait(20)


@dataclass
class World:
    """What all cells share."""

    gantry: GantryProcess
    tls_port: int
    certificates: Certificates
    folder: Path
    #: Files of STUDY, which Gantry holds.
    held: list[Path]
    _peers: dict[str, Peer] = field(default_factory=dict)
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    #: What Gantry has put into an archive, by AE title.
    filled: dict[str, list[Path]] = field(default_factory=dict)
    _nodes: set[str] = field(default_factory=set)
    _connection: psycopg.Connection[tuple[object, ...]] | None = None

    def port(self, tls: bool) -> int:
        """Gantry's port for a channel."""
        return self.tls_port if tls else self.gantry.dicom_port

    def room(self) -> Path:
        """A new folder."""
        path = self.folder / f"room-{next(self._numbers)}"
        path.mkdir()
        return path

    def series(self, count: int = 2) -> list[Path]:
        """Files of a new study that nobody has."""
        number = next(self._numbers)
        study = f"{ROOT}.900.{number}"
        return write_series(self.room(), count, study=study, series=f"{study}.1", patient_id=f"MATRIX-900-{number}")

    def run(self, program: str, *arguments: object, status: int = 0, cwd: Path | None = None) -> str:
        """A tool of a peer, to its end; gives what it printed. Fails with that when it ends otherwise."""
        done = subprocess.run(
            [program, *map(str, arguments)], capture_output=True, timeout=_PATIENCE, check=False, stdin=subprocess.DEVNULL,
            cwd=cwd or self.folder,
        )  # fmt: skip
        output = (done.stdout + done.stderr).decode("utf-8", "replace")
        assert done.returncode == status, f"{program} ended with {done.returncode}, not {status}:\n{output}"
        return output

    def peer(self, name: str, start: Callable[[Path, int], Peer]) -> Peer:
        """The peer of this name; started, and waited for, the first time."""
        if name not in self._peers:
            peer = start(self.room(), unused_port())
            self._peers[name] = peer
            wait_for(lambda: _listens(peer), f"{name} listens")
        return self._peers[name]

    def target(self, peer: Peer) -> SendTarget:
        """How Gantry speaks to it."""
        pair = self.certificates.gantry
        security = Security(True, str(self.certificates.authority), "", str(pair.certificate), str(pair.key))
        return SendTarget(
            DimseAddress(peer.aet, "127.0.0.1", peer.port), "GANTRY", 10.0, 20.0, security if peer.tls else Security()
        )

    def put_held(self) -> None:
        """Bring STUDY into Gantry."""
        itself = SendTarget(DimseAddress("GANTRY", "127.0.0.1", self.gantry.dicom_port), CALLER)
        report = send_paths(self.held, itself, lambda _: None)
        assert report.ok, report
        self.indexed(self.held)

    def node(self, peer: Peer) -> str:
        """Make the peer known to Gantry, as a destination; gives its AE title."""
        if peer.aet not in self._nodes:
            pair = self.certificates.gantry
            secure = ["--tls", "--authorities", self.certificates.authority, "--certificate", pair.certificate, "--key", pair.key]
            options = [str(option) for option in secure] if peer.tls else []
            # DCMTK's servers serve one association at a time: a second one would wait for its turn, and move slowly.
            self.gantry.cli("node", "add", peer.aet, f"{peer.aet}@127.0.0.1:{peer.port}", "--associations", "1", *options)
            self._nodes.add(peer.aet)
        return peer.aet

    def send(self, peer: Peer, files: Sequence[Path]) -> None:
        """Gantry sends files; every one must be confirmed."""
        outcomes = []
        report = send_paths(files, self.target(peer), outcomes.append, associations=1)
        assert report.ok, (report, outcomes)
        assert report.counts == {"confirmed": len(files)}

    def indexed(self, files: Sequence[Path]) -> None:
        """Gantry has these files, data set bytes identical."""
        wanted, uids = digests(files), [file_uid(path) for path in files]
        wait_for(lambda: set(self._digests(uids)) == wanted, "the files are in the index, data sets identical")

    def holds(self, uids: Sequence[str]) -> None:
        """Gantry has instances with these UIDs."""
        wait_for(lambda: len(self._digests(uids)) == len(uids), "the instances are in the index")

    def _digests(self, uids: Sequence[str]) -> list[str]:
        if self._connection is None:
            from gantry.main import home as homes
            from gantry.main import postgres

            self._connection = psycopg.connect(postgres.url(homes.open_home(self.gantry.home)), autocommit=True)
        statement = (
            "select encode(v.sha256, 'hex') from catalogue_version v join catalogue_instance i on i.id = v.instance_id "
            "where i.sop_instance_uid = any(%s)"
        )
        return [str(row[0]) for row in self._connection.execute(statement, [list(uids)])]

    def stop(self) -> None:
        """End all peers and Gantry."""
        for peer in self._peers.values():
            peer.stop()
        if self._connection is not None:
            self._connection.close()
        self.gantry.stop()


def wait_for(condition: Callable[[], object], what: str, seconds: float = _PATIENCE) -> None:
    """Wait, or fail."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)


def _listens(peer: Peer) -> bool:
    assert peer.process.poll() is None, f"{peer.aet} ended with {peer.process.returncode}"
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", peer.port)) == 0


def file_uid(path: Path) -> str:
    """The SOP Instance UID of a Part 10 file: (0002,0003), always explicit."""
    data = path.read_bytes()
    at = data.index(b"\x02\x00\x03\x00UI")
    return data[at + 8 : at + 8 + int.from_bytes(data[at + 6 : at + 8], "little")].rstrip(b"\0 ").decode()


def digests(files: Sequence[Path]) -> set[str]:
    """SHA-256 of the data sets."""
    return {hashlib.sha256(dataset_of(path)).hexdigest() for path in files}


def background(*arguments: object, cwd: Path | None = None, log: Path | None = None) -> subprocess.Popen[bytes]:
    """Start a program that stays."""
    with open(log or os.devnull, "wb") as output:
        return subprocess.Popen(
            [str(argument) for argument in arguments], cwd=cwd, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )


def dcmtk(name: str) -> str:
    """DCMTK's program; skips where it is missing, never in CI."""
    found = peers.find_dcmtk(name)
    if found is None:
        peers.missing(f"DCMTK's {name}", in_ci=IN_CI)
    assert found is not None
    return found


def find_program(name: str) -> str | None:
    """A program on the PATH, or where cargo puts it."""
    return shutil.which(name) or shutil.which(name, path=str(Path.home() / ".cargo" / "bin"))


def program(name: str) -> str:
    """The same; skips where it is missing, never in CI."""
    found = find_program(name)
    if found is None:
        peers.missing(name, in_ci=IN_CI)
    assert found is not None
    return found
