"""Webhooks in the file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg

from gantry import config
from gantry.alerts import webhooks
from gantry.alerts.errors import BadWebhook
from gantry.alerts.guard import parse
from gantry.alerts.models import PURPOSE
from gantry.facts.visible import known_kinds
from gantry.main.one_file import given
from gantry.main.one_file.plan import Run, Section, WrongField
from gantry.main.one_file.schema import Webhook


class Webhooks(Section[Webhook]):
    """Who is told over HTTP."""

    name = "webhooks"

    def read(self, home: Path, connection: psycopg.Connection[Any]) -> list[Webhook]:
        """By name."""
        return [
            Webhook(
                name=row.name, url=row.url, kinds=_kinds(row.kinds), enabled=row.enabled, secret=given.shown(row.secret)
            )
            for row in webhooks.list_webhooks()
        ]  # fmt: skip

    def normal(self, item: Webhook, run: Run) -> Webhook:
        """Kinds in order; none for all."""
        given.check("secret", item.secret, run)
        if item.secret == "":
            raise WrongField("secret", "a webhook has a secret: leave it out, and what is there stays or a new one is made")
        try:
            parse(item.url, config.current())
        except BadWebhook as error:
            raise WrongField("url", f"{error} {error.advice}".strip()) from error
        return item.model_copy(update={"name": item.name.strip(), "kinds": _kinds(item.kinds)})

    def differences(self, before: Webhook, item: Webhook, run: Run) -> dict[str, tuple[Any, Any]]:
        """The secret is compared where it is kept."""
        found = super().differences(before, item, run)
        found.pop("secret", None)
        row = webhooks.get(before.name)
        if given.differs(item.secret, row.secret, run.home, PURPOSE.format(key=row.pk)):
            found["secret"] = (given.words(before.secret), given.words(item.secret))
        return found

    def add(self, item: Webhook, run: Run) -> None:
        """With the secret of the file, or a new one."""
        secret = item.secret if isinstance(item.secret, str) else ""
        webhooks.add(item.name, item.url, item.kinds, run.by, secret=secret)
        if not secret:
            run.notes.append(f"webhooks {item.name}: its new secret is unseen: `gantry webhook secret {item.name}` shows another")
        if not item.enabled:
            webhooks.change(item.name, run.by, enabled=False)

    def change(self, before: Webhook, item: Webhook, fields: Mapping[str, tuple[Any, Any]], run: Run) -> None:
        """Change what differs."""
        webhooks.change(
            before.name, run.by,
            url=item.url if "url" in fields else None,
            kinds=item.kinds if "kinds" in fields else None,
            enabled=item.enabled if "enabled" in fields else None,
            secret=item.secret if "secret" in fields and isinstance(item.secret, str) else None,
        )  # fmt: skip

    def remove(self, item: Webhook, run: Run) -> None:
        """With its log."""
        webhooks.remove(item.name, run.by)


def _kinds(kinds: list[str]) -> list[str]:
    chosen = sorted(set(kinds))
    return [] if set(chosen) == known_kinds() else chosen
