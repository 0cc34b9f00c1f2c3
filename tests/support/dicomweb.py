"""DICOMweb servers for tests: Orthanc with its plugin, and one that answers as it is told."""

from __future__ import annotations

import json
import os
import shutil
import ssl
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self

from tests.support import peers

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")


@contextmanager
def orthanc(folder: Path, http_port: int, *, user: str = "", password: str = "") -> Iterator[str]:
    """Orthanc with DICOMweb; gives the root. Skips where it is missing, never in CI."""
    program = shutil.which("Orthanc")
    if program is None or not PLUGIN.exists():
        peers.missing("Orthanc with orthanc-dicomweb", in_ci=os.environ.get("GANTRY_CI") == "1")
    folder.mkdir()
    settings = {
        "Name": "TEST", "StorageDirectory": str(folder / "db"), "IndexDirectory": str(folder / "db"), "HttpPort": http_port,
        "DicomServerEnabled": False, "RemoteAccessAllowed": False, "Plugins": [str(PLUGIN)],
        "AuthenticationEnabled": bool(user), "RegisteredUsers": {user: password} if user else {},
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/", "EnableWado": False},
    }  # fmt: skip
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen([program, str(folder / "orthanc.json")], stdout=log, stderr=log)
    try:
        root = f"http://127.0.0.1:{http_port}"
        deadline = time.monotonic() + 40
        while True:
            try:
                urllib.request.urlopen(f"{root}/dicom-web/studies?limit=1", timeout=5).close()
                break
            except urllib.error.HTTPError:
                break  # it answers
            except OSError:
                assert process.poll() is None, (folder / "log").read_text(errors="replace")
                assert time.monotonic() < deadline, (folder / "log").read_text(errors="replace")
                time.sleep(0.1)
        yield f"{root}/dicom-web"
    finally:
        process.terminate()
        process.wait(20)


@dataclass
class Request:
    """What came in."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class WebServer:
    """Answers every request by `answer(request)`: (status, content type, body). Use as a context manager."""

    answer: Callable[[Request], tuple[int, str, bytes]]
    tls: ssl.SSLContext | None = None
    read_body: bool = True
    requests: list[Request] = field(default_factory=list)

    def __enter__(self) -> Self:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self) -> None:
                size = int(self.headers.get("Content-Length", "0"))
                body = self.rfile.read(size) if outer.read_body else b""
                request = Request(self.command, self.path, dict(self.headers), body)
                outer.requests.append(request)
                status, kind, text = outer.answer(request)
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(text)))
                if status in {301, 302}:
                    self.send_header("Location", "https://elsewhere.example/")
                self.end_headers()
                self.wfile.write(text)
                self.close_connection = not outer.read_body

            do_POST = _serve  # noqa: N815  its names
            do_GET = _serve  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]  a client that hangs up is no news
        if self.tls is not None:
            self._server.socket = self.tls.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}/web"
