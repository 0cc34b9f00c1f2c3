"""The pages that mails lead to: confirm an address, choose a password, ask for an account or for a new password.

They hold a form and nothing else; a script sends it to the REST API as JSON. What a link opens stands behind #, which
no browser sends to any server, and opening the page does not use it up: programs that look into mails may.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path
from django.views.decorators.http import require_safe

from gantry.accounts.route import view_anyone

#: Page -> title, words, button, where it is sent, and its fields: name, label, type, autocomplete.
_NAME = ("username", "User name", "text", "username")
_MAIL = ("email", "E-mail address", "email", "email")
_PAGES: dict[str, tuple[str, str, str, str, tuple[tuple[str, str, str, str], ...]]] = {
    "confirm": (
        "Confirm your address", "An administrator then looks at your wish for an account.", "Confirm", "account/confirm", (),
    ),
    "password": (
        "Choose a password", "At least 12 characters. You sign in with it afterwards.", "Keep it", "account/password",
        (("password", "Password", "password", "new-password"),),
    ),
    "forgotten": (
        "A new password", "If somebody has this address, a mail with a link is sent to it.", "Send the mail",
        "account/forgotten", (_MAIL,),
    ),
    "register": (
        "Ask for an account", "A mail with a link is sent to your address; an administrator decides then.", "Ask",
        "account/register",
        (_NAME, ("first_name", "First name", "text", "given-name"), ("last_name", "Last name", "text", "family-name"), _MAIL,
         ("phone", "Phone (may be empty)", "tel", "tel"),
         ("department", "Department (may be empty)", "text", "organization")),
    ),
}  # fmt: skip


def _page(name: str) -> Any:
    title, words, button, action, fields = _PAGES[name]

    @view_anyone("Nobody is signed in who has no password yet")
    @require_safe
    def view(request: HttpRequest) -> HttpResponse:
        context = {
            "title": title, "words": words, "button": button, "action": f"/api/v1/{action}",
            "needs_link": name in {"confirm", "password"},
            "fields": [
                {"name": key, "label": label, "kind": kind, "autocomplete": complete, "required": "may be empty" not in label}
                for key, label, kind, complete in fields
            ],
        }  # fmt: skip
        answer = render(request, "gantry/account.html", context)
        answer["Cache-Control"] = "no-store"
        answer["Referrer-Policy"] = "no-referrer"
        answer["Content-Security-Policy"] = "default-src 'self'; frame-ancestors 'none'; form-action 'none'"
        return answer

    return view


urlpatterns = [path(f"{name}/", _page(name), name=f"account-{name}") for name in _PAGES]
