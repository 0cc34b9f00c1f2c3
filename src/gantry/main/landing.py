"""The page at `/`, and the error pages: HTML for people, the error shape for programs."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

import gantry
from gantry import config
from gantry.accounts.route import view_anyone
from gantry.main import errors_api, health_api

#: Addresses that programs ask; everything else is for people.
_FOR_PROGRAMS = ("/api/", "/health/", "/metrics")


@view_anyone("It shows the name, the version and links; nothing of what is stored")
@require_safe
def landing(request: HttpRequest) -> HttpResponse:
    """Name, version, state, and where to go."""
    fine = all(check().ok for check in health_api.CHECKS)
    settings = config.current()
    context = {"version": gantry.__version__, "ready": fine, "aet": settings.aet}
    return render(request, "gantry/landing.html", context)


def _error_page(request: HttpRequest, status: int) -> HttpResponse:
    if request.path.startswith(_FOR_PROGRAMS):
        return errors_api.response(status)
    error = errors_api.plain(status)["error"]
    return render(request, "gantry/error.html", {"error": error, "status": status}, status=status)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """400, a host name that is not ours among them."""
    return _error_page(request, 400)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """403."""
    return _error_page(request, 403)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """404 for addresses that no route has."""
    return _error_page(request, 404)


def server_error(request: HttpRequest) -> HttpResponse:
    """500 outside of the API."""
    return _error_page(request, 500)
