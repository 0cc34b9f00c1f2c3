"""Pictures of every page, for README and docs/howto: `make screens`, or `python -m tools.screens [--out FOLDER] [NAME...]`.

It starts an instance of its own with a second node, sends it the demonstration's studies over DICOM, sets up what a
small hospital has, and writes docs/screens/NAME.webp: light; dark and narrow of a few. Nobody else's data are in them.
Needs Chromium (apt-get install chromium) and the built web app. A test compares the names with the app's menu.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from tests.conftest import unused_port
from tests.support import ready_home
from tests.support.gantry_process import COMMANDS, GantryProcess
from tests.web.conftest import watch
from tests.web.stage import Stage, chromium, until

from gantry.main.demo import sources

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "docs" / "screens"
WIDE, NARROW = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
#: Lines of a radiology department that has run for a while; {research} is filled in.
SETTING = (
    ("node", "add", "RESEARCH", "folder:{research}"),
    ("node", "set", "ARCHIVE", "bandwidth=Mon-Fri 07:00-19:00 200 Mbit/s; * 0"),
    ("rule", "add", "ct-research", "--when", "Modality=CT", "--to", "RESEARCH", "--on", "settled", "--edit", "-PatientBirthDate"),
    ("caller", "allow", "MR1", "--may", "echo,store", "--host", "127.0.0.0/8"),
    ("caller", "allow", "WORKSTATION", "--may", "echo,find,get,move"),
    ("user", "add", "jane", "--role", "clinician"),
    ("user", "add", "robert", "--role", "operator"),
    ("institute", "add", "Radiology", "--source", "calling_aet=MR*"),
    ("storage", "retention", "set", "ct", "--modality", "CT", "--days", "90"),
    ("webhook", "add", "tickets", "https://tickets.example.org/hooks/gantry", "--kind", "AlertChanged"),
    ("token", "create", "--user", "robert", "--scope", "studies.view", "--expires", "30"),
)


@dataclass(frozen=True)
class Scene:
    """A page: where it is, and what is done before the picture."""

    path: str
    words: str
    act: Callable[[Any], None] | None = None
    looks: tuple[str, ...] = ("light",)
    role: str = "administrator"


class Shown(Stage):
    """The stage of the browser tests with the demonstration's studies only: one from a disc, one sent by a modality."""

    def _studies(self) -> list[str]:
        return [str(path) for path in sources() if path.parent.name == "ct"]

    def _settled(self) -> bool:
        research = self.folder / "research"
        research.mkdir(exist_ok=True)
        for line in SETTING:
            self.gantry.cli(*(word.format(research=research) for word in line))
        dicom = f"GANTRY@127.0.0.1:{self.gantry.dicom_port}"
        for caller in ("MR1", "OLDCR"):  # the second is a stranger, and is refused
            files = [str(path) for path in sources() if path.parent.name == "mr"]
            COMMANDS.run(("send", *files, "--to", dicom), {**self.gantry.environment, "GANTRY_AET": caller}, 120)
        self.gantry.until(lambda: len(self.studies()) == 2, 60)
        self.gantry.until(lambda: {row["status"] for row in self.gantry.json("deliveries")} == {"confirmed"}, 90)
        self.gantry.cli("rule", "draft", "--note", "the MR too")
        self.gantry.cli("rule", "add", "mr-research", "--draft", "--when", "Modality=MR", "--to", "RESEARCH", "--on", "settled")
        return True

    def studies(self) -> list[dict[str, Any]]:
        """What was received."""
        found = self.gantry.json("studies")
        return list(found if isinstance(found, list) else found["items"])


def scenes(uids: dict[str, str]) -> dict[str, Scene]:
    """All pictures by name. The menu's pages bear the name of their address."""

    def tab(name: str) -> Callable[[Any], None]:
        return lambda page: page.get_by_role("tab", name=name).first.click()

    everything = ("light", "dark", "narrow")
    ct, mr = uids["CT"], uids["MR"]
    return {
        "dashboard": Scene("/dashboard", "Dashboard: what comes and goes, and whether all is well", _charted, looks=everything),
        "studies": Scene("/studies", "Studies: one search box, filters with counts", looks=everything),
        "study": Scene(f"/studies/{mr}", "A study: series, where it was sent, history", looks=("light", "narrow")),
        "viewer": Scene(f"/studies/{mr}/view", "The viewer", _picture),
        "deliveries": Scene("/deliveries", "Deliveries: what goes where, and how far it got", looks=("light", "dark")),
        "delivery": Scene(f"/deliveries/study/{ct}", "The deliveries of a study, instance by instance"),
        "receipt": Scene(f"/deliveries/receipt/{ct}", "The receipt: what reached whom, byte-identical"),
        "destination": Scene("/destinations/ARCHIVE", "A destination: queue, breaker, speed, its week"),
        "nodes": Scene("/nodes", "Nodes: places to send to and ask"),
        "node": Scene("/nodes/ARCHIVE", "A node"),
        "callers-refused": Scene("/nodes", "Callers that were refused, let in by a click", tab("Refused")),
        "rules": Scene("/rules", "Rules, as sentences"),
        "rule-edit": Scene("/rules/edit/ct-research", "A rule while it is written"),
        "rules-replay": Scene("/rules", "Replay: which studies would a draft have sent elsewhere", _replay),
        "storage": Scene("/storage", "Storage: volumes, retention, integrity, legal holds, trash"),
        "quarantine": Scene("/quarantine", "Quarantine: what could not be indexed, and why"),
        "alerts": Scene("/alerts", "Alerts: what needs a person"),
        "audit": Scene("/audit", "Audit: who did what, verified and exported"),
        "people": Scene("/people", "People: roles, institutes, groups, sessions, tokens"),
        "settings": Scene("/settings", "Settings: the whole set-up as one file"),
        "api-reference": Scene("/api-reference", "The REST API, with a line to copy for each route", _route),
        "profile": Scene("/profile", "One's own profile, sessions and tokens"),
        "palette": Scene("/dashboard", "Ctrl-K: pages, studies, actions", _palette),
        "sign-in": Scene("/sign-in", "Signing in", role=""),
    }


