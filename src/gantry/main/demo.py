"""`gantry demo`: a real study arrives over DICOM, is stored, indexed, forwarded by a rule, and gets its receipt.

It does what a user would do, by the same verbs, against a whole instance and a second node in processes of their own,
and at the end it does not believe the ledger: it compares the digests of the source files, of the stored files
and of the files the other node has written.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TypeAlias

import psycopg

from gantry import config as settings
from gantry import database
from gantry.config import Config
from gantry.dataset import read_part10, scan_identity
from gantry.main import cli_output, logs
from gantry.main.demo_receipt import Proof, show_proof
from gantry.main.errors import NotAHome, SetupError
from gantry.main.supervisor import Supervisor

DEFAULT_FOLDER = Path("var-demo")
_MARK = "demo.json"
_PATIENCE = 60.0
#: wait(what, condition) returns when the condition holds, or raises SetupError.
Waiting: TypeAlias = Callable[[str, Callable[[], bool]], None]
_WELL_KNOWN = {"http": 8080, "dicom": 11112, "archive": 11113}


@dataclass(frozen=True, slots=True)
class Stage:
    """Where the demonstration plays."""

    folder: Path
    config: Config
    archive_address: str

    @property
    def archive_folder(self) -> Path:
        """What the other node has written."""
        return self.folder / "archive"


def demo(folder: Path | None, *, once: bool) -> int:
    """Run it; 0 if every instance was delivered byte-identical. Raises SetupError."""
    began = time.monotonic()
    stage = _prepare((folder or DEFAULT_FOLDER).expanduser().absolute())
    signal.signal(signal.SIGTERM, _as_interrupt)
    # Python leaves it ignored where a shell has started us in the background; who sends it means it.
    signal.signal(signal.SIGINT, _as_interrupt)
    try:
        with _archive(stage) as archive, _instance(stage) as supervisor:
            _step("Gantry and a second node, ARCHIVE, are up", began)
            fine = _play(stage, _waiting(archive), began)
            if not once:
                _stay(stage, supervisor)
    except KeyboardInterrupt:
        cli_output.note("Stopped.")
        return 130
    cli_output.note(f"Everything of the demonstration lies in {stage.folder}; remove it when you like.")
    return 0 if fine else 1


def _as_interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _prepare(folder: Path) -> Stage:
    """A fresh folder; one of an earlier demonstration is replaced, anything else left alone."""
    if folder.exists() and any(folder.iterdir()):
        if not (folder / _MARK).exists():
            raise NotAHome(f"{folder} is not empty and not of a demonstration", "Choose another folder with --home")
        from gantry.main import home as homes

        earlier = homes.Home(folder / "gantry")
        if homes.is_claimed(earlier):
            raise SetupError(
                f"A demonstration runs in {folder} already", "Stop it with Ctrl-C, or choose another folder with --home"
            )
        shutil.rmtree(folder)
    if not folder.parent.is_dir():
        raise SetupError(f"{folder.parent} does not exist", f"Make it first: mkdir -p {folder.parent}")
    folder.mkdir(mode=0o700, exist_ok=True)
    (folder / _MARK).write_text(json.dumps({"what": "gantry demo; may be removed"}) + "\n", encoding="utf-8")
    (folder / "archive").mkdir(mode=0o700)
    ports = _free_ports()
    config = settings.load(
        folder / "gantry",
        {
            "http": f"127.0.0.1:{ports['http']}",
            "dicom": f"127.0.0.1:{ports['dicom']}",
            # Only this machine reaches it; people shall be able to try their own tools on it.
            "unknown_callers": "allow",
            "settle_quiet_seconds": 1.0,
            "disk_reserve_mb": 64,
        },
    )
    return Stage(folder, settings.use(config), f"127.0.0.1:{ports['archive']}")


def _free_ports() -> dict[str, int]:
    """The usual ports where nobody listens, others otherwise."""
    held: list[socket.socket] = []
    found = {}
    for name, wanted in _WELL_KNOWN.items():
        for port in (wanted, 0):
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                sock.close()
                continue
            held.append(sock)
            found[name] = int(sock.getsockname()[1])
            break
    for sock in held:
        sock.close()
    return found


@contextmanager
def _archive(stage: Stage) -> Iterator[subprocess.Popen[bytes]]:
    """The second node, in its own process."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GANTRY_")}
    with open(stage.folder / "archive.log", "ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "gantry.main.demo_archive", stage.archive_address, str(stage.archive_folder)],
            env={**environment, "GANTRY_PARENT": str(os.getpid())}, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            start_new_session=True,
        )  # fmt: skip
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def _instance(stage: Stage) -> Iterator[Supervisor]:
    """What `gantry up` runs, tended in the background."""
    supervisor = Supervisor(stage.config, quiet=True)
    logs.set_up(supervisor.home.logs, "supervisor", stage.config.log_level, stderr=False)
    supervisor.start()
    ended = threading.Event()

    def tend() -> None:
        # It lives until the end: what it starts again gets its death signal when this thread ends.
        while not ended.wait(0.1):
            supervisor.tend()

    thread = threading.Thread(target=tend, name="tend", daemon=True)
    thread.start()
    try:
        yield supervisor
    finally:
        ended.set()
        thread.join()
        supervisor.stop()


