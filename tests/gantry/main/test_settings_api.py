"""The settings, the backups and the version, over REST; and where a setting came from."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.gantry.accounts.people import bearer, person

from gantry import config
from gantry.main import setting_origins
from gantry.main.home import Home

ENVIRON = {"GANTRY_TRASH_DAYS": "7", "GANTRY_ALLOWED_HOSTS": "a.example, b.example"}


@pytest.fixture
def place(home: Home) -> Iterator[Path]:
    """A home whose settings come from a file, variables and the command line."""
    before = config._current
    (home.path / "gantry.yaml").write_text("# ours\naet: SITE\n\nbackup_folder: /nowhere\ntrash_days: 9\n", encoding="utf-8")
    config.use(config.load(home.path, {"http": "127.0.0.1:9"}, ENVIRON))
    yield home.path
    config._current = before


def test_where_each_setting_came_from(place: Path) -> None:
    settings = config.current()
    found = setting_origins.origins(settings, ENVIRON)
    assert found.pop("home") == "command line"
    assert found == {
        "aet": "gantry.yaml:2", "backup_folder": "gantry.yaml:4", "trash_days": "GANTRY_TRASH_DAYS", "http": "command line",
        "allowed_hosts": "GANTRY_ALLOWED_HOSTS",
    }  # fmt: skip
    handed = {**config.as_variables(settings), setting_origins.HANDED_ON: json.dumps(found)}
    assert setting_origins.origins(config.load(environ=handed), handed) == found, "a process of the supervisor knows the same"
    assert setting_origins.origins(settings, {setting_origins.HANDED_ON: "no json"}) == {}


def asked(path: str, role: str = "administrator", **changes: Any) -> Any:
    answer = bearer(role, **changes).get(f"/api/v1{path}")
    return answer.json() if answer.status_code == 200 else answer.status_code


@pytest.mark.django_db
def test_settings_are_for_administrators_and_hold_no_password(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    person("administrator")
    url = "postgresql://gantry:s3cret@db.example/gantry"
    config.use(config.current().model_copy(update={"database_url": url}))
    monkeypatch.setenv(setting_origins.HANDED_ON, json.dumps({"aet": "gantry.yaml:2", "database_url": "GANTRY_DATABASE_URL"}))
    items = {one["name"]: one for one in asked("/settings")["items"]}
    assert set(items) == set(config.Config.model_fields)
    assert (items["aet"]["value"], items["aet"]["source"], items["aet"]["place"]) == ("SITE", "file", "gantry.yaml:2")
    assert items["durability"]["choices"] == ["disk", "os"]
    assert items["database_url"]["value"] == "postgresql://gantry:***@db.example/gantry"
    assert "s3cret" not in json.dumps(items)
    assert asked("/settings", "operator") == 403
    assert asked("/settings", nodes=["archive"]) == 403


@pytest.mark.django_db
def test_backups_and_version(place: Path, tmp_path: Path) -> None:
    shown = asked("/backups", "operator")
    assert (shown["folder"], shown["backups"], shown["last_success"]) == ("/nowhere", [], None)
    made = tmp_path / "gantry-backup-20261121T023000Z"
    made.mkdir()
    (made / "manifest.json").write_text("{}")
    (tmp_path / ".gantry-backup-20261122T023000Z.part").mkdir()
    config.use(config.current().model_copy(update={"backup_folder": str(tmp_path)}))
    report = {"last_success": "2026-11-21T02:30:05+00:00", "last_failure": "2026-11-20T02:30:00+00:00", "error": "old"}
    from gantry.main import backup

    (place / "run").mkdir(exist_ok=True)
    (place / "run" / backup._REPORT).write_text(json.dumps(report), encoding="utf-8")
    shown = asked("/backups", "operator")
    assert [one["made_at"] for one in shown["backups"]] == ["2026-11-21T02:30:00Z"]
    assert (shown["last_success"], shown["error"]) == ("2026-11-21T02:30:05Z", "")
    about = asked("/about", "operator")
    assert (about["licence"], about["aet"]) == ("Apache-2.0", "SITE")
    assert about["database"].startswith("PostgreSQL 1")
    assert asked("/about", "viewer") == 403
