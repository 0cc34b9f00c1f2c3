"""`gantry up` as processes: starts, survives the death of each part, stops in order, refuses what cannot be."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from tests.support.gantry_process import GantryProcess
from tests.support.part10_files import ROOT

from gantry.main import home as homes
from gantry.main import postgres
from gantry.main.home import Home

Maker = Callable[..., GantryProcess]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(") ")[1][0] != "Z"
    except FileNotFoundError:
        return False


def pids(gantry: GantryProcess) -> dict[str, int]:
    names = [path.stem for path in (gantry.home / "run").glob("*.pid") if path.stem != "postgres"]
    return {name: gantry.pid(name) for name in names} | {"postgres": gantry.pid("postgres")}


@pytest.mark.timeout(180)
def test_each_part_is_started_again_when_killed(gantry_process: Maker) -> None:
    gantry = gantry_process(fresh=True, receivers=1, settle_quiet_seconds=0.5)
    gantry.start()
    assert set(pids(gantry)) == {"receiver-r0", "indexer", "worker", "web", "postgres"}
    for name in ("receiver-r0", "indexer", "worker", "web", "postgres"):
        gone = gantry.kill(name)
        # The port is the supervisor's: nobody is refused while the receiver is away.
        socket.create_connection(("127.0.0.1", gantry.dicom_port), timeout=30).close()
        gantry.until(lambda name=name, gone=gone: _other(gantry, name, gone), 60)
    gantry.wait_ready()
    status = json.loads((gantry.home / "run" / "status.json").read_text())
    assert all(state["restarts"] >= 1 for name, state in status["processes"].items() if name in ("receiver-r0", "indexer", "web"))
    gantry.until(lambda: gantry.cli("node", "echo", f"GANTRY@127.0.0.1:{gantry.dicom_port}", check=False).returncode == 0, 60)
    last = pids(gantry)
    assert gantry.stop() == 0
    assert not any(alive(pid) for pid in last.values())


def _other(gantry: GantryProcess, name: str, gone: int) -> bool:
    try:
        pid = gantry.pid(name)
    except FileNotFoundError:
        return False
    return pid != gone and alive(pid)


@pytest.mark.timeout(120)
def test_when_the_supervisor_is_killed_nothing_is_left(gantry_process: Maker) -> None:
    gantry = gantry_process(receivers=1)
    gantry.start()
    before = pids(gantry)
    assert gantry.process is not None
    gantry.process.kill()
    gantry.process.wait()
    gantry.until(lambda: not any(alive(pid) for pid in before.values()), 60)
    gantry.start()  # and the next start finds all in order
    assert gantry.stop() == 0


@pytest.mark.timeout(120)
def test_the_first_password_is_shown_once_and_works(gantry_process: Maker) -> None:
    gantry = gantry_process(receivers=1)
    gantry.start()
    gantry.until(lambda: "Ctrl-C stops it" in gantry.output)
    found = re.search(r"user admin, password (\S+)", gantry.output)
    assert found
    gantry.stop()
    logs = "".join(path.read_text() for path in (gantry.home / "logs").iterdir())
    assert found[1] not in logs
    output = len(gantry.output)
    gantry.start()
    gantry.until(lambda: "Ctrl-C stops it" in gantry.output[output:])
    assert "user admin" not in gantry.output[output:]
    token = gantry.json("token", "create")["token"]
    request = urllib.request.Request(f"{gantry.base_url}/api/v1/studies", headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=60) as response:
        assert json.load(response)["items"] == []
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(f"{gantry.base_url}/api/v1/studies", timeout=60)
    open_places = [path for path in gantry.home.rglob("*") if not path.is_socket() and stat.S_IMODE(path.lstat().st_mode) & 0o077]
    assert open_places == []


@pytest.mark.parametrize("option", ["http", "dicom"])
def test_a_taken_port_is_named(gantry_process: Maker, option: str) -> None:
    gantry = gantry_process()
    port = gantry.http_port if option == "http" else gantry.dicom_port
    with socket.create_server(("127.0.0.1", port)):
        done = gantry.cli("up", check=False)
    assert done.returncode == 1
    assert f"Another program listens on 127.0.0.1:{port}" in done.stderr
    assert f"--{option}" in done.stderr
    assert not (gantry.home / "postgres" / "postmaster.pid").exists()


def test_a_second_up_on_one_home_is_refused(gantry_process: Maker, home: Home, free_port: Callable[[], int]) -> None:
    claim = homes.claim(home)
    done = gantry_process(home=home.path).cli("up", check=False)
    os.close(claim)
    assert done.returncode == 1
    assert str(os.getpid()) in done.stderr


def test_a_home_of_a_newer_version_is_refused(gantry_process: Maker, home: Home) -> None:
    (home.path / "home.json").write_text(json.dumps({"layout": 99, "made_by": "9.9"}))
    done = gantry_process(home=home.path).cli("up", check=False)
    assert done.returncode == 1
    assert "9.9" in done.stderr


@pytest.mark.timeout(120)
def test_two_homes_at_once(gantry_process: Maker, make_ct: Callable[..., list[Path]]) -> None:
    one, two = gantry_process(receivers=1), gantry_process(receivers=1, aet="OTHER")
    one.start()
    two.start()
    folder = make_ct(2, study=f"{ROOT}.900", series=f"{ROOT}.900.1")[0].parent
    two.cli("send", str(folder), "--to", f"OTHER@127.0.0.1:{two.dicom_port}")
    two.until(lambda: len(two.json("studies")) == 1)
    assert one.json("studies") == []


@pytest.mark.timeout(120)
def test_an_external_database(gantry_process: Maker, postgres_server: str, make_ct: Callable[..., list[Path]]) -> None:
    name = f"external_{os.urandom(4).hex()}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]  # hexadecimal digits
    gantry = gantry_process(receivers=1, database_url=re.sub(r"/[^/?]*\?", f"/{name}?", postgres_server, count=1))
    gantry.start()
    gantry.json("import", str(make_ct(1)[0].parent))
    assert len(gantry.json("studies")) == 1
    assert not (gantry.home / "postgres").exists()
    gantry.stop()


def test_a_database_that_is_not_there_is_named(gantry_process: Maker, free_port: Callable[[], int]) -> None:
    done = gantry_process(database_url=f"postgresql://x@127.0.0.1:{free_port()}/x").cli("up", check=False)
    assert done.returncode == 1
    assert "GANTRY_DATABASE_URL" in done.stderr


@pytest.mark.timeout(120)
def test_single_processes_for_systemd(gantry_process: Maker, make_ct: Callable[..., list[Path]]) -> None:
    """A receiver alone, on a socket that was handed over, brings its indexer; what it receives is indexed."""
    gantry = gantry_process()
    command = [sys.executable, "-m", "gantry.main.cli", "serve", "receiver"]
    with socket.create_server(("127.0.0.1", gantry.dicom_port)) as listener:
        process = subprocess.Popen(
            command, env={**gantry.environment, "GANTRY_LISTEN_FD": str(listener.fileno())}, pass_fds=[listener.fileno()]
        )
    try:
        sent = gantry.json("send", str(make_ct(2)[0].parent), "--to", f"GANTRY@127.0.0.1:{gantry.dicom_port}")
        assert [item["outcome"] for item in sent] == ["confirmed"] * 2
        deadline = time.monotonic() + 60
        while not (found := gantry.json("studies")) or found[0]["instance_count"] < 2:
            assert time.monotonic() < deadline
            time.sleep(0.3)
        indexer = gantry.pid("indexer")
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(40) == 0
    assert not alive(indexer)
    assert not (gantry.home / "postgres" / "postmaster.pid").exists()


def test_a_clock_in_1970_is_told_and_no_obstacle(
    monkeypatch: pytest.MonkeyPatch, home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    """The embedded database starts and answers; the person is told."""
    monkeypatch.setattr(time, "time", lambda: 1000.0)
    assert homes.clock_complaint() is not None
    server = postgres.Postgres(home)
    server.start()
    with psycopg.connect(postgres.url(home)) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    server.stop()
