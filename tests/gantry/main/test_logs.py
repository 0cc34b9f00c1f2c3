"""One record is one line, and holds no values of the database."""

from __future__ import annotations

import logging
from pathlib import Path

import psycopg
import pytest

from gantry.main.logs import LineFormatter, set_up


@pytest.fixture
def restored() -> object:
    root = logging.getLogger()
    before = (list(root.handlers), root.level)
    yield None
    for handler in list(root.handlers):
        if handler not in before[0]:
            root.removeHandler(handler)
            handler.close()
    root.handlers[:] = before[0]
    root.setLevel(before[1])


def record(message: str, *values: object, error: BaseException | None = None) -> logging.LogRecord:
    info = (type(error), error, error.__traceback__) if error else None
    return logging.LogRecord("gantry.test", logging.INFO, __file__, 1, message, values, info)  # type: ignore[arg-type]


def test_a_peer_cannot_forge_a_line() -> None:
    line = LineFormatter("web").format(record("from %s", "X\r\n2026 ERROR forged\x1b[31m\u2028y"))
    assert len(line.splitlines()) == 1
    assert "\\x0a2026 ERROR forged\\x1b[31m\\u2028y" in line


def test_an_exception_is_one_line_with_its_places() -> None:
    try:
        raise ValueError("wrong\nthing")
    except ValueError as error:
        line = LineFormatter("web").format(record("failed", error=error))
    assert len(line.splitlines()) == 1
    assert "ValueError: wrong\\x0athing" in line
    assert "test_logs.py:" in line


def test_a_database_error_shows_no_values(postgres_server: str) -> None:
    with psycopg.connect(postgres_server) as connection:
        try:
            connection.execute("SELECT 'Secret^Name'::int")
        except psycopg.Error as error:
            line = LineFormatter("indexer").format(record("failed", error=error))
    assert "Secret" not in line
    assert "22P02" in line


def test_files_are_private_and_keep_to_the_level(tmp_path: Path, restored: object) -> None:
    set_up(tmp_path, "web", "INFO", stderr=False)
    logging.getLogger("gantry.test").info("hello")
    logging.getLogger("gantry.test").debug("quiet")
    assert (tmp_path / "web.log").read_text().count("\n") == 1
    assert (tmp_path / "web.log").stat().st_mode & 0o777 == 0o600


def test_an_address_in_the_log_has_stars_for_what_a_client_chose() -> None:
    from gantry.main.asgi_limits import shape_of

    assert shape_of("/api/v1/studies/1.2.3/receipt") == "/api/v1/studies/*/receipt"
    assert shape_of("/api/v1/nodes/Meier-4711") == "/api/v1/nodes/*"
    assert shape_of("/Meier") == "/*"
    assert shape_of("/health/live") == "/health/live"
