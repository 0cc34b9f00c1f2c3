"""Two releases at once on one database, as while several hosts are upgraded one after the other: nothing is lost, nothing
is delivered twice.

The older one is the previous release, or without a tag the commit before this one; GANTRY_... variables do not reach
tests, so another is named by `PREVIOUS_COMMIT=REF`. Its processes run its own code.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gantry.main import home as homes
from gantry.main import postgres
from tests.path.index import indexed, query
from tests.path.load import Load
from tests.path.sink import Sink
from tests.support.gantry_process import GantryProcess

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import previous_release  # noqa: E402  a script, no package

#: Two whole instances: minutes on a small machine.
pytestmark = pytest.mark.torture


def older_commit() -> str:
    """Skips where there is no history: an unpacked archive, a clone of depth one."""
    named = os.environ.get("PREVIOUS_COMMIT") or previous_release.previous_tag() or "HEAD~1"
    found = subprocess.run(
        ["git", "rev-parse", "--verify", "--quiet", f"{named}^{{commit}}"], cwd=ROOT, check=False, capture_output=True, text=True
    )
    if found.returncode:
        pytest.skip(f"no commit {named} here: the history of git is missing")
    return found.stdout.strip()


class OlderGantry(GantryProcess):
    """An instance that runs the code of a folder."""

    code: Path

    @property
    def environment(self) -> dict[str, str]:
        return super().environment | {"PYTHONPATH": str(self.code / "src")}


def state_of(gantry: GantryProcess, missing: set[str]) -> str:
    """What is not as it should be, for who reads the failure."""
    rows = query(
        gantry,
        "select d.status, d.error, d.home, split_part(v.file_path, '/objects/', 1), count(*) from transfers_delivery d"
        " join catalogue_version v on v.id = d.version_id where d.status <> 'confirmed' group by 1, 2, 3, 4",
    )
    jobs = query(gantry, "select task_name, status, count(*) from procrastinate_jobs group by 1, 2")
    return f"{len(missing)} never came, as {sorted(missing)[:3]}; open deliveries: {rows}; jobs: {jobs}"


def all_confirmed(gantry: GantryProcess) -> bool:
    return query(gantry, "select count(*) from transfers_delivery where status <> 'confirmed'") == [(0,)]


@pytest.mark.timeout(1500)
def test_both_receive_and_deliver(
    gantry_process: Callable[..., GantryProcess], tmp_path: Path, free_port: Callable[[], int]
) -> None:
    previous_release.take_out(older_commit(), tmp_path / "release")
    elsewhere = homes.open_home(tmp_path / "database")
    server = postgres.Postgres(elsewhere, {"fsync": "off"})
    server.start(die_with_parent=True)
    settings = {
        "database_url": postgres.url(elsewhere), "receivers": "1", "settle_quiet_seconds": "0.5", "retry_first_seconds": "0.3",
        "retry_max_seconds": "1",
    }  # fmt: skip
    new = gantry_process(**settings)
    old = OlderGantry(tmp_path / "old", free_port(), free_port(), dict(settings), aet="OLDER")
    old.code = tmp_path / "release"
    port = free_port()
    sink = Sink(port)
    loads = []
    try:
        old.start(180)  # its tables, which the newer one brings up to date under its feet
        loads.append(Load(old.dicom_port, senders=1, pause=0.1, aet="OLDER").start())
        old.until(lambda: len(loads[0]) > 20, 60)
        new.start(180)
        assert _code_of(old.pid("worker")) == old.code / "src"
        assert _code_of(new.pid("worker")) == ROOT / "src"
        new.cli("node", "add", "SINK", f"SINK@127.0.0.1:{port}")
        new.cli("rule", "add", "everything", "--to", "SINK")
        before = set(loads[0].acknowledged)
        loads.append(Load(new.dicom_port, senders=1, pause=0.1).start())
        new.until(lambda: all(len(load) > 60 for load in loads), 180)
        assert old.stop() == 0
        old.start(180)  # a way back: the older one starts on the newer tables
        again = len(loads[0])
        old.until(lambda: len(loads[0]) > again + 20, 120)
    finally:
        for load in loads:
            load.stop()
    try:
        sent = {uid: digest for load in loads for uid, digest in load.acknowledged.items()}
        new.until(lambda: set(sent) <= set(indexed(new)), 120)
        assert {uid: digest for uid, digest in indexed(new).items() if uid in sent} == sent
        # A release that takes volumes of another home for not mounted looks at their rows once a minute.
        try:
            new.until(lambda: set(sent) - before <= set(sink.digests) and all_confirmed(new), 600)
        except AssertionError:
            pytest.fail(state_of(new, set(sent) - before - set(sink.digests)))
        twice = query(
            new, "select version_id, node_id, count(*) from transfers_delivery group by 1, 2 having count(*) > 1",
        )  # fmt: skip
        assert twice == []
        assert {uid: times for uid, times in sink.times.items() if times != 1} == {}
        assert {uid: digest for uid, digest in sink.digests.items() if uid in sent}.items() <= sent.items()
    finally:
        old.stop()
        new.stop()
        sink.stop()
        server.stop()


def _code_of(pid: int) -> Path:
    """Whose code a process runs."""
    variables = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
    return Path(next(one for one in variables if one.startswith("PYTHONPATH=")).removeprefix("PYTHONPATH=").split(os.pathsep)[0])
