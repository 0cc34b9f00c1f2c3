"""The viewer in Chromium: images, tools, cells, documents; what cannot be shown says why."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from pydicom.data import get_testdata_file

from tests.support import part10_files
from tests.support.part10_files import element
from tests.web.stage import Stage

STUDY = f"{part10_files.ROOT}.88"
SIDE = 64
PDF = (
    b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj 2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj "
    b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 300 200]/Contents 4 0 R>>endobj "
    b"4 0 obj<</Length 24>>stream\n1 0 0 rg 20 20 90 90 re f\nendstream endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
)
pytestmark = pytest.mark.timeout(180)


def ct(number: int) -> bytes:
    """A slice of a stack: a bright square that moves; in Hounsfield units by rescale."""
    pixels = bytearray(struct.pack("<H", 1024) * SIDE * SIDE)
    for row in range(20, 40):
        for column in range(number, number + 20):
            struct.pack_into("<H", pixels, 2 * (row * SIDE + column), 1324)
    data = part10_files.ct_dataset(
        number=number, study=STUDY, series=f"{STUDY}.1", side=SIDE, patient_name="Viewer^Vera", patient_id="VIEW-1"
    )
    data = data[: data.index(b"\xe0\x7f\x10\x00")]
    extra = (
        element(0x28, 0x30, "DS", b"0.5\\0.5"), element(0x28, 0x1050, "DS", b"40"), element(0x28, 0x1051, "DS", b"400"),
        element(0x28, 0x1052, "DS", b"-1024"), element(0x28, 0x1053, "DS", b"1"),
    )  # fmt: skip
    plane = (
        element(0x20, 0x32, "DS", f"0\\0\\{number}".encode()) + element(0x20, 0x37, "DS", b"1\\0\\0\\0\\1\\0")
        + element(0x20, 0x52, "UI", f"{STUDY}.9".encode())
    )  # fmt: skip
    data = data.replace(struct.pack("<HH", 0x28, 0x02), plane + struct.pack("<HH", 0x28, 0x02), 1)
    at = data.index(struct.pack("<HH", 0x28, 0x100))
    return data[:at] + extra[0] + data[at:] + b"".join(extra[1:]) + element(0x7FE0, 0x10, "OW", bytes(pixels))


def document() -> bytes:
    sop_class = "1.2.840.10008.5.1.4.1.1.104.1"
    data = part10_files.ct_dataset(
        study=STUDY, series=f"{STUDY}.3", modality="DOC", sop_class=sop_class, patient_name="Viewer^Vera", patient_id="VIEW-1"
    )
    data = data[: data.index(struct.pack("<HH", 0x28, 0x02))]
    return data + element(0x42, 0x11, "OB", PDF) + element(0x42, 0x12, "LO", b"application/pdf")


@pytest.fixture(scope="module")
def study(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A study with a stack, a document, and a damaged image; beside it real ones of other kinds."""
    import pydicom

    folder = tmp_path_factory.mktemp("viewer")
    for number in range(1, 13):
        uid = f"{STUDY}.1.{number}"
        (folder / f"{number}.dcm").write_bytes(
            part10_files.part10(ct(number), sop_class=part10_files.CT_IMAGE_STORAGE, instance=uid)
        )
    (folder / "doc.dcm").write_bytes(
        part10_files.part10(document(), sop_class="1.2.840.10008.5.1.4.1.1.104.1", instance=f"{STUDY}.3.1")
    )
    for series, name in (
        (2, "examples_ybr_color.dcm"),
        (4, "test-SR.dcm"),
        (5, "MR_truncated.dcm"),
        (6, "examples_palette.dcm"),
        (7, "MR_small_jp2klossless.dcm"),
        (8, "liver_1frame.dcm"),
    ):
        data = pydicom.dcmread(str(get_testdata_file(name, download=False)))
        data.StudyInstanceUID, data.SeriesInstanceUID, data.SOPInstanceUID = STUDY, f"{STUDY}.{series}", f"{STUDY}.{series}.1"
        data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
        data.PatientName, data.PatientID, data.SeriesNumber = "Viewer^Vera", "VIEW-1", series
        data.save_as(folder / name)
    stage.gantry.cli("import", str(folder))
    stage.gantry.until(lambda: count(stage) == 19, 60)
    return STUDY


def count(stage: Stage) -> int:
    found = stage.gantry.json("studies", "VIEW-1")
    rows = found if isinstance(found, list) else found["items"]
    return int(rows[0]["instance_count"]) if rows else 0


def show(page: Page, *series: int, layout: str = "") -> None:
    wanted = ",".join(f"{STUDY}.{number}" for number in series)
    page.goto(f"/studies/{STUDY}/view?show={wanted}" + (f"&layout={layout}" if layout else ""))


def ready(page: Page, cell: int = 1) -> Any:
    image = page.locator(f"[data-cell=cell-{cell}] [data-part=image]")
    expect(image).to_have_attribute("data-ready", "true", timeout=30_000)
    return image


