"""C-FIND at a node (PS3.4 annex C): answers as they come, checked against what was asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from dimse import aio
from dimse.aio.operation import Operation
from dimse.errors import DimseError
from dimse.identifier import Identifier, IdentifierError
from dimse.items import ExtendedNegotiation
from dimse.negotiation import ContextProposal
from dimse.operations import Final
from dimse.status import Category, Service, category_of
from dimse.uids import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN
from gantry.nodes.associate import CANCEL_SECONDS, associate_async, let_go
from gantry.nodes.errors import BadQuery, QueryFailed
from gantry.nodes.explain import explain, explain_final
from gantry.nodes.items import SendTarget
from gantry.nodes.matching import misfits
from gantry.nodes.question import LEVELS, UNIQUE, Answer, Keys, Level, Question, as_answer, decode_text, is_unique

#: Query classes by root (PS3.4 table C.6-5 and others).
FIND_CLASSES: Mapping[Level, str] = {
    "STUDY": "1.2.840.10008.5.1.4.1.2.2.1",
    "PATIENT": "1.2.840.10008.5.1.4.1.2.1.1",
}
SYNTAXES = (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN)
#: Asked for: relational queries and nothing else (PS3.4 C.5.1.1.1).
RELATIONAL = b"\x01\x00\x00\x00\x00"
#: Entities of an upper level through which a query goes down, at most.
MAX_PARENTS = 10_000
#: Answers among which those that come twice are noticed; memory has a bound.
_MAX_TOLD = 500_000
_MODALITIES = "ModalitiesInStudy"
_PENDING_PARTIAL = 0xFF01


@dataclass(slots=True)
class Found:
    """What happened in a query besides its answers: how many did not fit (by key), came twice, could not be read."""

    answers: int = 0
    dropped: int = 0
    repeated: int = 0
    unreadable: int = 0
    ignored_keys: dict[str, int] = field(default_factory=dict)
    relational: bool = False
    cut: bool = False  # the limit was reached


async def find(
    target: SendTarget,
    level: str,
    keys: Keys,
    *,
    wanted: Sequence[str] = (),
    limit: int | None = None,
    deadline: float | None = None,
    seen: Found | None = None,
) -> AsyncGenerator[Answer, None]:
    """What a node holds that fits `keys`, by keyword; a value that has several parts is a list.

    `keys` may belong to levels above `level`: without relational queries we ask these levels first, one after
    another. `deadline` in seconds for the whole; `limit` of answers. To stop early, close the iterator: the query is
    cancelled and the association released within a second. Raises BadQuery, QueryFailed.
    """
    seen = seen if seen is not None else Found()
    end = None if deadline is None else asyncio.get_running_loop().time() + deadline
    async with aclosing(_Query(target, Question.of(level, keys, wanted), limit, seen).run()) as answers:
        while True:
            try:
                # Not around the yield: what our caller does with an answer is not ours to interrupt.
                async with asyncio.timeout_at(end) as clock:
                    answer = await anext(answers)
            except StopAsyncIteration:
                return
            except TimeoutError:
                if not clock.expired():
                    raise
                raise QueryFailed(f"the query took longer than {deadline:g} s", "narrow it, or allow more time") from None
            except (DimseError, OSError) as error:
                why = explain(error, target)
                raise QueryFailed(why.cause, why.remedy) from error
            yield answer


class _Query:
    """One call of `find`."""

    def __init__(self, target: SendTarget, question: Question, limit: int | None, seen: Found) -> None:
        self._target = target
        self._question = question
        self._limit = limit
        self._seen = seen

    async def run(self) -> AsyncGenerator[Answer, None]:
        async with finding(self._target, self._question.level) as finder:
            self._seen.relational = finder.relational
            async with aclosing(self._walk(finder)) as answers:
                async for answer in answers:
                    self._seen.answers += 1
                    yield answer
                    if self._limit is not None and self._seen.answers >= self._limit:
                        self._seen.cut = True
                        return

    async def _walk(self, finder: Finder) -> AsyncGenerator[Answer, None]:
        """Down from the first level that must be asked; each level needs the unique keys of those above."""
        paths: list[tuple[dict[str, str], Answer]] = [(self._given(finder.root), {})]
        for level in self._levels(finder):
            last = level == self._question.level
            below: list[tuple[dict[str, str], Answer]] = []
            question = self._question if last else self._step(level)
            for above, told in paths:
                async with aclosing(self._checked(finder, question, above)) as answers:
                    async for answer in answers:
                        if last:
                            yield {**told, **above, **answer}
                            continue
                        uid = answer.get(UNIQUE[level], "")
                        if isinstance(uid, str) and uid:
                            below.append(({**above, UNIQUE[level]: uid}, {**told, **answer}))
                        if len(below) > MAX_PARENTS:
                            raise BadQuery(f"more than {MAX_PARENTS} fit at level {level}: narrow the query")
            paths = below

    def _given(self, root: Level) -> dict[str, str]:
        """Unique keys of levels above that are known from the start."""
        above = LEVELS[LEVELS.index(root) : LEVELS.index(self._question.level)]
        values = {UNIQUE[level]: self._question.keys.get(UNIQUE[level], "") for level in above}
        return {key: uid for key, uid in values.items() if isinstance(uid, str) and uid and not _is_pattern(uid)}

    def _levels(self, finder: Finder) -> list[Level]:
        question = self._question
        top = LEVELS.index("STUDY" if finder.root == "STUDY" else "PATIENT")
        target = LEVELS.index(question.level)
        if finder.relational or target <= top:
            return [question.level]
        # Levels whose unique key is known need not be asked, if nothing else is asked of them.
        upper = [level for level in LEVELS[top:target] if not self._is_given(level)]
        if upper and not any(question.keys_at(level) for level in LEVELS[:target]):
            need = ", ".join(UNIQUE[level] for level in upper)
            raise BadQuery(f"a query at level {question.level} needs {need}, or keys of the levels above to find them by")
        return [*upper, question.level]

    def _is_given(self, level: Level) -> bool:
        keys = self._question.keys_at(level)
        uid = keys.pop(UNIQUE[level], "")
        if level == "STUDY":  # in the study root the patient belongs to the study
            keys |= self._question.keys_at("PATIENT")
        return isinstance(uid, str) and bool(uid) and not _is_pattern(uid) and not any(keys.values())

    def _step(self, level: Level) -> Question:
        keys = self._question.keys_at(level)
        if level == "STUDY":
            keys |= self._question.keys_at("PATIENT")
        told = [keyword for keyword in self._question.wanted if self._question.home_of(keyword) == level]
        return Question(level, keys, (UNIQUE[level], *told))

    async def _checked(self, finder: Finder, question: Question, above: Mapping[str, str]) -> AsyncGenerator[Answer, None]:
        # Keys above the level are told by the path; the unique ones that were given go along.
        at = LEVELS.index(question.level)
        if finder.relational:
            asked = question
        else:
            own = {key: value for key, value in question.keys.items() if self._belongs(key, question, at, finder.root)}
            asked = Question(question.level, own, question.wanted)
        told: set[tuple[str, ...]] = set()
        async with aclosing(finder.ask(asked, above)) as answers:
            async for status, identifier in answers:
                if identifier is None:
                    self._seen.unreadable += 1
                    continue
                answer = as_answer(identifier)
                if question.level == "STUDY" and asked.keys.get(_MODALITIES) and not answer.get(_MODALITIES):
                    answer[_MODALITIES] = await self._modalities(answer)
                broken = misfits({**asked.keys, **above}, answer, partial=status == _PENDING_PARTIAL)
                if broken:
                    self._seen.dropped += 1
                    for keyword in broken:
                        self._seen.ignored_keys[keyword] = self._seen.ignored_keys.get(keyword, 0) + 1
                    continue
                if _once(question.level, answer, told):
                    yield answer
                else:
                    self._seen.repeated += 1

    async def _modalities(self, answer: Answer) -> list[str]:
        """For nodes that do not tell it of a study (an optional key): what its series say."""
        uid = answer.get(UNIQUE["STUDY"], "")
        if not isinstance(uid, str) or not uid:
            return []
        question = Question("SERIES", {UNIQUE["STUDY"]: uid}, ("Modality",))
        async with finding(self._target, "SERIES") as finder, aclosing(finder.ask(question, {})) as answers:
            found = [identifier.text("Modality") async for _, identifier in answers if identifier is not None]
        return sorted({modality for modality in found if modality})

    def _belongs(self, keyword: str, question: Question, at: int, root: Level) -> bool:
        home = LEVELS.index(question.home_of(keyword))
        return home == at or is_unique(keyword, root) or (question.level == "STUDY" and root == "STUDY")


def _once(level: Level, answer: Answer, told: set[tuple[str, ...]]) -> bool:
    """Nodes that keep a row for each instance answer as often. What has no unique key cannot be told apart."""
    keys = (UNIQUE[level],) if level != "PATIENT" else ("PatientID", "IssuerOfPatientID", "PatientName")
    values = tuple(value if isinstance(value := answer.get(key, ""), str) else "\\".join(value) for key in keys)
    if not values[0]:
        return True
    if values in told:
        return False
    if len(told) < _MAX_TOLD:
        told.add(values)
    return True


def _is_pattern(value: str) -> bool:
    return bool(set("*?\\") & set(value))


class finding:  # noqa: N801  a context manager, used like a function
    """An association for queries; cancels what runs and lets go within a second."""

    def __init__(self, target: SendTarget, level: Level) -> None:
        self._target = target
        self._level = level
        self._finder: Finder | None = None

    async def __aenter__(self) -> Finder:
        patient_only = self._level == "PATIENT" or "no-study-root" in self._target.quirks
        roots: tuple[Level, ...] = ("PATIENT",) if patient_only else ("STUDY", "PATIENT")
        classes = [FIND_CLASSES[root] for root in roots]
        contexts = [ContextProposal(uid, (syntax,)) for uid in classes for syntax in SYNTAXES]
        extended = [ExtendedNegotiation(uid, RELATIONAL) for uid in classes]
        association = await associate_async(self._target, contexts, extended=extended)
        try:
            self._finder = Finder(association, self._target, roots)
        except BaseException:
            await association.abort()
            raise
        return self._finder

    async def __aexit__(self, *_: object) -> None:
        if self._finder is not None:
            await self._finder.close()


class Finder:
    """An open association that answers queries of one root."""

    def __init__(self, association: aio.ClientAssociation, target: SendTarget, roots: Sequence[Level]) -> None:
        self._association = association
        self._target = target
        taken = dict(reversed(list(association.accepted)))
        for root in roots:
            if FIND_CLASSES[root] in taken:
                self.root: Level = root
                self.sop_class_uid = FIND_CLASSES[root]
                break
        else:
            raise QueryFailed("the node takes no queries of this level", "allow C-FIND for our AE title at the node")
        self._syntax = taken[self.sop_class_uid]
        accept = association.core.accept_pdu
        granted = accept.user.extended if accept is not None else ()
        self.relational = any(item.sop_class_uid == self.sop_class_uid and item.information[:1] == b"\x01" for item in granted)

    def operation(self, question: Question, above: Mapping[str, str]) -> Operation:
        """One C-FIND, that is sent when iterating begins. Raises BadQuery."""
        try:
            raw = question.identifier(root=self.root, above=above).encode(self._syntax)
        except (IdentifierError, TypeError) as error:
            raise BadQuery(str(error)) from error
        return self._association.find(raw, sop_class_uid=self.sop_class_uid)

    async def ask(self, question: Question, above: Mapping[str, str]) -> AsyncGenerator[tuple[int, Identifier | None], None]:
        """One C-FIND: (status, identifier) of each answer; None for one that cannot be read. Raises QueryFailed."""
        operation = self.operation(question, above)
        try:
            async for progress in operation:
                try:
                    yield progress.status, Identifier.parse(progress.identifier, self._syntax, decode=decode_text)
                except IdentifierError:
                    yield progress.status, None
        finally:
            await operation.aclose(CANCEL_SECONDS)
        check_final(operation.final, self._target)

    async def close(self) -> None:
        """Release, or abort where the node does not end in time."""
        await let_go(self._association)


def check_final(final: Final | None, target: SendTarget) -> None:
    """Raises QueryFailed for a final answer to a query that is a failure."""
    if final is None or category_of(final.status) in {Category.SUCCESS, Category.WARNING, Category.CANCEL}:
        return
    cause, remedy = explain_final(final.status, final.comment, Service.FIND, target)
    raise QueryFailed(cause, remedy, final.status)


async def cancelled_after(target: SendTarget, patience_seconds: float, end_seconds: float) -> float | None:
    """Ask for all studies, cancel after the first answer: seconds until the node ended the query.

    `end_seconds` when it had not by then; None when it ended by itself, with fewer answers than a cancel takes to
    arrive. Raises QueryFailed and what the engine raises.
    """
    loop = asyncio.get_running_loop()
    async with finding(target, "STUDY") as finder:
        operation = finder.operation(Question.of("STUDY", {}, ()), {})
        try:
            async with asyncio.timeout(patience_seconds):
                async for _ in operation:
                    break
        except TimeoutError:
            return None
        began = loop.time()
        if not operation.done:
            await operation.aclose(end_seconds)
        took = loop.time() - began
        if not operation.done:  # aborted: by us in the end, or by a node that had just ended and takes no late cancel (Orthanc)
            return end_seconds if took >= end_seconds else None
        return took if category_of(operation.final.status) is Category.CANCEL else None
