from __future__ import annotations

import base64
import hashlib
import hmac
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psycopg
import pytest

from gantry import config, database


@pytest.fixture
def connection(transactional_db: None) -> Iterator[psycopg.Connection]:
    with database.connect(autocommit=True, application="alerts-test") as opened:
        yield opened


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., config.Config]:
    """settings(**changes): settings of a fresh home, from which webhooks may go to this machine."""
    (tmp_path / "secrets").mkdir()

    def use(**changes: Any) -> config.Config:
        values = {"home": tmp_path, "webhook_private": ["127.0.0.0/8", "::1/128"], **changes}
        found = config.current().model_copy(update=values)
        monkeypatch.setattr(config, "_current", found)
        return found

    use()
    return use


class Receiver:
    """A real receiver of webhooks, which keeps what it got and checks signatures as the documentation says."""

    def __init__(self, status: int = 204) -> None:
        self.status = status
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.hang = threading.Event()
        self.drip = False
        self._end = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
                if receiver.hang.is_set():
                    receiver._end.wait(60)
                if receiver.drip:
                    self.wfile.write(b"HTTP/1.1 200 OK\r\n")
                    while not receiver._end.wait(0.2):
                        self.wfile.write(b"x-drip: 1\r\n")
                    return
                self.send_response(receiver.status)
                self.send_header("Location", "http://127.0.0.1:1/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

            def handle_error(self, *_: object) -> None:
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/hook?x=1"

    def close(self) -> None:
        self._end.set()
        self.server.shutdown()
        self.server.server_close()

    def until(self, count: int) -> None:
        deadline = time.monotonic() + 20
        while len(self.got) < count:
            assert time.monotonic() < deadline, f"{len(self.got)} of {count} came"
            time.sleep(0.02)


@pytest.fixture
def receiver() -> Iterator[Callable[..., Receiver]]:
    made: list[Receiver] = []

    def make(status: int = 204) -> Receiver:
        made.append(Receiver(status))
        return made[-1]

    yield make
    for one in made:
        one.close()


def holds(secret: str, headers: dict[str, str], body: bytes) -> bool:
    """The check of docs/howto/webhooks.md."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    content = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
    fresh = abs(time.time() - int(headers["webhook-timestamp"])) < 300
    return fresh and hmac.compare_digest(f"v1,{expected}", headers["webhook-signature"])
