"""What a person waits for in a browser: the list of studies, the first image, the last slice; beside Orthanc's own pages.

    python -m bench.viewer [--rounds 5] [--studies 100] [--slices 500] [--rows 10000] [--peers gantry,orthanc] [--try]

Chromium without a graphics card (playwright drives /usr/bin/chromium), a new profile for each page: nothing is kept from
before. Both servers hold the same studies, one of them a CT of 512 x 512 words, and run alone, in turns. Orthanc is Debian's
with its web viewer (package orthanc-webviewer) and Orthanc Explorer. A row counts when it stands in the page, an image when
a canvas or picture of 200 pixels is painted and not black, looked at in each frame of the page itself; times are from the
beginning of the navigation, of the last slice from the key to its picture. Orthanc begins with the first slice, Gantry with
the middle one. Of Gantry also: first contentful paint of pages, and frames longer than 50 ms while a list is scrolled.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import http.cookiejar
import json
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench import data, summary
from bench.find import fill
from bench.machine import Outside, Workplace, end_cleanly, free_port, note, report, warm_memory
from bench.ours import _GANTRY, Gantry
from bench.peers import Orthanc, PeerError

CHROMIUM = "/usr/bin/chromium"
PLUGIN = "/usr/share/orthanc/plugins/libOrthancWebViewer.so"
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"]  # fmt: skip
PASSWORD = "a long enough passphrase"
LONG_FRAME_MS = 50
#: In each frame of the page: when the rows are there, when something is painted, when it last became another picture.
PROBE = """
window.bench = { rows: 0, image: 0, changed: 0, picture: '', selector: SELECTOR, least: LEAST, long: 0, frames: 0, longest: 0, watch: false };
(() => {
  const small = document.createElement('canvas'); small.width = small.height = 16;
  const pen = small.getContext('2d', { willReadFrequently: true });
  let before = performance.now();
  const look = (now) => {
    const at = performance.now();
    if (bench.watch) {
      bench.frames += 1; bench.longest = Math.max(bench.longest, now - before);
      if (now - before > LONG) bench.long += 1;
    }
    before = now;
    if (bench.selector && !bench.rows && document.querySelectorAll(bench.selector).length >= bench.least) bench.rows = at;
    if (!bench.selector) {
      let picture = '';
      for (const one of document.querySelectorAll('canvas, img')) {
        const { width, height } = one.getBoundingClientRect();
        if (width < 200 || height < 200 || (one.tagName === 'IMG' && !(one.complete && one.naturalWidth > 100))) continue;
        try { pen.drawImage(one, 0, 0, 16, 16); } catch { continue; }
        const bytes = pen.getImageData(0, 0, 16, 16).data; let sum = 0;
        for (let index = 0; index < bytes.length; index += 4) sum = (sum * 31 + bytes[index]) % 1000000007;
        const light = bytes.filter((byte, index) => index % 4 === 0 && byte > 8).length;
        if (light > 25) picture += one.tagName + sum;
        pen.clearRect(0, 0, 16, 16);
      }
      if (picture && !bench.image) bench.image = at;
      if (picture !== bench.picture) { bench.picture = picture; bench.changed = at; }
    }
    requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
})();
"""


@contextlib.contextmanager
def chromium() -> Iterator[Any]:
    """The browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


class Eye:
    """A browser that is new for each page; `cookies` of whoever is signed in."""

    def __init__(self, browser: Any, url: str, cookies: list[dict[str, Any]]) -> None:
        self._browser, self._url, self._cookies = browser, url, cookies

    @contextlib.contextmanager
    def page(self, path: str, *, selector: str = "", least: int = 1) -> Iterator[Any]:
        """A page with the probe in it, just opened."""
        context = self._browser.new_context(base_url=self._url, viewport={"width": 1280, "height": 800}, locale="en-GB")
        context.set_default_timeout(120_000)
        context.add_cookies(self._cookies)
        probe = PROBE.replace("SELECTOR", json.dumps(selector)).replace("LEAST", str(least)).replace("LONG", str(LONG_FRAME_MS))
        context.add_init_script(probe)
        try:
            page = context.new_page()
            page.goto(path, wait_until="commit")
            yield page
        finally:
            context.close()

    def rows(self, path: str, selector: str, least: int) -> float:
        """Milliseconds until so many rows are in the page."""
        with self.page(path, selector=selector, least=least) as page:
            return wait(page, "bench.rows")

    def paint(self, path: str) -> float:
        """Milliseconds to the first contentful paint."""
        with self.page(path) as page:
            return wait(page, "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0")


def wait(page: Any, expression: str, seconds: float = 120.0) -> float:
    """What an expression gives as soon as that is more than nothing. PeerError if never."""
    deadline = time.monotonic() + seconds
    while not (value := page.evaluate(expression)):
        if time.monotonic() > deadline:
            raise PeerError(f"not within {seconds:.0f} s: {expression}")
        page.wait_for_timeout(20)
    return round(float(value), 1)


def images(eye: Eye, path: str, ready: str, to_last: Callable[[Any], None], *, last: bool = True) -> dict[str, float]:
    """Milliseconds to the first image, until it can be worked with, and from the key to the last slice."""
    with eye.page(path) as page:
        first = wait(page, "bench.image")
        found = {"first image": first, "first image, ready": max(first, wait(page, ready) if ready else first)}
        if not last:
            return found
        settled(page)
        begun = page.evaluate("performance.now()")
        to_last(page)
        found["last slice"] = round(wait(page, f"bench.changed > {begun} ? bench.changed : 0") - begun, 1)
    return found


def settled(page: Any) -> None:
    """Until the picture has been the same for half a second."""
    while page.evaluate("performance.now() - bench.changed") < 500:
        page.wait_for_timeout(50)


def data_sets(studies: int, slices: int) -> tuple[data.DataSet, list[data.DataSet]]:
    """The large CT, and the others: two small MR each."""
    data.PLANS["stack"] = data.Plan("stack", slices, 1, data.CT, "CT", 512, 512, 1)
    names = [f"few{number:03}" for number in range(studies - 1)]
    for name in names:
        data.PLANS[name] = data.Plan(name, 2, 1, data.MR, "MR", 64, 64, 1)
    return data.load("stack"), [data.load(name) for name in names]


def signed_in(peer: Gantry) -> list[dict[str, Any]]:
    """Cookies of an administrator."""
    made = peer.cli("user", "add", "bench", "--role", "administrator")
    jar = http.cookiejar.CookieJar()
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))

    def ask(method: str, path: str, body: dict[str, str]) -> None:
        token = next((cookie.value or "" for cookie in jar if cookie.name == "csrftoken"), "")
        headers = {"Content-Type": "application/json", "X-CSRFToken": token}
        url = f"http://127.0.0.1:{peer.http}/api/v1/{path}"
        opener.open(urllib.request.Request(url, json.dumps(body).encode(), headers, method=method), timeout=60).close()

    ask("POST", "session", {"username": "bench", "password": made["password"]})
    ask("PUT", "session/password", {"old": made["password"], "new": PASSWORD})
    return [{"name": one.name, "value": one.value or "", "domain": "127.0.0.1", "path": "/"} for one in jar]


