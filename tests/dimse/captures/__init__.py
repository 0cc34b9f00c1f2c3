"""Recorded conversations of DCMTK, pynetdicom and Orthanc as JSON; `record.py` made them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from pathlib import Path

REQUESTOR, ACCEPTOR = "requestor", "acceptor"


@dataclass(frozen=True, slots=True)
class RecordedPdu:
    """One PDU as it was on the wire; `who` sent it."""

    who: str
    caption: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Conversation:
    """A whole association."""

    name: str
    caption: str
    pdus: tuple[RecordedPdu, ...]

    def runs(self) -> list[tuple[str, list[RecordedPdu]]]:
        """PDUs of one side that follow each other, side by side as they were said."""
        return [(who, list(pdus)) for who, pdus in groupby(self.pdus, key=lambda pdu: pdu.who)]


@cache
def conversations() -> tuple[Conversation, ...]:
    """All that were recorded."""
    found = []
    for path in sorted(Path(__file__).parent.glob("*.json")):
        document = json.loads(path.read_text())
        pdus = tuple(RecordedPdu(pdu["from"], pdu["caption"], bytes.fromhex(pdu["hex"])) for pdu in document["pdus"])
        caption = f"{document['requestor']} to {document['acceptor']}: {document['caption']}"
        found.append(Conversation(path.stem, caption, pdus))
    return tuple(found)
