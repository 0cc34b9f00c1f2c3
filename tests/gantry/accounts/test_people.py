"""People: accounts, sessions, registration, passwords by mail; what nobody is told."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.utils import timezone
from tests.conftest import unused_port
from tests.gantry.accounts.mailbox import deliver
from tests.gantry.accounts.people import PASSWORD, bearer, person, token

from gantry import config
from gantry.accounts import mail, mail_orders, people
from gantry.accounts.errors import Conflict, Invalid
from gantry.accounts.models import MailLink, Membership, Registration, Session, User
from gantry.audit.record import SYSTEM

pytestmark = pytest.mark.django_db
NEW = "quite another passphrase 7"
WISH = {"username": "jane", "email": "jane@example.org", "first_name": "Jane", "last_name": "Doe"}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home for mails; people may register."""
    settings(monkeypatch, home=tmp_path, self_registration=True, public_url="https://gantry.example.org/")
    return tmp_path


def settings(monkeypatch: pytest.MonkeyPatch, **changes: Any) -> None:
    monkeypatch.setattr(config, "_current", config.current().model_copy(update=changes))


def post(client: Client, path: str, body: Any) -> Any:
    return client.post(f"/api/v1/{path}", body, content_type="application/json")


def sign_in(username: str, password: str = PASSWORD) -> Client:
    client = Client()
    assert post(client, "session", {"username": username, "password": password}).status_code == 201
    return client


def acts(*names: str) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT act FROM audit_entry WHERE act = ANY(%s) ORDER BY id DESC LIMIT 20", [list(names)])
        return [row[0] for row in cursor.fetchall()]


# Accounts


def test_add_change_lock_unlock() -> None:
    admin = bearer("administrator")
    post(admin, "institutes", {"name": "Radiology"})
    body = {"username": "Jane", "role": "none", "memberships": {"radiology": "clinician"}, "invite": False}
    made = post(admin, "users", body)
    assert made.status_code == 201
    assert made.json()["memberships"] == [{"name": "Radiology", "role": "clinician"}]
    assert post(admin, "users", body | {"username": "jANE"}).status_code == 409
    secret = token(
        "viewer",
    )
    User.objects.filter(username="viewer").update(username="vera")
    vera = Client(headers={"authorization": f"Bearer {secret}"})
    assert vera.get("/api/v1/studies").status_code == 200
    change = {"active": False, "reason": "left"}
    assert admin.patch("/api/v1/users/vera", change, content_type="application/json").json()["locked_reason"] == "left"
    assert vera.get("/api/v1/studies").status_code == 401
    assert admin.patch("/api/v1/users/vera", {"active": True}, content_type="application/json").json()["is_active"]
    assert vera.get("/api/v1/studies").status_code == 200
    assert acts("user.add", "user.lock", "user.unlock")[:2] == ["user.unlock", "user.lock"]


def test_the_last_administrator_stays() -> None:
    person("administrator", username="a")
    for act in (lambda: people.lock("a", SYSTEM), lambda: people.change("a", SYSTEM, role="viewer")):
        with pytest.raises(Conflict):
            act()
    person("administrator", username="b")
    people.change("a", SYSTEM, role="viewer")
    assert not User.objects.get(username="a").is_staff


def test_an_address_is_one_persons_in_the_database() -> None:
    person(username="a", email="A@example.org")
    with pytest.raises(Conflict):
        people.add(people.Person("b", "a@EXAMPLE.org"), SYSTEM)
    with pytest.raises(IntegrityError), transaction.atomic():
        person(username="c", email="a@example.org")
    person(username="d", email="")
    person(username="e", email="")


@pytest.mark.parametrize("wrong", [{"username": "a b"}, {"username": ""}, {"email": "x"}, {"role": "emperor"}])
def test_wrong_values(wrong: dict[str, str]) -> None:
    with pytest.raises(Invalid):
        people.add(people.Person(**{"username": "a", **wrong}), SYSTEM)


# Sessions