def _waiting(archive: subprocess.Popen[bytes]) -> Waiting:
    def wait(what: str, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _PATIENCE
        while not condition():
            if archive.poll() is not None:
                raise SetupError("The second node of the demonstration ended", "The reason is in archive.log in its folder")
            if time.monotonic() > deadline:
                raise SetupError(f"Waiting for {what} took too long", "The logs are in the folder of the demonstration")
            time.sleep(0.02)

    return wait


def _step(words: str, began: float) -> None:
    cli_output.err.print(f"[green]{time.monotonic() - began:5.1f} s[/green]  {cli_output.text(words)}", soft_wrap=True)


def sources() -> list[Path]:
    """The packaged files."""
    return sorted(Path(str(resources.files("gantry.main"))).joinpath("demo_data").rglob("*.dcm"))


def _play(stage: Stage, wait: Waiting, began: float) -> bool:
    from gantry.nodes import registry
    from gantry.nodes.address import DimseAddress
    from gantry.nodes.echo import echo
    from gantry.nodes.items import SendTarget
    from gantry.routing import rules
    from gantry.transfers.send_paths import FileOutcome, send_paths

    node = registry.add("ARCHIVE", f"ARCHIVE@{stage.archive_address}")
    wait("the second node", lambda: echo(registry.target_of(node)).ok)
    _step(f"gantry node add ARCHIVE ARCHIVE@{stage.archive_address}    (and it answers a C-ECHO)", began)
    rules.add("everything", to=["ARCHIVE"])
    _step("gantry rule add everything --to ARCHIVE    (what arrives is forwarded)", began)
    files = sources()
    dicom = f"{stage.config.aet}@{stage.config.dicom}"
    outcomes: list[FileOutcome] = []
    report = send_paths(files, SendTarget(DimseAddress.parse(dicom), "MODALITY"), outcomes.append)
    _step(f"gantry send ... --to {dicom}    ({report.counts.get('confirmed', 0)} of {len(files)} instances answered 0000)", began)
    expected = _digests(files)
    with database.connect(autocommit=True, application="gantry-demo") as connection:
        wait("the index", lambda: _count(connection, "SELECT count(*) FROM catalogue_version") >= len(expected))
        _step(f"{len(expected)} instances are stored and indexed", began)
        confirmed = "SELECT count(*) FROM transfers_delivery WHERE status = 'confirmed'"
        wait("the deliveries", lambda: _count(connection, confirmed) >= len(expected))
        _step(f"{len(expected)} instances are confirmed by ARCHIVE", began)
        proofs = _prove(connection, stage, expected)
    return show_proof(proofs, began) and report.ok


def _count(connection: psycopg.Connection, statement: str) -> int:
    row = connection.execute(statement).fetchone()
    return int(row[0]) if row else 0


def _digests(files: list[Path]) -> dict[str, str]:
    """SHA-256 of the data sets by SOP Instance UID, read from the files themselves."""
    found = {}
    for path in files:
        data = path.read_bytes()
        part = read_part10(memoryview(data), total=len(data))
        dataset = memoryview(data)[part.dataset_offset :]
        identity = scan_identity(dataset, part.transfer_syntax_uid, whole=True)
        found[identity.sop_instance_uid or path.name] = hashlib.sha256(dataset).hexdigest()
    return found


def _prove(connection: psycopg.Connection, stage: Stage, expected: dict[str, str]) -> list[Proof]:
    """Per study: what was sent, what lies in the home, what lies at the other node, and what the ledger says."""
    from gantry.catalogue import Wanted, every_location, search_studies
    from gantry.transfers.receipt import receipt

    stored = _digests([stage.folder / "gantry" / place.file_path for place in every_location(connection)])
    archived = _digests(sorted(stage.archive_folder.glob("*.dcm")))
    proofs = []
    for study in search_studies(connection, Wanted()).items:
        ledger = receipt(connection, study.study_instance_uid)
        for destination in ledger.destinations:
            uids = [item.sop_instance_uid for item in destination.instances]
            proofs.append(
                Proof(
                    study_instance_uid=study.study_instance_uid,
                    modalities=tuple(study.modalities),
                    node=destination.node,
                    instances=study.instance_count,
                    confirmed=destination.confirmed,
                    dataset_bytes=sum(item.dataset_bytes for item in destination.instances),
                    identical=sum(
                        expected.get(uid) is not None and expected.get(uid) == stored.get(uid) == archived.get(uid)
                        for uid in uids
                    ),
                    digests={uid: expected.get(uid, "") for uid in uids},
                )
            )
    return proofs


def _stay(stage: Stage, supervisor: Supervisor) -> None:
    host, port = settings.split_address(stage.config.dicom)
    aet, home = stage.config.aet, stage.folder / "gantry"
    password = supervisor.first_password or "(unchanged)"
    lines = {
        "send": f"storescu -aec {aet} {host} {port} FILE...    or: gantry send PATH --to {aet}@{stage.config.dicom}",
        "look": f"gantry --home {home} studies    (deliveries, receipt, verify, doctor, ...)",
        "archive": str(stage.archive_folder),
        "API": f"http://{stage.config.http}/api",
    }
    address, secret = cli_output.text(f"http://{stage.config.http}/"), cli_output.text(password)
    cli_output.err.print(f"\nIt goes on running. Open this in a browser:\n\n  [bold]{address}[/bold]", soft_wrap=True)
    cli_output.err.print(f"  user [bold]admin[/bold], password [bold]{secret}[/bold]   (then choose your own)", soft_wrap=True)
    cli_output.err.print("\nFrom another terminal:")
    for name, words in lines.items():
        cli_output.err.print(f"  {name:<8} {cli_output.text(words)}", soft_wrap=True)
    cli_output.note("Ctrl-C stops it.")
    threading.Event().wait()
