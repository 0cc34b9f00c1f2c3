"""TLS, user and profile of a node: kept, told to the engine, forgotten with the node; the passcode never in clear in the database."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.db import connection

from gantry import config
from gantry.main.home import Home
from gantry.nodes import registry
from gantry.nodes.errors import NodeExists
from gantry.nodes.items import Security
from gantry.nodes.profile import NodeProfile

pytestmark = pytest.mark.django_db
PIN = "AB:" * 31 + "AB"


@pytest.fixture(autouse=True)
def in_home(home: Home, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(config, "_current", config.current().model_copy(update={"home": home.path}))
    return home.path


def test_what_was_said_is_what_is_used(in_home: Path) -> None:
    certificate = in_home / "own.pem"
    certificate.write_text("x")
    given = Security(True, fingerprint=PIN, certificate=str(certificate), user="gantry", passcode="geheim")
    node = registry.add("pacs", "PACS@127.0.0.1:104", security=given)
    used = registry.target_of(registry.get("pacs")).security
    assert (used.tls, used.fingerprint, used.certificate) == (True, "ab" * 32, str(certificate))
    assert (used.user, used.passcode) == ("gantry", "geheim")
    with connection.cursor() as cursor:
        cursor.execute("select row_to_json(n)::text from nodes_node n where id = %s", [node.pk])
        assert "geheim" not in cursor.fetchone()[0]
    assert registry.get("pacs").passcode.startswith("sealed:v1:")
    with pytest.raises(NodeExists):
        registry.add("pacs", "PACS@127.0.0.1:104", security=Security(user="x", passcode="other"))
    assert registry.security_of(registry.get("pacs")).passcode == "geheim"


def test_a_node_is_plain_when_nothing_is_said() -> None:
    registry.add("old", "OLD@127.0.0.1:104")
    assert registry.target_of(registry.get("old")).security == Security()


def test_a_profile_is_kept_and_used_and_its_change_is_told() -> None:
    registry.add("pacs", "PACS@127.0.0.1:104")
    assert registry.keep_profile("pacs", NodeProfile(services=["echo"], quirks=["no-get"])) == []
    assert registry.target_of(registry.get("pacs")).quirks == {"no-get"}
    assert registry.get("pacs").profiled_at is not None
    told = registry.keep_profile("pacs", NodeProfile(services=["echo", "worklist"], quirks=["no-get"]))
    assert told == ["services: new worklist"]
    assert registry.get("pacs").profile_change == "services: new worklist"
