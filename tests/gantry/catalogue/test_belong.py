"""catalogue.belong: studies are sorted into institutes by how they came."""

from __future__ import annotations

import pytest
from tests.gantry.accounts import stored

from gantry.accounts import connection, institutes
from gantry.accounts.models import Belonging
from gantry.audit.record import SYSTEM
from gantry.catalogue.belong import belong_all, belong_batch
from gantry.catalogue.models import Study, Version

pytestmark = pytest.mark.django_db


def theirs(name: str) -> list[str]:
    rows = Belonging.objects.filter(institute__name=name).values("study_id")
    return sorted(Study.objects.filter(pk__in=rows).values_list("study_instance_uid", flat=True))


@pytest.mark.parametrize(
    ("kind", "pattern", "found"),
    [
        ("calling_aet", "ct_*", ["1.2.1"]), ("calling_aet", "CT?1", ["1.2.1"]), ("address", "192.0.2.*", ["1.2.1", "1.2.2"]),
        ("institution_name", "west*", ["1.2.2"]), ("called_aet", "GANTRY", ["1.2.1", "1.2.2"]), ("calling_aet", "%", []),
    ],
)  # fmt: skip
def test_by_kind(kind: str, pattern: str, found: list[str]) -> None:
    first, second = stored.study("1.2.1"), stored.study("1.2.2")
    Version.objects.filter(instance__series__study=first).update(calling_aet="CT_1")
    Study.objects.filter(pk=second.pk).update(institution_name="Westside")
    institutes.add("A", SYSTEM)
    institutes.add_source("A", kind, pattern, SYSTEM)
    assert belong_all(connection.of_request()) == (len(found), 0)
    assert theirs("A") == found
    Belonging.objects.all().delete()
    for batch in Version.objects.values_list("batch_id", flat=True):
        belong_batch(connection.of_request(), batch)
        belong_batch(connection.of_request(), batch)
    assert theirs("A") == found


def test_a_source_that_goes_takes_its_studies_along() -> None:
    row = stored.study("1.2.1")
    institutes.add("A", SYSTEM)
    source = institutes.add_source("A", "calling_aet", "MODALITY", SYSTEM)
    institutes.grant((row.pk, "1.2.1"), SYSTEM, institute=institutes.find("A"))
    belong_all(connection.of_request())
    assert theirs("A") == ["1.2.1"]
    institutes.remove_source("A", source.pk, SYSTEM)
    assert belong_all(connection.of_request()) == (0, 1)
    assert theirs("A") == []


def test_without_sources_a_batch_costs_one_query() -> None:
    batch = Version.objects.filter(instance__series__study=stored.study("1.2.1")).values_list("batch_id", flat=True)[0]
    assert belong_batch(connection.of_request(), batch) == 0


def test_what_pointed_at_a_study_that_is_gone_is_forgotten() -> None:
    institutes.add("A", SYSTEM)
    institutes.grant((10**12, "1.2.1"), SYSTEM, institute=institutes.find("A"))
    Belonging.objects.create(study_id=10**12, institute=institutes.find("A"))
    assert belong_all(connection.of_request()) == (0, 1)
    assert not institutes.find("A").grants.exists()
