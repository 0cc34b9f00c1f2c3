"""Who comes in by OpenID Connect: people who have an account, and nobody else.

The provider proves who somebody is; what they may is ours. Somebody who comes for the first time is known by their
verified e-mail address, later by the provider's own identifier of them (OpenID Connect Core 1.0, 2: `sub`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from django.db import transaction
from django.http import HttpRequest, HttpResponseRedirect
from django.shortcuts import render

from gantry import config, sealing
from gantry.accounts import sign_in, trail
from gantry.accounts.models import User
from gantry.audit.record import By
from gantry.main.openid import PROVIDER


class Adapter(DefaultSocialAccountAdapter):  # type: ignore[misc]  # allauth has no types
    """What allauth asks of us (SOCIALACCOUNT_ADAPTER)."""

    def list_apps(self, request: HttpRequest | None, provider: str | None = None, client_id: str | None = None) -> list[Any]:
        """The one provider of the settings, when there is one; nothing from the database."""
        from allauth.socialaccount.models import SocialApp

        settings = config.current()
        if not settings.openid_url or provider not in {None, PROVIDER, "openid_connect"}:
            return []
        secret = settings.openid_client_secret
        return [
            SocialApp(
                provider="openid_connect", provider_id=PROVIDER, name=settings.openid_name, client_id=settings.openid_client_id,
                secret=sealing.reveal(Path(settings.home), secret, "openid") if secret else "",
                settings={"server_url": settings.openid_url, "oauth_pkce_enabled": True},
            )
        ]  # fmt: skip

    def pre_social_login(self, request: HttpRequest, sociallogin: Any) -> None:
        """The provider has proved who it is: open a session for the account of theirs, or say that there is none."""
        user = sociallogin.user if sociallogin.is_existing else self._by_address(sociallogin)
        if not isinstance(user, User) or not user.is_active:
            by = By("somebody", "session", None, sign_in.address_of(request))
            trail.note("session.refuse", by, kind="user", reason="OpenID Connect: no account")
            raise ImmediateHttpResponse(
                _refusal(request, "There is no account for you here.", "Ask an administrator for one with this e-mail address.")
            )
        with transaction.atomic():
            if not sociallogin.is_existing:
                account = sociallogin.account
                account.user, account.extra_data = user, {}
                account.save()
                trail.note("user.connect", By(user.username, "session", user.pk), kind="user", key=user.username)
            sign_in.open_session(request, user)
        raise ImmediateHttpResponse(HttpResponseRedirect("/"))

    def _by_address(self, sociallogin: Any) -> User | None:
        """The account whose address the provider has verified."""
        verified = [address.email for address in sociallogin.email_addresses if address.verified]
        return next((user for email in verified if (user := User.objects.filter(email__iexact=email).first())), None)

    def on_authentication_error(self, request: HttpRequest, provider: Any, **details: Any) -> None:
        """It did not work out, or the person thought otherwise."""
        raise ImmediateHttpResponse(_refusal(request, "Signing in did not work.", "Try again; the provider may be away."))

    def is_open_for_signup(self, request: HttpRequest, sociallogin: Any) -> bool:
        """Accounts are made by administrators."""
        return False


def _refusal(request: HttpRequest, message: str, remedy: str) -> Any:
    return render(request, "gantry/error.html", {"error": {"message": message, "remedy": remedy}, "status": 403}, status=403)
