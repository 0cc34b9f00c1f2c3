"""The list of studies of a large catalogue in a browser: does it stay smooth, and how soon does it answer?

    python -m bench.scroll [--studies 1000000] [--rows 10000] [--jumps 30] [--rounds 3] [--try]

A home of its own with `gantry up`; patients and studies are made by INSERT ... SELECT, one received a second, fifty of
them a day (as in bench/find.py), without series and instances; then VACUUM ANALYZE. Chromium without a graphics card,
signed in as administrator. Times are of the page itself: from the beginning of the navigation, or from the last key or click,
to the frame in which the rows that are asked for stand there; searches wait 150 ms after the last key before they ask. A frame
is the time between two calls of requestAnimationFrame. Scrolled is a screen and a half at a time, as fast as it comes, while
the pages behind are loaded; jumped by Page Down, and by End, which loads the next page. Answered is what a person feels: from
a key or click to the next picture, by the Event Timing API (steps of 8 ms, from 16 on), with all those rows loaded.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from typing import Any

from bench.find import BLOCK, CHUNK, letters
from bench.find import FILL as INDEX
from bench.machine import Outside, Workplace, end_cleanly, note, report
from bench.ours import Gantry
from bench.viewer import LONG_FRAME_MS, Eye, chromium, signed_in, wait

_RECEIVED = ", ".join(["TIMESTAMPTZ '2025-01-01' + n * INTERVAL '1 second'"] * 4)
FILL = (INDEX[0], INDEX[1].replace("now(), now(), now(), now()", _RECEIVED))
TABLES = ("patient", "study", "studysearch")
ROW = "[role=row][data-index]"
#: In each frame: how long it took, and whether what is waited for has come; and when somebody last pressed or clicked.
WATCH = """
window.watch = { on: false, took: [], done: () => false, at: 0, began: 0 };
for (const kind of ['keydown', 'pointerdown']) addEventListener(kind, (event) => { watch.began = event.timeStamp }, true);
let before = performance.now();
const look = (now) => {
  if (watch.on) watch.took.push(now - before);
  before = now;
  if (!watch.at && watch.done()) watch.at = performance.now();
  requestAnimationFrame(look);
};
requestAnimationFrame(look);
watch.events = [];
new PerformanceObserver((list) => { for (const one of list.getEntries()) if (one.interactionId) watch.events.push(one.duration) })
  .observe({ type: 'event', durationThreshold: 16 });
