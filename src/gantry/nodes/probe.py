"""Find out what a node can do, with a few associations and queries; nothing is stored there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from datetime import date, timedelta
from uuid import uuid4

from dimse.errors import DimseError
from dimse.items import ExtendedNegotiation
from dimse.negotiation import ContextProposal
from dimse.uids import CT_IMAGE_STORAGE, EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, VERIFICATION, all_of
from gantry.nodes.associate import MAX_CONTEXTS
from gantry.nodes.certificates import shown
from gantry.nodes.errors import QueryFailed
from gantry.nodes.explain import explain
from gantry.nodes.find import FIND_CLASSES, cancelled_after, find, finding
from gantry.nodes.items import SendTarget
from gantry.nodes.parting import parting
from gantry.nodes.profile import NodeProfile, changes, lines
from gantry.nodes.question import Answer, Keys, Question, as_answer
from gantry.nodes.retrieving import GET_CLASSES, MOVE_CLASSES, USUAL_SYNTAXES

__all__ = ["SERVICES", "changes", "lines", "probe"]
#: What is asked for, by name.
SERVICES: Mapping[str, str] = {
    "echo": VERIFICATION,
    "find (study root)": FIND_CLASSES["STUDY"],
    "find (patient root)": FIND_CLASSES["PATIENT"],
    "get (study root)": GET_CLASSES["STUDY"],
    "get (patient root)": GET_CLASSES["PATIENT"],
    "move (study root)": MOVE_CLASSES["STUDY"],
    "move (patient root)": MOVE_CLASSES["PATIENT"],
    "worklist": "1.2.840.10008.5.1.4.31",
    "storage commitment": "1.2.840.10008.1.20.1",
    "performed procedure step": "1.2.840.10008.3.1.2.3.3",
    "instance availability": "1.2.840.10008.5.1.4.33",
    "unified procedure step": "1.2.840.10008.5.1.4.34.6.1",
}
#: Of these the transfer syntaxes are asked one by one.
_SAMPLED = (
    CT_IMAGE_STORAGE, *(f"1.2.840.10008.5.1.4.1.1.{tail}" for tail in ("4", "1.1", "1.2", "6.1", "3.1", "7", "12.1")),
)  # fmt: skip
#: Asked for in extended negotiation: relational, combined date and time, fuzzy names (PS3.4 C.5.1.1.1).
_EXTENDED = b"\x01\x01\x01\x00\x00"
#: Keys to try, with a value that no study has.
_NOBODY = "ZZZZ-NOBODY-HAS-THIS"
_KEYS: Mapping[str, str] = {
    "PatientID": _NOBODY, "PatientName": "ZZZZ^NOBODY", "PatientBirthDate": "18010101", "StudyDate": "18010101",
    "StudyTime": "000000.000001", "AccessionNumber": "ZZZZ-NOBODY", "StudyID": "ZZZZ-NOBODY", "ModalitiesInStudy": "ZZ",
    "StudyDescription": _NOBODY, "ReferringPhysicianName": "ZZZZ^NOBODY",
}  # fmt: skip
_ASKED_BACK = (*_KEYS, "NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances")
_QUERY_SECONDS = 20.0
_ENOUGH = 3
#: A node that goes on for longer does not heed a cancel.
_CANCELLED_SECONDS = 3.0
#: Classes proposed at once in many syntaxes: there are systems that take no association request of 64 KB.
_TOGETHER = 96
_SOME_DAYS = (1, 30, 365)


def probe(target: SendTarget, *, advance: Callable[[], None] = lambda: None) -> NodeProfile:
    """What a node can do. Blocks for seconds; never raises for what the node does: `error` says why it failed.

    `advance` is called after each question. Query keys are tried on one study that the node holds; what they are is
    neither shown nor kept.
    """
    found = NodeProfile(tls=target.security.tls)
    try:
        _services(target, found)
        advance()
        _storage(target, found, advance)
        if any(service.startswith("find") for service in found.services):
            asyncio.run(_queries(target, found, advance))
    except (DimseError, OSError) as error:
        why = explain(error, target)
        found.error, found.remedy = why.cause, why.remedy
    except QueryFailed as error:
        found.error, found.remedy = str(error), error.remedy
    return found


def _services(target: SendTarget, found: NodeProfile) -> None:
    both = (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN)
    contexts = [ContextProposal(uid, both) for uid in SERVICES.values()]
    extended = [ExtendedNegotiation(uid, _EXTENDED) for uid in FIND_CLASSES.values()]
    with parting(target, contexts, extended=extended) as association:
        taken = {uid for uid, _ in association.accepted}
        accept = association.core.accept_pdu
    found.certificate = shown(target)
    found.services = [name for name, uid in SERVICES.items() if uid in taken]
    if accept is not None:
        user = accept.user
        found.implementation_class_uid, found.implementation_version = user.implementation_class_uid, user.implementation_version
        found.max_pdu = user.max_length
        if user.async_window is not None:
            found.async_operations = user.async_window.invoked
        options = [item.information for item in user.extended if item.sop_class_uid in FIND_CLASSES.values()]
        found.relational = any(one[:1] == b"\x01" for one in options)
        found.fuzzy = any(one[2:3] == b"\x01" for one in options)
    if FIND_CLASSES["STUDY"] not in taken and FIND_CLASSES["PATIENT"] in taken:
        found.quirk("no-study-root")
    for quirk, classes in (("no-get", GET_CLASSES), ("no-move", MOVE_CLASSES)):
        if not taken.intersection(classes.values()):
            found.quirk(quirk)


def _storage(target: SendTarget, found: NodeProfile, advance: Callable[[], None]) -> None:
    """Every storage class of the standard in any syntax; then the syntaxes of the usual classes, one by one."""
    classes = all_of("storage")
    syntaxes = tuple(dict.fromkeys([*USUAL_SYNTAXES, *_all_syntaxes()]))
    for start in range(0, len(classes), _TOGETHER):
        some = [ContextProposal(uid, USUAL_SYNTAXES) for uid in classes[start : start + _TOGETHER]]
        found.storage += [uid for uid, _ in _accepted(target, some)]
        advance()
    pairs = [(uid, syntax) for uid in _SAMPLED if uid in found.storage for syntax in syntaxes]
    for start in range(0, len(pairs), MAX_CONTEXTS):
        for uid, syntax in _accepted(
            target, [ContextProposal(uid, (syntax,)) for uid, syntax in pairs[start : start + MAX_CONTEXTS]]
        ):
            found.syntaxes.setdefault(uid, []).append(syntax)
        advance()


def _all_syntaxes() -> tuple[str, ...]:
    return tuple(uid for uid in all_of("syntax") if uid.startswith(("1.2.840.10008.1.2.4.", "1.2.840.10008.1.2.5")))


def _accepted(target: SendTarget, contexts: Sequence[ContextProposal]) -> list[tuple[str, str]]:
    with parting(target, contexts) as association:
        return list(association.accepted)


async def _queries(target: SendTarget, found: NodeProfile, advance: Callable[[], None]) -> None:
    await _ask_for_nothing(target, found)
    advance()
    study = await _some_study(target)
    if study is None:
        return
    await _try_cancel(target, found)
    advance()
    await _try_keys(target, found, study, advance)
    await _try_levels(target, found, study)
    advance()


async def _asked(target: SendTarget, level: str, keys: Keys, wanted: Sequence[str] = ()) -> list[Answer]:
    """At most three answers of one query as the node gave them, none left out. Raises QueryFailed."""
    answers: list[Answer] = []
    question = Question.of(level, keys, wanted)
    try:
        async with (
            asyncio.timeout(_QUERY_SECONDS),
            finding(target, question.level) as finder,
            aclosing(finder.ask(question, {})) as coming,
        ):
            async for _, identifier in coming:
                answers.append(as_answer(identifier) if identifier is not None else {})
                if len(answers) >= _ENOUGH:
                    break
    except TimeoutError:
        raise QueryFailed(f"a query took longer than {_QUERY_SECONDS:g} s", "try again when the node has less to do") from None
    return answers


async def _ask_for_nothing(target: SendTarget, found: NodeProfile) -> None:
    """A study that nobody has: an empty answer is a success (PS3.4 C.4.1.1.4)."""
    try:
        if await _asked(target, "STUDY", {"StudyInstanceUID": f"2.25.{uuid4().int}"}):
            found.quirk("unique-key-ignored")
    except QueryFailed as error:
        if error.status is None or error.status in {0x0122, 0x0124}:
            raise
        found.quirk("empty-is-failure")


async def _some_study(target: SendTarget) -> Answer | None:
    """One study, sought among few: the newest days first, then any."""
    today = date.today()  # noqa: DTZ011  what the node calls today is as good
    spans = [f"{today - timedelta(days=days):%Y%m%d}-{today:%Y%m%d}" for days in _SOME_DAYS]
    for span in [*spans, ""]:
        async with aclosing(find(target, "STUDY", {"StudyDate": span}, wanted=_ASKED_BACK, limit=1)) as answers:
            async for answer in answers:
                if answer.get("StudyInstanceUID"):
                    return answer
    return None


async def _try_keys(target: SendTarget, found: NodeProfile, study: Answer, advance: Callable[[], None]) -> None:
    """Does a value that the study does not have keep it away, key by key?"""
    uid = {"StudyInstanceUID": study["StudyInstanceUID"]}
    for keyword, nobody in _KEYS.items():
        try:
            answers = await _asked(target, "STUDY", {**uid, keyword: nobody})
        except QueryFailed:
            answers = []
        (found.keys_ignored if answers else found.keys_honoured).append(keyword)
        advance()
    found.keys_absent = [keyword for keyword in _ASKED_BACK if keyword not in study]
    if not study.get("NumberOfStudyRelatedInstances"):
        found.quirk("no-instance-counts")
    name = study.get("PatientName", "")
    if isinstance(name, str) and len(name) > 2 and "PatientName" in found.keys_honoured:
        if not await _finds(target, "STUDY", {**uid, "PatientName": name[:2] + "*"}):
            found.quirk("no-name-wildcards")
        if name.swapcase() != name and not await _finds(target, "STUDY", {**uid, "PatientName": name.swapcase()}):
            found.quirk("names-case-sensitive")
    if not await _finds(target, "STUDY", {"StudyInstanceUID": [str(uid["StudyInstanceUID"]), f"2.25.{uuid4().int}"]}):
        found.quirk("no-uid-lists")


async def _try_cancel(target: SendTarget, found: NodeProfile) -> None:
    """Does a query that has many answers end when it is cancelled (PS3.4 C.4.1.3.2)? Says nothing when it has few."""
    for _ in range(2):  # a node that was busy for once has not ignored it
        took = await cancelled_after(target, _QUERY_SECONDS, _CANCELLED_SECONDS)
        if took is None:
            return
        if took < _CANCELLED_SECONDS:
            found.cancel_seconds = round(took, 3)
            return
    found.quirk("cancel-ignored")


async def _finds(target: SendTarget, level: str, keys: Keys) -> bool:
    try:
        return bool(await _asked(target, level, keys))
    except QueryFailed:
        return False


async def _try_levels(target: SendTarget, found: NodeProfile, study: Answer) -> None:
    """Does it go down to single instances?"""
    try:
        async with aclosing(find(target, "IMAGE", {"StudyInstanceUID": study["StudyInstanceUID"]}, limit=1)) as answers:
            images = [answer async for answer in answers]
    except QueryFailed:
        images = []
    if not images:
        found.quirk("no-image-level")
