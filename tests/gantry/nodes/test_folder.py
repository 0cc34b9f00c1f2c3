"""Folders: names that are safe whatever the values are, files that are there whole or not at all, a volume that fills up."""

from __future__ import annotations

import hashlib
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import part10_files as files

from gantry.nodes.errors import BadNode
from gantry.nodes.folder_path import DEFAULT_TEMPLATE, check_template, path_of
from gantry.nodes.folder_write import NameTaken, write_file
from gantry.nodes.items import FolderTarget, Outcome, SendItem, SendOutcome, SendResult
from gantry.nodes.kinds import ask, check_folder
from gantry.nodes.send import send


def item(folder: Path, number: int, *, size: int = 0, **values: object) -> SendItem:
    uid = f"1.2.3.{number}"
    dataset = files.ct_dataset(number=number, instance=uid) + bytes(size)
    whole = files.part10(dataset, sop_class=files.CT_IMAGE_STORAGE, instance=uid)
    path = folder / f"source-{number}-{size}.dcm"
    path.write_bytes(whole)
    return SendItem(
        number, str(path), len(whole) - len(dataset), len(dataset), hashlib.sha256(dataset).digest(), files.CT_IMAGE_STORAGE, uid,
        files.EXPLICIT_LITTLE_ENDIAN, values={"StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.4", **values},
    )  # fmt: skip


def deliver(root: Path, items: list[SendItem], template: str = "", reserve: int = 0) -> tuple[SendOutcome, list[SendResult]]:
    waiting, results = list(items), []

    def source(limit: int) -> list[SendItem]:
        some, waiting[:limit] = waiting[:limit], []
        return some

    target = FolderTarget(str(root), template, reserve)
    outcome = send(target, source, results.append, associations=2, stop=threading.Event())
    return outcome, results


