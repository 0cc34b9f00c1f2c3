"""What a node is asked: levels, keys, the attributes wanted back, and the identifiers of a query (PS3.4 annex C)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from dimse.dictionary import tag_of, vr_of
from dimse.identifier import Identifier
from gantry.dataset.charset import character_set
from gantry.nodes.errors import BadQuery

Level: TypeAlias = Literal["PATIENT", "STUDY", "SERIES", "IMAGE"]
Answer: TypeAlias = "dict[str, str | list[str]]"
Keys: TypeAlias = "Mapping[str, str | Sequence[str]]"
LEVELS: tuple[Level, ...] = ("PATIENT", "STUDY", "SERIES", "IMAGE")
#: The unique key of each level (PS3.4 tables C.6-1 to C.6-4).
UNIQUE: Mapping[Level, str] = {
    "PATIENT": "PatientID", "STUDY": "StudyInstanceUID", "SERIES": "SeriesInstanceUID", "IMAGE": "SOPInstanceUID",
}  # fmt: skip
#: What is asked back when nobody says what.
WANTED: Mapping[Level, tuple[str, ...]] = {
    "PATIENT": ("PatientID", "PatientName", "PatientBirthDate", "PatientSex"),
    "STUDY": (
        "StudyInstanceUID", "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime",
        "AccessionNumber", "StudyID", "StudyDescription", "ModalitiesInStudy", "NumberOfStudyRelatedSeries",
        "NumberOfStudyRelatedInstances",
    ),
    "SERIES": (
        "StudyInstanceUID", "SeriesInstanceUID", "Modality", "SeriesNumber", "SeriesDescription", "SeriesDate", "SeriesTime",
        "BodyPartExamined", "NumberOfSeriesRelatedInstances",
    ),
    "IMAGE": ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID", "InstanceNumber"),
}  # fmt: skip
#: The level that a key belongs to; what is not named belongs to the level that is asked.
_LEVEL_OF: Mapping[str, Level] = {
    **dict.fromkeys(("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "IssuerOfPatientID", "OtherPatientIDs",
                     "PatientBirthTime", "PatientComments", "EthnicGroup", "NumberOfPatientRelatedStudies"), "PATIENT"),
    **dict.fromkeys(("StudyInstanceUID", "StudyDate", "StudyTime", "AccessionNumber", "StudyID", "StudyDescription",
                     "ModalitiesInStudy", "ReferringPhysicianName", "NumberOfStudyRelatedSeries", "SOPClassesInStudy",
                     "NumberOfStudyRelatedInstances", "NameOfPhysiciansReadingStudy", "PatientAge", "PatientSize",
                     "PatientWeight", "AdmittingDiagnosesDescription"), "STUDY"),
    **dict.fromkeys(("SeriesInstanceUID", "Modality", "SeriesNumber", "SeriesDescription", "SeriesDate", "SeriesTime",
                     "BodyPartExamined", "ProtocolName", "StationName", "Manufacturer", "PerformingPhysicianName",
                     "NumberOfSeriesRelatedInstances"), "SERIES"),
    **dict.fromkeys(("SOPInstanceUID", "SOPClassUID", "InstanceNumber"), "IMAGE"),
}  # fmt: skip
#: Set by us, never by the one who asks.
_OURS = frozenset({"QueryRetrieveLevel", "SpecificCharacterSet"})
_MAX_KEYS = 128
_MAX_LIST = 10_000


def level_of(text: str) -> Level:
    """A level as people write it. Raises BadQuery."""
    name = text.strip().upper()
    name = {"INSTANCE": "IMAGE", "IMAGES": "IMAGE"}.get(name, name)
    for level in LEVELS:
        if name == level:
            return level
    raise BadQuery(f"{text[:40]!r} is no level: patient, study, series or image")


def parse_keys(pairs: Iterable[str]) -> dict[str, str]:
    """`Keyword=value` pairs, as in PatientName=DOE*. Raises BadQuery."""
    found: dict[str, str] = {}
    for pair in pairs:
        keyword, equals, value = pair.partition("=")
        if not equals:
            raise BadQuery(f"{pair[:80]!r} is no KEY=VALUE, as in PatientID=4711 or StudyDate=20260101-20260131")
        found[keyword.strip()] = value
    return found


@dataclass(frozen=True, slots=True)
class Question:
    """A query of one level. `keys` by keyword, a list of UIDs as several values; `wanted` are asked back besides."""

    level: Level
    keys: dict[str, str | list[str]]
    wanted: tuple[str, ...]

    @classmethod
    def of(cls, level: str, keys: Keys, wanted: Sequence[str] = ()) -> Question:
        """Checked and in order. Raises BadQuery for unknown keywords and impossible values."""
        where = level_of(level)
        if len(keys) + len(wanted) > _MAX_KEYS:
            raise BadQuery(f"more than {_MAX_KEYS} keys")
        given: dict[str, str | list[str]] = {}
        for keyword, value in keys.items():
            name = _known(keyword)
            given[name] = _value(name, value)
        named = tuple(_known(keyword) for keyword in wanted)
        return cls(where, given, named or WANTED[where])

    def keys_at(self, level: Level) -> dict[str, str | list[str]]:
        """The keys that belong to a level, those above left out."""
        return {keyword: value for keyword, value in self.keys.items() if self.home_of(keyword) == level}

    def home_of(self, keyword: str) -> Level:
        """The level of a key; one that we do not know belongs where it is asked."""
        home = _LEVEL_OF.get(keyword, self.level)
        return home if LEVELS.index(home) <= LEVELS.index(self.level) else self.level

    def identifier(self, *, root: Level, above: Mapping[str, str]) -> Identifier:
        """The identifier for one query; `above` are the unique keys of the levels above (PS3.4 C.4.1.2.1)."""
        values: dict[str, str | list[str] | None] = {keyword: None for keyword in self.wanted if self._askable(keyword, root)}
        values[UNIQUE[self.level]] = None
        values |= self.keys
        values |= above
        values["QueryRetrieveLevel"] = self.level
        text = "".join("".join(value) for value in values.values() if value)
        if not text.isascii():
            # Understood by more systems than UTF-8, where it is enough.
            latin = all(ord(sign) < 0x100 for sign in text)
            values["SpecificCharacterSet"] = "ISO_IR 100" if latin else "ISO_IR 192"
        return Identifier(values)

    def _askable(self, keyword: str, root: Level) -> bool:
        """Keys of the levels above are not asked in a hierarchical query, but the patient's with a study."""
        home = self.home_of(keyword)
        return home == self.level or is_unique(keyword, root) or (self.level == "STUDY" and root == "STUDY")


