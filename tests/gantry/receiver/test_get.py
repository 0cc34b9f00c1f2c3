"""C-GET: what was stored comes back byte for byte, counted; what cannot be given is named."""

from __future__ import annotations

import io
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pydicom
import pytest
from tests.gantry.receiver.asking import Kept, ask, identifier
from tests.gantry.receiver.served import Served, serving
from tests.gantry.transfers.seed import SeededStudy, seed_study
from tests.support.part10_files import CT_IMAGE_STORAGE, EXPLICIT_LITTLE_ENDIAN

from dimse.blocking import connect
from dimse.identifier import Identifier
from dimse.negotiation import STUDY_ROOT_GET, ContextProposal
from dimse.uids import IMPLICIT_VR_LITTLE_ENDIAN
from gantry.dataset.transcode import transcoded
from gantry.main.home import Home
from gantry.nodes import ahead


@pytest.fixture
def receiver(home: Home, connection: psycopg.Connection) -> Iterator[Served]:
    with serving(home.path) as made:
        yield made


@pytest.fixture
def study(receiver: Served) -> SeededStudy:
    return seed_study(receiver.home, 5)


def get(receiver: Served, kept: Kept, level: str, **keys: Any) -> Any:
    """The final answer."""
    with ask(receiver.port) as association:
        operation = association.get(identifier(level, **keys), sop_class_uid=STUDY_ROOT_GET, store=kept)
        for _ in operation:
            pass
        return operation.final


def bytes_of(study: SeededStudy, *numbers: int) -> dict[str, bytes]:
    chosen = [study.instances[n] for n in numbers] if numbers else study.instances
    return {stored.uid: stored.dataset for stored in chosen}


def test_a_study_comes_byte_for_byte(receiver: Served, study: SeededStudy) -> None:
    seed_study(receiver.home, 1)
    kept = Kept()
    final = get(receiver, kept, "STUDY", StudyInstanceUID=study.uid)
    assert (final.status, final.counts.completed, final.counts.failed) == (0, 5, 0)
    assert kept.got == bytes_of(study)


def test_levels_and_lists(receiver: Served, study: SeededStudy) -> None:
    uid = study.uid
    cases: list[tuple[str, dict[str, Any], tuple[int, ...]]] = [
        ("SERIES", {"SeriesInstanceUID": f"{uid}.1"}, ()),
        ("SERIES", {"StudyInstanceUID": uid, "SeriesInstanceUID": f"{uid}.1"}, ()),
        ("IMAGE", {"SOPInstanceUID": f"{uid}.1.2"}, (1,)),
        ("IMAGE", {"StudyInstanceUID": uid, "SOPInstanceUID": [f"{uid}.1.2", f"{uid}.1.4"]}, (1, 3)),
        ("IMAGE", {"StudyInstanceUID": "1.2.3", "SOPInstanceUID": f"{uid}.1.2"}, (9,)),
    ]
    for level, keys, numbers in cases:
        kept = Kept()
        final = get(receiver, kept, level, **keys)
        assert final.status == 0
        assert kept.got == (bytes_of(study, *numbers) if numbers != (9,) else {}), keys


def test_what_does_not_say_what_is_meant(receiver: Served) -> None:
    cases: list[tuple[str, dict[str, Any]]] = [
        ("", {"StudyInstanceUID": "1.2"}), ("PATIENT", {"PatientID": "1"}), ("STUDY", {}), ("STUDY", {"StudyInstanceUID": "1.*"}),
        ("IMAGE", {"StudyInstanceUID": ["1.2", "1.3"], "SOPInstanceUID": "1.2.3"}),
    ]  # fmt: skip
    for level, keys in cases:
        final = get(receiver, Kept(), level, **keys)
        assert (final.status, bool(final.comment)) == (0xA900, True), (level, keys)


def test_nothing_found_is_a_success_with_nothing(receiver: Served) -> None:
    kept = Kept()
    final = get(receiver, kept, "STUDY", StudyInstanceUID="1.2.3.4")
    assert (final.status, kept.got) == (0, {})


@pytest.mark.parametrize("ahead_from", [1, 1 << 30], ids=["read ahead", "read in turn"])
def test_a_damaged_instance_fails_and_is_named(
    receiver: Served, study: SeededStudy, monkeypatch: pytest.MonkeyPatch, ahead_from: int
) -> None:
    monkeypatch.setattr(ahead, "AHEAD_FROM", ahead_from)
    damaged = study.instances[2].path
    content = bytearray(damaged.read_bytes())
    content[-1] ^= 1
    damaged.write_bytes(content)
    study.instances[4].path.unlink()
    kept = Kept()
    final = get(receiver, kept, "STUDY", StudyInstanceUID=study.uid)
    assert (final.status, final.counts.completed, final.counts.failed) == (0xB000, 3, 2)
    assert kept.got == bytes_of(study, 0, 1, 3)
    failed = Identifier.parse(final.data, EXPLICIT_LITTLE_ENDIAN).texts("FailedSOPInstanceUIDList")
    assert failed == [study.instances[2].uid, study.instances[4].uid]


