"""`gantry export`: the set-up as it is, the same text for the same set-up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml
from django.db import connection, transaction

from gantry.accounts.connection import of_request
from gantry.main.one_file import settings
from gantry.main.one_file.schema import FORMAT, SetupFile
from gantry.main.one_file.sections import SECTIONS

_HEAD = """\
# The set-up of a Gantry instance: `gantry apply FILE --dry-run` shows what it would change, `gantry apply FILE` does it.
# Secrets are not in it: `sealed: kept` means that what is stored stays; env:GANTRY_SECRET_NAME and file:/run/secrets/NAME
# say where one is.
"""


def collect(home: Path) -> dict[str, Any]:
    """Everything, of one moment; what has its usual value is left out."""
    outermost = not connection.in_atomic_block
    with transaction.atomic():
        if outermost:
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        found: dict[str, Any] = {"gantry": FORMAT, "settings": settings.read()}
        for section in SECTIONS:
            items = section.read(home, of_request())
            if not section.ordered:  # not as the database sorts, which depends on its locale
                items = sorted(items, key=section.key)
            found[section.name] = [item.model_dump(mode="json", exclude_defaults=True) for item in items]
    return {name: found[name] for name in SetupFile.model_fields}


def as_yaml(found: dict[str, Any]) -> str:
    """The text of the file."""
    return _HEAD + yaml.dump(found, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False, width=120)


def as_json(found: dict[str, Any]) -> str:
    """The same as JSON, which `apply` takes too."""
    return json.dumps(found, indent=1, ensure_ascii=False) + "\n"


class _Dumper(yaml.SafeDumper):
    """Lists are indented below their key; nothing is written as an alias."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        """PyYAML would not indent lists."""
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:
        """Equal values are written twice."""
        return True
