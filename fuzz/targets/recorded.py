"""Recorded PDUs and commands as inputs to begin with (read from tests/dimse/captures)."""

from __future__ import annotations

import json
from pathlib import Path

_CAPTURES = Path(__file__).parents[2] / "tests" / "dimse" / "captures"
#: Longer ones only slow the fuzzer down.
_LONGEST = 4096


def streams(who: str) -> list[bytes]:
    """What one side ("requestor" or "acceptor") said in each conversation, as one run of bytes."""
    found = []
    for path in sorted(_CAPTURES.glob("*.json")):
        pdus = json.loads(path.read_text())["pdus"]
        found.append(b"".join(bytes.fromhex(pdu["hex"]) for pdu in pdus if pdu["from"] == who)[:_LONGEST])
    return found


def pdus() -> list[bytes]:
    """Whole PDUs of all kinds, each once."""
    found: dict[bytes, None] = {}
    for path in sorted(_CAPTURES.glob("*.json")):
        for pdu in json.loads(path.read_text())["pdus"]:
            data = bytes.fromhex(pdu["hex"])
            if len(data) <= _LONGEST:
                found[data] = None
    return list(found)


def payloads(*, command: bool) -> list[bytes]:
    """Command sets or data sets out of P-DATA-TF with one value."""
    return [pdu[12:] for pdu in pdus() if pdu[0] == 4 and bool(pdu[11] & 1) == command]
