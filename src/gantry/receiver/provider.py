"""What is answered from the index: find, get, move, commit. Their code is loaded when the receiver has been up for a moment.

So the start does not pay for it, and the first who asks does not either (it was 0.1 s); it is 2 MB of memory.
"""

from __future__ import annotations

import threading
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
from gantry import database
from gantry.config import Config
from gantry.receiver.index import Index

#: After so many seconds the code is loaded, unless somebody asks before.
LOAD_SECONDS = 1.0


@dataclass(slots=True)
class Provider:
    """The verbs of one receiver process. Thread-safe."""

    config: Config
    index: Index = field(default_factory=Index)

    def load_soon(self) -> None:
        """Load in the background what the first question would wait for."""
        timer = threading.Timer(LOAD_SECONDS, _load)
        timer.daemon = True
        timer.start()

    def find(self, association: AssociationInfo, request: FindRequest, cancelled: Callable[[], bool]) -> Iterator[Match | Final]:
        """C-FIND."""
        from gantry.receiver.find import find

        return find(self.index, association, request, cancelled, limit=self.config.find_limit)

    def get(
        self, association: AssociationInfo, request: GetRequest, cancelled: Callable[[], bool]
    ) -> tuple[int, Iterator[Outgoing]]:
        """C-GET."""
        from gantry.receiver.get import get

        verify = self.config.retrieve_digest == "each"
        return get(self.index, self.config.home, association, request, cancelled, verify=verify, transcode=self.config.transcode)

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


def _load() -> None:
    import gantry.receiver.commit
    import gantry.receiver.find
    import gantry.receiver.get
    import gantry.receiver.move  # noqa: F401  for the others to find

    database.statements("gantry.catalogue", "query.sql")
