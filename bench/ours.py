"""Gantry as one of the peers: `gantry up` on a fresh home, its index read straight from its database."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psycopg

from bench.data import Item
from bench.machine import REPOSITORY, free_port
from bench.peers import Peer, PeerError
from bench.watch import all_pids

_COUNT = "SELECT count(*) FROM catalogue_version"
_COUNT_AFTER = "SELECT count(*) FROM catalogue_version WHERE id > %s"
_SAMPLE = """
SELECT i.sop_instance_uid, v.sha256, v.file_path, v.dataset_offset, v.dataset_bytes
  FROM catalogue_version v JOIN catalogue_instance i ON i.id = v.instance_id
 WHERE v.current AND i.sop_instance_uid = ANY(%s)
"""
_DELAYS = """
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM indexed_at - received_at)),
       max(extract(epoch FROM indexed_at - received_at))
  FROM catalogue_version WHERE id > %s
"""
_NEWEST = "SELECT coalesce(max(id), 0) FROM catalogue_version"
_ROLES = ("receiver", "indexer", "worker", "web", "postgres")


class Gantry(Peer):
    """`gantry up`; `settings` become GANTRY_* variables."""

    called = "GANTRY"
    ready_seconds = 90.0
    stop_signal = signal.SIGINT
    stop_seconds = 60.0

    def __init__(self, name: str, folder: Path, **settings: str) -> None:
        super().__init__(name, folder)
        self.home = folder / "h"
        self.http = free_port()
        self._settings = settings
        self._connection: psycopg.Connection[Any] | None = None

    def command(self) -> list[str]:
        addresses = ["--http", f"127.0.0.1:{self.http}", "--dicom", f"127.0.0.1:{self.port}"]
        return [*_GANTRY, "up", "--home", str(self.home), *addresses]

    def environment(self) -> dict[str, str]:
        return environment({"GANTRY_HOME": str(self.home), "GANTRY_UNKNOWN_CALLERS": "allow", **self._settings})

    def __enter__(self) -> Gantry:
        super().__enter__()
        try:
            self._connection = self._connect()
        except BaseException:
            self.stop()
            raise
        return self

    def _connect(self) -> psycopg.Connection[Any]:
        until = time.monotonic() + self.ready_seconds
        while True:
            try:
                connection = psycopg.connect(self._database_url(), autocommit=True, connect_timeout=5)
                connection.execute(_COUNT)
                return connection
            except (psycopg.Error, OSError) as error:
                if time.monotonic() > until:
                    raise PeerError(f"{self.name}: no index: {error}; {self.log()}") from error
                time.sleep(0.1)

    def _database_url(self) -> str:
        written = self.home / "run" / "database.url"
        if written.exists():
            return written.read_text(encoding="utf-8").strip()
        sys.path[:0] = [str(REPOSITORY / "src")] if str(REPOSITORY / "src") not in sys.path else []
        from gantry.main import home, postgres

        return str(postgres.url(home.Home(self.home)))

    def stop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        super().stop()
        for pid in self._database_pids():  # only when `up` did not stop its own database
            os.kill(pid, signal.SIGKILL)

    def _database_pids(self) -> list[int]:
        """Processes that have the home's database folder as their working folder."""
        found = []
        try:
            here = os.stat(self.home / "postgres")
        except OSError:
            return []
        for pid in all_pids():
            try:
                there = os.stat(f"/proc/{pid}/cwd")
            except OSError:
                continue
            if (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino):
                found.append(pid)
        return found

    def roots(self) -> list[int]:
        return [*super().roots(), *self._database_pids()]

    def role(self, command: str) -> str:
        return next((role for role in _ROLES if role in command), "supervisor")

    def query(self, statement: str, parameters: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        """Rows of the home's database."""
        assert self._connection is not None
        return self._connection.execute(statement, parameters).fetchall()

    def query_nothing(self, statement: str, parameters: Mapping[str, object] | None = None) -> None:
        """A statement without rows, in the home's database."""
        assert self._connection is not None
        self._connection.execute(statement, parameters)

    def stored(self) -> int | None:
        return int(self.query(_COUNT)[0][0])

    def wait_indexed(self, count: int, since: float, *, after: int = 0, seconds: float = 120.0) -> float:
        """Wait until `count` versions newer than the id `after` are in the index; seconds since `since`. PeerError if never.

        Asks seldom while much is missing: counting takes CPU of the same cores, and more the larger the catalogue is.
        """
        while True:
            now_there = int(self.query(_COUNT_AFTER, (after,))[0][0])
            lag = time.perf_counter() - since
            if now_there >= count:
                return round(lag, 4)
            if lag > seconds:
                raise PeerError(f"{self.name}: {now_there} of {count} indexed after {seconds:.0f} s; {self.log()}")
            time.sleep(max(0.005, (count - now_there) / 10_000))

    def newest(self) -> int:
        """The id of the newest version, for `index_delays`."""
        return int(self.query(_NEWEST)[0][0])

    def index_delays(self, after: int) -> dict[str, float]:
        """From received to indexed, by the times in rows newer than `after`: median and longest, seconds."""
        median, longest = self.query(_DELAYS, (after,))[0]
        return {"index_delay_p50_s": round(float(median), 4), "index_delay_max_s": round(float(longest), 4)}

    def check(self, items: tuple[Item, ...], *, sample: int = 20, read: int = 3) -> list[str]:
        """What is wrong with a sample: digests in the index, and for some the bytes on the disk."""
        chosen = {item.sop_instance: item for item in items[:: max(1, len(items) // sample)]}
        rows = self.query(_SAMPLE, (list(chosen),))
        wrong = [] if len(rows) == len(chosen) else [f"{len(chosen) - len(rows)} of the sample are not in the index"]
        for number, (name, digest, path, offset, size) in enumerate(rows):
            if bytes(digest).hex() != chosen[name].sha256:
                wrong.append(f"digest in the index differs for {name}")
            if number < read:
                with (self.home / path).open("rb") as file:
                    file.seek(offset)
                    stored = hashlib.sha256(file.read(size)).hexdigest()
                if stored != chosen[name].sha256:
                    wrong.append(f"bytes on disk differ for {name}")
        return wrong

    def cli(self, *words: str, seconds: float = 300.0) -> Any:
        """Run `gantry ... --json` on this home and read its answer. PeerError when it fails."""
        command = [*_GANTRY, *words, "--json"]
        done = subprocess.run(command, capture_output=True, text=True, env=self.environment(), timeout=seconds, check=False)
        if done.returncode != 0:
            raise PeerError(f"gantry {' '.join(words)}: exit {done.returncode}: {done.stdout[-500:]}{done.stderr[-1000:]}")
        return json.loads(done.stdout) if done.stdout.strip() else None


_GANTRY = [sys.executable, "-m", "gantry.main.cli"]


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Our variables without any GANTRY_* of the caller, the checkout's `src` first, and `settings`."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("GANTRY_")}
    path = os.pathsep.join(filter(None, [str(REPOSITORY / "src"), clean.get("PYTHONPATH", "")]))
    return {**clean, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", **settings}


#: `disk` is the product; `os` answers before the sync, as DCMTK does, and is there for the comparison only.
OURS: dict[str, Callable[[Path], Peer]] = {
    "gantry": lambda folder: Gantry("gantry", folder, GANTRY_DURABILITY="disk"),
    "gantry-os": lambda folder: Gantry("gantry-os", folder, GANTRY_DURABILITY="os"),
}
