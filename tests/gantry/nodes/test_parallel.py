"""How many associations: a node as a function from associations to speed, and a clock of its own."""

from __future__ import annotations

from collections.abc import Callable

from gantry.nodes.parallel import FIRST, Parallel


def serve(parallel: Parallel, speed: Callable[[int], float], seconds: float, start: float = 0.0) -> float:
    """Answer 1 MB instances at the speed (instances per second) that the node has with so many associations."""
    now = start
    parallel._began = max(parallel._began, 0.0) if start else 0.0
    while now < start + seconds:
        now += 1 / speed(parallel.limit)
        parallel.answered(1_000_000, now)
    return now


def test_it_grows_while_that_makes_it_faster() -> None:
    parallel = Parallel(16)
    assert parallel.limit == FIRST
    serve(parallel, lambda n: 20.0 * min(n, 6), 60)
    assert 5 <= parallel.limit <= 7


def test_it_never_passes_the_ceiling() -> None:
    parallel = Parallel(4)
    serve(parallel, lambda n: 20.0 * n, 60)
    assert parallel.limit == 4
    assert Parallel(1, 8).limit == 1


def test_a_node_that_gets_slower_is_asked_less() -> None:
    parallel = Parallel(16, 8)
    serve(parallel, lambda n: 200.0 / n, 120)
    assert parallel.limit <= 8


def test_a_refusal_halves_and_is_remembered() -> None:
    parallel = Parallel(16, 8)
    parallel.refused(now=100.0)
    assert parallel.limit == 4
    parallel.refused(working=3, now=100.0)
    assert parallel.limit == 2
    parallel._began = 100.0
    now = serve(parallel, lambda n: 50.0 * n, 20, start=100.0)
    assert parallel.limit == 2, "not tried again at once"
    serve(parallel, lambda n: 50.0 * n, 60, start=now)
    assert parallel.limit > 2
