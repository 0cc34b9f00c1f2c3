"""What a node's profile says to whoever sends to it, and whether the node still does what it says."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from dimse.uids import all_of, name_of
from gantry.nodes.profile import NodeProfile

Context = tuple[str, str]
#: A probe asks for all transfer syntaxes under these roots (encapsulated ones), and for these.
_ASKED_ROOTS = ("1.2.840.10008.1.2.4.", "1.2.840.10008.1.2.5")
_ASKED = frozenset({"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"})
#: Differences that are named.
_NAMED = 3


@dataclass(frozen=True, slots=True)
class Advice:
    """What a probe says to whoever sends. What is not known is None: then it must be tried.

    `max_pdu` in bytes, 0 = no limit. `storage` are SOP classes that the node takes; `syntaxes` the transfer syntaxes
    of some usual ones.
    """

    max_pdu: int | None = None
    async_operations: int = 1
    storage: frozenset[str] | None = None
    syntaxes: Mapping[str, frozenset[str]] = field(default_factory=dict)
    quirks: frozenset[str] = frozenset()

    def takes(self, sop_class_uid: str) -> bool | None:
        """Whether it takes a SOP class; None for those that no probe asks for: private ones, and new ones."""
        if self.storage is None or (sop_class_uid not in self.storage and sop_class_uid not in _asked_classes()):
            return None
        return sop_class_uid in self.storage

    def syntaxes_of(self, sop_class_uid: str) -> frozenset[str] | None:
        """The transfer syntaxes in which it takes a SOP class, where they were asked for."""
        return self.syntaxes.get(sop_class_uid)

    def expects(self, context: Context) -> bool | None:
        """Whether it takes a SOP class in a transfer syntax; None: nobody has asked for this pair."""
        sop_class_uid, syntax = context
        if self.takes(sop_class_uid) is False:
            return False
        known = self.syntaxes_of(sop_class_uid)
        if known is None or (syntax not in (known | _ASKED) and not syntax.startswith(_ASKED_ROOTS)):
            return None
        return syntax in known

    def differs(self, proposed: Collection[Context], accepted: Collection[Context], max_pdu: int | None) -> str:
        """What a node did otherwise than the profile says, in words; empty: nothing."""
        found = []
        if None not in (self.max_pdu, max_pdu) and self.max_pdu != max_pdu:
            found.append(f"its largest PDU is {max_pdu}, not {self.max_pdu}")
        for context in sorted(proposed):
            expected = self.expects(context)
            if expected is not None and expected != (context in accepted):
                what = f"{name_of(context[0])} in {name_of(context[1])}"
                found.append(f"it {'refuses' if expected else 'takes'} {what}")
        more = [f"{len(found) - _NAMED} more"] if len(found) > _NAMED else []
        return "; ".join(found[:_NAMED] + more)


NO_ADVICE = Advice()


@cache
def _asked_classes() -> frozenset[str]:
    return frozenset(all_of("storage"))


def advice(profile: Mapping[str, Any] | None) -> Advice:
    """What a kept profile (`Node.profile`) says to whoever sends; nothing when there is none, or the probe failed."""
    known = NodeProfile.from_dict(profile) if profile else None
    if known is None or known.error:
        return NO_ADVICE
    return Advice(
        known.max_pdu, known.async_operations, frozenset(known.storage),
        {uid: frozenset(syntaxes) for uid, syntaxes in known.syntaxes.items()}, frozenset(known.quirks),
    )  # fmt: skip
