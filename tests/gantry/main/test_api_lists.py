"""Lists: pages, filters, hostile data, and a number of queries that does not grow with the rows."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.test import Client
from django.utils import timezone
from tests.gantry.accounts import stored
from tests.gantry.accounts.people import PASSWORD, bearer, person

pytestmark = pytest.mark.django_db

HOSTILE = [
    "<script>alert(1)</script>",
    "'; DROP TABLE catalogue_study; --",
    "Robert\\'); --",
    "\u202eevil\u2028\x01\x1b[31m",
    "{{ 70007 * 70007 }} {% debug %}",
    '"><img src=x onerror=alert(1)>',
    "ÄÖÜ 漢字 \U0001f600" * 5,
]


def pages(client: Client, path: str) -> Iterator[list[dict[str, Any]]]:
    """All pages; `next` is followed as a URL."""
    while path:
        answer = client.get(path)
        assert answer.status_code == 200, answer.content
        content = answer.json()
        assert set(content) == {"items", "next"}
        yield content["items"]
        following = content["next"]
        assert following is None or following.startswith("http://testserver/api/v1/")
        path = following and following.removeprefix("http://testserver")


def quarantined(count: int) -> None:
    from gantry.intake.models import QuarantinedObject

    now = timezone.now()
    QuarantinedObject.objects.bulk_create(
        QuarantinedObject(
            id=uuid.uuid4(), reason="study_uid_missing", explanation="x", origin="dimse", sha256=bytes(32), file_path=f"quarantine/{n}.dcm",
            file_bytes=1, received_at=now, quarantined_at=now - timedelta(seconds=n // 3), state="held" if n % 2 else "accepted",
        )
        for n in range(count)
    )  # fmt: skip


def conflicts(study: Any, count: int) -> None:
    from gantry.catalogue.models import Conflict

    now = timezone.now()
    Conflict.objects.bulk_create(
        Conflict(kind="bytes", key=str(n), study=study, details={"n": n}, first_seen_at=now, last_seen_at=now)
        for n in range(count)
    )


class TestPages:
    @pytest.mark.parametrize("limit", [1000, 7])
    @pytest.mark.parametrize("noun", ["instances", "deliveries", "conflicts", "quarantine"])
    def test_nothing_twice_and_nothing_missing(self, noun: str, limit: int) -> None:
        count = 1234 if limit == 1000 else 20
        study = stored.study("1.2.3", instances=count if noun in {"instances", "deliveries"} else 1)
        if noun == "deliveries":
            stored.deliveries(study, stored.node())
        elif noun == "conflicts":
            conflicts(study, count)
        elif noun == "quarantine":
            quarantined(count)
        found = list(pages(bearer(), f"/api/v1/{noun}?limit={limit}"))
        assert [len(page) for page in found] == [limit] * (count // limit) + ([count % limit] if count % limit else [])
        keys = [json.dumps(item, sort_keys=True) for page in found for item in page]
        assert len(set(keys)) == count

    @pytest.mark.parametrize("noun", ["studies", "series", "nodes", "rules", "tokens"])
    def test_small_lists_too(self, noun: str) -> None:
        from gantry.routing import rules

        client = bearer()
        for n in range(5):
            stored.study(f"1.2.{n}")
            stored.node(f"n{n}")
            rules.add(f"r{n}", to=[f"n{n}"])
            if n < 4:
                client.post("/api/v1/tokens", {"name": f"t{n}"}, content_type="application/json")
        found = list(pages(client, f"/api/v1/{noun}?limit=2"))
        assert [len(page) for page in found] == [2, 2, 1]
        assert len({json.dumps(item) for page in found for item in page}) == 5

    def test_a_page_that_is_just_full_is_the_last(self) -> None:
        stored.study("1.2.3", instances=10)
        (page,) = pages(bearer(), "/api/v1/instances?limit=10")
        assert len(page) == 10

    def test_filters_stay_in_next(self) -> None:
        stored.study("1.2.3", instances=3)
        stored.study("1.2.4", instances=3)
        found = [item for page in pages(bearer(), "/api/v1/instances?study_instance_uid=1.2.3&limit=1") for item in page]
        assert {item["study_instance_uid"] for item in found} == {"1.2.3"}
        assert len(found) == 3

    def test_nobody_sees_the_tokens_of_others(self) -> None:
        bearer("viewer")
        (mine,) = bearer("operator").get("/api/v1/tokens").json()["items"]
        assert set(mine) == {
            "id", "name", "prefix", "actions", "nodes", "institutes", "created_at", "expires_at", "last_used_at", "last_address",
            "revoked_at",
        }  # fmt: skip


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", 2),
        ("patient_name=DOE*", 1),
        ("patient_name=D?e^Jane", 1),
        ("patient_id=P1.2.4", 1),
        ("accession_number=A*", 2),
        ("accession_number=%25", 0),
        ("modality=CT", 2),
        ("modality=MR", 0),
        ("study_date=2024-03-01", 2),
        ("study_date_from=2024-03-02", 0),
        ("study_date_to=2024-02-29", 0),
        ("study_date_from=2024-01-01&study_date_to=2024-12-31", 2),
        ("study_instance_uid=1.2.3", 1),
        ("study_instance_uid=../../etc/passwd", 0),
        ("q=doe", 1),
        ("q=1.2.4", 1),
        ("conflicts=true", 0),
        ("conflicts=false", 2),
        ("patient_name=&modality=&q=", 2),
        ("patient_name='%20OR%201=1%20--", 0),
    ],
)
def test_searching_studies(query: str, found: int) -> None:
    stored.study("1.2.3")
    stored.study("1.2.4", patient_name="Roe^Richard")
    items = bearer("clinician").get(f"/api/v1/studies?{query}").json()["items"]
    assert len(items) == found


def test_one_study_with_everything() -> None:
    study = stored.study("1.2.3", instances=2)
    conflicts(study, 1)
    content = bearer("clinician").get("/api/v1/studies/1.2.3").json()
    assert content["patient_name"] == "Doe^Jane"
    assert [series["series_instance_uid"] for series in content["series"]] == ["1.2.3.1"]
    assert [(one["kind"], one["study_instance_uid"], one["sop_instance_uid"]) for one in content["conflicts"]] == [
        ("bytes", "1.2.3", None)
    ]


def test_one_instance_with_its_versions() -> None:
    from gantry.catalogue.models import Instance, Version

    stored.study("1.2.3")
    first = Version.objects.get()
    Version.objects.update(current=False)
    now = timezone.now()
    Version.objects.create(
        instance=Instance.objects.get(), sha256=bytes(range(32)), dataset_offset=1, dataset_bytes=2, file_path="objects/x.dcm", file_bytes=3,
        transfer_syntax_uid="1.2.840.10008.1.2", origin="import", batch_id=uuid.uuid4(), received_at=now, indexed_at=now, header={"Modality": "CT"},
    )  # fmt: skip
    content = bearer("clinician").get("/api/v1/instances/1.2.3.1.1").json()
    assert content["sha256"] == bytes(range(32)).hex()
    assert content["file_bytes"] == 3
    assert content["header"] == {"Modality": "CT"}
    assert [version["current"] for version in content["versions"]] == [True, False]
    assert content["versions"][1]["sha256"] == bytes(first.sha256).hex()


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_come_out_as_data(name: str) -> None:
    from gantry.catalogue.models import Patient, Study

    stored.study("1.2.3", patient_name=name)
    client = bearer("clinician")
    answer = client.get("/api/v1/studies")
    assert answer["Content-Type"] == "application/json; charset=utf-8"
    assert answer.json()["items"][0]["patient_name"] == name
    assert client.get("/api/v1/studies/1.2.3").json()["patient_name"] == name
    assert len(client.get("/api/v1/studies", {"patient_name": name.replace("*", "?")}).json()["items"]) == 1
    browser = Client()
    browser.force_login(person("administrator"))
    for path in (
        "catalogue/study/",
        f"catalogue/study/{Study.objects.get().pk}/change/",
        f"catalogue/patient/{Patient.objects.get().pk}/change/",
    ):
        page = browser.get(f"/admin/{path}")
        assert page.status_code == 200
        text = page.content.decode()
        assert "<script>alert" not in text
        assert "<img src=x" not in text
        assert str(70007 * 70007) not in text
    assert Study.objects.count() == 1


def test_hostile_searches_in_the_administration_pages() -> None:
    stored.study("1.2.3")
    browser = Client()
    browser.force_login(person("administrator"))
    for text in [*HOSTILE, "\0", "%", "1.2.3"]:
        page = browser.get("/admin/catalogue/study/", {"q": text})
        assert page.status_code == 200, text
        assert "<script>alert" not in page.content.decode()


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The statements that go to the database, of the ORM and of named SQL alike."""
    seen: list[str] = []
    original = psycopg.Cursor.execute
    original_client = psycopg.ClientCursor.execute

    def note(real: Any) -> Any:
        def execute(self: Any, query: Any, *args: Any, **kwargs: Any) -> Any:
            seen.append(str(query))
            return real(self, query, *args, **kwargs)

        return execute

    with monkeypatch.context() as patch:
        patch.setattr(psycopg.Cursor, "execute", note(original))
        if original_client is not original:
            patch.setattr(psycopg.ClientCursor, "execute", note(original_client))
        yield seen


