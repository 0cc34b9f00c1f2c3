"""Is this caller let in? The policy in memory, kept fresh in the background; refusals written there too.

PostgreSQL has the policy; HOME/run/callers.json has the last one that was read, so that a receiver that starts
while the database is away knows its callers. Nothing here ever makes an association wait.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import secrets
import threading
from collections import Counter
from contextlib import closing
from pathlib import Path

import psycopg

from dimse.acceptance import PeerAddress, Reject
from dimse.pdu import AssociateRequest
from gantry import database
from gantry.receiver.policy import ACTIONS, Caller, Policy, Unknown

log = logging.getLogger("gantry.receiver")
#: PS3.8 table 9-21: permanent, by the service user, calling AE title not recognised.
NOT_KNOWN = Reject(result=1, source=1, reason=3)
#: Seconds between two readings of the policy, between two writings of refusals, and before a lost database is asked again.
READ_SECONDS, WRITE_SECONDS, RETRY_SECONDS = 2.0, 0.25, 1.0
#: Different refusals that wait to be written, and that the table keeps.
PENDING_LIMIT, KEPT = 256, 1000
#: `gantry caller` and the routes announce changes on it.
CHANNEL = "gantry_callers"
_TEXT_LIMIT = 64


class Callers:
    """The policy of one receiver process. Thread-safe; `judge` does no I/O."""

    def __init__(self, home: Path, unknown: Unknown) -> None:
        self._file = home / "run" / "callers.json"
        self._unknown = unknown
        self._policy = Policy()
        self._written = ""
        self._lock = threading.Lock()
        self._refused: Counter[tuple[str, str, str]] = Counter()
        self._dropped = 0
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Load the policy, from the database or else the file, and keep it fresh until `close`."""
        if not os.environ.get("GANTRY_DATABASE_URL"):
            self._load()
            return
        try:
            with closing(_connect()) as connection:
                self._read(connection)
        except (psycopg.Error, ValueError) as error:
            log.warning("the callers cannot be read from the database (%s); the last ones known are used", type(error).__name__)
            self._load()
        self._thread = threading.Thread(target=self._run, name="callers", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the reading; what was refused is written if the database answers."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(WRITE_SECONDS * 2 + 2)

    def judge(self, request: AssociateRequest, peer: PeerAddress) -> Caller | Reject:
        """Let an association in, or not, by AE title, host and certificate."""
        aet = request.calling_aet.strip(" ")
        verdict = self._policy.judge(aet, peer.host, fingerprint(peer.certificate), self._unknown)
        if isinstance(verdict, Caller):
            return verdict
        log.info("association from %s rejected: %s", peer.host, verdict)
        self._note(aet, peer.host, verdict)
        return NOT_KNOWN

    def _note(self, aet: str, host: str, reason: str) -> None:
        key = (clean(aet), clean(host), reason)
        with self._lock:
            if key in self._refused or len(self._refused) < PENDING_LIMIT:
                self._refused[key] += 1
            else:
                self._dropped += 1

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                with closing(_connect()) as connection:
                    connection.execute(f"LISTEN {CHANNEL}")
                    self._follow(connection)
            except (psycopg.Error, ValueError, OSError) as error:
                log.debug("the callers cannot be read: %s", type(error).__name__)
            self._stop.wait(RETRY_SECONDS)

    def _follow(self, connection: psycopg.Connection) -> None:
        """Read at once, then at every announcement and every few seconds; write refusals in between."""
        waited = READ_SECONDS
        while True:
            if waited >= READ_SECONDS:
                self._read(connection)
                waited = 0.0
            self._write_refused(connection)
            if self._stop.is_set():
                return
            announced = any(True for _ in connection.notifies(timeout=WRITE_SECONDS, stop_after=1))
            waited = READ_SECONDS if announced else waited + WRITE_SECONDS

    def _read(self, connection: psycopg.Connection) -> None:
        queries = database.statements("gantry.receiver")
        rows = [
            {
                "aet": row[0],
                "hosts": row[1],
                "certificate": row[2],
                "enabled": row[3],
                "actions": [action for action, may in zip(ACTIONS, row[4:], strict=True) if may],
            }
            for row in connection.execute(queries["callers"])
        ]
        nodes = [row[0] for row in connection.execute(queries["node_titles"])]
        self._policy = policy = Policy.of(rows, nodes)
        text = policy.write()
        if text != self._written:
            self._save(text)

    def _save(self, text: str) -> None:
        draft = self._file.with_name(f".{self._file.name}.{os.getpid()}.{secrets.token_hex(4)}")
        try:
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.replace(draft, self._file)
            self._written = text
        except OSError as error:
            # A full volume; the policy in memory is the new one.
            log.warning("the callers cannot be written to a file: %s", error.strerror)
            with contextlib.suppress(OSError):
                draft.unlink()

    def _load(self) -> None:
        try:
            self._policy = Policy.read(self._file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            log.warning("no callers are known yet")
        except (OSError, ValueError) as error:
            log.error("the file of callers cannot be read: %s", type(error).__name__)

    def _write_refused(self, connection: psycopg.Connection) -> None:
        with self._lock:
            batch, dropped = self._refused.copy(), self._dropped
        if not batch:
            return
        queries = database.statements("gantry.receiver")
        titles, hosts, reasons = zip(*batch, strict=True)
        arguments = {"titles": list(titles), "hosts": list(hosts), "reasons": list(reasons), "counts": list(batch.values())}
        with connection.transaction():
            connection.execute(queries["note_refused"], arguments)
            connection.execute(queries["forget_refused"], {"keep": KEPT})
        with self._lock:
            # Only now may they be forgotten: the commit has returned.
            self._refused -= batch
            self._dropped -= dropped
        if dropped:
            log.warning("%s more callers were refused than could be written down", dropped)


def fingerprint(certificate: bytes | None) -> str:
    """SHA-256 of a certificate in DER, hexadecimal; empty for none."""
    return hashlib.sha256(certificate).hexdigest() if certificate else ""


def clean(text: str) -> str:
    """Text of a stranger as the database and a terminal take it: printable, short."""
    return "".join(sign if sign.isprintable() else "?" for sign in text[:_TEXT_LIMIT])


def _connect() -> psycopg.Connection:
    # Not database.connect: at the start somebody waits for it, two seconds at most.
    return psycopg.connect(
        database.conninfo(), autocommit=True, application_name="gantry-callers", connect_timeout=2,
        keepalives=1, keepalives_idle=30, keepalives_interval=10, keepalives_count=3,
    )  # fmt: skip
