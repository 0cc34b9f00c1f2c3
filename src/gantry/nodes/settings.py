"""The settings of a node by name: what each may be, from text (`gantry node set`) or JSON (REST)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from gantry.nodes.address import check_aet
from gantry.nodes.calendar import parse_calendar
from gantry.nodes.errors import BadNode
from gantry.nodes.folder_path import check_template

TRUE, FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


def _number(low: float, high: float, kind: type[int] | type[float]) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        try:
            number = kind(value)
        except (TypeError, ValueError) as error:
            raise BadNode(f"must be a number, not {str(value)[:40]!r}") from error
        if not (low <= number <= high) or math.isnan(number):
            raise BadNode(f"is {value}; it must be between {low:g} and {high:g}")
        return number

    return check


def _one_of(*allowed: str) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        if value not in allowed:
            raise BadNode(f"is {str(value)[:40]!r}; it must be one of {', '.join(word or 'nothing' for word in allowed)}")
        return str(value)

    return check


def _flag(value: Any) -> bool:
    text = str(value).lower()
    if text not in TRUE + FALSE:
        raise BadNode(f"is {text[:40]!r}; it must be yes or no")
    return text in TRUE


def _calendar(value: Any) -> str:
    text = " ".join(str(value).split())
    if len(text) > 2000:
        raise BadNode("is too long")
    parse_calendar(text)
    return text


def _template(value: Any) -> str:
    return check_template(str(value)) if value else ""


def _title(value: Any) -> str:
    return check_aet(str(value)) if value else ""


#: What `change` takes beside the address and the security: name -> check, which raises BadNode.
CHECKS: Mapping[str, Callable[[Any], Any]] = {
    "calling_aet": _title,
    "max_associations": _number(1, 64, int),
    "max_attempts": _number(1, 1000, int),
    "connect_seconds": _number(0.1, 600, float),
    "response_seconds": _number(0.1, 86400, float),
    "failover_seconds": _number(1, 30 * 86400, float),
    "enabled": _flag,
    "transcode": _one_of("never", "uncompressed", "any"),
    "bandwidth": _calendar,
    "reconcile": _one_of("off", "find", "commit", "auto"),
    "path_template": _template,
    "http_auth": _one_of("", "basic", "bearer"),
}


def checked(given: Mapping[str, Any]) -> dict[str, Any]:
    """The values as they are kept. Raises BadNode that names the setting."""
    found = {}
    for name, value in given.items():
        if name not in CHECKS:
            raise BadNode(f"{name[:40]!r} is no setting of a node: there are {', '.join(sorted(CHECKS))}")
        try:
            found[name] = CHECKS[name](value)
        except ValueError as error:
            raise BadNode(f"{name}: {error}") from error
    return found
