"""Destinations that are down, refuse, or take one and refuse the other: the ledger tells the truth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.path.sink import Sink
from tests.support.gantry_process import GantryProcess
from tests.support.part10_files import ROOT


def _states(gantry: GantryProcess) -> Counter[str]:
    return Counter(row["status"] for row in gantry.json("deliveries"))


@pytest.fixture
def gantry(gantry_process: Callable[..., GantryProcess]) -> GantryProcess:
    process = gantry_process(settle_quiet_seconds=0.5, receivers=1, retry_first_seconds=0.3, retry_max_seconds=1)
    process.start()
    return process


@pytest.mark.timeout(120)
def test_a_destination_that_comes_up_later(
    gantry: GantryProcess, free_port: Callable[[], int], make_ct: Callable[..., list[Path]]
) -> None:
    port = free_port()
    gantry.cli("node", "add", "LATE", f"LATE@127.0.0.1:{port}")
    gantry.cli("rule", "add", "all", "--to", "LATE")
    gantry.cli("send", str(make_ct(5)[0].parent), "--to", f"GANTRY@127.0.0.1:{gantry.dicom_port}")
    gantry.until(lambda: sum(_states(gantry).values()) == 5)
    assert _states(gantry)["confirmed"] == 0
    sink = Sink(port)
    gantry.until(lambda: _states(gantry) == {"confirmed": 5}, 60)
    assert len(sink.digests) == 5
    sink.stop()


@pytest.mark.timeout(120)
def test_success_for_some_and_failure_for_others(
    gantry: GantryProcess, free_port: Callable[[], int], make_ct: Callable[..., list[Path]]
) -> None:
    port = free_port()
    sink = Sink(port, answer=lambda instance: 0xA700 if instance.endswith(".3") else 0)
    gantry.cli("node", "add", "MOODY", f"MOODY@127.0.0.1:{port}")
    gantry.cli("rule", "add", "all", "--to", "MOODY", "--on", "settled")
    gantry.cli("send", str(make_ct(5)[0].parent), "--to", f"GANTRY@127.0.0.1:{gantry.dicom_port}")
    gantry.until(lambda: _states(gantry)["confirmed"] == 4, 60)
    rows = {row["sop_instance_uid"]: row for row in gantry.json("deliveries")}
    bad = rows[f"{ROOT}.1.1.3"]
    assert bad["status"] in {"failed", "sent", "waiting", "dead"}
    gantry.until(
        lambda: {row["sop_instance_uid"]: row for row in gantry.json("deliveries")}[f"{ROOT}.1.1.3"]["attempts"] >= 2, 60
    )
    assert f"{ROOT}.1.1.3" not in sink.digests
    sink.answer = lambda _: 0
    gantry.cli("deliveries", "retry", "--node", "MOODY", "--yes")
    gantry.until(lambda: _states(gantry) == {"confirmed": 5}, 60)
    assert sink.times[f"{ROOT}.1.1.1"] == 1, "what was confirmed must not be sent again"
    sink.stop()
