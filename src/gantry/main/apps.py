"""Django's view of this room."""

from __future__ import annotations

from django.apps import AppConfig


class MainConfig(AppConfig):
    """Connects the rooms when all of them are loaded."""

    name = "gantry.main"
    label = "main"

    def ready(self) -> None:
        """Wire facts to their followers."""
        from gantry.main import subscriptions

        subscriptions.subscribe_all()