def is_unique(keyword: str, root: Level) -> bool:
    """Whether it is a unique key of a level of this root; the study root begins with the study."""
    return keyword in UNIQUE.values() and (root == "PATIENT" or keyword != UNIQUE["PATIENT"])


def _known(keyword: str) -> str:
    try:
        tag = tag_of(keyword)
    except KeyError:
        raise BadQuery(f"{keyword[:64]!r} is no attribute that can be asked for; write its keyword, as in StudyDate") from None
    if keyword in _OURS or tag >> 16 == 0:
        raise BadQuery(f"{keyword} is set by us")
    if vr_of(tag) == "SQ":
        raise BadQuery(f"{keyword} is a sequence: it cannot be asked for here")
    return keyword


def _value(keyword: str, value: str | Sequence[str]) -> str | list[str]:
    parts = [value] if isinstance(value, str) else list(value)
    if len(parts) > _MAX_LIST:
        raise BadQuery(f"{keyword} has more than {_MAX_LIST} values")
    for part in parts:
        if len(part) > 64 * _MAX_LIST or any(ord(sign) < 0x20 for sign in part):
            raise BadQuery(f"the value of {keyword} is too long, or has control characters")
    if vr_of(tag_of(keyword)) == "UI":
        parts = [uid.strip() for part in parts for uid in part.replace(",", "\\").split("\\")]
        if any(not all(sign.isdigit() or sign in ".*?" for sign in uid) or len(uid) > 64 for uid in parts):
            raise BadQuery(f"{keyword} is no UID: digits and dots, at most 64")
    return parts[0] if len(parts) == 1 else parts


def decode_text(raw: bytes, charset: bytes, person_name: bool) -> str:
    """Text in any character set of the standard, for `Identifier.parse`. Never raises."""
    return character_set(charset).decode(raw, [], person_name=person_name)


def as_answer(identifier: Identifier) -> Answer:
    """The texts of an identifier by keyword; sequences and bytes are left out."""
    found: Answer = {}
    for keyword in identifier:
        value = identifier[keyword]
        if isinstance(value, str):
            found[keyword] = value
        elif isinstance(value, list):
            texts = [one for one in value if isinstance(one, str)]
            if texts or not value:
                found[keyword] = texts
    return found
