"""Fixtures of all tests: a real PostgreSQL, homes, ports, files, peers, a running instance.

The database is the embedded one in a home of this test run, started when a test first needs it,
or `GANTRY_TEST_DATABASE_URL` (its user must be allowed to create databases).
"""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

# Before Django reads its settings; variables of the person who runs the tests must not change them.
_EXTERNAL = os.environ.get("GANTRY_TEST_DATABASE_URL", "")
_IN_CI = os.environ.get("GANTRY_CI", "") == "1"
for _name in [
    name for name in os.environ if name.startswith("GANTRY_") and name not in {"GANTRY_CI", "GANTRY_TEST_DATABASE_URL"}
]:
    del os.environ[_name]
_folder = Path(tempfile.mkdtemp(prefix="gantry-tests-"))
os.environ["GANTRY_HOME"] = str(_folder / "home")
os.environ["DJANGO_SETTINGS_MODULE"] = "gantry.main.django_settings"
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"

from gantry.main import home as homes  # noqa: E402  the settings come first
from gantry.main import postgres  # noqa: E402
from gantry.main.home import Home  # noqa: E402

_home = homes.open_home(_folder / "home")
os.environ["GANTRY_DATABASE_URL"] = _EXTERNAL or postgres.url(_home, "postgres")
#: A test database may be lost; it must be quick.
_FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_wal_size": "1GB", "max_connections": "200"}

from tests.support import part10_files as files  # noqa: E402
from tests.support import peers, ready_home  # noqa: E402
from tests.support.gantry_process import COMMANDS, GantryProcess  # noqa: E402


def pytest_configure() -> None:
    import django

    django.setup()
    from django.contrib.auth.hashers import Argon2PasswordHasher
    from django.test import TransactionTestCase

    from tests.support.flush import empty_tables

    TransactionTestCase._fixture_teardown = empty_tables
    # The passwords of tests guard nothing: 100 MB of memory and 0.1 s for each would.
    Argon2PasswordHasher.time_cost, Argon2PasswordHasher.memory_cost, Argon2PasswordHasher.parallelism = 1, 64, 1


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes() -> None:
    """Each process of `-n` makes a home and a database of its own: it must not inherit where ours are."""
    for name in ("GANTRY_HOME", "GANTRY_DATABASE_URL", "DJANGO_SETTINGS_MODULE"):
        os.environ.pop(name, None)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Why something had to run a second time (CI allows one): what nobody sees nobody mends."""
    for report in terminalreporter.stats.get("rerun", []):
        terminalreporter.section(f"run again: {report.nodeid}")
        terminalreporter.write_line("\n".join(report.longreprtext.splitlines()[-40:]))


def pytest_unconfigure() -> None:
    COMMANDS.end()
    shutil.rmtree(_folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """A running server; gives the URL of its maintenance database."""
    if _EXTERNAL:
        yield _EXTERNAL
        return
    server = postgres.Postgres(_home, _FAST)
    server.start(die_with_parent=True)
    yield postgres.url(_home, "postgres")
    server.stop()


@pytest.fixture(scope="session")
def django_db_modify_db_settings(postgres_server: str) -> Iterator[None]:
    """pytest-django asks for this before it makes its test database, which becomes everybody's: named SQL on
    connections of its own goes there too."""
    from django.db import connection

    before = os.environ["GANTRY_DATABASE_URL"]
    parts = urlsplit(before)
    name = connection.creation._get_test_db_name()
    # Not parts._replace().geturl(), which drops the empty host before a path.
    os.environ["GANTRY_DATABASE_URL"] = before.replace(f"{parts.netloc}{parts.path}", f"{parts.netloc}/{name}", 1)
    yield
    os.environ["GANTRY_DATABASE_URL"] = before


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A fresh home."""
    return homes.open_home(tmp_path / "home")


@pytest.fixture
def free_port() -> Callable[[], int]:
    """Gives a port of 127.0.0.1 nobody listens on now."""
    return unused_port


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def part10_files() -> list[Path]:
    """Real Part 10 files of many kinds, those packed with pydicom."""
    return files.packaged()


@pytest.fixture
def make_ct(tmp_path: Path) -> Callable[..., list[Path]]:
    """make_ct(count, **changes) writes a small valid series; see tests/support/part10_files.py."""

    def make(count: int = 1, **changes: object) -> list[Path]:
        return files.write_series(tmp_path / f"series-{os.urandom(4).hex()}", count, **changes)  # type: ignore[arg-type]

    return make


@pytest.fixture
def dcmtk() -> Callable[[str], str]:
    """dcmtk("storescu") gives the path of DCMTK's program; skips where it is missing, never in CI."""

    def find(name: str) -> str:
        path = peers.find_dcmtk(name)
        if path is None:
            peers.missing(f"DCMTK's {name}", in_ci=_IN_CI)
        assert path is not None
        return path

    return find


@pytest.fixture(autouse=True)
def _umask() -> Iterator[None]:
    """Commands that run inside the test process narrow it; the next test must not notice."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture(autouse=True)
def _peer_marker(request: pytest.FixtureRequest) -> None:
    """@pytest.mark.peer("storescp"): skip, or fail in CI, where the program is missing."""
    for mark in request.node.iter_markers("peer"):
        for name in mark.args:
            if peers.find_dcmtk(name) is None and shutil.which(name) is None:
                peers.missing(name, in_ci=_IN_CI)


@pytest.fixture(scope="session")
def furnish(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], None]:
    """furnish(home) makes a home whose database has its tables; see tests/support/ready_home.py."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "ready-home"

    def copy(home: Path) -> None:
        ready_home.copy(ready_home.make(folder, GantryProcess(folder, 0, 0).environment), home)

    return copy


@pytest.fixture
def gantry_process(tmp_path: Path, furnish: Callable[[Path], None]) -> Iterator[Callable[..., GantryProcess]]:
    """gantry_process(**settings) makes an instance that is not started yet, in a new home, on free ports.

    `fresh`: from nothing at all; else its database has its tables already.
    """
    started: list[GantryProcess] = []

    def make(*, fresh: bool = False, **settings: object) -> GantryProcess:
        folder = Path(str(settings.pop("home", tmp_path / f"up-{len(started)}")))
        variables = {key: str(value) for key, value in settings.items()}
        process = GantryProcess(folder, unused_port(), unused_port(), variables, furnish=None if fresh else furnish)
        started.append(process)
        return process

    yield make
    for process in started:
        process.stop()


@pytest.fixture
def running_gantry(gantry_process: Callable[..., GantryProcess]) -> GantryProcess:
    """An instance with all its processes, ready, with a quick settle time."""
    process = gantry_process(settle_quiet_seconds=0.5)
    process.start()
    return process


@pytest.fixture(scope="module")
def shared_gantry(tmp_path_factory: pytest.TempPathFactory, furnish: Callable[[Path], None]) -> Iterator[GantryProcess]:
    """As running_gantry, one for all tests of a file; they must not kill it."""
    folder = tmp_path_factory.mktemp("shared") / "home"
    settings = {"settle_quiet_seconds": "0.5", "receivers": "1"}
    process = GantryProcess(folder, unused_port(), unused_port(), settings, furnish=furnish)
    process.start()
    yield process
    process.stop()
