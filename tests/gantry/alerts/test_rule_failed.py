"""The alert for the fact RuleFailed: a rule that times out, until it is mended."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from tests.gantry.transfers.seed import add_node, seed_study

from gantry import config
from gantry.alerts import rules as alert_rules
from gantry.alerts import state
from gantry.alerts.models import Alert
from gantry.routing import route, rules

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_rule_that_times_out_is_an_alert_until_another_version_decides(
    connection: psycopg.Connection, settings: Callable[..., config.Config], tmp_path: Path
) -> None:
    study = seed_study(tmp_path, 1, header={"PatientID": "a" * 60 + "!"})
    add_node("one", 104)
    rules.add("slow", to=["one"], when=["PatientID~^(a|a)*$"])
    assert route.route_batch(connection, study.batch_id).problems.keys() == {"slow"}

    def look() -> list[state.Finding]:
        return list(alert_rules.rule_failed(alert_rules.Look(connection, config.current(), datetime.now(UTC))))

    (finding,) = look()
    assert (finding.rule, finding.subject) == ("rule_failed", "slow")
    assert "longer than" in finding.message
    assert "a" * 20 not in finding.message, "no value of a patient goes into a mail"
    state.note(connection, [finding], [], datetime.now(UTC))
    assert Alert.objects.get(rule="rule_failed").state == "open", "a person hears of it at once"
    rules.remove("slow")
    assert look() == []
