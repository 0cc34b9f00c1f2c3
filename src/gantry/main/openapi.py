"""Writes docs/openapi.json: `python -m gantry.main.openapi`; with `--check` only compares (exit code 1: differs).

Needs no database and no home.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

PLACE = Path(__file__).parents[3] / "docs" / "openapi.json"


def document() -> str:
    """The OpenAPI document of this version as text, the same on every machine."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gantry.main.django_settings")
    import django

    django.setup()
    from gantry.main.api import v1

    schema = v1.get_openapi_schema(path_prefix="/api/v1/")
    return json.dumps(schema, indent=1, sort_keys=True, ensure_ascii=False, default=str) + "\n"


def main(arguments: list[str]) -> int:
    """Write or compare. Gives the exit code."""
    text = document()
    if "--check" not in arguments:
        PLACE.write_text(text, encoding="utf-8")
        return 0
    if PLACE.exists() and PLACE.read_text(encoding="utf-8") == text:
        return 0
    sys.stderr.write("docs/openapi.json is not what the routes say: run `python -m gantry.main.openapi`\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
