"""Signing in: the first time, again in the middle of a form, with a second factor; sessions, tokens, asking for an account."""

from __future__ import annotations

import base64
import email
import hashlib
import hmac
import json
import re
import struct
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from email.policy import default
from typing import Any

from tests.support.gantry_process import GantryProcess
from tests.web.stage import PASSWORD, Stage


def _sign_in(page: Any, name: str, password: str) -> None:
    page.get_by_label("User name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in", exact=True).click()


def _totp(secret: str, at: float) -> str:
    """RFC 6238 with the usual 30 seconds, SHA-1, six digits."""
    key = base64.b32decode(secret + "=" * (-len(secret) % 8))
    digest = hmac.new(key, struct.pack(">Q", int(at // 30)), hashlib.sha1).digest()
    start = digest[-1] & 15
    return f"{(struct.unpack('>I', digest[start : start + 4])[0] & 0x7FFFFFFF) % 10**6:06d}"


def _person(gantry: GantryProcess, name: str, role: str = "operator") -> str:
    return str(gantry.json("user", "add", name, "--role", role)["password"])


def test_the_first_sign_in_asks_for_a_password_of_ones_own(page_as: Callable[..., Any], gantry: GantryProcess) -> None:
    given = _person(gantry, "newcomer", "administrator")
    page = page_as("")
    page.goto("/people")
    page.wait_for_url("**/sign-in?next=/people")
    _sign_in(page, "newcomer", "wrong password")
    page.get_by_role("alert").wait_for()
    _sign_in(page, "newcomer", given)
    page.get_by_role("heading", name="Welcome, newcomer").wait_for()
    page.goto("/studies")
    page.get_by_role("heading", name="Welcome, newcomer").wait_for()
    page.get_by_label("The password that you were given").fill(given)
    page.get_by_label("New password").fill(PASSWORD)
    page.get_by_label("Once more").fill(PASSWORD + "x")
    assert page.get_by_role("button", name="Keep it and go on").is_disabled()
    page.get_by_label("Once more").fill(PASSWORD)
    page.get_by_role("button", name="Keep it and go on").click()
    page.get_by_role("link", name="Add a node").wait_for()
    page.get_by_role("link", name="To the dashboard").click()
    page.get_by_role("navigation").get_by_role("link", name="Studies").wait_for()


def test_a_link_cannot_lead_elsewhere_after_signing_in(page_as: Callable[..., Any], stage: Stage) -> None:
    page = page_as("")
    page.goto("/sign-in?next=//example.org/x")
    _sign_in(page, "viewer", PASSWORD)
    page.wait_for_url(f"{stage.url}/dashboard")


def test_a_session_that_ends_in_the_middle_of_a_form_loses_nothing(page_as: Callable[..., Any], gantry: GantryProcess) -> None:
    page = page_as("operator")
    page.goto("/profile")
    page.get_by_role("button", name="New token").click()
    form = page.get_by_role("dialog", name="New token")
    form.get_by_label("What it is for").fill("kept over the end of a session")
    page.context.clear_cookies()
    form.get_by_role("button", name="Make the token").click()
    again = page.get_by_role("dialog", name="Your session has ended")
    again.get_by_label("Password").fill(PASSWORD)
    again.get_by_role("button", name="Sign in", exact=True).click()
    page.get_by_text("The token, shown only now").first.wait_for()
    page.get_by_text("kept over the end of a session").first.wait_for()


def test_a_token_is_shown_once_works_and_ends_when_it_is_revoked(page_as: Callable[..., Any], gantry: GantryProcess) -> None:
    page = page_as("administrator")
    page.goto("/profile")
    page.get_by_role("button", name="New token").click()
    form = page.get_by_role("dialog", name="New token")
    form.get_by_label("What it is for").fill("<i>nightly</i> report")
    form.get_by_label("May at most").click()
    page.get_by_role("option", name="studies.view").click()
    page.keyboard.press("Escape")
    form.get_by_role("button", name="Make the token").click()
    page.get_by_text("The token, shown only now").first.wait_for()
    secret = page.get_by_text(re.compile(r"^gty_[\w-]{20,}$")).inner_text()
    assert _status(gantry, secret, "studies") == 200
    assert _status(gantry, secret, "users") == 403, "it may only what was chosen"
    page.reload()
    page.get_by_text("<i>nightly</i> report").first.wait_for()
    assert secret not in page.content()
    page.get_by_role("listitem").filter(has_text="nightly").get_by_role("button", name="Revoke").click()
    page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    page.get_by_role("listitem").filter(has_text="nightly").get_by_text("Revoked").wait_for()
    assert _status(gantry, secret, "studies") == 401


def _status(gantry: GantryProcess, token: str, path: str) -> int:
    request = urllib.request.Request(f"{gantry.base_url}/api/v1/{path}", headers={"Authorization": f"Bearer {token}"})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def test_a_second_factor_is_set_up_asked_for_and_given_up(page_as: Callable[..., Any], gantry: GantryProcess) -> None:
    given = _person(gantry, "careful", "viewer")
    page = page_as("")
    page.goto("/sign-in")
    _sign_in(page, "careful", given)
    page.get_by_label("New password").fill(PASSWORD)
    page.get_by_label("Once more").fill(PASSWORD)
    page.get_by_role("button", name="Keep it and go on").click()
    page.get_by_role("link", name="Set up a second factor").click()
    page.get_by_role("button", name="Set up a second factor").click()
    form = page.get_by_role("dialog")
    form.get_by_label("Password").fill(PASSWORD)
    form.get_by_role("button", name="Go on").click()
    form.get_by_role("img", name="QR code of the secret").wait_for()
    secret = form.get_by_text(re.compile(r"^[A-Z2-7]{16,}$")).inner_text()
    form.get_by_label("Code of the app").fill(_totp(secret, time.time()))
    form.get_by_role("button", name="Confirm").click()
    page.get_by_text("Recovery codes: shown only now").first.wait_for()
    recovery = page.locator("ul.font-mono li").first.inner_text().strip()
    page.get_by_role("button", name="Account of careful").click()
    page.get_by_role("menuitem", name="Sign out").click()
    page.wait_for_url(re.compile("/sign-in"))
    _sign_in(page, "careful", PASSWORD)
    page.get_by_label("Code of the second factor").fill(recovery)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.get_by_role("button", name="Account of careful").wait_for()


def test_sessions_are_listed_and_ended_from_another_one(page_as: Callable[..., Any], gantry: GantryProcess) -> None:
    given = _person(gantry, "twice", "viewer")
    first = page_as("")
    first.goto("/sign-in")
    _sign_in(first, "twice", given)
    first.get_by_label("New password").fill(PASSWORD)
    first.get_by_label("Once more").fill(PASSWORD)
    first.get_by_role("button", name="Keep it and go on").click()
    first.get_by_role("link", name="To the dashboard").wait_for()
    second = page_as("")
    second.goto("/sign-in")
    _sign_in(second, "twice", PASSWORD)
    second.get_by_role("button", name="Account of twice").wait_for()
    first.goto("/profile")
    first.get_by_role("button", name="End all others").click()
    first.get_by_text("One session has ended.").first.wait_for()
    second.goto("/profile")
    second.wait_for_url(re.compile("/sign-in"))


def test_somebody_asks_for_an_account_and_confirms_the_address(page_as: Callable[..., Any], gantry: GantryProcess) -> None:
    page = page_as("")
    page.goto("/sign-in")
    page.get_by_role("link", name="Ask for an account").click()
    for label, text in {
        "First name": "Wanda", "Last name": "<b>West</b>", "E-mail address": "wanda@example.org", "User name": "wanda",
        "What for": "night shifts",
    }.items():  # fmt: skip
        page.get_by_label(label).fill(text)
    page.get_by_role("button", name="Ask", exact=True).click()
    page.get_by_role("status").filter(has_text="a mail is on its way").wait_for()
    mails = gantry.home / "mail"
    gantry.until(lambda: mails.is_dir() and list(mails.glob("*.eml")), 60)
    text = "".join(email.message_from_bytes(mail.read_bytes(), policy=default).get_content() for mail in mails.glob("*.eml"))
    link = re.findall(r"/account/confirm/#\S+", text)[-1]
    page.goto(link)
    page.get_by_role("button", name="Confirm").click()
    page.get_by_text("Your address is confirmed.").first.wait_for()
    waiting = gantry.json("registration", "list")
    assert "wanda" in json.dumps(waiting)
