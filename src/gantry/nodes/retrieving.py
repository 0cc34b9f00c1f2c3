"""One C-GET or C-MOVE on an association of its own (PS3.4 C.4.2, C.4.3): contexts, patience, cancel."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from uuid import uuid4

from dimse import aio
from dimse.acceptance import StoreAnswer, StoreRequest
from dimse.aio.operation import Operation
from dimse.identifier import Identifier, IdentifierError
from dimse.negotiation import AcceptedContext, ContextProposal
from dimse.operations import Final, SubOperations
from dimse.uids import (
    CT_IMAGE_STORAGE,
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    JPEG_2000,
    JPEG_2000_LOSSLESS,
    JPEG_BASELINE,
    JPEG_LOSSLESS_SV1,
    JPEG_LS_LOSSLESS,
    RLE_LOSSLESS,
    all_of,
)
from gantry.nodes.associate import CANCEL_SECONDS, MAX_CONTEXTS, associate_async, let_go
from gantry.nodes.errors import QueryFailed
from gantry.nodes.into import Bringer, Into, Sink
from gantry.nodes.items import SendTarget

#: By root (PS3.4 table C.6-5 and others).
GET_CLASSES: Mapping[str, str] = {"STUDY": "1.2.840.10008.5.1.4.1.2.2.3", "PATIENT": "1.2.840.10008.5.1.4.1.2.1.3"}
MOVE_CLASSES: Mapping[str, str] = {"STUDY": "1.2.840.10008.5.1.4.1.2.2.2", "PATIENT": "1.2.840.10008.5.1.4.1.2.1.2"}
#: In which instances usually are: each is proposed alone, so that a node sends what it has as it is.
USUAL_SYNTAXES = (
    EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, JPEG_LOSSLESS_SV1, JPEG_2000_LOSSLESS, JPEG_LS_LOSSLESS,
    RLE_LOSSLESS, JPEG_BASELINE, JPEG_2000, "1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.81",
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN, "1.2.840.10008.1.2.4.102",
)  # fmt: skip
#: Offered when nobody could say what will come: the usual ones of the standard, the rest as far as there is room.
_USUAL_CLASSES = (
    CT_IMAGE_STORAGE,
    *(f"1.2.840.10008.5.1.4.1.1.{tail}" for tail in (
        "4", "1", "1.1", "1.2", "2.1", "4.1", "4.2", "7", "6.1", "3.1", "20", "128", "130", "12.1", "12.2", "11.1", "66.4",
        "66.1", "66.5", "88.11", "88.22", "88.33", "88.34", "88.59", "88.67", "104.1", "481.1", "481.2", "481.3", "481.4",
        "481.5", "13.1.3", "77.1.1", "77.1.4", "77.1.6", "9.1.1", "7.1", "7.2", "7.3", "7.4",
    )),
)  # fmt: skip
_FAILED_LIST = "FailedSOPInstanceUIDList"


@dataclass(slots=True)
class Heard:
    """What a retrieval came to. `failed` are the SOP Instance UIDs that the node could not send."""

    final: Final | None = None
    counts: SubOperations = field(default_factory=SubOperations)
    failed: list[str] = field(default_factory=list)
    syntax: str = ""


OnProgress = Callable[[SubOperations | None], None]


class Idle:
    """A limit of silence: each sign of life begins it anew."""

    def __init__(self, seconds: float, what: str) -> None:
        self._seconds = seconds
        self._what = what
        self._clock: asyncio.Timeout | None = None

    async def __aenter__(self) -> Idle:
        self._clock = asyncio.timeout(self._seconds)
        await self._clock.__aenter__()
        return self

    def sign(self) -> None:
        """Something came."""
        if self._clock is not None and not self._clock.expired():
            self._clock.reschedule(asyncio.get_running_loop().time() + self._seconds)

    async def __aexit__(self, *error: object) -> None:
        assert self._clock is not None
        try:
            await self._clock.__aexit__(*error)  # type: ignore[arg-type]  # the three of the protocol
        except TimeoutError:
            raise QueryFailed(
                f"nothing came for {self._seconds:g} s during the {self._what}",
                "look at the load and the log of the node, or allow more time",
            ) from None


async def get(
    target: SendTarget, identifier: Identifier, classes: Iterable[str], into: Into, idle_seconds: float, on_progress: OnProgress
) -> Heard:
    """C-GET: the node sends on the same association. Raises what the engine raises, QueryFailed for silence."""
    contexts = [ContextProposal(uid, (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN)) for uid in GET_CLASSES.values()]
    bringer = Bringer(target, uuid4())
    heard = Heard()
    opening = _open(target, [*contexts, *storage_contexts(classes)])
    async with opening as association, Idle(idle_seconds, "C-GET") as idle:

        def store(request: StoreRequest, context: AcceptedContext) -> Sink:
            idle.sign()
            return _Watched(into.sink(bringer, request, context), idle, on_progress)

        try:
            sop_class_uid, heard.syntax = _taken(association, GET_CLASSES, "C-GET")
            raw = identifier.encode(heard.syntax)
            await _follow(association.get(raw, sop_class_uid=sop_class_uid, store=store), heard, idle, None)
        finally:
            into.ended(bringer.association_id)
    return heard


async def move(
    target: SendTarget, identifier: Identifier, destination: str, idle_seconds: float, on_progress: OnProgress,
    message_id: int | None = None,
) -> Heard:  # fmt: skip
    """C-MOVE to a destination that the node knows by its AE title, with this message id if given. Raises as `get`."""
    contexts = [ContextProposal(uid, (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN)) for uid in MOVE_CLASSES.values()]
    heard = Heard()
    async with _open(target, contexts) as association, Idle(idle_seconds, "C-MOVE") as idle:
        sop_class_uid, heard.syntax = _taken(association, MOVE_CLASSES, "C-MOVE")
        raw = identifier.encode(heard.syntax)
        operation = association.move(raw, sop_class_uid=sop_class_uid, destination=destination, message_id=message_id)
        await _follow(operation, heard, idle, on_progress)
    return heard


def storage_contexts(classes: Iterable[str]) -> list[ContextProposal]:
    """The contexts in which the node may send to us; we are provider of these classes (PS3.7 D.3.3.4).

    As few classes as fit get a context for each syntax; many share one for all syntaxes each.
    """
    room = MAX_CONTEXTS - len(GET_CLASSES)
    named = list(dict.fromkeys(classes)) or list(dict.fromkeys([*_USUAL_CLASSES, *all_of("storage")]))
    each = min(len(USUAL_SYNTAXES), room // max(1, min(len(named), room)))
    if each < 4:
        return [ContextProposal(uid, USUAL_SYNTAXES, scu=False, scp=True) for uid in named[:room]]
    alone, rest = USUAL_SYNTAXES[: each - 1], USUAL_SYNTAXES[each - 1 :]
    return [
        ContextProposal(uid, syntaxes, scu=False, scp=True)
        for uid in named
        for syntaxes in [*((syntax,) for syntax in alone), rest]
    ]


def _taken(association: aio.ClientAssociation, classes: Mapping[str, str], what: str) -> tuple[str, str]:
    """The query class of the node, and its syntax. Raises QueryFailed."""
    for uid in classes.values():
        for abstract, syntax in association.accepted:
            if abstract == uid:
                return uid, syntax
    raise QueryFailed(f"the node takes no {what}", f"allow {what} for our AE title at the node", 0x0122)


async def _follow(operation: Operation, heard: Heard, idle: Idle, on_progress: OnProgress | None) -> None:
    try:
        async for progress in operation:
            idle.sign()
            if progress.counts is not None:
                heard.counts = progress.counts
                if on_progress is not None:
                    on_progress(progress.counts)
    finally:
        await operation.aclose(CANCEL_SECONDS)
    heard.final = final = operation.final
    if final.counts is not None:
        heard.counts = final.counts
    if final.data:
        with suppress(IdentifierError):
            heard.failed = Identifier.parse(final.data, heard.syntax).texts(_FAILED_LIST)


@asynccontextmanager
async def _open(target: SendTarget, contexts: Sequence[ContextProposal]) -> AsyncIterator[aio.ClientAssociation]:
    association = await associate_async(target, contexts)
    try:
        yield association
    finally:
        await let_go(association)


class _Watched:
    """A sink whose every piece is a sign of life."""

    __slots__ = ("_idle", "_on_progress", "_sink")

    def __init__(self, sink: Sink, idle: Idle, on_progress: OnProgress) -> None:
        self._sink = sink
        self._idle = idle
        self._on_progress = on_progress

    def write(self, view: memoryview) -> None:
        self._idle.sign()
        self._sink.write(view)

    def finish(self) -> StoreAnswer:
        answer = self._sink.finish()
        self._on_progress(None)
        return answer

    def abort(self) -> None:
        self._sink.abort()


def chosen(uids: Sequence[str]) -> str | list[str]:
    """A value or a list of them."""
    return uids[0] if len(uids) == 1 else list(uids)