def test_own_sessions_are_listed_and_ended() -> None:
    person("viewer")
    here, there, elsewhere = sign_in("viewer"), sign_in("viewer"), sign_in("viewer")
    rows = here.get("/api/v1/sessions").json()["items"]
    assert len(rows) == 3
    assert [row["current"] for row in rows].count(True) == 1
    assert {row["address"] for row in rows} == {"127.0.0.1"}
    keys = set(Session.objects.values_list("session_key", flat=True))
    assert not keys & {row["id"] for row in rows}, "the key opens the session, so it is not shown"
    other = next(row["id"] for row in there.get("/api/v1/sessions").json()["items"] if row["current"])
    assert here.delete(f"/api/v1/sessions/{other}").json() == {"ended": 1}
    assert there.get("/api/v1/session").status_code == 401
    assert here.delete(f"/api/v1/sessions/{other}").status_code == 404
    assert here.delete("/api/v1/sessions").json() == {"ended": 1}
    assert elsewhere.get("/api/v1/session").status_code == 401
    assert here.get("/api/v1/session").status_code == 200


def test_sessions_of_others_are_for_administrators() -> None:
    person("viewer")
    theirs = sign_in("viewer")
    admin = bearer("administrator")
    assert len(admin.get("/api/v1/users/viewer/sessions").json()["items"]) == 1
    assert theirs.delete("/api/v1/users/viewer/sessions").status_code == 403
    assert admin.delete("/api/v1/users/viewer/sessions").json() == {"ended": 1}
    assert theirs.get("/api/v1/session").status_code == 401


def test_what_there_is_to_be_allowed_and_who_is_signed_in() -> None:
    administrator = bearer("administrator")
    actions = {one["name"]: one for one in administrator.get("/api/v1/actions").json()["items"]}
    assert actions["studies.download"]["roles"] == ["administrator", "operator", "clinician"]
    assert all(one["meaning"] for one in actions.values())
    person("viewer")
    browser = Client()
    browser.post("/api/v1/session", {"username": "viewer", "password": PASSWORD}, content_type="application/json")
    (row,) = administrator.get("/api/v1/users/sessions/all").json()["items"]
    assert (row["username"], row["address"]) == ("viewer", "127.0.0.1")
    assert bearer("operator").get("/api/v1/users/sessions/all").status_code == 403


def test_a_new_password_ends_the_other_sessions() -> None:
    person("viewer")
    here, there = sign_in("viewer"), sign_in("viewer")
    body = {"old": PASSWORD, "new": NEW}
    assert here.put("/api/v1/session/password", body, content_type="application/json").status_code == 200
    assert there.get("/api/v1/session").status_code == 401
    assert here.get("/api/v1/session").status_code == 200
    assert Session.objects.count() == 1
    assert acts("user.password")


def test_signing_in_is_in_the_audit_without_what_was_typed() -> None:
    person("viewer")
    sign_in("viewer")
    assert post(Client(), "session", {"username": "my secret password", "password": "x"}).status_code == 401
    assert post(Client(), "session", {"username": "viewer", "password": "x"}).status_code == 401
    assert acts("session.begin", "session.refuse")[:3] == ["session.refuse", "session.refuse", "session.begin"]
    with connection.cursor() as cursor:
        cursor.execute("SELECT who FROM audit_entry WHERE act = 'session.refuse' ORDER BY id DESC LIMIT 2")
        assert [row[0] for row in cursor.fetchall()] == ["viewer", "somebody"]


# Registration


