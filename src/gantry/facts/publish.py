"""Publish facts: row, queue jobs and wake-up in the transaction of the caller, all or nothing."""

from __future__ import annotations

import json
from typing import Any

import psycopg
from procrastinate.exceptions import ConnectorException
from procrastinate.jobs import Job
from procrastinate.manager import JobManager
from procrastinate.sync_psycopg_connector import SyncPsycopgConnector

from gantry import database
from gantry.facts.kinds import Fact
from gantry.facts.subscribe import subscribers

#: The channel on which `<last fact id> <kinds>` is announced at commit.
CHANNEL = "gantry_facts"

# Never opened: its pool is not used, each job is inserted on the connection of the caller.
_jobs = JobManager(SyncPsycopgConnector())


def publish(connection: psycopg.Connection[Any], *facts: Fact) -> list[int]:
    """Write the facts, order one job for each of their subscribers, announce them; gives the fact ids.

    All of it happens on `connection`, in the transaction the caller has open: nothing exists before its
    commit, nothing remains after its rollback. Raises what psycopg raises.
    """
    if not facts:
        return []
    queries = database.statements("gantry.facts")
    kinds = [type(fact).__name__ for fact in facts]
    payloads = [json.dumps(fact.payload) for fact in facts]
    rows = connection.execute(queries["insert_facts"], {"kinds": kinds, "payloads": payloads}).fetchall()
    ids = [int(row[0]) for row in rows]
    jobs = [
        Job(
            id=None,
            task_name=task.name,
            queue=task.queue,
            priority=task.priority,
            lock=task.lock,
            queueing_lock=None,
            task_kwargs=dict(fact.arguments),
        )
        for fact in facts
        for task in subscribers(type(fact))
    ]
    if jobs:
        try:
            _jobs.batch_defer_jobs(jobs=jobs, connection=connection)
        except ConnectorException as error:
            raise (error.__cause__ if isinstance(error.__cause__, psycopg.Error) else error) from error
    message = f"{max(ids)} {' '.join(sorted(set(kinds)))}"
    connection.execute(queries["notify"], {"channel": CHANNEL, "message": message})
    return ids