def brightness(page: Page, cell: int = 1) -> float:
    """Of the canvas as it is painted."""
    return float(page.evaluate(
        """(cell) => { const canvas = document.querySelector(`[data-cell=cell-${cell}] canvas`);
        const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
        let sum = 0; for (let at = 0; at < data.length; at += 4) sum += data[at]; return sum / data.length * 4 }""", cell,
    ))  # fmt: skip


def test_a_stack_is_shown_scrolled_and_windowed(page: Page, study: str) -> None:
    show(page, 1)
    image = ready(page)
    expect(image).to_have_attribute("data-index", "5")
    expect(page.get_by_role("heading", name=re.compile("Viewer, Vera"))).to_be_visible()
    usual = brightness(page)
    assert usual > 5
    page.keyboard.press("ArrowDown")
    expect(image).to_have_attribute("data-index", "6")
    page.keyboard.press("End")
    expect(image).to_have_attribute("data-index", "11")
    expect(page.get_by_text("12 / 12").first).to_be_visible()
    image.hover()
    page.mouse.wheel(0, -120)
    expect(image).to_have_attribute("data-index", "10")
    expect(page.get_by_text("C 40 W 400").first).to_be_visible()
    page.keyboard.press("2")
    expect(page.get_by_text("C -600 W 1500").first).to_be_visible()
    assert brightness(page) > usual
    page.keyboard.press("0")
    expect(page.get_by_text("C 40 W 400").first).to_be_visible()
    page.keyboard.press("Space")
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    page.keyboard.press("Space")
    expect(page.get_by_role("button", name="Play")).to_be_visible()


def test_a_length_is_measured_in_millimetres_and_removed(page: Page, study: str) -> None:
    show(page, 1)
    box = ready(page).bounding_box()
    assert box is not None
    page.keyboard.press("l")
    expect(page.get_by_role("button", name="Length")).to_have_attribute("aria-pressed", "true")
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.move(middle[0] - 100, middle[1])
    page.mouse.down()
    page.mouse.move(middle[0] + 40, middle[1], steps=5)
    page.mouse.move(middle[0] + 100, middle[1], steps=5)
    page.mouse.up()
    expect(page.locator("[data-cell=cell-1] svg text")).to_contain_text("mm")
    page.keyboard.press("Delete")
    expect(page.locator("[data-cell=cell-1] svg text")).to_have_count(0)


def test_series_beside_each_other_by_click_and_by_drag(page: Page, study: str) -> None:
    show(page, 1)
    ready(page)
    page.keyboard.press("g")
    expect(page.locator("[data-cell]")).to_have_count(2)
    expect(page.locator("[data-cell=cell-2]")).not_to_have_attribute("data-kind", "")
    page.locator(f'[data-series="{STUDY}.7"]').drag_to(page.locator("[data-cell=cell-2]"))
    expect(page.locator("[data-cell=cell-2]")).to_contain_text("7")
    ready(page, 2)
    assert brightness(page, 2) > 5
    assert f"show={STUDY}.1,{STUDY}.7" in page.url.replace("%2C", ",")
    page.reload()
    ready(page, 2)


def test_colours_cine_documents_and_reports(page: Page, study: str) -> None:
    show(page, 2, 6, 3, 4, layout="2x2")
    expect(ready(page)).to_have_attribute("data-index", "0")
    expect(page.get_by_text("1 / 30").first).to_be_visible()
    ready(page, 2)
    assert brightness(page, 2) > 1
    expect(page.locator("[data-part=pdf] canvas[data-painted=true]")).to_have_count(1)
    red = page.evaluate(
        """() => { const canvas = document.querySelector('[data-part=pdf] canvas');
        return [...canvas.getContext('2d').getImageData(canvas.width * 0.2, canvas.height * 0.7, 1, 1).data] }"""
    )
    assert red[0] > 200
    assert red[1] < 60
    expect(page.locator("[data-part=report]")).to_be_visible()
    expect(page.locator("[data-part=report] h2")).not_to_be_empty()


def test_what_cannot_be_shown_says_why(page: Page, study: str) -> None:
    show(page, 5)
    expect(page.get_by_role("alert")).to_contain_text("ends before", timeout=30_000)
    expect(page.get_by_role("alert")).to_contain_text("send it again")
    page.complaints.clear()  # type: ignore[attr-defined] # the loader throws what the server refused


def test_single_bits_are_painted_by_the_server(page: Page, study: str) -> None:
    show(page, 8)
    picture = page.get_by_alt_text("Painted by the server")
    expect(picture).to_be_visible(timeout=30_000)
    assert picture.evaluate("(image) => image.naturalWidth") == 512
    expect(page.get_by_role("alert")).to_have_count(0)


def test_a_viewer_sees_pictures_without_names(page_as: Callable[..., Page], study: str) -> None:
    page = page_as("viewer")
    show(page, 1, 3, layout="1x2")
    ready(page)
    content = page.content()
    assert "Vera" not in content
    assert "VIEW-1" not in content
    expect(page.get_by_role("alert")).to_contain_text("who the patient is")


