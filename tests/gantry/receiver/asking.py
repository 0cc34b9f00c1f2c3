"""Associations of tests that ask: C-GET, C-MOVE, storage commitment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.support.part10_files import CT_IMAGE_STORAGE, EXPLICIT_LITTLE_ENDIAN

from dimse.acceptance import StoreAnswer, StoreRequest
from dimse.blocking import ClientAssociation, connect
from dimse.identifier import Identifier
from dimse.negotiation import (
    STORAGE_COMMITMENT,
    STUDY_ROOT_FIND,
    STUDY_ROOT_GET,
    STUDY_ROOT_MOVE,
    AcceptedContext,
    ContextProposal,
)

ALL = (STUDY_ROOT_FIND, STUDY_ROOT_GET, STUDY_ROOT_MOVE, STORAGE_COMMITMENT)


@dataclass
class Kept:
    """Takes what C-GET brings; `answer` decides about each."""

    status: int = 0
    got: dict[str, bytes] = field(default_factory=dict)

    def __call__(self, request: StoreRequest, context: AcceptedContext) -> Any:
        return _Sink(self, request.sop_instance_uid)


class _Sink:
    def __init__(self, kept: Kept, uid: str) -> None:
        self._kept, self._uid, self._data = kept, uid, bytearray()

    def write(self, view: memoryview) -> None:
        self._data += view

    def finish(self) -> StoreAnswer:
        self._kept.got[self._uid] = bytes(self._data)
        return StoreAnswer(self._kept.status)

    def abort(self) -> None:
        self._data.clear()


def ask(port: int, *, calling: str = "TESTS", classes: Sequence[str] = ALL, storage: str = CT_IMAGE_STORAGE) -> ClientAssociation:
    contexts = [ContextProposal(uid, (EXPLICIT_LITTLE_ENDIAN,)) for uid in classes]
    contexts.append(ContextProposal(storage, (EXPLICIT_LITTLE_ENDIAN,), scu=True, scp=True))
    return connect(
        "127.0.0.1", port, called_aet="GANTRY", calling_aet=calling, contexts=contexts, connect_timeout=30, response_timeout=60
    )


def identifier(level: str, **keys: Any) -> bytes:
    return Identifier.of(QueryRetrieveLevel=level, **keys).encode(EXPLICIT_LITTLE_ENDIAN)
