"""What is known about a node from asking it: services, storage, query keys, quirks; and what has changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from dimse.uids import name_of

#: Every quirk we know, with what it means. Programs decide on the name.
QUIRKS: Mapping[str, str] = {
    "no-study-root": "answers queries in the patient root only",
    "unique-key-ignored": "answers a query for one study with others: every answer is checked here",
    "empty-is-failure": "calls it a failure when nothing fits a query",
    "names-case-sensitive": "finds names only in the case that they were written in",
    "no-name-wildcards": "does not understand * in names",
    "no-uid-lists": "does not understand lists of UIDs: they are asked one by one",
    "no-image-level": "does not answer queries for single instances: nothing proves that a fetch is complete",
    "no-instance-counts": "does not say how many instances a study has",
    "cancel-ignored": "goes on with a query that was cancelled: the association is aborted instead",
    "no-get": "cannot be fetched from by C-GET",
    "no-move": "cannot be fetched from by C-MOVE",
}
#: Transfer syntaxes of one SOP class that a table names.
_SHOWN_SYNTAXES = 8
#: What a change of is worth a word, with the words.
_WATCHED = {
    "implementation_class_uid": "implementation class",
    "implementation_version": "implementation version",
    "max_pdu": "largest PDU",
    "async_operations": "operations at once",
    "services": "services",
    "storage": "SOP classes for storage",
    "syntaxes": "transfer syntaxes",
    "relational": "relational queries",
    "fuzzy": "fuzzy matching of names",
    "keys_ignored": "query keys that are ignored",
    "keys_absent": "query keys that are not answered",
    "quirks": "quirks",
}


@dataclass(slots=True)
class NodeProfile:
    """The result of a probe; everything in it may be kept: nothing is of a patient.

    `services` are names of SERVICES in `nodes.probe`; `storage` the SOP classes it takes, `syntaxes` the transfer
    syntaxes it takes of some usual classes. `keys_*` are keywords: honoured in matching, ignored there, and those whose
    value it does not answer; empty lists when it held no study to try them on. `max_pdu` in bytes, 0 = no limit.
    `async_operations` is how many operations it lets us have under way at once on one association (PS3.7 D.3.3.3);
    `certificate` is what it showed over TLS: subject, issuer, fingerprint, not_before, not_after (ISO 8601, UTC);
    `cancel_seconds` how long it took to end a cancelled query, None where too few studies were there to tell;
    `fetch_associations` how many associations served best in fetches, 0 = not known.
    """

    implementation_class_uid: str = ""
    implementation_version: str = ""
    max_pdu: int = 0
    async_operations: int = 1
    fetch_associations: int = 0
    cancel_seconds: float | None = None
    tls: bool = False
    certificate: dict[str, str] = field(default_factory=dict)
    services: list[str] = field(default_factory=list)
    storage: list[str] = field(default_factory=list)
    syntaxes: dict[str, list[str]] = field(default_factory=dict)
    relational: bool = False
    fuzzy: bool = False
    keys_honoured: list[str] = field(default_factory=list)
    keys_ignored: list[str] = field(default_factory=list)
    keys_absent: list[str] = field(default_factory=list)
    quirks: list[str] = field(default_factory=list)
    error: str = ""
    remedy: str = ""

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, kept: Mapping[str, Any]) -> NodeProfile:
        """What as_dict gave, also in an earlier or later version of ours."""
        names = {one.name for one in fields(cls)}
        return cls(**{name: value for name, value in kept.items() if name in names})

    def quirk(self, name: str) -> None:
        """Note a quirk. It must be one of QUIRKS."""
        assert name in QUIRKS
        if name not in self.quirks:
            self.quirks.append(name)


def changes(before: NodeProfile, after: NodeProfile) -> list[str]:
    """What differs, in words."""
    found = []
    for name, words in _WATCHED.items():
        old, new = getattr(before, name), getattr(after, name)
        if name.startswith("keys_") and not (before.keys_honoured and after.keys_honoured):
            continue  # one of the two held no study to try them on
        if isinstance(old, list):
            lost, won = [one for one in old if one not in new], [one for one in new if one not in old]
            if lost or won:
                found.append(
                    f"{words}: " + "; ".join(_listed(sign, some) for sign, some in (("gone", lost), ("new", won)) if some)
                )
        elif isinstance(old, dict):
            differing = sorted(uid for uid in {*old, *new} if sorted(old.get(uid, ())) != sorted(new.get(uid, ())))
            if differing:
                found.append(f"{words} of {', '.join(name_of(uid) for uid in differing)}")
        elif old != new:
            found.append(f"{words}: {old} -> {new}")
    if before.certificate and before.certificate.get("fingerprint") != after.certificate.get("fingerprint"):
        found.append(f"another certificate: {after.certificate.get('subject', 'none')}")
    return found


def _listed(sign: str, some: list[str]) -> str:
    names = [name_of(one) for one in some[:5]] + ([f"{len(some) - 5} more"] if len(some) > 5 else [])
    return f"{sign} {', '.join(names)}"


def _alike(taken: Mapping[str, list[str]]) -> Iterator[tuple[str, str]]:
    """SOP classes and their transfer syntaxes, for people: those that are taken in the same ones together."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for uid, accepted in taken.items():
        groups.setdefault(tuple(accepted), []).append(name_of(uid))
    for syntaxes, names in groups.items():
        words = [name_of(syntax) for syntax in syntaxes[:_SHOWN_SYNTAXES]]
        if len(syntaxes) > _SHOWN_SYNTAXES:
            words.append(f"and {len(syntaxes) - _SHOWN_SYNTAXES} more (--json names all)")
        yield f"  {names[0]}", ", ".join(words)
        yield from ((f"  {name}", "the same") for name in names[1:])


def lines(profile: NodeProfile) -> Iterator[tuple[str, str]]:
    """For a table."""
    if profile.error:
        yield "failed", f"{profile.error} ({profile.remedy})"
        return
    yield "implementation", f"{profile.implementation_version} {profile.implementation_class_uid}".strip()
    yield "transport", "TLS" if profile.tls else "plain"
    if profile.certificate:
        yield "certificate", f"{profile.certificate.get('subject')}, until {profile.certificate.get('not_after')}"
    yield "largest PDU", f"{profile.max_pdu} bytes" if profile.max_pdu else "no limit"
    yield "services", ", ".join(profile.services) or "none"
    yield "stores", f"{len(profile.storage)} SOP classes"
    yield from _alike(profile.syntaxes)
    yield "operations at once", f"{profile.async_operations or 'no limit'}"
    if profile.cancel_seconds is not None:
        yield "ends a cancelled query in", f"{profile.cancel_seconds * 1000:.0f} ms"
    if profile.fetch_associations:
        yield "associations in a fetch", str(profile.fetch_associations)
    yield "relational queries", "yes" if profile.relational else "no"
    for words, keywords in (
        ("keys honoured", profile.keys_honoured),
        ("keys ignored", profile.keys_ignored),
        ("keys not answered", profile.keys_absent),
    ):
        if keywords:
            yield words, ", ".join(keywords)
    for name in profile.quirks:
        yield f"quirk {name}", QUIRKS[name]
