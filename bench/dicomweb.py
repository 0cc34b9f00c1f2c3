"""What a viewer waits for: metadata of a series, raw frames, pictures, thumbnails; beside Orthanc's REST where it has the like.

    python -m bench.dicomweb [--rounds 3] [--instances 600] [--seconds 3] [--peers gantry,orthanc] [--try]

Both are filled with the same CT slices (512 x 512, 16 bit) and asked over one connection, then over four. `metadata` of
Orthanc is its `instances-tags` of the series, which says the same in its own form; `rendered` its `preview`.
"""

from __future__ import annotations

import argparse
import http.client
import json
import statistics
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import data, summary
from bench.machine import Workplace, end_cleanly, note, report, warm_memory
from bench.ours import _GANTRY, Gantry
from bench.peers import Orthanc, PeerError

MULTIPART = 'multipart/related; type="application/octet-stream"; transfer-syntax=*'


class Asker:
    """One connection that is kept."""

    def __init__(self, port: int, headers: dict[str, str]) -> None:
        self._line = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        self._headers = headers

    def get(self, path: str, accept: str = "*/*") -> bytes:
        """The body. PeerError unless 200."""
        headers = {**self._headers, "Accept": accept, "Accept-Encoding": "gzip"}
        try:
            self._line.request("GET", path, headers=headers)
            answer = self._line.getresponse()
        except (http.client.RemoteDisconnected, ConnectionError):  # it was idle for longer than the peer keeps it
            self._line.close()
            self._line.request("GET", path, headers=headers)
            answer = self._line.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise PeerError(f"{answer.status} for {path}: {body[:300]!r}")
        return body


def _timed(ask: Callable[[], object]) -> float:
    begun = time.perf_counter()
    ask()
    return (time.perf_counter() - begun) * 1000


