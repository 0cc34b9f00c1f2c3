"""What lies over the images in the viewer: overlay planes and presentation states, looked at in the pixels of the page."""

from __future__ import annotations

from typing import Any

import numpy as np
import pydicom
import pytest
from playwright.sync_api import Page, expect
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset

from tests.support import part10_files
from tests.web.stage import Stage, until

STUDY = f"{part10_files.ROOT}.90"
SIDE = 64
#: A bright square away from the middle: rows, columns.
ROWS, COLUMNS = slice(10, 30), slice(6, 26)
PRESENTATION = "1.2.840.10008.5.1.4.1.1.11.1"
pytestmark = pytest.mark.timeout(180)
#: How many dots of image and layer are bright or drawn, and how many are both; where their middles are from that of the cell.
LOOK = """() => {
  const cell = document.querySelector('[data-cell=cell-1]');
  const read = (canvas) => canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  const image = read(cell.querySelector('canvas.cornerstone-canvas')), layer = read(cell.querySelector('[data-part=layer]'));
  const found = { bright: 0, drawn: 0, both: 0, x: 0, y: 0, ax: 0, ay: 0, width: image.width, height: image.height };
  for (let at = 0; at < image.width * image.height; at += 1) {
    const bright = image.data[4 * at] > 200, drawn = layer.data[4 * at + 3] > 128;
    const x = at % image.width - image.width / 2, y = Math.floor(at / image.width) - image.height / 2;
    if (bright) { found.bright += 1; found.x += x; found.y += y; }
    if (drawn) { found.drawn += 1; found.ax += x; found.ay += y; }
    if (bright && drawn) found.both += 1;
  }
  for (const [sum, of] of [['x', 'bright'], ['y', 'bright'], ['ax', 'drawn'], ['ay', 'drawn']]) found[sum] /= Math.max(1, found[of]);
  return found;
}"""


def new(sop_class: str, series: int, number: int) -> FileDataset:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = sop_class
    meta.MediaStorageSOPInstanceUID = f"{STUDY}.{series}.{number}"
    data = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    data.SpecificCharacterSet = "ISO_IR 192"
    data.SOPClassUID, data.SOPInstanceUID = sop_class, meta.MediaStorageSOPInstanceUID
    data.StudyInstanceUID, data.SeriesInstanceUID, data.SeriesNumber = STUDY, f"{STUDY}.{series}", series
    data.PatientName, data.PatientID, data.InstanceNumber = "Overlay^Olga", "OVER-1", number
    data.StudyDate = "20240229"
    return data


def ct(number: int) -> FileDataset:
    data = new(part10_files.CT_IMAGE_STORAGE, 1, number)
    data.Modality = "CT"
    pixels = np.full((SIDE, SIDE), 1024, dtype="<u2")
    pixels[ROWS, COLUMNS] = 1324
    data.Rows = data.Columns = SIDE
    data.SamplesPerPixel, data.PhotometricInterpretation, data.PixelRepresentation = 1, "MONOCHROME2", 0
    data.BitsAllocated, data.BitsStored, data.HighBit = 16, 12, 11
    data.RescaleIntercept, data.RescaleSlope, data.WindowCenter, data.WindowWidth = -1024, 1, 40, 400
    data.PixelSpacing, data.ImagePositionPatient = [0.5, 0.5], [0, 0, number]
    data.ImageOrientationPatient, data.FrameOfReferenceUID = [1, 0, 0, 0, 1, 0], f"{STUDY}.9"
    if number < 3:
        data.add_new(0x60000010, "US", SIDE)
        data.add_new(0x60000011, "US", SIDE)
        data.add_new(0x60000040, "CS", "G")
        data.add_new(0x60000050, "SS", [1, 1])
        data.add_new(0x60000100, "US", 1 if number == 1 else 16)
        data.add_new(0x60000102, "US", 0 if number == 1 else 12)
    if number == 1:
        drawn = np.zeros((SIDE, SIDE), dtype=np.uint8)
        drawn[ROWS, COLUMNS] = 1
        data.add_new(0x60003000, "OW", np.packbits(drawn.ravel(), bitorder="little").tobytes())
    elif number == 2:
        pixels[ROWS, COLUMNS] |= 1 << 12
    data.PixelData = pixels.tobytes()
    return data


