"""The embedded PostgreSQL with real processes: as root, as another user, twice at once, killed."""

from __future__ import annotations

import os
import pwd
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from gantry.main import home as homes
from gantry.main import postgres, postgres_user
from gantry.main.errors import PostgresFailed, PostgresNeedsUser
from gantry.main.home import Home
from gantry.main.postgres import Postgres

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be refused for being root")


@pytest.fixture
def server(home: Home) -> Iterator[Postgres]:
    made = Postgres(home)
    yield made
    made.stop()


def ask(home: Home, statement: str = "SELECT current_user") -> object:
    with psycopg.connect(postgres.url(home)) as connection:
        row = connection.execute(statement).fetchone()  # type: ignore[arg-type]  # constants of this file
        return row[0] if row else None


def modes_above(path: Path) -> dict[str, tuple[int, int]]:
    return {str(parent): (stat.S_IMODE(parent.stat().st_mode), parent.stat().st_uid) for parent in path.parents}


def test_it_starts_answers_and_stops(server: Postgres, home: Home) -> None:
    before = modes_above(home.path)
    users = len(pwd.getpwall())
    assert server.start() is True
    assert ask(home) == "gantry"
    assert str(ask(home, "SHOW server_encoding")) == "UTF8"
    assert str(ask(home, "SHOW listen_addresses")) == ""
    server.stop()
    assert not server.alive()
    assert modes_above(home.path) == before
    assert len(pwd.getpwall()) == users
    assert stat.S_IMODE(home.path.stat().st_mode) == 0o700


def test_it_wants_the_password(server: Postgres, home: Home) -> None:
    server.start()
    password = home.secret("postgres.password")
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(postgres.url(home).replace(password, "wrong"))