def tree(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


@given(
    st.lists(st.sampled_from(["PatientID", "StudyDescription", "SOPInstanceUID"]), min_size=1, max_size=4),
    st.dictionaries(st.sampled_from(["PatientID", "StudyDescription", "SOPInstanceUID"]), st.text(max_size=300)),
)
def test_no_value_leads_out_of_the_folder(keywords: list[str], values: dict[str, str]) -> None:
    names = path_of("/".join(f"{{{keyword}}}" for keyword in keywords), values)
    assert len(names) == len(keywords)
    for name in names:
        assert name not in {"", ".", ".."}
        assert not name.startswith(".")
        assert not name.endswith((".", " "))
        assert "/" not in name
        assert "\\" not in name
        assert name.isprintable() or not any(ord(sign) < 32 or sign == "\x7f" for sign in name)
        assert len(name.encode()) <= 201


def test_names_for_people() -> None:
    values = {
        "PatientName": "Müller^Anna",
        "StudyDate": "20261121",
        "Modality": ["CT", "SR"],
        "StudyDescription": "../../etc/passwd",
    }
    assert path_of("{PatientName}/{StudyDate} {Modality}/{StudyDescription}.dcm", values) == [
        "Müller Anna", "20261121 CT-SR", "_.._etc_passwd.dcm",
    ]  # fmt: skip
    assert path_of("{A}/{B}.dcm", {"A": "CON", "B": None}) == ["_CON", "unknown.dcm"]


@pytest.mark.parametrize(
    "template", ["", "/x/{A}", "a//{A}", "../{A}", "{A}/..", "{A}/x.dcm", "{A}\n", "a\\{A}", ".x/{A}", "x" * 500, "{A", "{A;B}"]
)
def test_templates_that_cannot_be_meant(template: str) -> None:
    with pytest.raises(BadNode):
        check_template(template)


def test_files_arrive_whole_and_once(tmp_path: Path) -> None:
    root = tmp_path / "out"
    root.mkdir()
    items = [item(tmp_path, number) for number in range(20)]
    for _ in range(2):
        outcome, results = deliver(root, items)
        assert outcome.counts[Outcome.CONFIRMED] == 20
    assert tree(root) == sorted(f"1.2.3/1.2.4/1.2.3.{number}.dcm" for number in range(20))
    for one in items:
        assert (root / f"1.2.3/1.2.4/{one.sop_instance_uid}.dcm").read_bytes() == Path(one.path).read_bytes()
    assert all(result.sha256 == result.item.sha256 for result in results)


def test_other_bytes_are_never_overwritten(tmp_path: Path) -> None:
    root = tmp_path / "out"
    root.mkdir()
    one, other = item(tmp_path, 1, PatientID="P"), item(tmp_path, 1, size=10, PatientID="P")
    deliver(root, [one], "{PatientID}/{SOPInstanceUID}.dcm")
    _, results = deliver(root, [other, other], "{PatientID}/{SOPInstanceUID}.dcm")
    assert [result.outcome for result in results] == [Outcome.CONFIRMED] * 2
    found = tree(root)
    assert len(found) == 2
    assert {(root / name).read_bytes() for name in found} == {Path(one.path).read_bytes(), Path(other.path).read_bytes()}


def test_links_are_not_followed(tmp_path: Path) -> None:
    root, outside = tmp_path / "out", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    (root / "1.2.3").symlink_to(outside)
    _, results = deliver(root, [item(tmp_path, 1)])
    assert [(result.outcome, result.permanent) for result in results] == [(Outcome.REFUSED, True)]
    assert "in the way" in results[0].explanation
    (root / "1.2.3").unlink()
    (root / "1.2.3/1.2.4").mkdir(parents=True)
    victim = outside / "victim"
    victim.write_bytes(b"precious")
    (root / "1.2.3/1.2.4/1.2.3.1.dcm").symlink_to(victim)
    outcome, _ = deliver(root, [item(tmp_path, 1)])
    assert outcome.counts[Outcome.CONFIRMED] == 1, "beside the link"
    assert victim.read_bytes() == b"precious"
    assert list(outside.iterdir()) == [victim]


def test_two_writers_of_one_name(tmp_path: Path) -> None:
    root = os.open(tmp_path, os.O_RDONLY)
    try:
        digest = hashlib.sha256(b"abc").digest()
        assert write_file(root, ["a", "b.dcm"], [b"abc"], digest) == "a/b.dcm"
        (tmp_path / "c").mkdir()
        (tmp_path / "c" / "d.dcm").mkdir()
        assert write_file(root, ["c", "d.dcm"], [b"abc"], digest) == f"c/d-{digest.hex()[:16]}.dcm"
        (tmp_path / "f").write_bytes(b"")
        with pytest.raises(NameTaken):
            write_file(root, ["f", "g.dcm"], [b"abc"], digest)
    finally:
        os.close(root)
    assert not list(tmp_path.rglob(".gantry-*"))


@pytest.fixture
def small_volume(tmp_path: Path) -> Iterator[Path]:
    """A volume of one megabyte."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small volume")
    mount = tmp_path / "small"
    mount.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", mount], capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {done.stderr.decode()[:200]}")
    yield mount
    subprocess.run(["umount", "-l", mount], check=True)


def test_a_volume_that_fills_up(tmp_path: Path, small_volume: Path) -> None:
    items = [item(tmp_path, number, size=200_000) for number in range(10)]
    outcome, results = deliver(small_volume, items)
    assert "is full" in outcome.failure
    confirmed = outcome.counts[Outcome.CONFIRMED]
    assert 3 <= confirmed <= 5
    assert len(outcome.untried) == 10 - confirmed, "the rest waits; nothing is dead"
    assert {result.outcome for result in results} == {Outcome.CONFIRMED}
    assert len(tree(small_volume)) == confirmed, "no half file, no draft"
    for name in tree(small_volume):
        (small_volume / name).unlink()
    again, _ = deliver(small_volume, outcome.untried[:3])
    assert again.counts[Outcome.CONFIRMED] == 3, "room was made: it goes on"
    full, _ = deliver(small_volume, outcome.untried[3:4], reserve=1 << 20)
    assert "is full" in full.failure, "the reserve stays free"
    assert not ask(FolderTarget(str(small_volume), "", 1 << 20)).ok


def test_a_folder_that_is_gone(tmp_path: Path) -> None:
    root = tmp_path / "out"
    outcome, results = deliver(root, [item(tmp_path, 1)])
    assert "is not there" in outcome.failure
    assert (results, len(outcome.untried)) == ([], 1)
    sign = ask(FolderTarget(str(root)))
    assert not sign.ok
    assert "mount" in sign.remedy
    root.mkdir()
    assert ask(FolderTarget(str(root))).ok
    assert tree(root) == []


def test_places_that_are_no_destination(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "objects").mkdir(parents=True)
    for path in ("/", str(home), str(home / "objects"), str(tmp_path), "relative", str(tmp_path / "missing")):
        with pytest.raises(BadNode):
            check_folder(path, home)
    (tmp_path / "out").mkdir()
    assert check_folder(str(tmp_path / "out"), home) == str(tmp_path / "out")
    assert check_template(DEFAULT_TEMPLATE) == DEFAULT_TEMPLATE