def gantry(browser: Any, folder: Path, stack: data.DataSet, others: list[data.DataSet], rows: int) -> dict[str, float]:
    """All of ours, milliseconds by case (frames: their number)."""
    with Gantry("gantry", folder) as peer:
        folders = [str(one.folder) for one in (stack, *others)]
        run = subprocess.run(
            [*_GANTRY, "import", *folders], env=peer.environment(), stdout=subprocess.DEVNULL, timeout=900, check=False
        )
        if run.returncode:
            raise PeerError(f"gantry import: exit {run.returncode}")
        peer.wait_indexed(len(stack.items) + sum(len(one.items) for one in others), time.perf_counter())
        cookies, url = signed_in(peer), f"http://127.0.0.1:{peer.http}"
        eye = Eye(browser, url, cookies)
        row = "[role=row][data-index]"
        ready = "document.querySelector('[data-part=image][data-ready=true]') ? performance.now() : 0"
        # Once for the server, with another study: each has then started what it starts with the first picture.
        eye.rows("/studies", row, 1)
        images(eye, f"/studies/{others[0].study}/view", ready, lambda page: None, last=False)
        found = {"list": eye.rows("/studies", row, 1)}
        found |= images(eye, f"/studies/{stack.study}/view", ready, lambda page: page.keyboard.press("End"))
        found["first paint, sign-in"] = Eye(browser, url, []).paint("/sign-in")
        for name, path in (("dashboard", "/dashboard"), ("studies", "/studies"), ("study", f"/studies/{stack.study}")):
            found[f"first paint, {name}"] = eye.paint(path)
        if rows:
            fill(peer.query_nothing, 0, rows)
            found |= scrolled(eye, rows)
    return found