window.listed = () => [...document.querySelectorAll('ROW')];
window.quiet = () => !document.querySelector('[aria-busy=true]');
window.first = (text) => quiet() && Boolean(document.querySelector('ROW[data-index="0"]')?.textContent.includes(text));
""".replace("ROW", ROW)


class Frames:
    """The frames of a page while something is done with it."""

    def __init__(self, page: Any) -> None:
        self._page = page

    def __enter__(self) -> Frames:
        self._page.evaluate("() => { watch.took = []; watch.on = true }")
        return self

    def __exit__(self, *_: object) -> None:
        self._page.evaluate("() => { watch.on = false }")

    def told(self) -> dict[str, float]:
        """How many, how many of them long, and how long they were."""
        took = sorted(self._page.evaluate("() => watch.took"))
        if not took:
            return {"frames": 0}
        return {
            "frames": len(took), f"over {LONG_FRAME_MS} ms": sum(1 for one in took if one > LONG_FRAME_MS),
            "p95 ms": round(took[int(len(took) * 0.95)], 1), "longest ms": round(took[-1], 1),
        }  # fmt: skip


def until(page: Any, expression: str, act: Any) -> float:
    """Milliseconds from the last key or click of `act` to the first frame in which an expression holds."""
    page.evaluate(f"() => {{ watch.at = 0; watch.done = () => {expression} }}")
    act()
    wait(page, "watch.at")
    return round(float(page.evaluate("() => watch.at - watch.began")), 1)


def scroll(page: Any, rows: int) -> dict[str, float]:
    """Down to a row, a screen and a half at a time."""
    page.locator(ROW).first.hover()
    begun, last = time.monotonic(), 0
    with Frames(page) as frames:
        while last < rows - 2 and time.monotonic() - begun < 300:
            page.mouse.wheel(0, 1000)
            page.wait_for_timeout(16)
            last = int(page.evaluate("() => Math.max(0, ...listed().map((row) => Number(row.dataset.index)))"))
    return {"to row": last, "seconds": round(time.monotonic() - begun, 1), **frames.told()}


def jump(page: Any, jumps: int) -> dict[str, float]:
    """By keys: back to the top, Page Down, and End, which loads more."""
    focused = "Number(document.activeElement?.dataset.index ?? -1)"
    page.locator(ROW).last.focus()
    times = []
    with Frames(page) as frames:
        until(page, f"{focused} === 0", lambda: page.keyboard.press("Home"))
        for key in ["PageDown", "PageDown", "End"] * max(1, jumps // 3):
            row = page.evaluate(f"() => {focused}")
            times.append(until(page, f"{focused} > {row}", lambda key=key: page.keyboard.press(key)))
            if key == "End":  # the next page
                last = page.evaluate(f"() => {focused}")
                wait(page, f"listed().some((row) => Number(row.dataset.index) > {last}) ? 1 : 0")
    times.sort()
    return {
        "jumps": len(times), "jump p50 ms": times[len(times) // 2], "jump p95 ms": times[int(len(times) * 0.95)],
        "at row": page.evaluate(f"() => {focused}"), **frames.told(),
    }  # fmt: skip


def interact(page: Any) -> dict[str, Any]:
    """Menus of facets, check boxes, arrow keys, letters: how long each was without an answer."""
    answered: dict[str, list[float]] = {}
    page.set_default_timeout(8000)
    page.locator(ROW).last.focus()
    page.keyboard.press("Home")
    wait(page, "listed().some((row) => row.dataset.index === '0') ? 1 : 0")

    def felt(name: str, act: Any) -> None:
        page.evaluate("() => { watch.events = [] }")
        act()
        page.wait_for_timeout(600)
        answered.setdefault(name, []).append(max([16, *page.evaluate("() => watch.events")]))

    for facet in ("Modality", "State") * 3:
        felt("facet opened", page.get_by_role("button", name=facet, exact=True).first.click)
        felt("facet closed", lambda: page.keyboard.press("Escape"))
    for row in range(3):
        felt("row chosen", page.locator(ROW).nth(row).get_by_role("checkbox").click)
    page.locator(ROW).nth(1).focus()
    for _ in range(5):
        felt("arrow", lambda: page.keyboard.press("ArrowDown"))
    page.locator("[data-search]").focus()
    for letter in "anna3":
        felt("letter", lambda letter=letter: page.keyboard.type(letter))
    return {f"{name}, longest ms": max(times) for name, times in answered.items()}


def search(page: Any, studies: int) -> dict[str, float]:
    """Typed into the box, key by key, until the rows stand there; then away again."""
    number = studies // 2
    block, inside = divmod(number, BLOCK)
    day = time.strftime("%Y-%m-%d", time.gmtime(block * 86400))
    asked = {
        "a name": (f"{letters(block).lower()} anna{inside}", f"{letters(block)}, Anna{inside}"),
        "a Patient ID": (f"P{block:07}-{inside}", f"P{block:07}-{inside}"),
        "words of 11 %": ("thorax 7", "CT Thorax 7"),
        "a day": (day, f"{letters(block)}, Anna"),
        "words that nobody has": ("qqqq zzzz", ""),
    }
    box = page.locator("[data-search]")
    times = {}
    for name, (text, shown) in asked.items():
        box.fill("")
        newest = f"{letters((studies - 1) // BLOCK)}, Anna{(studies - 1) % BLOCK}"
        wait(page, f"first({json.dumps(newest)}) ? 1 : 0")
        expression = f"first({json.dumps(shown)})" if shown else "quiet() && listed().length === 0"
        box.focus()
        times[name] = until(page, expression, lambda text=text: page.keyboard.type(text, delay=40))
    box.fill("")
    wait(page, f"first({json.dumps(newest)}) ? 1 : 0")
    head = page.get_by_role("columnheader", name="Name", exact=True).get_by_role("button")
    times["sorted by name"] = until(page, f"first({json.dumps(letters(0) + ', Anna0')})", head.click)
    return times


def fill(peer: Gantry, studies: int) -> None:
    """Patients and studies; triggers make what searches look in."""
    for first in range(0, studies, CHUNK):
        for statement in FILL:
            peer.query_nothing(statement, {"first": first, "last": min(first + CHUNK, studies) - 1})
        note(f"{min(first + CHUNK, studies)} studies")
    for table in TABLES:
        peer.query_nothing(f"VACUUM ANALYZE catalogue_{table}")


def looked_at(browser: Any, place: Workplace, options: argparse.Namespace) -> dict[str, Any]:
    """All of it, once filled."""
    with Gantry("gantry", place.fresh("scroll")) as peer:
        fill(peer, options.studies)
        eye = Eye(browser, f"http://127.0.0.1:{peer.http}", signed_in(peer))
        eye.rows("/studies", ROW, 1)  # once for the server
        rows = [eye.rows("/studies", ROW, 1) for _ in range(options.rounds)]
        note(f"first rows {rows}")
        found: dict[str, Any] = {"first rows ms": statistics.median(rows), "first rows, each ms": rows, "rounds": []}
        for number in range(options.rounds):
            with eye.page("/studies", selector=ROW) as page:
                wait(page, "bench.rows")
                page.evaluate(f"() => {{ {WATCH} }}")
                outside = Outside()
                one: dict[str, Any] = {"searched, ms": search(page, options.studies)}
                page.goto("/studies")
                page.evaluate(f"() => {{ {WATCH} }}")
                wait(page, "listed().length")
                one |= {"scrolled": scroll(page, options.rows), "jumped": jump(page, options.jumps)}
                one["answered"] = interact(page)
                note(f"{number}: {one}; load of all {outside.cores(0)} cores")
                found["rounds"].append(one)
    return found


def main() -> None:
    """Fill, look, print one line of JSON."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.scroll", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--studies", type=int, default=1_000_000)
    parser.add_argument("--rows", type=int, default=10_000, help="scrolled, each round")
    parser.add_argument("--jumps", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--try", dest="small", action="store_true", help="small: does it work?")
    options = parser.parse_args()
    if options.small:
        options.studies, options.rows, options.jumps, options.rounds = 2000, 600, 6, 1
    end_cleanly()
    with Workplace() as place, chromium() as browser:
        report("scroll", options, **looked_at(browser, place, options))


if __name__ == "__main__":
    main()