def _charted(page: Any) -> None:
    """Charts are made of whole minutes: what came in the last one is not in them yet."""
    for _ in range(24):
        if not page.get_by_text("0 instances in all", exact=True).count():
            return
        page.wait_for_timeout(5000)
        page.reload()
        settle(page)


def _picture(page: Any) -> None:
    page.locator("canvas").first.wait_for()
    page.wait_for_timeout(2500)


def _route(page: Any) -> None:
    page.get_by_text("/studies", exact=True).first.click()
    page.wait_for_timeout(500)


def _palette(page: Any) -> None:
    page.keyboard.press("Control+k")
    page.get_by_role("dialog").wait_for()
    page.keyboard.type("ct")
    page.wait_for_timeout(800)


def _replay(page: Any) -> None:
    page.get_by_role("tab", name="Replay").click()
    page.get_by_role("button", name="Replay").last.click()
    page.wait_for_timeout(1500)


def gallery(pictures: dict[str, Scene]) -> str:
    """The page that shows them all."""
    lines = [
        "# Every page in pictures\n",
        "Made by `make screens`, with the studies of the demonstration. How to use the pages: [how to](../howto/README.md).\n",
    ]
    for name, scene in pictures.items():
        lines += [f"## {scene.words}", f"![{scene.words}]({name}.webp)\n"]
        others = [f"[{look}]({name}-{look}.webp)" for look in scene.looks if look != "light"]
        lines += [f"Also {' and '.join(others)}.\n"] if others else []
    return "\n".join(lines)


def settle(page: Any) -> None:
    """Until a page has said what it is and stopped loading."""
    page.locator("main h1, main [role=status] p, main canvas").first.wait_for(timeout=30_000)
    until(page, "document.querySelectorAll('[aria-busy=true], .animate-pulse').length === 0")
    page.wait_for_timeout(700)


def take(browser: Any, stage: Stage, out: Path, wanted: set[str]) -> list[str]:
    """Write the pictures; gives what pages complained about."""
    studies = stage.gantry.json("studies")
    uids = {study["modalities"][0]: study["study_instance_uid"] for study in studies}
    complaints = []
    for name, scene in scenes(uids).items():
        for look in scene.looks if not wanted or name in wanted else ():
            context = browser.new_context(
                base_url=stage.url, locale="en-GB", timezone_id="Europe/Berlin", viewport=NARROW if look == "narrow" else WIDE,
                color_scheme="dark" if look == "dark" else "light",
            )  # fmt: skip
            context.set_default_timeout(30_000)
            if scene.role:
                context.add_cookies(stage.cookies[scene.role])
            page = context.new_page()
            found = watch(page, stage.url)
            page.goto(scene.path)
            settle(page)
            if scene.act:
                scene.act(page)
                settle(page)
            picture = Image.open(io.BytesIO(page.screenshot()))
            place = out / f"{name}{'' if look == 'light' else '-' + look}.webp"
            picture.convert("RGB").save(place, "WEBP", quality=82, method=6)
            print(f"{place.stat().st_size // 1024:5} KB  {place.name}", *found, sep="\n  " if found else "  ", flush=True)
            complaints += found
            context.close()
    (out / "README.md").write_text(gallery(scenes(uids)), encoding="utf-8")
    return complaints


@contextmanager
def instance() -> Iterator[Stage]:
    """The small hospital, while its pictures are taken."""
    with tempfile.TemporaryDirectory(prefix="gantry-screens-") as name:
        folder = Path(name)
        template = ready_home.make(folder / "ready", GantryProcess(folder / "ready", 0, 0).environment)
        settings = {"settle_quiet_seconds": "0.5", "unknown_callers": "refuse", "time_zone": "Europe/Berlin"}
        process = GantryProcess(
            folder / "home", unused_port(), unused_port(), settings, furnish=lambda home: ready_home.copy(template, home)
        )
        stage = Shown(process, folder, unused_port())
        try:
            stage.start()
            yield stage
        finally:
            stage.stop()
            COMMANDS.end()


def main() -> int:
    """Gives 1 when a page complained."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these")
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    with instance() as stage, chromium() as browser:
        return 1 if take(browser, stage, arguments.out, set(arguments.names)) else 0


if __name__ == "__main__":
    sys.exit(main())
