"""No patient data in any log line, path, fact or queue argument: marked patients go all ways, then everything is searched."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from tests.support.gantry_process import GantryProcess
from tests.support.part10_files import CT_IMAGE_STORAGE, ROOT, ct_dataset, element, part10

#: In every value that says who a patient is. No part of it may come out in a log, upper or lower case.
MARK = "Zqxjkv"
STUDY = f"{ROOT}.77"


def write(folder: Path, number: int, *, study: str = STUDY, name: str = "Name", extra: bytes = b"", cut: int = 0) -> Path:
    """A CT whose every identifying value holds the mark."""
    series = f"{study}.1"
    content = ct_dataset(
        number=number, study=study, series=series, patient_id=f"{MARK}-ID", patient_name=f"{MARK}{name}^{MARK}Given"
    )  # fmt: skip
    content = content.replace(b"ACC-1 ", f"{MARK[:6]}".encode()).replace(b"Test study", f"{MARK}Desc".encode())
    if cut:
        content = content[:-cut]
    path = folder / f"{study}.{number}.{name}.dcm"
    path.write_bytes(part10(content + extra, sop_class=CT_IMAGE_STORAGE, instance=f"{series}.{number}"))
    return path


def ask(gantry: GantryProcess, token: str, path: str, body: object = None, method: str = "GET") -> int:
    content = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{gantry.base_url}{path}", content, method=method)
    request.add_header("Authorization", f"Bearer {token}")
    request.add_header("Content-Type", "application/json")
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            answer.read()
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            print(path.partition("?")[0], error.read()[:300])
        return error.code


def look_into_the_database(gantry: GantryProcess) -> None:
    """The patient is in the catalogue, and in no fact, job or message of the server."""
    from gantry.main import home as homes
    from gantry.main import postgres

    def one(connection: psycopg.Connection, query: str, *values: str) -> int:
        row = connection.execute(query, values).fetchone()  # type: ignore[arg-type]  # texts of this file
        assert row is not None
        return int(row[0])

    url = postgres.url(homes.open_home(gantry.home, create=False))
    with psycopg.connect(url, autocommit=True) as connection:
        gantry.until(lambda: one(connection, "SELECT count(*) FROM nodes_node WHERE failure_count > 0"))
        assert one(connection, "SELECT count(*) FROM catalogue_patient WHERE patient_id LIKE %s", f"{MARK}%") > 0
        for table in ("facts_fact", "procrastinate_jobs", "procrastinate_events"):
            assert one(connection, f"SELECT count(*) FROM {table} AS row WHERE row::text ILIKE %s", f"%{MARK}%") == 0, table
        connection.execute("CREATE TEMP TABLE t (a text CHECK (a = ''))")
        with pytest.raises(psycopg.errors.CheckViolation):  # the server's own message, which quotes the row
            connection.execute("INSERT INTO t VALUES (%s)", [f"{MARK}Name"])


@pytest.mark.timeout(180)
def test_nothing_of_a_patient_leaves_the_database_and_the_objects(
    gantry_process: Callable[..., GantryProcess], tmp_path: Path
) -> None:
    gantry = gantry_process(settle_quiet_seconds=0.3, log_level="DEBUG", receivers=1, retry_first_seconds=0.2)
    gantry.start()
    files = tmp_path / "files"
    files.mkdir()
    good = [write(files, number) for number in range(3)]
    address = f"GANTRY@127.0.0.1:{gantry.dicom_port}"
    out: list[str] = []

    def cli(*words: str) -> None:
        done = gantry.cli(*words, check=False)
        out.append(done.stderr)

    token = gantry.json("token", "create")["token"]

    def tell(path: str, body: object) -> int:
        return ask(gantry, token, f"/api/v1/{path}", body, "POST")

    # Nodes that are there and not; rules that look at the patient, some of them broken.
    assert tell("nodes", {"name": "self", "address": address}) == 201
    assert tell("nodes", {"name": "nobody", "address": "NOBODY@127.0.0.1:1"}) == 201
    assert tell("rules", {"name": "by-patient", "conditions": [f"PatientID={MARK}-ID"], "destinations": ["nobody"]}) == 201
    tell("rules", {"name": "by-regex", "conditions": [f"PatientName~({MARK}+)+$"], "destinations": ["nobody"]})
    tell("rules", {"name": "no-regex", "conditions": [f"PatientID~[{MARK}"], "destinations": ["nobody"]})
    # Received, received again with another name (a conflict), cut short, and nonsense in identifying elements.
    broken = element(0x0010, 0x0010, "PN", MARK.encode() * 40) + element(0x0010, 0x0030, "DA", MARK.encode())
    cli(
        "send", *map(str, good), str(write(files, 0, name="Other")), str(write(files, 1, study=f"{STUDY}.8", cut=300)),
        str(write(files, 3, study=f"{STUDY}.10", extra=broken)), "--to", address,
    )  # fmt: skip
    cli("import", str(write(files, 2, study=f"{STUDY}.9", cut=301)), str(good[0]))
    # Asked for, in each way, right and wrong.
    tell("nodes/self/find", {"level": "study", "keys": {"PatientName": f"{MARK}*"}})
    tell("nodes/self/find", {"level": "study", "keys": {"PatientID": f"{MARK}-ID"}})
    tell("nodes/nobody/find", {"level": "study", "keys": {"PatientName": f"{MARK}*"}})
    tell("nodes/self/fetch", {"uids": [STUDY]})
    quoted = urllib.parse.quote(f"{MARK}-ID")
    for path in (
        f"/api/v1/studies?q={quoted}", f"/api/v1/studies?patient_id={quoted}&limit=x", f"/api/v1/audit?patient_id={quoted}",
        f"/api/v1/{quoted}?x={quoted}", f"/api/v1/nodes/{quoted}", f"/{quoted}", f"/api/v1/changes?kinds={quoted}",
    ):  # fmt: skip
        ask(gantry, token, path)
    look_into_the_database(gantry)
    gantry.stop()
    assert gantry.leaks(MARK) == []
    assert (gantry.home / "logs" / "postgres.log").stat().st_size > 0
    assert [line for text in out for line in text.splitlines() if MARK.lower() in line.lower() and "files" not in line] == []
