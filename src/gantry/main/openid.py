"""Signing in by an OpenID Connect provider: two addresses, made by django-allauth; who may come in: `openid_adapter`."""

from __future__ import annotations

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import path, reverse

from gantry import config
from gantry.accounts.route import view_anyone

#: There is one provider; its id is in the addresses that are registered there.
PROVIDER = "sso"


def offered() -> list[dict[str, str]]:
    """What the sign-in page shows."""
    settings = config.current()
    if not settings.openid_url:
        return []
    return [{"name": settings.openid_name, "url": reverse("openid_connect_login", kwargs={"provider_id": PROVIDER})}]


@view_anyone("The provider says who it is")
def begin(request: HttpRequest, provider_id: str) -> HttpResponseBase:
    """Send the browser to the provider; 404 when none is set."""
    from allauth.socialaccount.providers.openid_connect import views

    return views.login(request, provider_id)  # type: ignore[no-any-return]  # a view's answer


@view_anyone("The provider says who it is")
def come_back(request: HttpRequest, provider_id: str) -> HttpResponseBase:
    """The browser comes back with a code; it is exchanged for the identity, and a session begins."""
    from allauth.socialaccount.providers.openid_connect import views

    return views.callback(request, provider_id)  # type: ignore[no-any-return]  # a view's answer


# The names are those by which allauth looks its own addresses up.
urlpatterns = [
    path("openid/<str:provider_id>/", begin, name="openid_connect_login"),
    path("openid/<str:provider_id>/callback/", come_back, name="openid_connect_callback"),
]