def scrolled(eye: Eye, rows: int) -> dict[str, float]:
    """To the end of a list, a screen and a half at a time, as fast as it comes: how many frames were long."""
    with eye.page("/studies", selector="[role=row][data-index]") as page:
        wait(page, "bench.rows")
        page.locator("[role=row][data-index]").first.hover()
        page.evaluate("bench.watch = true")
        begun, last = time.monotonic(), 0
        while last < rows - 2 and time.monotonic() - begun < 240:
            page.mouse.wheel(0, 1000)
            page.wait_for_timeout(16)
            shown = page.evaluate(
                "Math.max(...[...document.querySelectorAll('[role=row][data-index]')].map((row) => Number(row.dataset.index)))"
            )
            last = int(shown or 0)
        told = page.evaluate("bench")
    note(f"scrolled to row {last}")
    return {
        "rows scrolled": last, "scrolled, seconds": round(time.monotonic() - begun, 1), "scrolled, frames": told["frames"],
        "scrolled, long frames": told["long"], "scrolled, longest frame": round(told["longest"], 1),
    }  # fmt: skip


def orthanc(browser: Any, folder: Path, stack: data.DataSet, others: list[data.DataSet], rows: int) -> dict[str, float]:
    """The same of Orthanc."""
    del rows
    port = free_port()
    settings = {
        "HttpServerEnabled": True,
        "HttpPort": port,
        "Plugins": [PLUGIN],
        "WebViewer": {"CachePath": str(folder / "cache")},
    }
    if not Path(PLUGIN).exists():
        raise PeerError(f"{PLUGIN} is missing: apt-get install orthanc-webviewer, and stop the service that it starts")
    with Orthanc("orthanc", folder, **settings):
        line = http.client.HTTPConnection("127.0.0.1", port, timeout=120)

        def ask(method: str, path: str, body: bytes | None = None) -> Any:
            line.request(method, path, body=body)
            answer = line.getresponse()
            content = answer.read()
            if answer.status != 200:
                raise PeerError(f"orthanc answered {answer.status} to {method} {path}")
            return json.loads(content)

        for one in (stack, *others):
            for item in one.items:
                ask("POST", "/instances", (one.folder / item.path).read_bytes())

        def viewer(study: str) -> str:
            wanted = {"Level": "Series", "Query": {"StudyInstanceUID": study}}
            return f"/web-viewer/app/viewer.html?series={ask('POST', '/tools/find', json.dumps(wanted).encode())[0]}"

        few, large = viewer(others[0].study), viewer(stack.study)
        eye = Eye(browser, f"http://127.0.0.1:{port}", [])
        path, row = "/app/explorer.html#find-studies", "#all-studies li a"
        eye.rows(path, row, 1)
        images(eye, few, "", lambda page: None, last=False)
        found = {"list": eye.rows(path, row, 1)}

        def to_last(page: Any) -> None:
            page.locator("#slider .ui-slider-handle").focus()
            page.keyboard.press("End")

        return found | images(eye, large, "", to_last)


PEERS = {"gantry": gantry, "orthanc": orthanc}


def main() -> None:
    """Fill, look, print one line of JSON."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.viewer", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--studies", type=int, default=100)
    parser.add_argument("--slices", type=int, default=500)
    parser.add_argument("--rows", type=int, default=10_000, help="of the list that is scrolled; 0: none")
    parser.add_argument("--peers", default="gantry,orthanc")
    parser.add_argument("--try", dest="small", action="store_true", help="one round, small: does it work?")
    options = parser.parse_args()
    if options.small:
        options.rounds, options.studies, options.slices, options.rows = 1, 5, 20, 500
    end_cleanly()
    stack, others = data_sets(options.studies, options.slices)
    rows: list[dict[str, Any]] = []
    with Workplace() as place, chromium() as browser:
        for number in range(options.rounds):
            for name in summary.in_turns(options.peers.split(","), number):
                warm_memory(200 if options.small else 1600)
                folder, outside = place.fresh(name), Outside()
                try:
                    found = PEERS[name](browser, folder, stack, others, options.rows)
                    rows += [{"peer": name, "round": number, "case": case, "value": value} for case, value in found.items()]
                    note(f"{number} {name}: {found}; load of all {outside.cores(0)} cores")
                except (PeerError, OSError, subprocess.SubprocessError) as error:
                    rows.append({"peer": name, "round": number, "case": "", "errors": [f"{type(error).__name__}: {error}"[:500]]})
                    note(f"{name}: {error}")
                place.drain(folder)
    shared = [row for row in rows if row["case"] in {"list", "first image", "first image, ready", "last slice"}]
    report(
        "viewer", options, rows=rows, medians=summary.medians(rows, ["peer", "case"], "value"),
        ratios=summary.ratios(shared, case=["case"], who="peer", ours=["gantry"], value="value", more_is_better=False),
    )  # fmt: skip


if __name__ == "__main__":
    main()
