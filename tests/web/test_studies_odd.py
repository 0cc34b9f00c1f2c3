"""Studies that a careless page would stumble over: senders who disagree, endless names, nothing but UIDs, unknown modalities."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.support import part10_files as files
from tests.web.stage import Stage
from tests.web.test_studies import delivered

ROOT = f"{files.ROOT}.66"


Stored = Callable[..., None]


@pytest.fixture
def stored(stage: Stage, tmp_path: Path) -> Iterator[Stored]:
    """stored(uid, (SOP Instance UID, data set), ...) imports one after the other; at the end the study is deleted."""
    gantry, made = stage.gantry, []

    def store(uid: str, *datasets: tuple[str, bytes]) -> None:
        for number, (instance, dataset) in enumerate(datasets):
            path = tmp_path / f"{number}.dcm"
            path.write_bytes(files.part10(dataset, sop_class=files.CT_IMAGE_STORAGE, instance=instance))
            gantry.cli("import", str(path))
        made.append(uid)
        gantry.until(lambda: bool(gantry.json("studies", uid)), 30)

    yield store
    for uid in made:
        delivered(stage, uid)  # what is on its way is not deleted
        gantry.cli("studies", "delete", uid, "--reason", "test", "--yes")


def fits(page: Any) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


def test_senders_who_disagree_are_shown_beside_each_other(page: Any, stored: Stored) -> None:
    from playwright.sync_api import expect

    uid = f"{ROOT}.1"
    one, two = f"{uid}.1.1", f"{uid}.1.2"
    make = partial(files.ct_dataset, study=uid, series=f"{uid}.1")
    stored(
        uid,
        (one, make(instance=one, patient_id="P-100", patient_name="Erst^Anna")),
        (two, make(instance=two, number=2, patient_id="P-200", patient_name="Anders^Bert")),
        (one, make(instance=one, patient_id="P-100", patient_name="Erst^Anna", fill=9)),
    )  # fmt: skip
    page.goto(f"/studies/{uid}")
    panel = page.get_by_role("region", name="Senders disagree")
    name, number = (
        panel.get_by_role("row").filter(has=page.get_by_role("rowheader", name=what)) for what in ("Name", "Patient ID")
    )
    expect(name).to_contain_text("Erst, Anna")
    expect(name).to_contain_text("Anders, Bert")
    expect(number).to_contain_text("P-200")
    panel.get_by_role("button", name="Versions").click()
    expect(panel.get_by_role("table", name="Versions").get_by_role("row")).to_have_count(3)
    expect(panel.get_by_text("Shown and sent", exact=True)).to_have_count(1)
    page.goto("/studies?state=conflict")
    expect(page.get_by_role("row").filter(has_text="Erst, Anna")).to_contain_text("Conflict")


def test_endless_names_and_nothing_but_uids_stay_in_their_place(page: Any, stored: Stored) -> None:
    from playwright.sync_api import expect

    long, bare, odd = (f"{ROOT}.{number}" for number in (2, 3, 4))
    name = ("Lang" * 16_000)[:64_000] + "^X"
    dataset = files.ct_dataset(study=long, series=f"{long}.1", instance=f"{long}.1.1", patient_id="LONG", patient_name=name)
    stored(long, (f"{long}.1.1", dataset))
    uids = {
        (0x0008, 0x0016): files.CT_IMAGE_STORAGE,
        (0x0008, 0x0018): f"{bare}.1.1",
        (0x0020, 0x000D): bare,
        (0x0020, 0x000E): f"{bare}.1",
    }
    elements = [files.element(group, number, "UI", uid.encode()) for (group, number), uid in uids.items()]
    stored(bare, (f"{bare}.1.1", b"".join(elements)))
    dataset = files.ct_dataset(study=odd, series=f"{odd}.1", instance=f"{odd}.1.1", patient_id="ODD", modality="ZZ<b>9")
    stored(odd, (f"{odd}.1.1", dataset))
    page.goto("/studies?q=id:LONG")
    expect(page.get_by_role("row").filter(has_text="LangLang")).to_have_count(1)
    assert fits(page)
    for uid, shown in ((long, "LangLang"), (bare, "No name"), (odd, "Test, Anna")):
        page.goto(f"/studies/{uid}")
        expect(page.get_by_role("heading", level=1)).to_contain_text(shown)
        expect(page.get_by_role("article")).to_have_count(1)
        assert fits(page)
    expect(page.get_by_role("article")).to_contain_text("ZZ<b>9")
    page.get_by_role("tab", name="Instances").click()
    expect(page.get_by_role("grid", name="Instances").get_by_text(f"{odd}.1.1")).to_be_visible()
    page.goto(f"/studies/{bare}?tab=instances&instance={bare}.1.1")
    expect(page.get_by_role("grid", name="Attributes").get_by_text("SOP Instance UID")).to_be_visible()
    page.goto("/studies?q=nobody-has-this-name")
    expect(page.get_by_text("No study fits").first).to_be_visible()
    page.get_by_role("button", name="Show all studies").click()
    expect(page.get_by_role("row").nth(3)).to_be_visible()
