"""The web process as an ASGI application: `gantry.main.asgi:application`."""

from __future__ import annotations

import os
from typing import cast

from django.core.asgi import get_asgi_application

from gantry.main.asgi_events import Events
from gantry.main.asgi_limits import Busy, Limits
from gantry.main.asgi_static import Application, StaticFiles
from gantry.main.web_app import WebApp

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gantry.main.django_settings")

application = Limits(WebApp(StaticFiles(Events(Busy(cast("Application", get_asgi_application()))))))
