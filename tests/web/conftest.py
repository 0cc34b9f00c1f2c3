"""Fixtures of the browser tests: an instance with studies (`stage`, `gantry`), and pages in Chromium (`page`, `page_as`)."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gantry.main import web_app
from tests.conftest import _IN_CI, unused_port
from tests.support.gantry_process import GantryProcess
from tests.web.stage import CHROMIUM, SETTINGS, Stage, chromium

HERE = Path(__file__).parent
#: A page that says more than this in its console is not well. The browser notes each refused request by itself.
_EXPECTED = re.compile(r"Failed to load resource: the server responded with a status of 4\d\d")


def _missing() -> str:
    if importlib.util.find_spec("playwright") is None:
        return "playwright is not installed (pip install playwright)"
    if not CHROMIUM.exists():
        return f"{CHROMIUM} is missing (apt-get install chromium)"
    if web_app.look() is None:
        return "the web app is not built (make web)"
    return ""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All tests here are browser tests; without a browser they are skipped with the reason, in CI they fail."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker("browser")
            item.add_marker(pytest.mark.timeout(600))  # the first one starts the instance, on cores that others use too
            if not _IN_CI and (reason := _missing()):
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory, furnish: Callable[[Path], None]) -> Iterator[Stage]:
    """One instance for all browser tests of a process; tests add what they need and kill nothing of it."""
    folder = tmp_path_factory.mktemp("web")
    process = GantryProcess(folder / "home", unused_port(), unused_port(), SETTINGS, furnish=furnish)
    one = Stage(process, folder, unused_port())
    try:
        one.start()
        yield one
    finally:
        one.stop()


@pytest.fixture
def gantry(stage: Stage) -> GantryProcess:
    """The instance: `gantry.cli(...)`, `gantry.json(...)`, `gantry.base_url`."""
    return stage.gantry


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """One Chromium for all tests of a process."""
    with chromium() as one:
        yield one


@pytest.fixture
def page_as(browser: Any, stage: Stage) -> Iterator[Callable[..., Any]]:
    """page_as(role, **options) is a new page signed in as that role ('' for nobody), in a browser context of its own.

    At the end of the test it must have asked nobody but the instance, broken no policy and had no script error;
    what a test provokes on purpose it takes out of `page.complaints`.
    """
    opened: list[tuple[Any, Any]] = []

    def make(role: str = "administrator", **options: Any) -> Any:
        context = browser.new_context(
            base_url=stage.url, locale=options.pop("locale", "en-GB"), viewport=options.pop("viewport", {"width": 1280, "height": 800}),
            **options,
        )  # fmt: skip
        context.set_default_timeout(45_000)
        if role:
            context.add_cookies(stage.cookies[role])
        page = context.new_page()
        page.complaints = watch(page, stage.url)
        opened.append((context, page))
        return page

    yield make
    complaints = [complaint for _, page in opened for complaint in page.complaints]
    for context, _ in opened:
        context.close()
    assert complaints == []


@pytest.fixture
def page(page_as: Callable[..., Any]) -> Any:
    """A page signed in as administrator."""
    return page_as("administrator")


def watch(page: Any, url: str) -> list[str]:
    """What goes wrong in a page: requests to others, broken policies, script errors."""
    found: list[str] = []

    def request(one: Any) -> None:
        if not one.url.startswith((url + "/", "data:", "blob:", "about:")):
            found.append(f"asked {one.url[:200]}")

    def message(one: Any) -> None:
        if one.type == "error" and not _EXPECTED.match(one.text):
            found.append(f"{page.url}: {one.text[:500]}")

    page.on("request", request)
    page.on("console", message)
    page.on("pageerror", lambda error: found.append(f"{page.url}: {str(error)[:500]}"))
    return found