def test_with_the_digest_left_to_the_scrubber_a_missing_file_fails_still(home: Home, connection: psycopg.Connection) -> None:
    with serving(home.path, retrieve_digest="scrubber") as receiver:
        study = seed_study(receiver.home, 3)
        changed = study.instances[0]
        content = bytearray(changed.path.read_bytes())
        content[-1] ^= 1
        changed.path.write_bytes(content)
        study.instances[1].path.unlink()
        kept = Kept()
        final = get(receiver, kept, "STUDY", StudyInstanceUID=study.uid)
        assert (final.status, final.counts.completed, final.counts.failed) == (0xB000, 2, 1)
        assert kept.got[changed.uid] == bytes(content[-len(changed.dataset) :]), "nobody compared it"


@pytest.mark.parametrize("transcode", ["never", "uncompressed"])
def test_an_asker_that_takes_another_syntax_only(home: Home, connection: psycopg.Connection, transcode: str) -> None:
    with serving(home.path, transcode=transcode) as receiver:
        study = seed_study(receiver.home, 2)
        kept = Kept()
        contexts = [
            ContextProposal(STUDY_ROOT_GET, (EXPLICIT_LITTLE_ENDIAN,)),
            ContextProposal(CT_IMAGE_STORAGE, (IMPLICIT_VR_LITTLE_ENDIAN,), scu=True, scp=True),
        ]
        with connect(
            "127.0.0.1", receiver.port, called_aet="GANTRY", calling_aet="TESTS", contexts=contexts, response_timeout=30
        ) as association:
            operation = association.get(identifier("STUDY", StudyInstanceUID=study.uid), sop_class_uid=STUDY_ROOT_GET, store=kept)
            for _ in operation:
                pass
    final = operation.final
    assert final.counts is not None
    if transcode == "never":
        assert (final.status, final.counts.failed, kept.got) == (0xA702, 2, {})
        failed = Identifier.parse(final.data, EXPLICIT_LITTLE_ENDIAN).texts("FailedSOPInstanceUIDList")
        assert failed == [stored.uid for stored in study.instances]
        return
    assert (final.status, final.counts.completed) == (0, 2)
    for stored in study.instances:
        whole = stored.path.read_bytes()
        size = len(stored.dataset)
        with transcoded(stored.path, len(whole) - size, size, EXPLICIT_LITTLE_ENDIAN, (IMPLICIT_VR_LITTLE_ENDIAN,)) as given:
            assert given is not None
            assert kept.got[stored.uid] == b"".join(given[1])
        given_back = pydicom.dcmread(io.BytesIO(kept.got[stored.uid]), force=True)
        assert given_back.SOPInstanceUID == stored.uid
        assert given_back.PixelData in stored.dataset


def test_a_cancel_stops_it(receiver: Served, study: SeededStudy) -> None:
    kept = Kept()
    with ask(receiver.port) as association:

        def store(request: Any, context: Any) -> Any:
            operation.cancel()
            return kept(request, context)

        operation = association.get(identifier("STUDY", StudyInstanceUID=study.uid), sop_class_uid=STUDY_ROOT_GET, store=store)
        for _ in operation:
            pass
        assert operation.final.status == 0xFE00
        assert len(kept.got) < 5


def test_the_index_is_away(receiver: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANTRY_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nothing")
    final = get(receiver, Kept(), "STUDY", StudyInstanceUID="1.2.3.4")
    assert (final.status, final.comment) == (0xA700, "index is away")


@pytest.mark.peer("getscu")
def test_getscu_gets_it(receiver: Served, study: SeededStudy, dcmtk: Callable[[str], str], tmp_path: Path) -> None:
    folder = tmp_path / "got"
    folder.mkdir()
    done = subprocess.run(
        [dcmtk("getscu"), "-S", "-B", "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study.uid}", "-od", str(folder),
         "127.0.0.1", str(receiver.port)],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    files = list(folder.iterdir())
    assert (done.returncode, len(files)) == (0, 5), done.stderr
    whole = b"".join(file.read_bytes() for file in files)
    assert all(stored.dataset in whole for stored in study.instances), os.linesep.join(map(str, files))
