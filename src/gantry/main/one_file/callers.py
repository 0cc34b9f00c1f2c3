"""Callers in the file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg

from gantry.main.one_file.plan import Run, Section, WrongField
from gantry.main.one_file.schema import Caller
from gantry.nodes.address import check_aet
from gantry.nodes.errors import BadAddress
from gantry.receiver import allow
from gantry.receiver.errors import BadCaller
from gantry.receiver.policy import ACTIONS


class Callers(Section[Caller]):
    """Who may call the DICOM port."""

    name = "callers"
    identity = ("aet",)

    def read(self, home: Path, connection: psycopg.Connection[Any]) -> list[Caller]:
        """By AE title."""
        return [
            Caller(
                aet=row.aet, name=row.name, may=allow.actions_of(row), hosts=list(row.hosts), certificate=row.certificate,
                enabled=row.enabled,
            )
            for row in allow.list_callers()
        ]  # fmt: skip

    def normal(self, item: Caller, run: Run) -> Caller:
        """Titles without outer spaces, addresses and fingerprints in one spelling."""
        try:
            aet = check_aet(item.aet)
        except BadAddress as error:
            raise WrongField("aet", str(error)) from error
        try:
            hosts = [allow.check_network(host) for host in item.hosts]
        except BadCaller as error:
            raise WrongField("hosts", str(error)) from error
        certificate = item.certificate.replace(":", "").strip().lower()
        may = [action for action in ACTIONS if action in item.may] + sorted(set(item.may) - set(ACTIONS))
        return item.model_copy(update={"aet": aet, "hosts": hosts, "certificate": certificate, "may": may})

    def add(self, item: Caller, run: Run) -> None:
        """Let it in, or deny it."""
        allow.allow(
            item.aet, may=item.may, hosts=item.hosts, certificate=item.certificate, name=item.name, by=run.by
        )  # fmt: skip
        if not item.enabled:
            allow.deny(item.aet, by=run.by)

    def change(self, before: Caller, item: Caller, fields: Mapping[str, tuple[Any, Any]], run: Run) -> None:
        """As adding replaces what is there; denied only, when nothing else is another."""
        if fields.keys() == {"enabled"} and not item.enabled:
            allow.deny(item.aet, by=run.by)
        else:
            self.add(item, run)

    def remove(self, item: Caller, run: Run) -> None:
        """It is a stranger again."""
        allow.remove(item.aet, by=run.by)
