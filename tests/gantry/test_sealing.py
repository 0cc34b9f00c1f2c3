"""Secrets are sealed for one place, opened only there, resealed under a new key, and referred to only where that is safe."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from gantry import database, sealing
from gantry.sealing import KeyRing, SecretUnavailable, reseal, reveal, seal, stored_form


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "secrets").mkdir()
    return tmp_path


def test_sealed_and_opened(home: Path) -> None:
    stored = seal(home, "pässword", "webhook:7")
    assert "pässword" not in stored
    assert reveal(home, stored, "webhook:7") == "pässword"
    assert stored != seal(home, "pässword", "webhook:7"), "a nonce of its own each time"
    assert (home / "secrets/seal.keys").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("damage", [lambda text: text[:-6] + "AAAAA=", lambda text: text[:-20], lambda text: text + "!"])
def test_damaged_or_moved_secrets_do_not_open(home: Path, damage: object) -> None:
    stored = seal(home, "secret", "webhook:7")
    with pytest.raises(SecretUnavailable, match="another row"):
        reveal(home, stored, "webhook:8")
    with pytest.raises(SecretUnavailable, match="damaged"):
        reveal(home, damage(stored), "webhook:7")  # type: ignore[operator]


def test_without_the_key_it_says_what_to_restore(home: Path) -> None:
    stored = seal(home, "secret", "x")
    (home / "secrets/seal.keys").unlink()
    with pytest.raises(SecretUnavailable, match=r"key 1, which is not in .*restore the keys"):
        reveal(home, stored, "x")
    (home / "secrets/seal.keys").write_text("[{}]")
    with pytest.raises(SecretUnavailable, match="cannot be read"):
        reveal(home, stored, "x")


def test_references(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = home / "secrets/given"
    given.mkdir()
    (given / "mail").write_text("from a file\nsecond line\n")
    environ = {"GANTRY_SECRET_MAIL": "from the environment", "HOME_OF_OTHERS": "x"}
    assert reveal(home, "env:GANTRY_SECRET_MAIL", "p", environ) == "from the environment"
    assert reveal(home, f"file:{given}/mail", "p") == "from a file"
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "credentials"))
    (tmp_path / "credentials").mkdir()
    (tmp_path / "credentials/mail").write_text("from systemd")
    assert reveal(home, f"file:{tmp_path}/credentials/mail", "p") == "from systemd"
    assert reveal(home, "", "p") == ""
    assert stored_form(home, "env:GANTRY_SECRET_MAIL", "p") == "env:GANTRY_SECRET_MAIL"
    assert reveal(home, stored_form(home, "typed by a person", "p"), "p") == "typed by a person"


@pytest.mark.parametrize(
    ("stored", "said"),
    [
        ("env:GANTRY_DATABASE_URL", "begin with GANTRY_SECRET_"),
        ("env:GANTRY_SECRET_MISSING", "is not set"),
        ("file:/etc/passwd", "must lie in"),
        ("file:{home}/secrets/given/../seal.keys", "must lie in"),
        ("file:{home}/secrets/given/link", "must lie in"),
        ("file:{home}/secrets/given/none", "No such file"),
        ("in the clear", "neither sealed nor a reference"),
    ],
)
def test_what_is_no_safe_reference_is_refused(home: Path, stored: str, said: str) -> None:
    (home / "secrets/given").mkdir()
    os.symlink("/etc/passwd", home / "secrets/given/link")
    with pytest.raises(SecretUnavailable, match=said) as caught:
        reveal(home, stored.format(home=home), "p")
    assert "in the clear" not in str(caught.value)


@pytest.fixture
def table(transactional_db: None) -> Iterator[psycopg.Connection]:
    with database.connect(autocommit=True) as connection:
        connection.execute("CREATE TABLE sealed_things (id bigint PRIMARY KEY, secret text NOT NULL)")
        columns = sealing._columns  # a test may have put another in its place when we come back
        sealing.declare("sealed_things", "secret", purpose="thing:{key}")
        yield connection
        del columns["sealed_things", "secret", ""]
        connection.execute("DROP TABLE sealed_things")


def only_this(monkeypatch: pytest.MonkeyPatch) -> None:
    key = ("sealed_things", "secret", "")
    monkeypatch.setattr(sealing, "_columns", {key: sealing._columns[key]})
    monkeypatch.setattr(sealing, "_older", {})


def test_a_new_key_for_everything(home: Path, table: psycopg.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    only_this(monkeypatch)
    secrets = {1: seal(home, "one", "thing:1"), 2: "env:GANTRY_SECRET_TWO", 3: seal(home, "three", "thing:3"), 4: ""}
    for key, secret in secrets.items():
        table.execute("INSERT INTO sealed_things VALUES (%s, %s)", [key, secret])
    assert reseal(table, home, grace_seconds=0) == 2
    assert list(KeyRing(home).keys()) == ["2"]
    now = dict(table.execute("SELECT id, secret FROM sealed_things").fetchall())
    assert [reveal(home, now[key], f"thing:{key}") for key in (1, 3)] == ["one", "three"]
    assert (now[2], now[4]) == ("env:GANTRY_SECRET_TWO", "")
    with pytest.raises(SecretUnavailable):
        reveal(home, secrets[1], "thing:1")


def test_one_that_cannot_be_opened_stops_the_whole(
    home: Path, table: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    only_this(monkeypatch)
    good, moved = seal(home, "one", "thing:1"), seal(home, "two", "thing:9")
    table.execute("INSERT INTO sealed_things VALUES (1, %s), (2, %s)", [good, moved])
    with pytest.raises(SecretUnavailable, match="sealed_things 2"):
        reseal(table, home, grace_seconds=0)
    assert dict(table.execute("SELECT id, secret FROM sealed_things").fetchall()) == {1: good, 2: moved}
    assert reveal(home, good, "thing:1") == "one"
