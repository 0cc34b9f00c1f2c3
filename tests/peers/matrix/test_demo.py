"""A workstation finds the demonstration's studies (findscu) and has them sent to its own receiver (movescu to storescp);
every byte arrives. That strangers are refused until they are allowed is tested in tests/path/test_workstation.py.
"""

from __future__ import annotations

import re
from pathlib import Path

import pydicom
import pytest

import gantry.main
from gantry.nodes import DimseAddress, SendTarget
from gantry.transfers.send_paths import send_paths
from tests.peers.matrix import dcmtk_answers
from tests.peers.matrix.asking import received
from tests.peers.matrix.world import CALLER, World, dcmtk, digests, wait_for

pytestmark = [pytest.mark.peer("findscu"), pytest.mark.timeout(120)]
DEMO = sorted((Path(gantry.main.__file__).parent / "demo_data").rglob("*.dcm"))
_UID = re.compile(r"\(0020,000d\) UI \[([0-9.]+)")


def test_the_demonstration_is_found_and_fetched(world: World) -> None:
    assert len(DEMO) > 5
    itself = SendTarget(DimseAddress("GANTRY", "127.0.0.1", world.gantry.dicom_port), CALLER)
    assert send_paths(DEMO, itself, lambda _: None).ok
    world.indexed(DEMO)
    where = ("-aet", CALLER, "-aec", "GANTRY", "127.0.0.1", world.port(False))
    workstation = dcmtk_answers.storescp(world, tls=False)
    destination = world.node(workstation)
    studies = {str(pydicom.dcmread(path, specific_tags=["StudyInstanceUID"]).StudyInstanceUID) for path in DEMO}
    found = set()
    for modality in ("CT", "MR"):
        keys = ("QueryRetrieveLevel=STUDY", f"ModalitiesInStudy={modality}", "StudyInstanceUID", "PatientName")
        answer = world.run(dcmtk("findscu"), "-v", "-S", *(word for key in keys for word in ("-k", key)), *where)
        found |= set(_UID.findall(answer))
    assert studies <= found
    for study in studies:  # those of the other tests stay where they are
        keys = ("QueryRetrieveLevel=STUDY", f"StudyInstanceUID={study}")
        moved = world.run(
            dcmtk("movescu"), "-v", "-S", "-aem", destination, *(word for key in keys for word in ("-k", key)), *where
        )
        assert "Received Final Move Response (Success)" in moved
    wait_for(lambda: digests(DEMO) <= digests(received(workstation.folder)), "every byte of the demonstration is there")