def test_from_the_wish_to_the_first_sign_in(home: Path) -> None:
    person("administrator", email="admin@example.org")
    anyone, admin = Client(), bearer("administrator")
    post(admin, "institutes", {"name": "Radiology"})
    assert post(anyone, "account/register", WISH).status_code == 202
    (letter,) = deliver(home)
    assert letter.to == "jane@example.org"
    assert "https://gantry.example.org/account/confirm/#" in letter.text
    assert post(anyone, "account/confirm", {"link": letter.link}).status_code == 202
    assert post(anyone, "account/confirm", {"link": letter.link}).status_code == 422, "it works once"
    (told,) = deliver(home)
    assert told.to == "admin@example.org"
    (row,) = admin.get("/api/v1/registrations").json()["items"]
    assert not User.objects.filter(username="jane").exists()
    approval = {"memberships": {"Radiology": "clinician"}}
    assert post(admin, f"registrations/{row['id']}/approve", approval).status_code == 201
    assert post(admin, f"registrations/{row['id']}/approve", approval).status_code == 409
    (invitation,) = deliver(home)
    weak = post(anyone, "account/password", {"link": invitation.link, "password": "short"})
    assert weak.json()["error"]["code"] == "password_refused"
    assert post(anyone, "account/password", {"link": invitation.link, "password": NEW}).status_code == 204
    assert post(anyone, "account/password", {"link": invitation.link, "password": PASSWORD}).status_code == 422
    session = sign_in("jane", NEW).get("/api/v1/session").json()
    assert (session["role"], session["institute"]) == ("none", "Radiology")
    assert Membership.objects.get().role == "clinician"


def test_nothing_of_a_link_is_in_the_database(home: Path) -> None:
    post(Client(), "account/register", WISH)
    (letter,) = deliver(home)
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM accounts_maillink WHERE encode(digest, 'escape') LIKE %s", [f"%{letter.link}%"])
        assert cursor.fetchone() == (0,)
        cursor.execute(
            "SELECT count(*) FROM procrastinate_jobs WHERE args::text LIKE %s OR args::text LIKE '%%@%%'", [f"%{letter.link}%"]
        )
        assert cursor.fetchone() == (0,)


def test_a_link_ends(home: Path) -> None:
    post(Client(), "account/register", WISH)
    (letter,) = deliver(home)
    row = MailLink.objects.get()
    assert timedelta(days=13) < row.expires_at - timezone.now() <= timedelta(days=14)
    MailLink.objects.update(expires_at=timezone.now())
    assert post(Client(), "account/confirm", {"link": letter.link}).status_code == 422


def test_who_has_an_account_gets_the_same_answer_and_another_mail(home: Path) -> None:
    person("viewer", email="jane@example.org")
    answers = [post(Client(), "account/register", WISH | {"email": address}) for address in ("jane@example.org", "x@example.org")]
    assert answers[0].status_code == answers[1].status_code == 202
    assert answers[0].content == answers[1].content
    first, second = deliver(home)
    assert "You have one already: viewer" in first.text
    assert "#" in second.text
    assert Registration.objects.count() == 1


def test_refused(home: Path) -> None:
    admin = bearer("administrator")
    post(Client(), "account/register", WISH)
    (letter,) = deliver(home)
    post(Client(), "account/confirm", {"link": letter.link})
    deliver(home)
    row = Registration.objects.get()
    assert post(admin, f"registrations/{row.pk}/refuse", {"reason": "unknown here"}).json()["state"] == "refused"
    (told,) = deliver(home)
    assert "unknown here" not in told.text


def test_registering_is_off_unless_it_is_switched_on(monkeypatch: pytest.MonkeyPatch) -> None:
    assert post(Client(), "account/register", WISH).status_code == 403


# Forgotten passwords


def test_a_way_to_a_new_password(home: Path) -> None:
    person("viewer", email="Vera@example.org")
    session = sign_in("viewer")
    assert post(Client(), "account/forgotten", {"email": "vera@EXAMPLE.org"}).status_code == 202
    (letter,) = deliver(home)
    assert post(Client(), "account/confirm", {"link": letter.link}).status_code == 422, "it is for a password"
    assert post(Client(), "account/password", {"link": letter.link, "password": NEW}).status_code == 204
    assert session.get("/api/v1/session").status_code == 401
    sign_in("viewer", NEW)


