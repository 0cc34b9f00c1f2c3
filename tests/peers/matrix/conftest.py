"""The shared Gantry and its peers; what became of each cell, if MATRIX_RESULTS names a file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gantry.config import Config
from tests.conftest import unused_port
from tests.peers.matrix import results
from tests.peers.matrix.certificates import make_certificates
from tests.peers.matrix.world import STUDY, STUDY_PATIENT, STUDY_SIZE, World, program
from tests.support.gantry_process import GantryProcess
from tests.support.part10_files import write_series


@pytest.fixture(scope="package")
def world(tmp_path_factory: pytest.TempPathFactory, furnish: Callable[[Path], None]) -> Iterator[World]:
    """One Gantry that lets everybody in, with a plain and a TLS port, and STUDY in it."""
    folder = tmp_path_factory.mktemp("matrix")
    program("openssl")
    certificates = make_certificates(folder / "certificates")
    tls_port = unused_port()
    settings = {"settle_quiet_seconds": "0.5", "receivers": "1", "unknown_callers": "allow"}
    settings |= {
        "dicom_tls_address": f"127.0.0.1:{tls_port}", "dicom_tls_certificate": str(certificates.gantry.certificate),
        "dicom_tls_key": str(certificates.gantry.key), "dicom_tls_authorities": str(certificates.authority),
        "dicom_tls_clients": "required",
    }  # fmt: skip
    settings = {key: value for key, value in settings.items() if key in Config.model_fields}
    gantry = GantryProcess(folder / "home", unused_port(), unused_port(), settings, furnish=furnish)
    held = write_series(folder / "held", STUDY_SIZE, study=STUDY, series=f"{STUDY}.1", patient_id=STUDY_PATIENT)
    own = World(gantry, tls_port, certificates, folder, held)
    try:
        gantry.start()
        own.put_held()
        yield own
    finally:
        own.stop()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):  # type: ignore[no-untyped-def]
    report = yield
    if "cell" in getattr(item, "fixturenames", ()) and (report.when == "call" or report.skipped):
        results.note(item.callspec.params["cell"], report.outcome)  # type: ignore[attr-defined]
    return report


def pytest_sessionfinish() -> None:
    if path := os.environ.get("MATRIX_RESULTS", ""):
        results.write(Path(path))
