"""Walks every URL pattern and says which permission it declares; a pattern without one is a mistake.

Static files are no URL pattern: WhiteNoise serves them before any URL is looked up; they hold no data.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver
from ninja.operation import PathView

from gantry.accounts.actions import ACTIONS

PUBLIC = "public"


@dataclass(frozen=True, slots=True)
class Declared:
    """A route, its method (`*`: any) and the action it declares; None when it declares nothing that we know."""

    route: str
    method: str
    action: str | None


def _path_view(callback: Any) -> PathView | None:
    """ninja's object behind a view function: its views are bound methods, or functions that close over it."""
    callback = getattr(callback, "gantry_path_view", callback)
    owner = getattr(callback, "__self__", None)
    if isinstance(owner, PathView):
        return owner
    for cell in getattr(callback, "__closure__", None) or ():
        if isinstance(cell.cell_contents, PathView):
            return cell.cell_contents
    return None


def _declared(route: str, callback: Any) -> Iterator[Declared]:
    view = _path_view(callback)
    if view is not None:
        for operation in view.operations:
            actions = {getattr(gate, "action", None) for gate in operation.auth_callbacks}
            action = actions.pop() if len(actions) == 1 else None
            for method in operation.methods:
                yield Declared(route, method, _known(action))
        return
    action = getattr(callback, "gantry_action", None)
    if action is None and (hasattr(callback, "admin_site") or hasattr(callback, "model_admin")):
        action = "admin.use"  # wrapped by AdminSite.admin_view, which asks admin_site.has_permission
    yield Declared(route, "*", _known(action))


def _known(action: object) -> str | None:
    return action if isinstance(action, str) and (action in ACTIONS or action == PUBLIC) else None


def walk(resolver: URLResolver | None = None, prefix: str = "/") -> Iterator[Declared]:
    """Every route with the permission it declares; ninja repeats a path once per method, so some come twice."""
    for pattern in (resolver or get_resolver()).url_patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from walk(pattern, route)
        elif isinstance(pattern, URLPattern):
            yield from _declared(route, pattern.callback)


def undeclared() -> list[Declared]:
    """The routes that declare nothing; empty when all is well."""
    return [declared for declared in walk() if declared.action is None]
