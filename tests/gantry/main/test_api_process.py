"""The web process as it runs: started, asked, stopped."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.gantry.accounts import stored
from tests.gantry.accounts.people import token

from gantry.main.home import Home

pytestmark = pytest.mark.django_db(transaction=True)

PROGRAM = """
import logging, sys
logging.basicConfig(level=sys.argv[1], stream=sys.stderr)
from gantry import config
from gantry.main import process_web
sys.exit(process_web.run(config.load()))
"""


class Web:
    """A process, its port, what it has logged."""

    def __init__(self, home: Home, port: int, level: str = "INFO") -> None:
        self.port = port
        self.log = home.logs / "out"
        environment = {**os.environ, "GANTRY_HOME": str(home.path), "GANTRY_HTTP": f"127.0.0.1:{port}"}
        environment["PYTHONPATH"] = str(Path(__file__).parents[3] / "src")
        with open(self.log, "wb") as output:
            self.process = subprocess.Popen([sys.executable, "-c", PROGRAM, level], env=environment, stdout=output, stderr=output)

    def wait(self) -> Web:
        deadline = time.monotonic() + 60
        while True:
            try:
                assert self.get("/health/live")[0] == 200
                return self
            except urllib.error.URLError:
                assert self.process.poll() is None, self.text
                assert time.monotonic() < deadline, self.text
                time.sleep(0.05)

    def get(self, path: str, plaintext: str = "") -> tuple[int, bytes, dict[str, str]]:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}")
        if plaintext:
            request.add_header("Authorization", f"Bearer {plaintext}")
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.read(), dict(answer.headers)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read(), dict(error.headers)

    @property
    def text(self) -> str:
        return self.log.read_text(errors="replace")


@pytest.fixture
def start(home: Home, free_port: Callable[[], int]) -> Iterator[Callable[..., Web]]:
    started: list[Web] = []

    def begin(*args: Any) -> Web:
        started.append(Web(home, free_port(), *args))
        return started[-1].wait()

    yield begin
    for web in started:
        web.process.kill()
        web.process.wait(60)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_that_was_asked_for_is_a_success(start: Callable[..., Web], number: signal.Signals) -> None:
    web = start()
    assert web.get("/health/ready")[0] == 200, web.text
    web.process.send_signal(number)
    assert web.process.wait(60) == 0, web.text
    assert "Traceback" not in web.text


def test_neither_queries_nor_paths_are_logged(start: Callable[..., Web]) -> None:
    stored.study("1.2.3")
    web, plaintext = start(), token()
    assert web.get("/api/v1/studies?patient_name=Doe", plaintext)[0] == 200
    assert web.get("/api/v1/studies/9.8.7", plaintext)[0] == 404
    assert web.get("/api/v1/studies?limit=9999&q=Doe", plaintext)[0] == 422
    assert web.get("/9.8.7", plaintext)[0] == 404
    web.process.terminate()
    web.process.wait(60)
    for word in ("Doe", "9.8.7", plaintext, "patient_name"):
        assert word not in web.text


def test_even_at_debug_no_query_is_logged(start: Callable[..., Web]) -> None:
    web, plaintext = start("DEBUG"), token()
    web.get("/api/v1/studies?patient_name=Doe", plaintext)
    web.process.terminate()
    web.process.wait(60)
    assert "GET /api/v1/studies 200" in web.text
    assert "patient_name=" not in web.text
    assert plaintext not in web.text


def test_it_says_nothing_about_what_it_runs_on(start: Callable[..., Web]) -> None:
    headers = {name.lower() for name in start().get("/")[2]}
    assert "server" not in headers
    assert "x-powered-by" not in headers


def test_many_at_once_share_a_few_connections(start: Callable[..., Web]) -> None:
    from django.db import connection

    web, plaintext = start(), token()
    outcomes: list[int] = []

    def ask() -> None:
        outcomes.extend(web.get("/api/v1/studies", plaintext)[0] for _ in range(5))

    threads = [threading.Thread(target=ask) for _ in range(40)]
    for thread in threads:
        thread.start()
    most = 0
    while any(thread.is_alive() for thread in threads):
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'gantry-orm'"
            )
            most = max(most, cursor.fetchone()[0])
        time.sleep(0.02)
    assert outcomes == [200] * 200, web.text
    assert 1 < most <= 17, "the pool, and this test's own connection"


def test_a_download_that_is_broken_off_leaves_no_file_open(start: Callable[..., Web], home: Home) -> None:
    from gantry.catalogue.models import Version

    stored.study("1.2.3", home=home.path)
    version = Version.objects.get()
    with open(home.path / version.file_path, "wb") as file:
        file.truncate(512 * 1024 * 1024)
    web, plaintext = start(), token()
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", web.port), timeout=60) as peer:
            peer.sendall(
                f"GET /api/v1/instances/1.2.3.1.1/file HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {plaintext}\r\n\r\n".encode()
            )
            assert b"200 OK" in peer.recv(65536)
    descriptors = Path(f"/proc/{web.process.pid}/fd")

    def left_open() -> int:
        names = [os.readlink(path) for path in descriptors.iterdir() if path.is_symlink()]
        return sum(name.endswith(".dcm") for name in names)

    deadline = time.monotonic() + 60
    while left_open():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    memory = next(line for line in Path(f"/proc/{web.process.pid}/status").read_text().splitlines() if line.startswith("VmHWM"))
    assert int(memory.split()[1]) < 250 * 1024, memory


def test_a_port_that_is_taken(home: Home) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        web = Web(home, other.getsockname()[1])
        assert web.process.wait(30) != 0
        assert "PortTaken" in web.text


def test_a_live_connection_does_not_hold_up_the_stop(start: Callable[..., Web]) -> None:
    web = start()
    request = urllib.request.Request(f"http://127.0.0.1:{web.port}/api/v1/events")
    request.add_header("Authorization", f"Bearer {token()}")
    with urllib.request.urlopen(request, timeout=30) as stream:
        assert stream.readline() == b"retry: 3000\n"
        web.process.terminate()
        stream.read()
        assert web.process.wait(30) == 0
    assert "graceful shutdown exceeded" not in web.text
    assert "Traceback" not in web.text
