"""Several retrievals at once, as many as serve the node best, and what is remembered of that."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, TypeVar

from dimse.errors import AssociationFailure, DimseError
from gantry.nodes.errors import QueryFailed
from gantry.nodes.parallel import Parallel
from gantry.nodes.profile import NodeProfile

if TYPE_CHECKING:  # an address needs no database, and so no Django
    from gantry.nodes.models import Node

Work = TypeVar("Work")


def parallel_of(node: Node) -> Parallel:
    """For a fetch: begins with the number that was good the last time, else with one (the node is asked gently first)."""
    known = NodeProfile.from_dict(node.profile).fetch_associations if node.profile else 0
    return Parallel(node.max_associations, known or 1)


def remember(node: Node, parallel: Parallel) -> None:
    """Keep the number that was good in the node's profile, if it has one."""
    from gantry.nodes.models import Node

    now = Node.objects.filter(pk=node.pk).first()
    if now is not None and now.profile and now.profile.get("fetch_associations") != parallel.limit:
        kept = {**now.profile, "fetch_associations": parallel.limit}
        # Not over a probe that ended meanwhile.
        Node.objects.filter(pk=node.pk, profiled_at=now.profiled_at).update(profile=kept)


def wants_less(error: BaseException) -> bool:
    """Whether a node says, or shows, that we ask too much at once: no association more, out of resources, silence."""
    if isinstance(error, QueryFailed):
        return error.status is not None and 0xA700 <= error.status <= 0xA7FF
    return isinstance(error, AssociationFailure | OSError)


async def in_lanes(work: Iterable[Work], do: Callable[[Work], Awaitable[None]], parallel: Parallel) -> None:
    """Carry all of it out, `parallel.limit` at a time, which may change meanwhile.

    What the node had no room for is done again when fewer run. Raises what `do` raises, after the others were stopped.
    """
    waiting = deque(work)
    running: dict[asyncio.Task[None], Work] = {}

    async def one(piece: Work) -> None:
        await do(piece)

    try:
        while waiting or running:
            while waiting and len(running) < parallel.limit:
                piece = waiting.popleft()
                running[asyncio.create_task(one(piece))] = piece
            done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                piece = running.pop(task)
                error = task.exception()
                if error is None:
                    continue
                if not (running and isinstance(error, QueryFailed | DimseError | OSError) and wants_less(error)):
                    raise error
                parallel.refused(len(running))
                waiting.appendleft(piece)
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
