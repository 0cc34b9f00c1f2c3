"""Order a stored study for nodes, by a person: beside the rules, audited."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from gantry.audit.record import By, record
from gantry.catalogue.locate import locate
from gantry.catalogue.models import Study
from gantry.nodes import registry
from gantry.transfers.errors import StudyMissing
from gantry.transfers.order import order


@dataclass(frozen=True, slots=True)
class Sent:
    """What was ordered: instances of the study now, and by node how many go there that had not been ordered before."""

    study_instance_uid: str
    instances: int
    nodes: list[dict[str, Any]]


def send_by_hand(connection: psycopg.Connection[Any], study_uid: str, names: Sequence[str], *, by: By, priority: int = 0) -> Sent:
    """Order all that is there of a study to some nodes. What was ordered to a node before is left as it is.

    Raises StudyMissing, gantry.nodes.errors.NodeMissing.
    """
    nodes = [registry.get(name) for name in dict.fromkeys(names)]
    study = Study.objects.filter(study_instance_uid=study_uid, trashed_at=None).select_related("patient").first()
    if study is None:
        raise StudyMissing("there is no study of this Study Instance UID")
    with connection.transaction():
        versions = [found.version_id for found in locate(connection, study_id=study.pk)]
        sent = [
            {"node": node.name, "ordered": order(connection, versions, [node.pk], priority=priority, ordered_by=by.who)}
            for node in nodes
        ]
        record(
            connection, "study.send", by, kind="study", key=study_uid, study_uid=study_uid, patient_id=study.patient.patient_id,
            after={"nodes": [node.name for node in nodes], "instances": sum(int(str(one["ordered"])) for one in sent)},
        )  # fmt: skip
    return Sent(study_uid, len(versions), sent)
