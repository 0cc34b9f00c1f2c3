"""Send instances to a node of any kind: several lanes, each in its thread, stored bytes verbatim unless told otherwise."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from gantry.nodes.folder import FolderLane
from gantry.nodes.items import AnyTarget, FolderTarget, SendItem, SendOutcome, WebTarget
from gantry.nodes.lane import LOSS_LIMIT, Lane, MakeLane, Manner, OnResult, Run
from gantry.nodes.parallel import Parallel
from gantry.nodes.pool import AssociationPool
from gantry.nodes.send_dimse import DimseLane, Door
from gantry.nodes.stow import WebLane

__all__ = ["FIRST_CHUNK", "LARGEST_CHUNK", "LOSS_LIMIT", "Manner", "OnResult", "Source", "send"]
#: Asked of the source at first and at most; the first answer comes soon, later ones are worth their transaction.
FIRST_CHUNK, LARGEST_CHUNK = 32, 512
#: A chunk that lasts longer is too large: what is urgent comes behind it. Seconds.
CHUNK_SECONDS = 1.0
_LEAST_CHUNK = 8
Source = Callable[[int], Sequence[SendItem]]


def send(
    target: AnyTarget,
    source: Source,
    on_result: OnResult,
    *,
    associations: int,
    stop: threading.Event,
    pool: AssociationPool | None = None,
    manner: Manner | None = None,
    parallel: Parallel | None = None,
) -> SendOutcome:
    """Send what `source(n)` gives (at most n at a time) until it gives nothing.

    Before each send the SHA-256 of the stored bytes is compared with the item's; what differs is never sent. The
    node's Success or Warning makes an item confirmed. `on_result` is called once for each item that was tried, from
    the sending threads; the rest is `untried` in the outcome. `parallel`, if given, finds the best number of
    associations by itself, else there are as many as `associations`. Never raises for what the node does.
    """
    run = Run(target, on_result, stop, parallel or Parallel(associations, associations), manner or Manner())
    run.make_lane = _lanes_to(target, pool)
    size = FIRST_CHUNK
    try:
        while not stop.is_set():
            items = source(size)
            if not items:
                break
            run.feed.put(items)
            run.start()
            began = time.monotonic()
            if not run.feed.wait_below(max(size, associations)):
                break
            slow = time.monotonic() - began > CHUNK_SECONDS
            size = max(size // 2, _LEAST_CHUNK) if slow else min(size * 2, LARGEST_CHUNK)
    finally:
        run.join()
    return run.finish()


def _lanes_to(target: AnyTarget, pool: AssociationPool | None) -> MakeLane:
    if isinstance(target, WebTarget):
        return WebLane
    if isinstance(target, FolderTarget):
        return FolderLane
    door = Door(pool or AssociationPool(0))

    def make(run: Run) -> Lane:
        return DimseLane(run, door)

    return make
