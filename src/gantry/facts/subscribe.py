"""Which queue function runs after which fact: one explicit table, filled by main/subscriptions.py."""

from __future__ import annotations

from typing import Protocol

from gantry.facts.kinds import Fact


class QueueFunction(Protocol):
    """The part of a procrastinate task that is needed to order a job for it.

    Any object with these attributes will do, so that a task may be subscribed before its application is ready.
    """

    name: str
    queue: str
    priority: int
    lock: str | None


_table: dict[type[Fact], list[QueueFunction]] = {}


def subscribe(fact_type: type[Fact], task: QueueFunction) -> None:
    """Order one job of `task` for each published fact of this type. Saying it twice changes nothing.

    The task must not have a queueing lock: a job that is refused because its like already waits would abort
    the transaction of the publisher, so this is a ValueError here and not a surprise there.
    """
    if getattr(task, "queueing_lock", None):
        raise ValueError(f"task {task.name} has a queueing lock and cannot follow a fact")
    listeners = _table.setdefault(fact_type, [])
    if all(known.name != task.name for known in listeners):
        listeners.append(task)


def subscribers(fact_type: type[Fact]) -> tuple[QueueFunction, ...]:
    """The tasks that follow a fact of this type, in the order of their subscription."""
    return tuple(_table.get(fact_type, ()))


def forget_all() -> None:
    """Empty the table (a process that builds its house anew, and tests)."""
    _table.clear()
