"""What /metrics looks up when it is asked."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.gantry.accounts.people import bearer

from gantry import config, metrics
from gantry.main import gauges

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(gauges, "gauges", gauges.Gauges())
    monkeypatch.setattr("gantry.main.health_api.gauges", gauges.gauges)
    monkeypatch.setattr(config, "_current", config.current().model_copy(update={"home": tmp_path}))


def lines() -> dict[str, float]:
    content = bearer("operator").get("/metrics").content.decode()
    return {
        name: float(value)
        for line in content.splitlines()
        if not line.startswith("#")
        for name, _, value in [line.rpartition(" ")]
    }


def test_disk_database_queue_and_build(tmp_path: Path) -> None:
    found = lines()
    assert found['gantry_disk_free_bytes{volume="home"}'] > 0
    assert found['gantry_disk_size_bytes{volume="home"}'] >= found['gantry_disk_free_bytes{volume="home"}']
    assert found["gantry_database_connections_limit"] >= 100
    assert any(name.startswith("gantry_database_connections{application=") for name in found)
    assert found["gantry_index_lag_seconds"] == 0
    assert found["gantry_live_clients"] == 0
    assert found["gantry_scrape_errors"] == 0
    assert any(name.startswith("gantry_build{") and value == 1 for name, value in found.items())
    assert "gantry_indexer_silent_seconds" not in found, "none was started on this host"


def test_a_database_that_does_not_answer_leaves_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(gauges._QUERIES, "gantry_alerts", "SELECT pg_sleep(60)")
    monkeypatch.setattr(gauges, "_PATIENCE", "50ms")
    found = lines()
    assert found["gantry_scrape_errors"] == 1
    assert found["gantry_database_connections_limit"] >= 100


def test_names_of_strangers_do_not_become_labels_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "_timers", {})
    monkeypatch.setattr(metrics, "MAX_NAMES", 2)
    assert metrics.receive_timer("A") is metrics.receive_timer("A")
    assert metrics.receive_timer("B") is not metrics.receive_timer("A")
    assert metrics.receive_timer("C") is metrics.receive_timer("D")
