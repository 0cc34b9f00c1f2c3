"""The administration pages: the index and the ledger to look at, people to look after.

Rows of the index, nodes, rules and deliveries are read only here: verbs change them, and verbs have their
checks. Signing in has the same lock-out as the API; whoever must change the password sees nothing else first.
"""

from __future__ import annotations

from typing import Any

from django.contrib.admin import AdminSite
from django.contrib.admin.forms import AdminPasswordChangeForm
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.models import AnonymousUser
from django.contrib.auth.views import PasswordChangeView
from django.core.exceptions import ValidationError
from django.forms import CharField, TextInput
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import reverse

from gantry import config
from gantry.accounts import second_factor, sign_in
from gantry.accounts.errors import RequestRefused
from gantry.accounts.models import User
from gantry.accounts.route import View, view_anyone
from gantry.main import openid

#: Where somebody may be who has to change the password first.
_BEFORE_CHANGE = frozenset({"login", "logout", "password_change", "password_change_done", "jsi18n"})


class SignInForm(AuthenticationForm):
    """Name, password and code, through the room accounts: the same lock-out for pages and API."""

    code = CharField(
        label="Code (if you have a second factor)", required=False, max_length=32,
        widget=TextInput(attrs={"autocomplete": "one-time-code"}),
    )  # fmt: skip

    def clean(self) -> dict[str, Any]:
        """Verify. The message is the same whatever was wrong."""
        name, password = self.cleaned_data.get("username"), self.cleaned_data.get("password")
        if self.request is not None and name is not None and password:
            try:
                user = sign_in.verify(self.request, name, password)
                second_factor.require(self.request, user, self.cleaned_data.get("code") or "")
                self.user_cache = user
            except RequestRefused as error:
                raise ValidationError(f"{error.message} {error.advice}", code=error.code) from error
        return self.cleaned_data


class OwnPasswordForm(AdminPasswordChangeForm):
    """The own password; with it the duty to change it ends."""

    def save(self, commit: bool = True) -> Any:
        """Keep the new password."""
        self.user.must_change_password = False
        return super().save(commit)

    def clean(self) -> dict[str, Any]:
        """The new password must be another one."""
        cleaned = super().clean() or {}
        new = cleaned.get("new_password1")
        if new and self.user.check_password(new):
            self.add_error("new_password1", "The new password is the old one.")
        return cleaned


class GantrySite(AdminSite):
    """Django's administration pages with our name, our sign-in and our answer to "may they?"."""

    site_header = "Gantry"
    site_title = "Gantry"
    index_title = "Overview"
    site_url = "/"
    enable_nav_sidebar = True
    login_form = SignInForm
    login_template = "gantry/sign_in.html"
    empty_value_display = "-"

    def has_permission(self, request: HttpRequest) -> bool:
        """Superusers, who are administrators; asked for each row, so without a query.

        The duty to change the password is looked at in `admin_view`.
        """
        user: User | AnonymousUser = request.user
        return isinstance(user, User) and user.is_superuser and user.is_active

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:
        """The page, or first the page for a new password."""
        inner = super().admin_view(view, cacheable)

        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            must = getattr(request.user, "must_change_password", False)
            name = request.resolver_match.url_name if request.resolver_match else ""
            if must and name not in _BEFORE_CHANGE and self.has_permission(request):
                return HttpResponseRedirect(reverse("admin:password_change"))
            return inner(request, *args, **kwargs)  # type: ignore[no-any-return]  # a view's answer

        guarded.admin_site = self  # type: ignore[attr-defined]  # read by main.permissions_check
        guarded.csrf_exempt = getattr(inner, "csrf_exempt", False)  # type: ignore[attr-defined]  # as inner says
        return guarded

    def login(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """The sign-in page, for everyone with an account; only superusers get further than the API's documentation."""
        more = {"self_registration": config.current().self_registration, "providers": openid.offered(), **(extra_context or {})}
        answer = super().login(request, more)
        if request.user.is_authenticated and request.method == "POST":
            sign_in.mark_session(request)
        return answer

    def password_change(self, request: HttpRequest, extra_context: Any = None) -> Any:
        """The page for a new password."""
        request.current_app = self.name
        view = PasswordChangeView.as_view(
            form_class=OwnPasswordForm, template_name="registration/password_change_form.html",
            success_url=reverse("admin:password_change_done"),
            extra_context={**self.each_context(request), **(extra_context or {})},
        )  # fmt: skip
        return view(request)

    def get_urls(self) -> list[Any]:
        """Django's addresses; the sign-in page is declared public."""
        patterns = super().get_urls()
        declare: Any = view_anyone("Signing in is how one becomes somebody")
        for pattern in patterns:
            if getattr(pattern, "name", "") == "login":
                pattern.callback = declare(_plain(self.login))
        return patterns


def _plain(method: Any) -> View:
    """A bound method cannot carry a declaration; a function can."""

    def view(request: HttpRequest) -> HttpResponseBase:
        return method(request)  # type: ignore[no-any-return]  # a view's answer

    return view


site = GantrySite(name="admin")
