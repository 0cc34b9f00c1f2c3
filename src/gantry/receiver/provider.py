"""What is answered from the index: find, get, move, commit. Their code is loaded when somebody first asks.

A receiver that only stores does not pay for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from dimse.acceptance import AssociationInfo
from dimse.operations import (
    Final,
    FindRequest,
    GetRequest,
    Match,
    MoveRequest,
    NormalisedAnswer,
    NormalisedRequest,
    Outgoing,
    SubOperations,
)
from gantry.config import Config
from gantry.receiver.index import Index


@dataclass(slots=True)
class Provider:
    """The verbs of one receiver process. Thread-safe."""

    config: Config
    index: Index = field(default_factory=Index)

    def find(self, association: AssociationInfo, request: FindRequest, cancelled: Callable[[], bool]) -> Iterator[Match | Final]:
        """C-FIND."""
        from gantry.receiver.find import find

        return find(self.index, association, request, cancelled, limit=self.config.find_limit)

    def get(self, request: GetRequest, cancelled: Callable[[], bool]) -> tuple[int, Iterator[Outgoing]]:
        """C-GET."""
        from gantry.receiver.get import get

        return get(self.index, self.config.home, request, cancelled)

    def move(
        self, association: AssociationInfo, request: MoveRequest, cancelled: Callable[[], bool]
    ) -> Iterator[SubOperations | Final]:
        """C-MOVE."""
        from gantry.receiver.move import move

        return move(self.index, association, request, cancelled)

    def normalised(self, association: AssociationInfo, request: NormalisedRequest) -> NormalisedAnswer:
        """N-ACTION of storage commitment."""
        from gantry.receiver.commit import commit

        return commit(self.index, self.config.home, association, request)
