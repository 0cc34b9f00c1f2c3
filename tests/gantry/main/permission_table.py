"""The table of routes and roles that is checked in beside this file: what everybody may, read as a page.

`python -m tests.gantry.main.permission_table` writes it anew; look at the difference before you commit it.
"""

from __future__ import annotations

import os
from pathlib import Path

PLACE = Path(__file__).with_name("permissions.txt")
#: In the order of the columns.
ROLES_IN_ORDER = ("nobody", "researcher", "viewer", "clinician", "operator", "administrator")
_HEAD = """\
# Every route but /admin/ (superusers only) with the action it asks for, and which roles are let in: x yes, - no.
# Written by `python -m tests.gantry.main.permission_table`, checked by test_api_permissions.py. A change here is a
# change of what people may: read it.
"""


def table() -> dict[tuple[str, str], tuple[str, frozenset[str]]]:
    """The file: (method, route) to action and roles."""
    found = {}
    for line in PLACE.read_text(encoding="utf-8").splitlines():
        if not line.strip() or line.startswith(("#", "method")):
            continue
        method, route, action, *marks = line.split()
        assert len(marks) == len(ROLES_IN_ORDER), line
        found[method, route] = action, frozenset(role for role, mark in zip(ROLES_IN_ORDER, marks, strict=True) if mark == "x")
    return found


def write() -> None:
    """As the code says it now."""
    from gantry.accounts import ROLES
    from gantry.main import permissions_check

    rows = sorted(
        {
            (one.route, one.method, one.action or "nothing")
            for one in permissions_check.walk()
            if not one.route.startswith("/admin/")
        }
    )
    width = max(len(route) for route, _, _ in rows)
    lines = [f"{'method':7}{'route':{width + 2}}{'action':20}{'  '.join(ROLES_IN_ORDER)}"]
    for route, method, action in rows:
        marks = []
        for role in ROLES_IN_ORDER:
            mark = "x" if action == "public" or action in ROLES.get(role, frozenset()) else "-"
            marks.append(f"{mark:{len(role)}}")
        lines.append(f"{method:7}{route:{width + 2}}{action:20}{'  '.join(marks)}".rstrip())
    PLACE.write_text(_HEAD + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gantry.main.django_settings")
    import django

    django.setup()
    write()
