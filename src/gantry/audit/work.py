"""Queue functions of the audit: an anchor each hour, in HOME/audit/anchors.jsonl."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from procrastinate.contrib.django import app

from gantry import config, database
from gantry.audit import anchors


def place(home: Path) -> Path:
    """Where the hourly anchors are. Copy it to another machine: an anchor is worth what its place is."""
    return home / "audit" / "anchors.jsonl"


@app.periodic(cron="7 * * * *")
@app.task(name="gantry.audit.work.anchor", queue="audit", queueing_lock="audit-anchor")
def anchor(timestamp: int) -> None:
    """Keep the heads of the chains outside the database."""
    with closing(database.connect(autocommit=True, application="gantry-audit")) as connection:
        anchors.keep(place(Path(config.current().home)), anchors.heads(connection))
