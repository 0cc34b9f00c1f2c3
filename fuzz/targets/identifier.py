"""Identifiers of queries, worklists and commitments: what is read can be written, and means the same again."""

from __future__ import annotations

from dimse.identifier import Identifier, IdentifierError
from fuzz.targets.recorded import payloads

_CHARACTER_SET = 0x00080005
SYNTAXES = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99")


def seeds() -> list[bytes]:
    """Recorded identifiers, and one with everything."""
    inner = Identifier.of(ScheduledStationAETitle="MODALITY", Modality="CT", ScheduledProcedureStepStartDate="20240101-")
    rich = Identifier.of(
        SpecificCharacterSet="ISO_IR 192",
        QueryRetrieveLevel="STUDY",
        PatientName="T\u00e9st^Anna=\u5c71\u7530",
        StudyInstanceUID=["1.2.3", "1.2.4"],
        NumberOfStudyRelatedInstances="12",
        ScheduledProcedureStepSequence=[inner, inner],
    )
    short = [data for data in payloads(command=False) if len(data) < 1500]
    found = [bytes((number,)) + data for data in short for number in (0, 1)]
    return found + [bytes((number,)) + rich.encode(syntax) for number, syntax in enumerate(SYNTAXES)]


def one(data: bytes) -> None:
    """The first byte is the transfer syntax."""
    if not data:
        return
    syntax = SYNTAXES[data[0] % len(SYNTAXES)]
    try:
        found = Identifier.parse(data[1:], syntax)
    except IdentifierError:
        return
    repr(found)
    for key in found:
        found.get(key)
    try:
        raw = found.encode(syntax)
    except IdentifierError:
        return
    again = Identifier.parse(raw, syntax)
    charset = {"SpecificCharacterSet"}  # is added where the text needs it
    assert set(again) - charset == set(found) - charset
    if not _text_before_charset(found):
        assert again.encode(syntax) == raw


def _text_before_charset(identifier: Identifier) -> bool:
    """True when an element stands before (0008,0005): how its text is meant cannot be known."""
    if identifier.tags() and identifier.tags()[0] < _CHARACTER_SET:
        return True
    inner = (item for key in identifier for item in identifier.items_of(key))
    return any(_text_before_charset(item) for item in inner)
