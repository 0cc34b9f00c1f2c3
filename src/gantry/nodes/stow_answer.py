"""What a DICOMweb server says to a STOW-RS request, by instance (PS3.18 10.5.3, I.2.2)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree

#: A longer answer is not read.
MAX_ANSWER = 4 << 20
_FAILED, _STORED, _INSTANCE, _REASON, _WARNING = "00081198", "00081199", "00081155", "00081197", "00081196"
_OTHER_FAILED = "0008119A"
_MAX_ITEMS = 10_000


@dataclass(frozen=True, slots=True)
class Answer:
    """`stored` maps SOP Instance UID to its warning reason, 0 for none; `failed` to its failure reason. `readable` is
    False when the body says nothing that we understand."""

    stored: Mapping[str, int] = field(default_factory=dict)
    failed: Mapping[str, int] = field(default_factory=dict)
    others_failed: bool = False
    readable: bool = False


def read_answer(body: bytes, content_type: str) -> Answer:
    """JSON or XML, whichever it is. Never raises: what cannot be read is not `readable`."""
    text = body.lstrip()
    try:
        if "json" in content_type or text[:1] in {b"{", b"["}:
            return _from_json(json.loads(text))
        if "xml" in content_type or text[:1] == b"<":
            return _from_xml(text)
    except (ValueError, RecursionError, ElementTree.ParseError, AttributeError, TypeError, LookupError):
        pass
    return Answer()


def _from_json(said: Any) -> Answer:
    found = said[0] if isinstance(said, list) else said
    stored, failed = (_items_of_json(found.get(tag)) for tag in (_STORED, _FAILED))
    return Answer(
        {uid: values.get(_WARNING, 0) for uid, values in stored.items()},
        {uid: values.get(_REASON, 0x0110) for uid, values in failed.items()},
        others_failed=bool((found.get(_OTHER_FAILED) or {}).get("Value")),
        readable=True,
    )


def _items_of_json(sequence: Any) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for item in ((sequence or {}).get("Value") or [])[:_MAX_ITEMS]:
        uid = ((item.get(_INSTANCE) or {}).get("Value") or [""])[0]
        numbers = {tag: ((item.get(tag) or {}).get("Value") or [None])[0] for tag in (_REASON, _WARNING)}
        found[str(uid)] = {tag: int(number) for tag, number in numbers.items() if number is not None}
    return found


def _from_xml(text: bytes) -> Answer:
    if b"<!DOCTYPE" in text[:2000].upper() or b"<!ENTITY" in text.upper():
        return Answer()  # an answer needs none, and entities can be made to explode
    root = ElementTree.fromstring(text)  # noqa: S314  without a DTD there is nothing to explode; bounded
    found = {str(child.get("tag", "")).upper(): child for child in root if _name(child) == "DicomAttribute"}
    stored, failed = (_items_of_xml(found.get(tag)) for tag in (_STORED, _FAILED))
    return Answer(
        {uid: values.get(_WARNING, 0) for uid, values in stored.items()},
        {uid: values.get(_REASON, 0x0110) for uid, values in failed.items()},
        others_failed=any(_name(item) == "Item" for item in found.get(_OTHER_FAILED, ())),
        readable=_name(root) == "NativeDicomModel",
    )


def _items_of_xml(sequence: ElementTree.Element | None) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for item in [child for child in sequence if _name(child) == "Item"][:_MAX_ITEMS] if sequence is not None else ():
        texts = {
            str(one.get("tag", "")).upper(): next((value.text or "" for value in one if _name(value) == "Value"), "")
            for one in item
        }
        numbers = {tag: int(texts[tag]) for tag in (_REASON, _WARNING) if texts.get(tag, "").strip()}
        found[texts.get(_INSTANCE, "").strip()] = numbers
    return found


def _name(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]