def state(number: int) -> FileDataset:
    data = new(PRESENTATION, 2, number)
    data.Modality = "PR"
    data.PresentationCreationDate, data.PresentationCreationTime = "20240301", "120000"
    data.ContentCreatorName = "Reader^Rita"
    image = Dataset()
    image.ReferencedSOPClassUID, image.ReferencedSOPInstanceUID = part10_files.CT_IMAGE_STORAGE, f"{STUDY}.1.3"
    series = Dataset()
    series.SeriesInstanceUID, series.ReferencedImageSequence = f"{STUDY}.1", [image]
    data.ReferencedSeriesSequence = [series]
    area, voi = Dataset(), Dataset()
    area.DisplayedAreaTopLeftHandCorner, area.DisplayedAreaBottomRightHandCorner = [1, 1], [SIDE, SIDE]
    area.PresentationSizeMode = "SCALE TO FIT"
    data.DisplayedAreaSelectionSequence = [area]
    data.PresentationLUTShape = "IDENTITY"
    if number == 1:
        data.ContentLabel, data.ContentDescription = "TURNED", "a finding <b>here</b>"
        data.ImageRotation, data.ImageHorizontalFlip = 90, "Y"
        voi.WindowCenter, voi.WindowWidth = 150, 300
        layer, annotation, line = Dataset(), Dataset(), Dataset()
        layer.GraphicLayer, layer.GraphicLayerOrder = "L1", 1
        line.GraphicAnnotationUnits, line.GraphicDimensions, line.NumberOfGraphicPoints = "PIXEL", 2, 5
        line.GraphicData = [6, 10, 26, 10, 26, 30, 6, 30, 6, 10]
        line.GraphicType, line.GraphicFilled = "POLYLINE", "Y"
        annotation.GraphicLayer, annotation.GraphicObjectSequence = "L1", [line]
        data.GraphicLayerSequence, data.GraphicAnnotationSequence = [layer], [annotation]
    else:
        data.ContentLabel = "SHUTTERED"
        area.DisplayedAreaBottomRightHandCorner = [32, 32]
        data.ShutterShape, data.ShutterPresentationValue = "RECTANGULAR", 65535
        data.ShutterLeftVerticalEdge, data.ShutterRightVerticalEdge = 1, 24
        data.ShutterUpperHorizontalEdge, data.ShutterLowerHorizontalEdge = 1, 64
        table = Dataset()
        table.LUTDescriptor, table.LUTData = [4, 0, 16], b"\0\0\0\x40\0\x80\xff\xff"
        table["LUTDescriptor"].VR = "US"
        table["LUTData"].VR = "OW"
        voi.VOILUTSequence = [table]
    data.SoftcopyVOILUTSequence = [voi]
    return data


