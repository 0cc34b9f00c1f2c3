"""send_paths: files and folders straight from disk, data set bytes verbatim, each in its own syntax."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from zoneinfo import ZoneInfo

import psycopg
import pytest
from tests.gantry.nodes.destination import Destination
from tests.gantry.transfers.seed import add_node

from dimse.acceptance import StoreAnswer, StoreRequest
from gantry.dataset import read_part10
from gantry.nodes.calendar import parse_calendar
from gantry.nodes.meter import URGENT, Meter
from gantry.transfers.send_paths import FileOutcome, send_paths


def test_real_files_of_many_kinds(part10_files: list[Path]) -> None:
    found: list[FileOutcome] = []
    with Destination() as destination:
        report = send_paths(part10_files, destination.target(), found.append)
        assert len(found) == len(part10_files)
        assert report.counts.get("confirmed", 0) > len(part10_files) // 2
        assert set(report.counts) <= {"confirmed", "skipped", "damaged"}
        sent = [outcome for outcome in found if outcome.outcome == "confirmed"]
        arrived = sorted(data for copies in destination.received.values() for data in copies)
        expected = []
        for outcome in sent:
            whole = Path(outcome.path).read_bytes()
            expected.append(whole[read_part10(memoryview(whole), total=len(whole)).dataset_offset :])
        assert arrived == sorted(expected)


def test_folders_are_walked_and_what_is_no_dicom_is_skipped(tmp_path: Path, make_ct: Callable[..., list[Path]]) -> None:
    files = make_ct(5)
    folder = files[0].parent
    (folder / "sub").mkdir()
    files[0].rename(folder / "sub" / "moved.dcm")
    (folder / "readme.txt").write_text("not DICOM, but a text that is long enough to be looked at " * 10)
    (folder / "empty").touch()
    found: list[FileOutcome] = []
    with Destination() as destination:
        report = send_paths([folder], destination.target(), found.append, associations=2)
        assert len(destination.received) == 5
    assert report.counts == {"confirmed": 5, "skipped": 2}
    assert report.ok


def test_exit_state_tells_of_failures(tmp_path: Path, make_ct: Callable[..., list[Path]]) -> None:
    def behave(command: StoreRequest) -> StoreAnswer:
        return StoreAnswer(0xC001, "no") if command.sop_instance_uid.endswith(".2") else StoreAnswer()

    found: list[FileOutcome] = []
    with Destination(behave) as destination:
        report = send_paths(make_ct(3), destination.target(), found.append)
    assert report.counts == {"confirmed": 2, "refused": 1}
    assert not report.ok
    missing = send_paths([tmp_path / "gone"], destination.target(), found.append)
    assert missing.counts == {"failed": 1}
    assert not missing.ok


def test_nobody_listens(make_ct: Callable[..., list[Path]]) -> None:
    found: list[FileOutcome] = []
    with Destination() as gone:
        target = gone.target()
    report = send_paths(make_ct(3), target, found.append, stop=threading.Event())
    assert report.counts == {"unsent": 3}
    assert "nothing listens" in report.failure
    assert not report.ok


@pytest.mark.django_db(transaction=True)
def test_the_bandwidth_of_the_node_is_shared(make_ct: Callable[..., list[Path]], connection: psycopg.Connection) -> None:
    """What goes by hand is paid for in the bucket that deliveries take from."""
    files = make_ct(12)
    size = sum(path.stat().st_size for path in files)
    with Destination() as destination:
        node = add_node("archive", destination.port)
        meter = Meter(node.pk, parse_calendar(f"{max(1.1, size / 1000):.3f} kB/s"), ZoneInfo("UTC"))
        assert send_paths(files, destination.target(), lambda _: None, meter=meter).ok
        paid = connection.execute("SELECT tokens, filled_at IS NOT NULL FROM nodes_link").fetchall()
        assert len(paid) == 1
        assert send_paths(files, destination.target(), lambda _: None, meter=meter, priority=URGENT).ok
        row = connection.execute("SELECT tokens FROM nodes_link").fetchone()
        assert row is not None
        assert row[0] < -size / 4, "urgent work borrows from the others"
        meter.close()


@pytest.mark.django_db(transaction=True)
def test_a_closed_calendar_leaves_the_rest_unsent(make_ct: Callable[..., list[Path]], connection: psycopg.Connection) -> None:
    found: list[FileOutcome] = []
    with Destination() as destination:
        node = add_node("archive", destination.port)
        meter = Meter(node.pk, parse_calendar("00:00-24:00 off"), ZoneInfo("UTC"))
        report = send_paths(make_ct(3), destination.target(), found.append, meter=meter)
        assert report.counts == {"unsent": 3}
        assert "calendar of the node has closed" in report.failure
        assert not report.ok
        assert destination.attempts == []
        assert send_paths(make_ct(3), destination.target(), found.append, meter=meter, priority=URGENT).ok
        meter.close()
