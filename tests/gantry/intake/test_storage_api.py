"""The routes of storage life: what they answer, and that each refusal names its reason."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from django.test import Client
from tests.gantry.accounts.people import bearer
from tests.gantry.intake.conftest import Spool
from tests.support import part10_files as files

from gantry import config
from gantry.intake.indexer import Indexer
from gantry.intake.models import QuarantinedObject

UID = f"{files.ROOT}.1"


class Asking:
    """An administrator with a token."""

    def __init__(self) -> None:
        self._client: Client = bearer()

    def __call__(self, method: str, path: str, body: Any = None, *, status: int = 200) -> Any:
        content = {"data": json.dumps(body), "content_type": "application/json"} if body is not None else {}
        answer = self._client.generic(method, f"/api/v1{path}", **content)
        assert answer.status_code == status, (answer.status_code, answer.content)
        return json.loads(answer.content) if answer.content else None


@pytest.fixture
def ask(home: Path, connection: psycopg.Connection, spool: Spool, make_indexer: Callable[..., Indexer]) -> Any:
    """The API on a home with one study of two instances and one held object."""
    (home / "home.json").write_text(json.dumps({"id": str(uuid4()), "layout": 1}))
    for number in (1, 2):
        spool.send(files.ct_dataset(number=number))
    spool.send(files.ct_dataset(number=3, study=""))
    make_indexer().drain()
    spool.close()
    before = config.current()
    config.use(before.model_copy(update={"home": home}))
    yield Asking()
    config.use(before)


def test_a_study_is_deleted_held_restored_and_removed(ask: Asking) -> None:
    ask("DELETE", f"/studies/{UID}", status=422)
    gone = ask("DELETE", f"/studies/{UID}?reason=wrong", status=202)
    assert (gone["instance_count"], gone["state"]) == (2, "trash")
    assert ask("GET", "/studies")["items"] == []
    ask("GET", f"/studies/{UID}", status=404)
    ask("DELETE", f"/studies/{UID}?reason=wrong", status=404)
    assert [one["reason"] for one in ask("GET", "/trash")["items"]] == ["wrong"]
    assert ask("POST", f"/trash/{UID}/restore")["instances"] == 2
    ask("POST", f"/trash/{UID}/restore", status=404)
    hold = ask("POST", f"/studies/{UID}/holds", {"label": "case 1", "reason": "court"}, status=201)
    assert hold["lifted_at"] is None
    assert ask("DELETE", f"/studies/{UID}?reason=x", status=409)["error"]["details"] == {"kept_by": "hold"}
    assert [one["label"] for one in ask("GET", "/storage/holds")["items"]] == ["case 1"]
    ask("DELETE", f"/studies/{UID}/holds?label=case%202&reason=x", status=404)
    ask("DELETE", f"/studies/{UID}/holds?label=case%201&reason=x", status=204)
    assert ask("PUT", f"/studies/{UID}/protection")["protected"]
    assert ask("DELETE", f"/studies/{UID}?reason=x", status=409)["error"]["details"] == {"kept_by": "protection"}
    assert not ask("DELETE", f"/studies/{UID}/protection")["protected"]
    ask("DELETE", f"/trash/{UID}?reason=x", status=404)
    ask("DELETE", f"/studies/{UID}?reason=x", status=202)
    assert ask("DELETE", f"/trash/{UID}?reason=x")["instances"] == 2
    assert [one["state"] for one in ask("GET", "/trash?state=")["items"]] == ["removed", "restored"]


def test_volumes_rules_and_scrubber(ask: Asking, tmp_path: Path, connection: psycopg.Connection) -> None:
    (home,) = ask("GET", "/storage/volumes")["items"]
    assert (home["name"], home["is_home"], home["state"]) == ("home", True, "writing")
    ask("POST", "/storage/volumes", {"name": "extra", "path": str(tmp_path / "none")}, status=422)
    (tmp_path / "extra").mkdir()
    made = ask("POST", "/storage/volumes", {"name": "extra", "path": str(tmp_path / "extra"), "quota_bytes": 10**9}, status=201)
    assert (made["state"], made["position"]) == ("writing", 1)
    changed = ask("PATCH", "/storage/volumes/extra", {"wanted": "readonly", "quota_bytes": 0})
    assert (changed["state"], changed["quota_bytes"]) == ("readonly", None)
    ask("PATCH", "/storage/volumes/none", {}, status=404)
    ask("DELETE", "/storage/volumes/home", status=422)
    ask("DELETE", "/storage/volumes/extra", status=204)
    rule = ask("PUT", "/storage/retention/ct", {"days": 90, "modality": "CT"})
    assert (rule["days"], rule["after"]) == (90, "delivered")
    ask("PUT", "/storage/retention/ct", {"days": -1}, status=422)
    assert [one["name"] for one in ask("GET", "/storage/retention")["items"]] == ["ct"]
    ask("DELETE", "/storage/retention/ct", status=204)
    ask("DELETE", "/storage/retention/ct", status=404)
    young = ask("POST", "/storage/retention-preview", {"days": 0, "after": "received"})
    assert (young["studies"], young["complete"]) == (0, True), "what came just now is kept"
    connection.execute("UPDATE catalogue_study SET last_received_at = now() - interval '9 days', settled_at = now()")
    due = ask("POST", "/storage/retention-preview", {"days": 8, "after": "received", "modality": "CT"})
    assert (due["studies"], due["oldest"][0]["study_instance_uid"], due["bytes"] > 0) == (1, UID, True)
    assert ask("POST", "/storage/retention-preview", {"days": 8, "after": "delivered"})["studies"] == 0
    assert ask("GET", "/studies")["items"], "nothing was removed"
    assert ask("POST", "/storage/scrub", {}, status=202)["asked_at"]
    assert ask("GET", "/storage/scrub")["state"] == "idle"
    assert ask("GET", "/storage/findings")["items"] == []


def test_a_held_object(ask: Asking) -> None:
    identifier = QuarantinedObject.objects.get().pk
    shown = ask("GET", f"/quarantine/{identifier}")
    assert (shown["is_dicom"], shown["reason"]) == (True, "study_uid_missing")
    read = ask("GET", f"/quarantine/{identifier}/header")
    assert read["note"] == ""
    values = {one["keyword"]: one["text"] for one in read["attributes"]}
    assert values["SOPInstanceUID"] == shown["sop_instance_uid"]
    operator = bearer("operator", nodes=[]).get(f"/api/v1/quarantine/{identifier}/header").json()["attributes"]
    assert [one["hidden"] for one in operator] == [False] * len(operator)
    path = f"/quarantine/{identifier}/accept"
    assert "StudyInstanceUID" in ask("POST", path, {"reason": "x"}, status=409)["error"]["message"]
    ask("POST", path, {"reason": "x", "set": {"PatientID": "1"}}, status=422)
    done = ask("POST", path, {"reason": "worklist", "set": {"StudyInstanceUID": "1.2.840.9"}})
    assert (done["state"], done["decision_reason"]) == ("accepted", "worklist")
    assert ask("GET", "/studies/1.2.840.9")["instance_count"] == 1
    assert ask("POST", f"/quarantine/{identifier}/discard", {"reason": "done"})["state"] == "discarded"
    ask("POST", f"/quarantine/{identifier}/discard", {"reason": "done"}, status=404)
    ask("GET", f"/quarantine/{uuid4()}", status=404)