@pytest.fixture(scope="module")
def study(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("overlays")
    for number in (1, 2, 3):
        ct(number).save_as(folder / f"ct{number}.dcm")
    for number in (1, 2):
        state(number).save_as(folder / f"pr{number}.dcm")
    stage.gantry.cli("import", str(folder))
    stage.gantry.until(lambda: count(stage) == 5, 60)
    return STUDY


def count(stage: Stage) -> int:
    found = stage.gantry.json("studies", "OVER-1")
    rows = found if isinstance(found, list) else found["items"]
    return int(rows[0]["instance_count"]) if rows else 0


def shown(page: Page, index: int) -> Any:
    page.goto(f"/studies/{STUDY}/view?show={STUDY}.1")
    image = page.locator("[data-cell=cell-1] [data-part=image]")
    expect(image).to_have_attribute("data-ready", "true", timeout=30_000)
    for _ in range(index):
        page.keyboard.press("ArrowDown")
    expect(image).to_have_attribute("data-index", str(index))
    return image


def look(page: Page) -> dict[str, float]:
    found: dict[str, float] = page.evaluate(LOOK)
    return found


def drawn_on_the_square(page: Page) -> bool:
    found = look(page)
    return found["bright"] > 1000 and found["both"] > 0.93 * max(found["bright"], found["drawn"])


def wait_until(page: Page, holds: Any) -> None:
    for _ in range(200):
        if holds(page):
            return
        page.wait_for_timeout(50)
    raise AssertionError(look(page))


@pytest.mark.parametrize("index", [0, 1], ids=["in an element", "in the pixels"])
def test_an_overlay_lies_where_its_bits_say_and_moves_with_the_image(page: Page, study: str, index: int) -> None:
    shown(page, index)
    wait_until(page, drawn_on_the_square)
    for keys in ("h", "r", "+", "r"):
        page.keyboard.press(keys)
        wait_until(page, drawn_on_the_square)
    page.keyboard.press("o")
    wait_until(page, lambda page: look(page)["drawn"] == 0)
    expect(page.get_by_role("button", name="Overlays")).to_have_attribute("aria-pressed", "false")
    page.keyboard.press("o")
    wait_until(page, drawn_on_the_square)
    page.keyboard.press("End")
    wait_until(page, lambda page: look(page)["drawn"] == 0)


def test_who_may_not_know_the_patient_sees_no_overlay(page_as: Any, study: str) -> None:
    page = page_as("viewer")
    shown(page, 1)
    usual = look(page)
    assert usual["drawn"] == 0
    assert usual["bright"] > 1000
    expect(page.get_by_role("button", name="Overlays")).to_have_count(0)


def test_a_presentation_state_turns_flips_windows_and_draws(page: Page, study: str) -> None:
    image = shown(page, 0)
    page.get_by_role("button", name="Presentation states").click()
    page.get_by_role("menuitemcheckbox", name="TURNED").click()
    expect(image).to_have_attribute("data-index", "2")
    expect(page.get_by_text("C 150 W 300").first).to_be_visible()
    expect(page.locator("[data-part=presentation]")).to_contain_text("TURNED")
    wait_until(page, drawn_on_the_square)
    found = look(page)
    scale = min(found["width"], found["height"]) / SIDE
    # The middle of the square is 16 to the left and 12 above that of the image: turned 12 to the right, 16 above; then flipped.
    assert abs(found["x"] / scale + 12) < 1
    assert abs(found["y"] / scale + 16) < 1
    page.keyboard.press("0")
    expect(page.locator("[data-part=presentation]")).to_have_count(0)
    wait_until(page, lambda page: abs(look(page)["x"] / scale + 16) < 1 and look(page)["drawn"] == 0)


def test_an_area_is_shown_shutters_hide_and_what_is_not_applied_is_said(page: Page, study: str) -> None:
    page.goto(f"/studies/{STUDY}/view?show={STUDY}.2")
    page.get_by_role("listitem").filter(has_text="SHUTTERED").get_by_role("button", name="Show").click()
    note = page.locator("[data-part=presentation]")
    expect(note).to_contain_text("SHUTTERED", timeout=30_000)
    expect(note).to_contain_text("window table")
    until(page, "document.querySelector('[data-cell=cell-1] [data-ready=true]') !== null")
    wait_until(page, lambda page: look(page)["drawn"] > 1000)
    found = look(page)
    scale = min(found["width"], found["height"]) / 32
    assert abs(found["bright"] / (400 * scale * scale) - 1) < 0.1, found
    # What is to be seen ends with column 24: eight of the 32 columns that are shown, and all to their right, are hidden.
    edge = page.evaluate(
        """(at) => { const layer = document.querySelector('[data-part=layer]'), pen = layer.getContext('2d');
        const seen = (x) => pen.getImageData(Math.round(layer.width / 2 + x), layer.height / 2, 1, 1).data[3];
        return [seen(at - 4), seen(at + 4)] }""", 8 * scale,
    )  # fmt: skip
    assert edge == [0, 255]


def test_a_list_of_states_says_what_they_are(page: Page, study: str) -> None:
    page.goto(f"/studies/{STUDY}/view?show={STUDY}.2")
    listed = page.locator("[data-part=presentations]")
    expect(listed.get_by_role("listitem")).to_have_count(2)
    expect(listed).to_contain_text("a finding <b>here</b>")
    expect(listed).to_contain_text("Reader, Rita")
    expect(listed).to_contain_text("for one image")
