"""Where an instance goes in a folder: a template of indexed keywords, made into names that are safe everywhere."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from gantry.nodes.errors import BadNode

DEFAULT_TEMPLATE = "{StudyInstanceUID}/{SeriesInstanceUID}/{SOPInstanceUID}.dcm"
_FIELD = re.compile(r"\{([A-Za-z][A-Za-z0-9]{0,63})\}", re.ASCII)
_DEPTH, _TEMPLATE_LENGTH = 12, 400
#: Bytes of one value and of one name; file systems allow 255, and a number or digest may be added.
_VALUE_BYTES, _NAME_BYTES = 80, 200
_PLAIN = frozenset(" ._-=+,@()")
_LITERAL = re.compile(r"[A-Za-z0-9 ._=+,@()-]*", re.ASCII)
#: Names that Windows keeps for devices; the folder may be a share.
_DEVICES = frozenset({"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))})
NOTHING = "unknown"


@lru_cache(maxsize=256)
def check_template(template: str) -> str:
    """A template as it is kept. Raises BadNode.

    >>> check_template("{PatientID}/{StudyDate} {StudyDescription}/{SOPInstanceUID}.dcm")
    '{PatientID}/{StudyDate} {StudyDescription}/{SOPInstanceUID}.dcm'
    """
    example = f"for example {DEFAULT_TEMPLATE}"
    if len(template) > _TEMPLATE_LENGTH:
        raise BadNode(f"the path template is longer than {_TEMPLATE_LENGTH} characters")
    parts = template.split("/")
    if template.startswith("/") or not all(part.strip() for part in parts) or len(parts) > _DEPTH:
        raise BadNode(f"a path template has 1 to {_DEPTH} names with / between, and none at its ends: {example}")
    for part in parts:
        literal = _FIELD.sub("", part)
        if not _LITERAL.fullmatch(literal):
            raise BadNode(f"{part[:60]!r}: names have letters, digits and ' ._-=+,@()', keywords stand in {{ }}: {example}")
        if part in {".", ".."} or part.startswith(".") or part.endswith((".", " ")):
            raise BadNode(f"{part[:60]!r}: a name neither begins with a dot nor ends with a dot or blank")
    if not _FIELD.search(parts[-1]):
        raise BadNode(f"the name of the file must tell instances apart, as {{SOPInstanceUID}} does: {example}")
    return template


def keywords_of(template: str) -> tuple[str, ...]:
    """The keywords in it."""
    return tuple(dict.fromkeys(_FIELD.findall(template)))


def path_of(template: str, values: Mapping[str, Any]) -> list[str]:
    """The names of folders and, at the end, the file. Whatever the values hold, none is empty, hidden, `..` or a device,
    and none has a separator or a control character."""
    return [_name(part, values) for part in (template or DEFAULT_TEMPLATE).split("/")]


def _name(part: str, values: Mapping[str, Any]) -> str:
    name = _FIELD.sub(lambda field: clean(values.get(field[1])), part)
    name = _cut(name.strip(" ").lstrip("."), _NAME_BYTES).rstrip(" .") or NOTHING
    return f"_{name}" if name.partition(".")[0].lower() in _DEVICES else name


def clean(value: Any) -> str:
    """A value as a part of a name: letters and digits of any script, and a few signs; others become `_`."""
    if isinstance(value, list | tuple):
        value = "-".join(str(one) for one in value)
    text = unicodedata.normalize("NFC", "" if value is None else str(value).replace("^", " ")[:1000]).strip()
    kept = "".join(sign if sign.isalnum() or sign in _PLAIN else "_" for sign in text)
    return _cut(kept, _VALUE_BYTES).strip(" ") or NOTHING


def _cut(text: str, limit: int) -> str:
    return text.encode("utf-8", "ignore")[:limit].decode("utf-8", "ignore")