def test_a_second_link_ends_the_first(home: Path) -> None:
    person("viewer", email="vera@example.org")
    letters = []
    for _ in range(2):
        post(Client(), "account/forgotten", {"email": "vera@example.org"})
        letters += deliver(home)
    assert post(Client(), "account/password", {"link": letters[0].link, "password": NEW}).status_code == 422
    assert post(Client(), "account/password", {"link": letters[1].link, "password": NEW}).status_code == 204


def test_nobody_is_told_whether_an_address_has_an_account(home: Path) -> None:
    person("viewer", email="vera@example.org")
    known = post(Client(), "account/forgotten", {"email": "vera@example.org"})
    unknown = post(Client(), "account/forgotten", {"email": "nobody@example.org"})
    assert (known.status_code, known.content) == (unknown.status_code, unknown.content)
    assert len(deliver(home)) == 1


@pytest.mark.parametrize("route", ["account/forgotten", "account/register"])
def test_mails_are_limited_per_address(route: str, home: Path) -> None:
    for _ in range(3):
        assert post(Client(), route, WISH if route.endswith("register") else {"email": "x@example.org"}).status_code == 202
    for address in ("jane@example.org", "JANE@example.org") if route.endswith("register") else ("x@example.org", "X@example.org"):
        answer = post(Client(), route, WISH | {"email": address} if route.endswith("register") else {"email": address})
        assert answer.status_code == 429
        assert int(answer["Retry-After"]) > 3000


def test_links_are_not_guessed_without_end(home: Path) -> None:
    answers = [post(Client(), "account/confirm", {"link": f"x{n}"}).status_code for n in range(31)]
    assert answers == [422] * 30 + [429]


@pytest.mark.parametrize("page", ["confirm", "password", "forgotten", "register"])
def test_pages_say_nothing_of_the_link_to_anybody(page: str) -> None:
    answer = Client().get(f"/account/{page}/")
    assert answer.status_code == 200
    assert answer["Referrer-Policy"] == "no-referrer"
    assert b"account.js" in answer.content
    assert Client().post(f"/account/{page}/").status_code in {403, 405}


# Mail


class Box:
    """What a mail server received."""

    def __init__(self) -> None:
        self.mails: list[Any] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.mails.append(envelope)
        return "250 OK"


def test_by_a_mail_server(monkeypatch: pytest.MonkeyPatch) -> None:
    box = Box()
    controller = Controller(box, hostname="127.0.0.1", port=unused_port())
    controller.start()
    try:
        settings(monkeypatch, mail_smtp=f"127.0.0.1:{controller.port}", mail_tls="none", mail_from="gantry@example.org")
        mail.send(["jane@example.org"], "Grüße", "Hallo\n")
    finally:
        controller.stop()
    (envelope,) = box.mails
    assert (envelope.mail_from, envelope.rcpt_tos) == ("gantry@example.org", ["jane@example.org"])


def test_a_server_that_is_away_is_tried_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    person("viewer", email="vera@example.org")
    settings(monkeypatch, mail_smtp="127.0.0.1:1", mail_tls="none", home=tmp_path)
    row = mail_orders.order("password", "vera@example.org")
    with pytest.raises(mail.MailFailed, match=r"127\.0\.0\.1:1"):
        mail_orders.carry_out(row.pk)
    row.refresh_from_db()
    assert (row.attempts, row.done_at) == (1, None)
    settings(monkeypatch, mail_smtp="")
    assert mail_orders.carry_out(row.pk)
    assert mail_orders.carry_out(row.pk) == "", "it is sent once"


def test_the_password_of_the_mail_server_by_reference(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings(monkeypatch, mail_smtp="127.0.0.1:1", mail_tls="none", mail_user="u", mail_password="env:NO_SUCH")
    with pytest.raises(config.ConfigError, match="mail_password"):
        config.load(tmp_path, {"mail_password": "hunter2"}, {})


def test_a_subject_with_a_line_break_is_no_header(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    with pytest.raises(mail.MailFailed):
        mail.send(["jane@example.org"], "a\nBcc: x@example.org", "b")