@as_root
def test_as_root_below_a_folder_of_root_alone(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    home = homes.open_home(tmp_path / "home")
    server = Postgres(home)
    try:
        server.start()
        assert ask(home) == "gantry"
        assert server.pid is not None
        assert os.stat(f"/proc/{server.pid}").st_uid != 0
    finally:
        server.stop()
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700


@as_root
def test_as_root_without_private_mounts_the_home_is_opened_for_passing_only(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path(tempfile.mkdtemp(prefix="gantry-open-"))
    folder.chmod(0o755)
    home = homes.open_home(folder / "home")
    monkeypatch.setattr(postgres_user, "_works", lambda runner: False)
    server = Postgres(home)
    try:
        server.start()
        assert ask(home) == "gantry"
    except PostgresNeedsUser:
        pytest.skip("the binaries of this environment lie where no other user may go")
    finally:
        server.stop()
        closed = [path for path in (home.secrets, home.path / "objects", home.logs) if stat.S_IMODE(path.stat().st_mode) != 0o700]
        opened = stat.S_IMODE(home.path.stat().st_mode)
        subprocess.run(["rm", "-rf", str(folder)], check=True)
    assert closed == []
    assert opened == 0o711


@as_root
def test_as_root_where_nothing_is_possible_it_says_what_to_do(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_user, "_works", lambda runner: False)
    home.path.parent.chmod(0o700)
    with pytest.raises(PostgresNeedsUser, match=r"ordinary user.*GANTRY_DATABASE_URL"):
        Postgres(home).start()


_AS_USER = """
import sys
sys.path[:0] = {path!r}
from pathlib import Path
from gantry.main import postgres
from gantry.main.home import open_home
from gantry.main.postgres import Postgres
import psycopg
home = open_home(Path({home!r}))
server = Postgres(home)
server.start(die_with_parent=True)
print(psycopg.connect(postgres.url(home)).execute("SELECT current_database()").fetchone()[0])
server.stop()
"""


#: Shows the folder $1 at its usual place though a folder $2 above it is closed, to the rest of the command alone.
_REVEAL = """
set -e
mount --make-rprivate /
mount -t tmpfs -o mode=755 none /mnt
mkdir /mnt/revealed
mount --bind "$1" /mnt/revealed
if [ -n "$2" ]; then mount -t tmpfs -o mode=755 none "$2"; fi
mkdir -p "$1"
mount --bind /mnt/revealed "$1"
shift 2
exec setpriv --reuid "$USER_ID" --regid "$GROUP_ID" --clear-groups "$@"
"""


@as_root
def test_as_an_ordinary_user() -> None:
    nobody = pwd.getpwnam("nobody")
    folder = Path(tempfile.mkdtemp(prefix="gantry-user-"))
    try:
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        script = _AS_USER.format(path=sys.path, home=str(folder / "home"))
        prefix = Path(sys.base_prefix).resolve()
        closed = [place for place in prefix.parents if not postgres_user.can_pass(place, nobody.pw_uid, nobody.pw_gid)]
        command = [
            "unshare",
            "-m",
            "sh",
            "-c",
            _REVEAL,
            "sh",
            str(prefix),
            str(closed[-1]) if closed else "",
            sys.executable,
            "-c",
            script,
        ]
        environment = {
            "HOME": str(folder),
            "PATH": "/usr/bin:/bin:/usr/sbin:/sbin",
            "USER_ID": str(nobody.pw_uid),
            "GROUP_ID": str(nobody.pw_gid),
        }
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=100, check=False)
        if "unshare failed" in done.stderr:
            pytest.skip("private mounts are refused here")
        assert done.stdout.strip() == "gantry", done.stderr
        owners = {path.lstat().st_uid for path in (folder / "home").rglob("*")}
        assert owners == {nobody.pw_uid}
    finally:
        subprocess.run(["rm", "-rf", str(folder)], check=True)


def test_a_home_with_a_long_path(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 100)
    folder.mkdir()
    home = homes.open_home(folder / "home")
    server = Postgres(home)
    outside = postgres.socket_folder(home)
    try:
        server.start()
        assert ask(home) == "gantry"
        assert home.path not in outside.parents
        assert stat.S_IMODE(outside.stat().st_mode) == 0o700
    finally:
        server.stop()
    other = homes.open_home(folder / "other")
    assert postgres.socket_folder(other) != outside
    assert not outside.exists()


def test_a_socket_folder_of_somebody_else_is_not_used(tmp_path: Path) -> None:
    folder = tmp_path / ("y" * 100)
    folder.mkdir()
    home = homes.open_home(folder / "home")
    trap = postgres.socket_folder(home)
    trap.mkdir(mode=0o755)
    trap.chmod(0o777)
    try:
        with pytest.raises(homes.HomeError, match="somebody else"):
            Postgres(home).start()
    finally:
        trap.rmdir()


def test_two_homes_at_once(tmp_path: Path) -> None:
    made = [homes.open_home(tmp_path / name) for name in ("one", "two")]
    servers = [Postgres(home) for home in made]
    try:
        for number, (home, server) in enumerate(zip(made, servers, strict=True)):
            server.start()
            with psycopg.connect(postgres.url(home)) as connection:
                connection.execute("CREATE TABLE mark (number int)")
                connection.execute("INSERT INTO mark VALUES (%s)", [number])
        assert [ask(home, "SELECT number FROM mark") for home in made] == [0, 1]
    finally:
        for server in servers:
            server.stop()


def test_a_running_server_is_adopted(server: Postgres, home: Home) -> None:
    server.start()
    other = Postgres(home)
    assert other.start() is False
    assert other.pid == server.pid
    assert other.alive()
    other.stop()
    assert not server.alive()


def test_killed_it_starts_again_with_its_data(server: Postgres, home: Home) -> None:
    server.start()
    with psycopg.connect(postgres.url(home)) as connection:
        connection.execute("CREATE TABLE mark AS SELECT 42 AS number")
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    while server.alive():
        time.sleep(0.01)
    began = time.monotonic()
    server.start()
    assert time.monotonic() - began < 60
    assert ask(home, "SELECT number FROM mark") == 42


def test_a_stale_pid_file_with_a_living_foreign_process(server: Postgres, home: Home) -> None:
    server.start()
    pid_file = server.data / "postmaster.pid"
    lines = pid_file.read_text().split("\n")
    server.stop()
    lines[0] = str(os.getpid())
    pid_file.write_text("\n".join(lines))
    assert server.start() is True
    assert ask(home) == "gantry"


def test_an_interrupted_initdb_is_repeated(server: Postgres, home: Home) -> None:
    (home.path / "postgres.new").mkdir(mode=0o700)
    (home.path / "postgres.new" / "PG_VERSION").write_text("18\n")
    server.start()
    assert ask(home) == "gantry"
    assert not (home.path / "postgres.new").exists()


def test_the_last_user_stops_it(home: Home) -> None:
    first, second = Postgres(home), Postgres(home)
    one, two = first.use(), second.use()
    first.leave(one)
    assert ask(home) == "gantry"
    second.leave(two)
    assert not second.alive()
    with pytest.raises(psycopg.OperationalError):
        ask(home)


def test_what_is_broken_is_explained(server: Postgres, home: Home) -> None:
    server.start()
    server.stop()
    with open(server.data / "postgresql.conf", "a") as file:
        file.write("\nthis is not a setting\n")
    with pytest.raises(PostgresFailed, match=r"did not start.*postgres\.log"):
        server.start()


def test_no_values_in_the_log(server: Postgres, home: Home) -> None:
    server.start()
    with psycopg.connect(postgres.url(home), autocommit=True) as connection:
        connection.execute("CREATE TABLE person (name text UNIQUE)")
        for _ in range(2):
            try:
                connection.execute("INSERT INTO person VALUES (%s)", ["Secret^Name"])
            except psycopg.errors.UniqueViolation:
                break
        with pytest.raises(psycopg.errors.SyntaxError):
            connection.execute("SELECT 'Secret^Name' FROM FROM")
    log = (home.logs / "postgres.log").read_text()
    assert "duplicate key" in log
    assert "Secret" not in log
