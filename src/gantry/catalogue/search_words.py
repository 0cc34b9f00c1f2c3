"""What somebody typed into the one search box, understood: words of names, numbers, days, modalities, UIDs.

Every word is one term, and all terms must hold. Each says how it was understood and where in the text it stands, so
that a page can show it and let people correct it: `name:anna` or `date:2024` says it outright.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Literal, TypeAlias

from gantry.catalogue.names import fold

Kind: TypeAlias = Literal["text", "number", "name", "patient_id", "accession", "description", "date", "modality", "uid"]
#: More terms than anybody types; the rest is told to be ignored.
MAX_TERMS = 12
#: Longer words are cut: no index row holds more.
MAX_WORD = 200
_WORD = re.compile(r'(?:(?P<key>[A-Za-z]+):)?(?:"(?P<quoted>[^"]*)"?|(?P<bare>[^\s,;^"]+))')
_SPLIT = re.compile(r"[\s^=,;:./()\[\]_+*\"'\\-]+")
_KEYS: dict[str, Kind] = {
    "name": "name", "patient": "name", "id": "patient_id", "pid": "patient_id", "patid": "patient_id",
    "acc": "accession", "accession": "accession", "auftrag": "accession", "date": "date", "datum": "date",
    "mod": "modality", "modality": "modality", "modalität": "modality", "modalitaet": "modality", "uid": "uid",
    "desc": "description", "description": "description", "beschreibung": "description", "text": "text", "number": "number",
}  # fmt: skip
#: Defined terms of Modality (0008,0060), PS3.3 C.7.3.1.1.1, that are typed as such.
MODALITIES = frozenset({
    "AR", "ASMT", "AU", "BDUS", "BI", "BMD", "CFM", "CR", "CT", "CTPROTOCOL", "DG", "DMS", "DOC", "DX", "ECG", "EEG", "EMG",
    "EOG", "EPS", "ES", "FA", "FID", "GM", "HC", "HD", "IO", "IOL", "IVOCT", "IVUS", "KER", "KO", "LEN", "LS", "MG", "MR", "M3D",
    "NM", "OAM", "OCT", "OP", "OPM", "OPT", "OPTBSV", "OPTENF", "OPV", "OSS", "OT", "PA", "PLAN", "POS", "PR", "PT", "PX", "REG",
    "RESP", "RF", "RG", "RTDOSE", "RTIMAGE", "RTINTENT", "RTPLAN", "RTRAD", "RTRECORD", "RTSEGANN", "RTSTRUCT", "RWV", "SEG",
    "SM", "SMR", "SR", "SRF", "STAIN", "TG", "US", "VA", "XA", "XAPROTOCOL", "XC",
})  # fmt: skip
_UID = re.compile(r"[0-2](?:\.[0-9]+){2,}")
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue", "å": "aa", "Å": "Aa", "ø": "oe"})
_FLAT = (("ae", "a"), ("oe", "o"), ("ue", "u"))


@dataclass(frozen=True, slots=True)
class Term:
    """One word as it was understood. `start` and `end` are its place in the text; `alternatives` what it may be, too.

    `words`: what the index is asked for, each a choice of spellings, all of them at the beginning of a word. `first`
    and `last` are days, None is open.
    """

    kind: Kind
    text: str
    start: int
    end: int
    words: tuple[tuple[str, ...], ...] = ()
    first: date | None = None
    last: date | None = None
    alternatives: tuple[Kind, ...] = field(default=())


def understand(text: str, today: date) -> list[Term]:
    """The terms of a text, at most MAX_TERMS; whatever it holds, none fails. `today` is for the words that mean a day."""
    terms: list[Term] = []
    for match in _WORD.finditer(text.replace("\0", " ")):
        key = _KEYS.get((match["key"] or "").lower())
        value = match["quoted"] if match["quoted"] is not None else match["bare"]
        start = match.start()
        if match["key"] and key is None:
            # Not a word of ours: the colon belongs to what is looked for.
            value = text[start : match.end()]
        if value.strip():
            terms.append(_term(key, value.strip(), (start, match.end()), today, quoted=match["quoted"] is not None))
        if len(terms) == MAX_TERMS:
            break
    return [term for term in terms if term.words or term.kind in {"date", "modality", "uid"}]


def _term(key: Kind | None, value: str, place: tuple[int, int], today: date, *, quoted: bool) -> Term:
    value = value[: MAX_WORD * 4]
    days = _days(value, today) if key in {None, "date"} and not quoted else None
    if days is not None:
        others: tuple[Kind, ...] = ("number", "patient_id", "accession") if value[:1].isdigit() else ("text",)
        return Term("date", value, *place, first=days[0], last=days[1], alternatives=others)
    if key == "modality" or (key is None and not quoted and value.upper() in MODALITIES):
        return Term("modality", value.upper() if value.isascii() else value, *place, alternatives=("text",))
    if key == "uid" or (key is None and _UID.fullmatch(value)):
        return Term("uid", value, *place, alternatives=("number",))
    if key in {None, "date", "uid"}:
        key = "number" if any(letter.isdigit() for letter in value) else "text"
    whole = key in {"patient_id", "accession"}
    return Term(key, value, *place, words=_spellings(value, whole=whole), alternatives=_others(key))


def _others(kind: Kind) -> tuple[Kind, ...]:
    among: tuple[Kind, ...] = ("name", "patient_id", "accession", "description")
    both: tuple[Kind, ...] = ("number", "patient_id", "accession", "description") if kind == "number" else ("text", *among)
    return tuple(other for other in both if other != kind)


def _spellings(value: str, *, whole: bool) -> tuple[tuple[str, ...], ...]:
    """Each word with its spellings: mueller finds muller (of Müller), and Müller finds MUELLER."""
    parts = [value.strip("*")] if whole else value.split()
    found = []
    for part in parts:
        spellings = {fold(part), fold(part.translate(_UMLAUTS))}
        for spelling in tuple(spellings):
            flat = spelling
            for long, short in _FLAT:
                flat = flat.replace(long, short)
            spellings.add(flat)
        kept = tuple(sorted(cut for spelling in spellings if (cut := spelling.strip()[:MAX_WORD])))
        if kept:
            found.append(kept)
    return tuple(found)


def pieces(word: str) -> list[str]:
    """A word as the index has names and descriptions: taken apart at every sign of punctuation."""
    return [part for part in _SPLIT.split(word) if part]


# Days

_DAY_FORMS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(?P<y>[12][0-9]{3})-(?P<m>[0-9]{1,2})-(?P<d>[0-9]{1,2})"), ""),
    (re.compile(r"(?P<y>[12][0-9]{3})(?P<m>[0-9]{2})(?P<d>[0-9]{2})"), ""),
    (re.compile(r"(?P<d>[0-9]{1,2})\.(?P<m>[0-9]{1,2})\.(?P<y>[12][0-9]{3}|[0-9]{2})"), ""),
    (re.compile(r"(?P<y>[12][0-9]{3})[./](?P<m>[0-9]{1,2})[./](?P<d>[0-9]{1,2})"), ""),
    (re.compile(r"(?P<a>[0-9]{1,2})/(?P<b>[0-9]{1,2})/(?P<y>[12][0-9]{3})"), ""),
    (re.compile(r"(?P<y>[12][0-9]{3})[-/](?P<m>[0-9]{1,2})"), "month"),
    (re.compile(r"(?P<m>[0-9]{1,2})[./](?P<y>[12][0-9]{3})"), "month"),
    (re.compile(r"(?P<y>(?:19|20)[0-9]{2})"), "year"),
)
_BACK: dict[str, int] = {"today": 0, "heute": 0, "yesterday": 1, "gestern": 1, "vorgestern": 2}
_SPANS: dict[str, int] = {"week": 7, "woche": 7, "month": 30, "monat": 30, "year": 365, "jahr": 365}
_LAST_DAYS = re.compile(r"([0-9]{1,4})(?:d|t|tage|days)")
_RANGE: tuple[re.Pattern[str], ...] = (re.compile("\\.\\.+|\N{HORIZONTAL ELLIPSIS}|\N{EN DASH}|\N{EM DASH}"), re.compile(r"-"))
Span: TypeAlias = "tuple[date | None, date | None]"


def _days(value: str, today: date) -> Span | None:
    """The first and last day that a word means, both included; None: it is no date."""
    text = value.lower()
    single = _single(text, today)
    if single is not None:
        return single
    for pattern in _RANGE:
        for match in pattern.finditer(text):
            low, high = text[: match.start()], text[match.end() :]
            first, last = (_single(part, today) if part else None for part in (low, high))
            # A minus at an end alone is part of a number, two dots are meant.
            open_end = pattern is _RANGE[0] and bool(low or high)
            if (first or (open_end and not low)) and (last or (open_end and not high)):
                if first and last and first[0] and last[0] and first[0] > last[0]:
                    first, last = last, first
                return first[0] if first else None, last[1] if last else None
    if text[:1] in "<>" and (found := _single(text[1:].lstrip("="), today)):
        return (found[0], None) if text[0] == ">" else (None, found[1])
    return None


def _single(text: str, today: date) -> Span | None:
    if text in _BACK:
        day = today - timedelta(days=_BACK[text])
        return day, day
    if text in _SPANS:
        return today - timedelta(days=_SPANS[text] - 1), today
    if match := _LAST_DAYS.fullmatch(text):
        return today - timedelta(days=max(int(match[1]) - 1, 0)), today
    for pattern, unit in _DAY_FORMS:
        if (match := pattern.fullmatch(text)) and (span := _span(match.groupdict(), unit)):
            return span
    return None


def _span(parts: dict[str, str | None], unit: str) -> Span | None:
    numbers = {name: int(value) for name, value in parts.items() if value is not None}
    year = numbers["y"]
    if year < 100:
        year += 2000 if year < 70 else 1900
    if "a" in numbers:
        # 31/12 can only be day and month, 12/31 only month and day; else the day comes first.
        numbers["d"], numbers["m"] = (numbers["b"], numbers["a"]) if numbers["b"] > 12 else (numbers["a"], numbers["b"])
    try:
        if unit == "year":
            return date(year, 1, 1), date(year, 12, 31)
        first = date(year, numbers["m"], numbers.get("d", 1))
        if unit == "month":
            return first, (first.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)
    except ValueError:
        return None
    return first, first


def lexemes(term: Term, letters: Sequence[str]) -> str:
    """The condition of a term on `StudySearch.words`, as text of a tsquery; `letters`: the fields that may be searched."""
    fields = {"text": "niad", "number": "iadn", "name": "n", "patient_id": "i", "accession": "a", "description": "d"}[term.kind]
    allowed = [letter for letter in fields if letter in letters]
    if not allowed:
        return ""
    words = []
    for spellings in term.words:
        ways = [way for spelling in spellings for letter in allowed for way in _way(letter, spelling)]
        if ways:
            words.append("({})".format(" | ".join(dict.fromkeys(ways))))
    return " & ".join(words)


def _way(letter: str, spelling: str) -> list[str]:
    """One spelling in one field: identifiers are whole, of other texts each piece must be there."""
    parts = [spelling.strip("*")] if letter in "ia" else pieces(spelling)
    quoted = ["'{}':*".format((letter + part).replace("\\", "\\\\").replace("'", "''")) for part in parts if part]
    return ["({})".format(" & ".join(quoted))] if len(quoted) > 1 else quoted
