"""Somebody who looks all the time: reads over REST, and a client of the live feed that comes back where it was."""

from __future__ import annotations

import http.client
import json
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from typing import Any

from tests.support.gantry_process import GantryProcess

_PAGES = ("/api/v1/studies?limit=5", "/api/v1/deliveries?limit=5", "/api/v1/changes?limit=5", "/api/v1/nodes")


class Reader:
    """Asks the pages of the API one after the other, without end. `wrong` is what no client should ever see."""

    def __init__(self, gantry: GantryProcess, token: str) -> None:
        self.statuses: Counter[int] = Counter()
        self.wrong: list[str] = []
        self._gantry, self._token = gantry, token
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(60)
        assert not self._thread.is_alive(), "a request hangs"

    def ask(self, path: str) -> tuple[int, bytes]:
        """Status and body."""
        request = urllib.request.Request(f"{self._gantry.base_url}{path}", headers={"Authorization": f"Bearer {self._token}"})
        try:
            with urllib.request.urlopen(request, timeout=45) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def _run(self) -> None:
        number = 0
        while not self._stop.wait(0.05):
            path = _PAGES[number % len(_PAGES)]
            number += 1
            try:
                status, body = self.ask(path)
            except OSError as error:
                self.wrong.append(f"{path}: {error!r}")
                continue
            self.statuses[status] += 1
            if status == 503 and set(_error(body)) == {"code", "message", "remedy", "details"}:
                continue
            if status != 200:
                self.wrong.append(f"{path}: {status} {body[:300]!r}")


def _error(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)["error"]
    except (ValueError, KeyError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}


class Live:
    """A browser at /api/v1/events: connects again when the stream ends, and goes on from the last id."""

    def __init__(self, gantry: GantryProcess, token: str) -> None:
        self.ids: list[int] = []
        self.kinds: Counter[str] = Counter()
        self.streams = 0
        self.resets = 0
        self._port, self._token = gantry.http_port, token
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(60)
        assert not self._thread.is_alive(), "the stream hangs"

    def _run(self) -> None:
        while not self._stop.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
            try:
                self._follow(connection)
            except (OSError, http.client.HTTPException):
                pass
            finally:
                connection.close()
            time.sleep(0.2)

    def _follow(self, connection: http.client.HTTPConnection) -> None:
        headers = {"Authorization": f"Bearer {self._token}"}
        if self.ids:
            headers["Last-Event-ID"] = str(self.ids[-1])
        connection.request("GET", "/api/v1/events", headers=headers)
        answer = connection.getresponse()
        if answer.status != 200:
            return
        self.streams += 1
        event: dict[str, str] = {}
        while not self._stop.is_set():
            line = answer.readline().decode()
            if not line:
                return
            if line != "\n":
                name, _, value = line.rstrip("\n").partition(":")
                event[name] = value.strip()
                continue
            if event.get("event") == "reset":
                self.resets += 1
            elif "id" in event:
                self.ids.append(int(event["id"]))
                self.kinds[event["event"]] += 1
            event = {}
