"""A whole instance with studies, a second node and people, and Chromium to look at it."""

from __future__ import annotations

import http.cookiejar
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gantry.main.demo import sources
from tests.support import part10_files
from tests.support.gantry_process import GantryProcess

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--force-color-profile=srgb",
]  # fmt: skip
PASSWORD = "a long enough passphrase"
#: Of the instance; quick, and with everything that a sign-in page can offer.
SETTINGS = {"settle_quiet_seconds": "0.5", "self_registration": "true"}
ROLES = ("administrator", "operator", "clinician", "researcher", "viewer")
#: Names that a careless page would run, turn around or burst under.
HOSTILE = (
    "<img src=x onerror=alert(1)>^<b>Eve</b>",
    "\u202egnp.exe^Mallory",
    "M\u00fcller^J\u00f6rg",
    "\u05db\u05d4\u05df^\u05d3\u05e0\u05d4",
    "W" * 64,
)


@dataclass
class Stage:
    """The instance, its second node, and who can sign in."""

    gantry: GantryProcess
    folder: Path
    archive_port: int
    archive: subprocess.Popen[bytes] | None = None
    cookies: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Where the app is."""
        return self.gantry.base_url

    def start(self) -> None:
        """Instance and node up, studies received, indexed and (the real ones) forwarded; a person of each role."""
        self.gantry.start()
        environment = {name: value for name, value in self.gantry.environment.items() if not name.startswith("GANTRY_")}
        (self.folder / "archive").mkdir(parents=True, exist_ok=True)
        self.archive = subprocess.Popen(
            [sys.executable, "-m", "gantry.main.demo_archive", f"127.0.0.1:{self.archive_port}", str(self.folder / "archive")],
            env={**environment, "GANTRY_PARENT": str(os.getpid())}, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        for role in ROLES:
            self._add_person(role)
        self.gantry.cli("node", "add", "ARCHIVE", f"ARCHIVE@127.0.0.1:{self.archive_port}")
        self.gantry.cli("rule", "add", "everything", "--to", "ARCHIVE")
        self.gantry.cli("import", *self._studies())
        self.gantry.until(self._settled, 90)

    def stop(self) -> None:
        """End both."""
        if self.archive is not None:
            self.archive.terminate()
            self.archive.wait(20)
        self.gantry.stop()

    def _studies(self) -> list[str]:
        files = [str(path) for path in sources()]
        for number, name in enumerate(HOSTILE, start=1):
            study = f"{part10_files.ROOT}.77.{number}"
            dataset = part10_files.ct_dataset(study=study, series=f"{study}.1", patient_id=f"HOSTILE-{number}", patient_name=name)
            path = self.folder / f"hostile-{number}.dcm"
            path.write_bytes(part10_files.part10(dataset, sop_class=part10_files.CT_IMAGE_STORAGE, instance=f"{study}.1.1"))
            files.append(str(path))
        return files

    def _settled(self) -> bool:
        studies = self.gantry.json("studies")
        return len(studies if isinstance(studies, list) else studies["items"]) >= 2 + len(HOSTILE)

    def _add_person(self, role: str) -> None:
        made = self.gantry.json("user", "add", role, "--role", role)
        opener, jar = self._browser()
        self._ask(opener, jar, "POST", "session", {"username": role, "password": made["password"]})
        self._ask(opener, jar, "PUT", "session/password", {"old": made["password"], "new": PASSWORD})
        self.cookies[role] = [
            {"name": cookie.name, "value": cookie.value or "", "domain": "127.0.0.1", "path": "/", "httpOnly": cookie.name == "sessionid"}
            for cookie in jar
        ]  # fmt: skip

    @staticmethod
    def _browser() -> tuple[urllib.request.OpenerDirector, http.cookiejar.CookieJar]:
        jar = http.cookiejar.CookieJar()
        return urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar)), jar

    def _ask(
        self, opener: urllib.request.OpenerDirector, jar: http.cookiejar.CookieJar, method: str, path: str, body: object
    ) -> Any:
        headers = {"Content-Type": "application/json"}
        headers["X-CSRFToken"] = next((cookie.value or "" for cookie in jar if cookie.name == "csrftoken"), "")
        request = urllib.request.Request(f"{self.url}/api/v1/{path}", json.dumps(body).encode(), headers, method=method)
        with opener.open(request, timeout=30) as answer:
            content = answer.read()
        return json.loads(content) if content else None


def until(page: Any, condition: str, seconds: float = 60) -> None:
    """Wait until an expression holds in a page. (playwright's wait_for_function evaluates text in it, which the policy forbids.)"""
    deadline = time.monotonic() + seconds
    while not page.evaluate(condition):
        assert time.monotonic() < deadline, f"not within {seconds} s: {condition}"
        page.wait_for_timeout(50)


@contextmanager
def chromium() -> Iterator[Any]:
    """Debian's Chromium, driven by playwright (whose own browsers are not downloaded)."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()
