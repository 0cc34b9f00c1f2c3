"""Addresses of the web process. What each is allowed to whom: `main.permissions_check.walk`."""

from __future__ import annotations

from django.urls import include, path

from gantry.main import account_pages, openid
from gantry.main.admin_site import site
from gantry.main.admin_site_models import register
from gantry.main.api import dicomweb, root, v1
from gantry.main.landing import landing

register(site)
_root_patterns = root.urls[0][:-1]  # without ninja's own page at the root

urlpatterns = [
    path("", landing, name="landing"),
    path("account/", include([*account_pages.urlpatterns, *openid.urlpatterns])),
    path("admin/", site.urls),
    path("api/v1/", v1.urls),
    path("dicomweb/", (dicomweb.urls[0][:-1], "ninja", "dicomweb")),  # without ninja's own page at the root
    path("", (_root_patterns, "ninja", "root")),
]

handler400 = "gantry.main.landing.bad_request"
handler403 = "gantry.main.landing.forbidden"
handler404 = "gantry.main.landing.not_found"
handler500 = "gantry.main.landing.server_error"
