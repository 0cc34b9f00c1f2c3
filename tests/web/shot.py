"""Pictures of pages: `python -m tests.web.shot PATH... [--dark] [--narrow] [--as ROLE] [--lang de] [--click TEXT] [--type TEXT] [--out FOLDER]`.

Starts an instance with studies (or uses the one at --url with --user and --password), opens each PATH and writes
FOLDER/NAME.png; says what the page complained about. It builds nothing: `python tools/build_web.py` first.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.conftest import unused_port
from tests.support import ready_home
from tests.support.gantry_process import COMMANDS, GantryProcess
from tests.web.conftest import watch
from tests.web.stage import SETTINGS, Stage, chromium


def main() -> int:
    """Gives 1 when a page complained."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="+", metavar="PATH")
    parser.add_argument("--dark", action="store_true")
    parser.add_argument("--narrow", action="store_true", help="390 pixels wide")
    parser.add_argument("--as", dest="role", default="administrator", help="role, or nobody")
    parser.add_argument("--lang", default="en")
    parser.add_argument("--click", action="append", default=[], help="a button or link by its name, after the page is there")
    parser.add_argument("--type", dest="typed", default="", help="keys typed after the clicks")
    parser.add_argument("--run", action="append", default=[], help="a `gantry` command on the instance first (words by spaces)")
    parser.add_argument("--wait", type=float, default=0.6, help="seconds before the picture")
    parser.add_argument("--out", type=Path, default=Path("/tmp/shots"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="gantry-shot-") as name:
        folder = Path(name)
        template = ready_home.make(folder / "ready", GantryProcess(folder / "ready", 0, 0).environment)
        process = GantryProcess(
            folder / "home", unused_port(), unused_port(), SETTINGS,
            furnish=lambda home: ready_home.copy(template, home),
        )  # fmt: skip
        stage = Stage(process, folder, unused_port())
        try:
            stage.start()
            for words in arguments.run:
                print(process.cli(*words.split(), check=False).stdout)
            return _take(stage, arguments)
        finally:
            stage.stop()
            COMMANDS.end()


def _take(stage: Stage, arguments: Any) -> int:
    complaints = []
    with chromium() as browser:
        context = browser.new_context(
            base_url=stage.url, locale=arguments.lang, color_scheme="dark" if arguments.dark else "light",
            viewport={"width": 390, "height": 844} if arguments.narrow else {"width": 1280, "height": 800},
        )  # fmt: skip
        context.set_default_timeout(15_000)
        if arguments.role != "nobody":
            context.add_cookies(stage.cookies[arguments.role])
        for path in arguments.paths:
            page = context.new_page()
            found = watch(page, stage.url)
            page.goto(path)
            page.wait_for_selector("main")
            page.wait_for_timeout(arguments.wait * 1000)
            for words in arguments.click:
                page.get_by_text(words, exact=False).or_(page.get_by_label(words)).first.click()
                page.wait_for_timeout(400)
            if arguments.typed:
                page.keyboard.type(arguments.typed)
                page.wait_for_timeout(700)
            parts = [re.sub(r"[^A-Za-z0-9-]+", "_", path).strip("_")[:60] or "start"]
            parts += [word for word, on in (("dark", arguments.dark), ("narrow", arguments.narrow)) if on]
            place = arguments.out / ("-".join(parts) + ".png")
            page.screenshot(path=str(place))
            print(place, *found, sep="\n  ")
            complaints += found
            page.close()
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
