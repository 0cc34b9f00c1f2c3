"""The dashboard: what comes shows at once, numbers can be read without sight, a new instance teaches the first steps."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.conftest import unused_port
from tests.support import part10_files
from tests.support.gantry_process import GantryProcess
from tests.web.stage import Stage


def one_file(folder: Path, uid: str, name: str) -> str:
    """A CT of one instance of this patient."""
    dataset = part10_files.ct_dataset(
        study=uid, series=f"{uid}.1", instance=f"{uid}.1.1", patient_id=name, patient_name=f"{name}^Live"
    )
    path = folder / f"{name}.dcm"
    path.write_bytes(part10_files.part10(dataset, sop_class=part10_files.CT_IMAGE_STORAGE, instance=f"{uid}.1.1"))
    return str(path)


def test_what_comes_shows_at_once(page: Any, gantry: GantryProcess, tmp_path: Path) -> None:
    from playwright.sync_api import expect

    page.goto("/dashboard")
    arrivals = page.get_by_role("region", name="Last arrivals")
    expect(arrivals.get_by_role("listitem").first).to_be_visible()
    expect(page.get_by_test_id("mood")).not_to_be_empty()
    gantry.cli("import", one_file(tmp_path, f"{part10_files.ROOT}.88.1", "Newcomer"))
    expect(arrivals.get_by_text("Newcomer").first).to_be_visible(timeout=30_000)
    queue = page.get_by_role("region", name="Queues by destination")
    queue.get_by_role("link", name="ARCHIVE").click()
    page.wait_for_url("**/destinations/ARCHIVE")


def test_a_chart_has_its_numbers_as_a_table_and_its_span_in_the_address(page: Any) -> None:
    from playwright.sync_api import expect

    page.goto("/dashboard")
    chart = page.get_by_role("img", name=re.compile("^Received"))
    expect(chart).to_be_visible()
    page.get_by_role("button", name="Week", exact=True).click()
    page.wait_for_url("**span=week**")
    expect(page.get_by_role("button", name="Week", exact=True)).to_have_attribute("aria-pressed", "true")
    page.reload()
    expect(page.get_by_role("button", name="Week", exact=True)).to_have_attribute("aria-pressed", "true")
    page.get_by_text("Show as a table").first.click()
    table = page.get_by_role("region", name="Received")
    expect(table).to_be_visible()


def test_permissions_shape_the_page(page_as: Callable[..., Any]) -> None:
    from playwright.sync_api import expect

    page = page_as("viewer")
    page.goto("/dashboard")
    expect(page.get_by_role("region", name="Last arrivals").get_by_role("listitem").first).to_be_visible()
    expect(page.get_by_role("region", name="What comes and goes")).to_have_count(0)
    expect(page.get_by_role("region", name="Health")).to_have_count(0)
    expect(page.get_by_text("M\u00fcller")).to_have_count(0)


def test_a_new_instance_teaches_the_first_steps(browser: Any, tmp_path: Path, furnish: Callable[[Path], None]) -> None:
    from playwright.sync_api import expect

    gantry = GantryProcess(tmp_path / "home", unused_port(), unused_port(), aet="NEWHOUSE", furnish=furnish)
    stage = Stage(gantry, tmp_path, unused_port())
    gantry.start()
    try:
        stage._add_person("administrator")
        context = browser.new_context(base_url=gantry.base_url, locale="de-DE")
        context.add_cookies(stage.cookies["administrator"])
        page = context.new_page()
        page.goto("/dashboard")
        steps = page.get_by_role("region", name="Erste Schritte")
        expect(steps).to_contain_text("NEWHOUSE")
        expect(steps).to_contain_text(str(gantry.dicom_port))
        expect(steps.get_by_role("link", name="Knoten hinzufügen")).to_be_visible()
        gantry.cli("node", "add", "ARCHIVE", "ARCHIVE@127.0.0.1:1")
        expect(steps.get_by_label("Erledigt")).to_have_count(1)
        context.close()
    finally:
        gantry.stop()