def _rate(make: Callable[[], Asker], paths: list[str], accept: str, seconds: float, askers: int) -> dict[str, Any]:
    """Answers in `seconds` by so many connections: how many a second, and how long one takes."""
    times: list[float] = []
    until = time.perf_counter() + seconds

    def run(first: int) -> None:
        asker, number = make(), first
        while time.perf_counter() < until:
            path = paths[number % len(paths)]
            times.append(_timed(lambda path=path: asker.get(path, accept)))  # type: ignore[misc]
            number += askers

    threads = [threading.Thread(target=run, args=(number,)) for number in range(askers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    cuts = statistics.quantiles(times, n=20)
    return {
        "per_second": round(len(times) / seconds, 1),
        "p50_ms": round(statistics.median(times), 2),
        "p95_ms": round(cuts[-1], 2),
    }


def _gantry(folder: Path, files: Path, count: int) -> tuple[Gantry, Callable[[], Asker]]:
    peer = Gantry("gantry", folder)
    peer.__enter__()
    try:
        run = [*_GANTRY]
        environment = peer.environment()
        subprocess.run([*run, "import", str(files)], env=environment, check=True, stdout=subprocess.DEVNULL, timeout=600)
        peer.wait_indexed(count, time.perf_counter())
        user = ["user", "add", "bench", "--role", "administrator", "--json"]
        subprocess.run([*run, *user], env=environment, check=True, stdout=subprocess.DEVNULL, timeout=60)
        made = subprocess.run(
            [*run, "token", "create", "--user", "bench", "--json"], env=environment, check=True, stdout=subprocess.PIPE, text=True, timeout=60
        )  # fmt: skip
        token = json.loads(made.stdout)["token"]
    except BaseException:
        peer.stop()
        raise
    return peer, lambda: Asker(peer.http, {"Authorization": f"Bearer {token}"})


def _measure(
    name: str, make: Callable[[], Asker], paths: dict[str, list[str]], options: argparse.Namespace
) -> list[dict[str, Any]]:
    """A row for each wish. The first asking of metadata is the cold one: nothing of it was read since the start."""
    asker = make()
    cold = _timed(lambda: asker.get(paths["metadata"][0]))
    cached = [_timed(lambda: asker.get(paths["metadata"][0])) for _ in range(10)]
    rows: list[dict[str, Any]] = [
        {"peer": name, "wish": "metadata, first", "askers": 1, "p50_ms": round(cold, 1)},
        {"peer": name, "wish": "metadata, again", "askers": 1, "p50_ms": round(statistics.median(cached), 1)},
    ]
    for wish in ("frame", "rendered", "thumbnail"):
        if wish not in paths:
            continue
        accept = MULTIPART if wish == "frame" and name == "gantry" else "*/*" if wish == "frame" else "image/jpeg"
        asker.get(paths[wish][-1], accept)
        for askers in (1, 4):
            row = {"peer": name, "wish": wish, "askers": askers, **_rate(make, paths[wish], accept, options.seconds, askers)}
            rows.append(row)
            note(str(row))
    return rows


def _ours(folder: Path, files: data.DataSet, options: argparse.Namespace) -> list[dict[str, Any]]:
    peer, make = _gantry(folder, files.folder, len(files.items))
    try:
        series = json.loads(_plain(make().get(f"/api/v1/series?study_instance_uid={files.study}")))["items"][0]
        uid = series["series_instance_uid"]
        base = f"/dicomweb/studies/{files.study}/series/{uid}"
        found = json.loads(_plain(make().get(f"/api/v1/instances?series_instance_uid={uid}&limit=1000")))["items"]
        instances = [f"{base}/instances/{one['sop_instance_uid']}" for one in found]
        paths = {
            "metadata": [f"{base}/metadata"],
            "frame": [f"{one}/frames/1" for one in instances],
            "rendered": [f"{one}/rendered" for one in instances],
            "thumbnail": [f"{one}/thumbnail" for one in instances],
        }
        return _measure("gantry", make, paths, options)
    finally:
        peer.stop()


def _plain(body: bytes) -> bytes:
    import gzip

    return gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body


def _orthanc(folder: Path, files: data.DataSet, options: argparse.Namespace) -> list[dict[str, Any]]:
    from bench.machine import free_port

    port = free_port()
    settings = {"HttpServerEnabled": True, "HttpPort": port, "RemoteAccessAllowed": False, "AuthenticationEnabled": False}
    with Orthanc("orthanc", folder, **settings):
        line = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        for item in files.items:
            line.request("POST", "/instances", body=(files.folder / item.path).read_bytes())
            answer = line.getresponse()
            if answer.status != 200:
                raise PeerError(f"orthanc answered {answer.status} to an upload")
            answer.read()

        def make() -> Asker:
            return Asker(port, {})

        series = json.loads(_plain(make().get("/series")))[0]
        instances = json.loads(_plain(make().get(f"/series/{series}")))["Instances"]
        paths = {
            "metadata": [f"/series/{series}/instances-tags"],
            "frame": [f"/instances/{one}/frames/0/raw" for one in instances],
            "rendered": [f"/instances/{one}/preview" for one in instances],
        }
        return _measure("orthanc", make, paths, options)


def main() -> None:
    """Fill, ask, print one line of JSON."""
    parser = argparse.ArgumentParser(prog="python -m bench.dicomweb", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--instances", type=int, default=600)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--peers", default="gantry,orthanc")
    parser.add_argument("--try", dest="small", action="store_true", help="one round, small: does it work?")
    options = parser.parse_args()
    if options.small:
        options.rounds, options.instances, options.seconds = 1, 20, 0.5
    end_cleanly()
    data.PLANS["series"] = data.Plan("series", options.instances, 1, data.CT, "CT", 512, 512, 1)
    files = data.load("series")
    rows: list[dict[str, Any]] = []
    with Workplace() as place:
        for number in range(options.rounds):
            for name in summary.in_turns(options.peers.split(","), number):
                warm_memory(200 if options.small else 1600)
                folder = place.fresh(name)
                try:
                    found = (_ours if name == "gantry" else _orthanc)(folder, files, options)
                    rows += [{**row, "round": number} for row in found]
                except (PeerError, OSError, subprocess.SubprocessError) as error:
                    rows.append(
                        {
                            "peer": name,
                            "wish": "",
                            "askers": 0,
                            "round": number,
                            "errors": [f"{type(error).__name__}: {error}"[:500]],
                        }
                    )
                    note(f"{name}: {error}")
                place.drain(folder)
    report(
        "dicomweb", options, instances=len(files.items), rows=rows, medians=summary.medians(rows, ["peer", "wish", "askers"], "p50_ms"),
        ratios=summary.ratios(rows, case=["wish", "askers"], who="peer", ours=["gantry"], value="p50_ms", more_is_better=False),
    )  # fmt: skip


if __name__ == "__main__":
    main()
