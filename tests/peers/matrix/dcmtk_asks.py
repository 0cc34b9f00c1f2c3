"""DCMTK's tools ask Gantry."""

from __future__ import annotations

import re
from pathlib import Path

from tests.conftest import unused_port
from tests.peers.matrix import dcmtk_answers
from tests.peers.matrix.asking import received
from tests.peers.matrix.cells import PLAIN, cell
from tests.peers.matrix.world import CALLER, STUDY, STUDY_PATIENT, STUDY_SIZE, World, dcmtk, digests, wait_for

NAME = "DCMTK"
_TITLES = ("-aet", CALLER, "-aec", "GANTRY")


def channel(world: World, tls: bool) -> list[str]:
    """TLS options of DCMTK's tools; its own profile, and our certificate must be good."""
    if not tls:
        return []
    own = world.certificates.peer
    return ["+tls", str(own.key), str(own.certificate), "+cf", str(world.certificates.authority), "-rc"]


def _where(world: World, tls: bool) -> list[object]:
    return [*channel(world, tls), *_TITLES, "127.0.0.1", world.port(tls)]


def _responses(output: str) -> int:
    """How many answers findscu -v tells of."""
    return len(re.findall(r"Find Response: \d+ \(Pending\)|Find Response: \d+", output))


@cell(NAME, "echoscu", "C-ECHO", "answers")
def echo(world: World, tls: bool) -> None:
    world.run(dcmtk("echoscu"), *_where(world, tls))


@cell(NAME, "storescu", "C-STORE", "answers")
def store(world: World, tls: bool) -> None:
    files = world.series()
    world.run(dcmtk("storescu"), "-R", *_where(world, tls), *files)
    world.indexed(files)


@cell(NAME, "dcmsend", "C-STORE", "answers", channels=(PLAIN,))
def dcmsend(world: World, tls: bool) -> None:
    files = world.series()
    world.run(dcmtk("dcmsend"), *_where(world, tls), *files)
    world.indexed(files)


@cell(NAME, "termscu", "shutdown of DCMTK (refused)", "answers", channels=(PLAIN,))
def shutdown(world: World, tls: bool) -> None:
    """DCMTK's private SOP class must not end us."""
    world.run(dcmtk("termscu"), *_TITLES, "127.0.0.1", world.port(tls))
    echo(world, tls)


def _find(world: World, tls: bool, model: str, *keys: str) -> str:
    arguments = [value for key in keys for value in ("-k", key)]
    return world.run(dcmtk("findscu"), "-v", model, *arguments, *_where(world, tls))


@cell(NAME, "findscu", "C-FIND study root", "answers")
def find_study_root(world: World, tls: bool) -> None:
    study = _find(world, tls, "-S", "QueryRetrieveLevel=STUDY", f"PatientID={STUDY_PATIENT}", "StudyInstanceUID", "PatientName")
    assert STUDY in study
    assert "Test^Anna" in study
    assert _responses(study) == 1, study
    series = _find(world, tls, "-S", "QueryRetrieveLevel=SERIES", f"StudyInstanceUID={STUDY}", "SeriesInstanceUID", "Modality")
    assert f"{STUDY}.1" in series
    image = _find(world, tls, "-S", "QueryRetrieveLevel=IMAGE", f"StudyInstanceUID={STUDY}", f"SeriesInstanceUID={STUDY}.1",
                  "SOPInstanceUID")  # fmt: skip
    assert _responses(image) == STUDY_SIZE, image


@cell(NAME, "findscu", "C-FIND patient root", "answers")
def find_patient_root(world: World, tls: bool) -> None:
    patient = _find(world, tls, "-P", "QueryRetrieveLevel=PATIENT", "PatientID=MATRIX-7*", "PatientName")
    assert STUDY_PATIENT in patient
    study = _find(world, tls, "-P", "QueryRetrieveLevel=STUDY", f"PatientID={STUDY_PATIENT}", "StudyDate=20240101-20241231",
                  "StudyInstanceUID")  # fmt: skip
    assert STUDY in study


def _arrived(world: World, folder: Path) -> None:
    def there() -> bool:
        files = [path for path in folder.iterdir() if path.is_file() and not path.name.endswith((".part", ".tmp"))]
        return len(files) >= STUDY_SIZE and digests(files) == digests(world.held)

    wait_for(there, "the study is in the folder, data sets identical")


@cell(NAME, "getscu", "C-GET study root", "answers", channels=(PLAIN,))
def get(world: World, tls: bool) -> None:
    folder = world.room()
    world.run(dcmtk("getscu"), "-S", "+B", "-od", folder, "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={STUDY}",
              *_where(world, tls))  # fmt: skip
    _arrived(world, folder)


@cell(NAME, "movescu", "C-MOVE to storescp", "answers", channels=(PLAIN,))
def move_to_storescp(world: World, tls: bool) -> None:
    destination = world.node(dcmtk_answers.storescp(world, tls=False))
    folder = dcmtk_answers.storescp(world, tls=False).folder
    world.run(dcmtk("movescu"), "-S", "-aem", destination, "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={STUDY}",
              *_where(world, tls))  # fmt: skip
    held = digests(world.held)
    wait_for(lambda: held <= digests(received(folder)), "the study is at storescp, data sets identical")


@cell(NAME, "movescu", "C-MOVE to itself", "answers", channels=(PLAIN,))
def move_to_itself(world: World, tls: bool) -> None:
    port, folder = unused_port(), world.room()
    world.gantry.cli("node", "add", "MOVESCU", f"MOVESCU@127.0.0.1:{port}", "--associations", "1")
    world.run(dcmtk("movescu"), "-P", "+B", "-od", folder, "-aem", "MOVESCU", "+P", port, "-k", "QueryRetrieveLevel=SERIES", "-k",
              f"PatientID={STUDY_PATIENT}", "-k", f"StudyInstanceUID={STUDY}", "-k", f"SeriesInstanceUID={STUDY}.1",
              *_where(world, tls), cwd=folder)  # fmt: skip
    _arrived(world, folder)


@cell(NAME, "movescu", "C-MOVE to a destination over TLS", "answers", channels=(PLAIN,))
def move_to_tls(world: World, tls: bool) -> None:
    peer = dcmtk_answers.storescp(world, tls=True)
    destination = world.node(peer)
    world.run(dcmtk("movescu"), "-S", "-aem", destination, "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={STUDY}",
              *_where(world, tls))  # fmt: skip
    held = digests(world.held)
    wait_for(lambda: held <= digests(received(peer.folder)), "the study is at storescp, data sets identical")
