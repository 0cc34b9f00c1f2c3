"""The fixtures themselves."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.gantry_process import GantryProcess
from tests.support.part10_files import dataset_of

from gantry import database


@pytest.mark.django_db(transaction=True)
def test_django_and_our_own_connections_share_one_test_database() -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT current_database()")
        (name,) = cursor.fetchone()
    with database.connect() as own:
        row = own.execute("SELECT current_database()").fetchone()
    assert row == (name,)
    assert name.startswith("test_")


@pytest.mark.django_db(transaction=True)
def test_the_tables_and_the_queue_are_there() -> None:
    with database.connect() as connection:
        names = {row[0] for row in connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")}
    assert {"catalogue_version", "transfers_delivery", "procrastinate_jobs", "accounts_user"} <= names


def test_generated_files_are_valid_for_another_implementation(make_ct: Callable[..., list[Path]]) -> None:
    pydicom = pytest.importorskip("pydicom")
    paths = make_ct(3, patient_name="Müller^Jürgen", modality="MR")
    read = [pydicom.dcmread(path) for path in paths]
    assert [int(dataset.InstanceNumber) for dataset in read] == [1, 2, 3]
    assert {str(dataset.PatientName) for dataset in read} == {"Müller^Jürgen"}
    assert len({dataset.SOPInstanceUID for dataset in read}) == 3
    assert len(read[0].PixelData) == 16 * 16 * 2
    assert dataset_of(paths[0]).startswith(b"\x08\x00\x05\x00CS")


def test_real_files_are_at_hand(part10_files: list[Path]) -> None:
    assert len(part10_files) > 30


@pytest.mark.django_db(transaction=True)
def test_after_a_test_all_rows_are_gone_but_what_django_has_made() -> None:
    from django.contrib.contenttypes.models import ContentType
    from tests.gantry.accounts.people import person
    from tests.support.flush import empty_tables

    from gantry.accounts.models import User

    person("viewer")
    kinds = ContentType.objects.count()
    empty_tables()
    assert (User.objects.count(), ContentType.objects.count()) == (0, kinds)
    assert kinds > 20


def test_commands_are_processes_of_their_own(tmp_path: Path) -> None:
    gantry = GantryProcess(tmp_path / "none", 1, 2, {"aet": "FIRST"})
    assert json.loads(gantry.cli("config", "show", "--json").stdout)["aet"] == "FIRST"
    assert json.loads(GantryProcess(tmp_path / "none", 1, 2).cli("config", "show", "--json").stdout)["aet"] == "GANTRY"
    wrong = gantry.cli("frobnicate", check=False)
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "frobnicate" in wrong.stderr
    with pytest.raises(subprocess.TimeoutExpired):
        gantry.cli("version", timeout=0.001)