def other(stage: Stage, folder: Path, number: int, **changes: object) -> str:
    """One more study, with a stack of 40 slices."""
    uid = f"{STUDY}{number}"
    for slice_number in range(1, 41):
        name = f"{uid}.1.{slice_number}"
        data = part10_files.ct_dataset(number=slice_number, fill=2000, study=uid, series=f"{uid}.1", **changes)  # type: ignore[arg-type]
        path = folder / f"{name}.dcm"
        path.write_bytes(part10_files.part10(data, sop_class=part10_files.CT_IMAGE_STORAGE, instance=name))
    stage.gantry.cli("import", str(folder))
    return uid


def hold(page: Page, pattern: Any) -> list[Any]:
    """What is asked for by such an address waits in this list."""
    held: list[Any] = []

    def keep(route: Any) -> None:
        held.append(route)

    page.route(pattern, keep)
    return held


def test_the_server_paints_the_first_image_until_the_renderer_is_there(page: Page, study: str) -> None:
    held = hold(page, "**/assets/engine-*.js")
    show(page, 1)
    cell = page.locator("[data-cell=cell-1]")
    picture = cell.locator("img")
    expect(picture).to_be_visible(timeout=30_000)
    expect(cell).not_to_have_attribute("data-first-at", "0")
    assert picture.evaluate("(image) => image.naturalWidth") == SIDE
    for route in held:
        route.continue_()
    expect(ready(page)).to_have_attribute("data-index", "5")
    expect(picture).to_have_count(0)


def test_the_first_image_stands_in_its_place_before_the_app_is_there(page: Page, study: str) -> None:
    held = hold(page, "**/assets/index-*.js")
    page.goto(f"/studies/{STUDY}/view?show={STUDY}.1", wait_until="commit")
    picture = page.locator("[data-part=first-image]")
    expect(picture).to_be_visible(timeout=30_000)
    assert picture.evaluate("(image) => image.naturalWidth") == SIDE
    place = picture.bounding_box()
    assert page.locator("[data-page=viewer]").count() == 0
    for route in held:
        route.continue_()
    ready(page)
    expect(picture).to_have_count(0)
    assert page.locator("[data-cell=cell-1]").bounding_box() == place


def test_the_page_of_a_study_leads_to_one_of_its_series(page: Page, study: str) -> None:
    page.goto(f"/studies/{STUDY}/view?series={STUDY}.7")
    ready(page)
    assert page.url.endswith(f"show={STUDY}.7")


def test_a_study_that_vanishes_while_it_is_looked_at(page: Page, stage: Stage, tmp_path: Path) -> None:
    uid = other(stage, tmp_path, 1, patient_id="VANISH-1", patient_name="Vanish^Vera", side=32)
    last = re.compile(r"/instances/[^/]+\.40/frames/")
    held = hold(page, last)
    stage.gantry.until(lambda: stage.gantry.json("studies", "VANISH-1"), 60)
    page.goto(f"/studies/{uid}/view")
    image = ready(page)
    gone = page.locator("[data-part=gone]")
    expect(gone).to_have_count(0)
    stage.gantry.cli("studies", "delete", uid, "--reason", "test", "--yes")
    try:
        expect(gone).to_contain_text("not here any more", timeout=30_000)
        page.keyboard.press("ArrowDown")  # what is loaded can be read on
        expect(image).to_have_attribute("data-ready", "true")
        for route in held:
            route.continue_()
        page.unroute(last)
        page.keyboard.press("End")
        expect(page.locator("[data-cell=cell-1] [role=alert]")).to_contain_text("no such instance", timeout=30_000)
        gone.get_by_role("link", name="studies").click()
        expect(page).to_have_url(re.compile(r"/studies$"))
    finally:
        stage.gantry.cli("studies", "restore", uid)
    page.complaints.clear()  # type: ignore[attr-defined] # the loader throws what the server refused


def test_a_name_of_64_kilobytes_stays_in_its_place(page: Page, stage: Stage, tmp_path: Path) -> None:
    uid = other(stage, tmp_path, 2, patient_id="LONG-1", patient_name="<b>W" * 16_000 + "^\u202eX", side=32)
    stage.gantry.until(lambda: stage.gantry.json("studies", "LONG-1"), 60)
    page.goto(f"/studies/{uid}/view")
    ready(page)
    title = page.get_by_role("heading", level=1)
    expect(title).to_contain_text("<b>W<b>W")
    box, cell = title.bounding_box(), page.locator("[data-cell=cell-1]").bounding_box()
    assert box is not None
    assert cell is not None
    assert box["width"] <= 300
    assert box["height"] <= 40
    assert cell["height"] > 600
    assert page.evaluate(
        "document.scrollingElement.scrollWidth <= innerWidth && document.querySelector('header').clientHeight < 120"
    )
    assert len(page.locator("[data-cell=cell-1]").inner_text()) < 2000


def test_all_keys_are_on_one_sheet(page: Page, study: str) -> None:
    show(page, 1)
    ready(page)
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("Window presets")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