@pytest.mark.parametrize(
    "path",
    [
        "studies", "studies/1.2.0", "series", "instances", "deliveries", "conflicts", "quarantine", "nodes", "rules", "tokens",
        "studies/1.2.0/receipt", "instances/1.2.0.1.1",
    ],
)  # fmt: skip
def test_the_number_of_queries_does_not_grow(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from gantry.routing import rules

    client = bearer()
    made = 0

    def furnish(count: int) -> None:
        nonlocal made
        for n in range(made, made + count):
            study = stored.study(f"1.2.{n}", instances=3)
            from gantry.catalogue.models import Conflict

            now = timezone.now()
            Conflict.objects.create(kind="bytes", key=f"k{n}", study=study, details={}, first_seen_at=now, last_seen_at=now)
            stored.deliveries(study, stored.node(f"n{n}"))
            rules.add(f"r{n}", to=[f"n{n}"])
        made += count

    def queries() -> int:
        with counted(monkeypatch) as seen:
            assert client.get(f"/api/v1/{path}").status_code == 200
        assert seen
        return len(seen)

    furnish(1)
    client.get(f"/api/v1/{path}")
    few = queries()
    furnish(8)
    assert queries() == few <= 8


def test_the_administration_lists_do_not_grow_either(django_assert_max_num_queries: Any) -> None:
    node = stored.node()
    for n in range(8):
        stored.deliveries(stored.study(f"1.2.{n}", instances=3), node)
    browser = Client()
    browser.force_login(person("administrator"))
    for path in ("catalogue/study", "transfers/delivery", "catalogue/instance", "catalogue/version", "accounts/token"):
        with django_assert_max_num_queries(9):
            assert browser.get(f"/admin/{path}/").status_code == 200


class TestPagesForPeople:
    """What people see."""

    def test_every_administration_page_opens(self) -> None:
        from django.urls import reverse

        from gantry.main.admin_site import site

        study = stored.study("1.2.3")
        stored.deliveries(study, stored.node())
        conflicts(study, 1)
        quarantined(1)
        bearer("administrator")
        browser = Client()
        from gantry.accounts.models import User

        browser.force_login(User.objects.get())
        assert browser.get("/admin/").status_code == 200
        assert len(site._registry) >= 13
        for model in site._registry:
            name = f"{model._meta.app_label}_{model._meta.model_name}"
            assert browser.get(reverse(f"admin:{name}_changelist")).status_code == 200, name
            row = model._default_manager.first()
            if row is not None:
                page = browser.get(reverse(f"admin:{name}_change", args=[row.pk]))
                assert page.status_code == 200, name
                assert 'name="_save"' not in page.content.decode() or model is User
            assert browser.get(reverse(f"admin:{name}_add")).status_code == (200 if model is User else 403)

    def test_an_administrator_adds_a_person(self) -> None:
        browser = Client()
        browser.force_login(person("administrator"))
        form = {"username": "new", "password1": PASSWORD, "password2": PASSWORD, "usable_password": "true"}
        assert browser.post("/admin/accounts/user/add/", form).status_code == 302
        from gantry.accounts.models import User

        user = User.objects.get(username="new")
        assert (user.role, user.is_staff, user.is_superuser) == ("viewer", False, False)
        assert user.password.startswith("argon2$argon2id$")

    def test_tokens_are_revoked_there(self) -> None:
        from gantry.accounts.models import Token

        client = bearer("viewer")
        browser = Client()
        browser.force_login(person("administrator"))
        form = {"action": "revoke", "_selected_action": [Token.objects.get().pk]}
        assert browser.post("/admin/accounts/token/", form).status_code == 302
        assert client.get("/api/v1/studies").status_code == 401

    def test_signing_in_locks_there_too(self) -> None:
        person("administrator")
        browser = Client()
        for _ in range(5):
            page = browser.post("/admin/login/", {"username": "administrator", "password": "wrong"})
            assert b"do not fit" in page.content
        page = browser.post("/admin/login/", {"username": "administrator", "password": PASSWORD})
        assert b"locked" in page.content
        assert browser.get("/admin/").status_code == 302

    def test_the_first_password_must_be_changed(self) -> None:
        person("administrator", must_change_password=True)
        browser = Client()
        page = browser.post("/admin/login/?next=/admin/", {"username": "administrator", "password": PASSWORD})
        assert page.status_code == 302
        assert 0 < browser.session.get_expiry_age() <= 12 * 3600
        assert browser.get("/admin/catalogue/study/")["Location"] == "/admin/password_change/"
        same = {"old_password": PASSWORD, "new_password1": PASSWORD, "new_password2": PASSWORD}
        assert b"is the old one" in browser.post("/admin/password_change/", same).content
        new = {"old_password": PASSWORD, "new_password1": "quite another passphrase", "new_password2": "quite another passphrase"}
        assert browser.post("/admin/password_change/", new).status_code == 302
        assert browser.get("/admin/catalogue/study/").status_code == 200

    def test_the_landing_page(self) -> None:
        import gantry

        text = Client().get("/").content.decode()
        assert gantry.__version__ in text
        for address in ("/admin/", "/api/v1/docs", "/health/ready"):
            assert f'href="{address}"' in text
        assert "http://" not in text
        assert "https://" not in text
        assert "<script" not in text
        assert "style=" not in text
        assert 'name="viewport"' in text

    def test_the_documentation_needs_a_session_and_no_other_host(self) -> None:
        browser = Client()
        assert browser.get("/api/v1/docs")["Location"] == "/admin/login/?next=/api/v1/docs"
        browser.force_login(person("viewer"))
        page = browser.get("/api/v1/docs")
        assert page.status_code == 200
        text = page.content.decode()
        assert "/static/ninja/swagger-ui-bundle.js" in text
        assert "//cdn" not in text
        document = browser.get("/api/v1/openapi.json")
        assert document.json()["info"]["title"] == "Gantry"
        same = browser.get("/api/v1/openapi.json", headers={"If-None-Match": document["ETag"]})
        assert (same.status_code, same.content) == (304, b"")
        assert browser.post("/api/v1/docs").status_code == 405

    def test_a_viewer_signs_in_there_for_the_documentation(self) -> None:
        person("viewer")
        browser = Client()
        page = browser.post(
            "/admin/login/?next=/api/v1/docs", {"username": "viewer", "password": PASSWORD, "next": "/api/v1/docs"}
        )
        assert page["Location"] == "/api/v1/docs"
        assert browser.get("/api/v1/docs").status_code == 200
        assert browser.get("/admin/").status_code == 302
