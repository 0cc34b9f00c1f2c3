"""Is it there? Asked of Orthanc by QIDO-RS, and of a PACS by C-FIND and by storage commitment; what is missing goes again."""

from __future__ import annotations

import base64
import json
import threading
import urllib.request
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from tests.conftest import unused_port
from tests.gantry.nodes.pacs import Pacs
from tests.gantry.transfers.seed import SeededStudy, add_node, order_all, seed_study
from tests.gantry.transfers.test_deliver import run, statuses
from tests.support.dicomweb import orthanc

from dimse.acceptance import AssociationInfo, StoreAnswer, StoreRequest
from dimse.identifier import Identifier
from dimse.negotiation import AcceptedContext
from dimse.operations import Final, FindRequest, Match
from gantry.nodes import registry
from gantry.nodes.items import Security
from gantry.nodes.models import Node
from gantry.transfers.ledger import Ledger
from gantry.transfers.models import Delivery
from gantry.transfers.receipt import receipt
from gantry.transfers.reconcile import MOST_RESENDS, Reconciled, nodes_to_reconcile, reconcile

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("empty_queue")]


def look(node: Node, home: Path, study: SeededStudy | None = None) -> Reconciled:
    if study is None:
        Delivery.objects.filter(verify_at__isnull=False).update(verify_at=node.created_at)
    return reconcile(node.pk, home=home, our_aet="GANTRY", study_uid=study.uid if study else None)


def test_orthanc_loses_one_and_gets_it_again(tmp_path: Path, connection: psycopg.Connection) -> None:
    port = unused_port()
    with orthanc(tmp_path / "orthanc", port, user="gantry", password="s3cret") as root:
        study = seed_study(tmp_path, 6)
        node = registry.add("web", root, security=Security(user="gantry", passcode="s3cret"), settings={"http_auth": "basic"})
        order_all(study, node)
        # The passcode lies in the home of the configuration, not in that of the test.
        from gantry import config

        home = Path(config.current().home)
        for stored in study.instances:
            target = home / "objects" / stored.path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(stored.path.read_bytes())
        run(node, home)
        assert statuses(node) == {"confirmed": 6}, Delivery.objects.all()[0].error
        assert nodes_to_reconcile(connection) == [], "not yet due"
        assert (look(node, home).verified, receipt(connection, study.uid).destinations[0].verified) == (6, 6)

        request = urllib.request.Request(f"http://127.0.0.1:{port}/tools/find", method="POST")
        request.add_header("Authorization", "Basic " + base64.b64encode(b"gantry:s3cret").decode())
        request.data = json.dumps({"Level": "Instance", "Query": {"SOPInstanceUID": study.instances[2].uid}}).encode()
        with urllib.request.urlopen(request, timeout=60) as reply:
            (there,) = json.load(reply)
        gone = urllib.request.Request(
            f"http://127.0.0.1:{port}/instances/{there}", method="DELETE", headers=dict(request.headers)
        )
        urllib.request.urlopen(gone, timeout=60).close()

        Delivery.objects.update(verified_at=None, verify_at=node.created_at)
        found = look(node, home)
        assert (found.verified, found.resent, found.dead) == (5, 1, 0)
        row = Delivery.objects.get(status="waiting")
        assert (row.resends, "not found at the node" in row.error) == (1, True)
        run(node, home)
        assert look(node, home).verified == 1
        assert receipt(connection, study.uid).destinations[0].verified == 6


def test_a_folder_is_looked_into(tmp_path: Path, connection: psycopg.Connection) -> None:
    """Found by the digest of its data set; what is gone, changed, or another file is written again, beside what is there."""
    root = tmp_path / "archive"
    root.mkdir()
    node = registry.add("folder", f"folder:{root}", settings={"path_template": "{Modality}/{InstanceNumber}.dcm"})
    (root / "CT").mkdir()
    (root / "CT" / "4.dcm").write_bytes(b"somebody else's")
    study = seed_study(tmp_path / "home", 4)
    order_all(study, node)
    run(node, tmp_path / "home")
    assert statuses(node) == {"confirmed": 4}, Delivery.objects.all()[0].error
    assert look(node, tmp_path / "home").verified == 4, "also the one whose name was taken"
    assert set(Delivery.objects.values_list("verified_by", flat=True)) == {"file"}

    (root / "CT" / "1.dcm").unlink()
    whole = (root / "CT" / "2.dcm").read_bytes()
    (root / "CT" / "2.dcm").write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    Delivery.objects.update(verified_at=None, verify_at=node.created_at)
    found = look(node, tmp_path / "home")
    assert (found.verified, found.resent, found.unanswered) == (2, 0, 2), "auto: somebody may have taken them out"
    assert {row.verify_error for row in Delivery.objects.filter(verified_at=None)} == {
        "the file is gone or changed; reconcile=find would have it written again"
    }
    registry.change("folder", {"reconcile": "find"})
    Delivery.objects.update(verified_at=None, verify_at=node.created_at)
    found = look(node, tmp_path / "home")
    assert (found.verified, found.resent, found.unanswered) == (2, 2, 0)
    run(node, tmp_path / "home")
    assert look(node, tmp_path / "home").verified == 2
    assert (root / "CT" / "1.dcm").is_file()
    assert len(list((root / "CT").glob("2*.dcm"))) == 2, "the changed file stays, the right one lies beside it"
    assert receipt(connection, study.uid).destinations[0].verified == 4

    # Its volume is not mounted, or somebody else's home wrote it: nothing is known, and nothing is sent.
    root.rename(tmp_path / "unmounted")
    for empty in (False, True):
        if empty:
            root.mkdir()
        Delivery.objects.update(verified_at=None, verify_at=node.created_at)
        found = look(node, tmp_path / "home")
        assert (found.verified, found.resent, found.unanswered) == (0, 0, 4)
        reason = Delivery.objects.all()[0].verify_error
        assert ("mounted" in reason) if empty else ("is not there" in reason)
    Delivery.objects.update(verify_at=node.created_at, home="another")
    assert look(node, tmp_path / "home") == Reconciled()
    node = registry.change("folder", {"reconcile": "off"})
    assert Ledger(connection, "").node(node.pk).verified_by == ""


class Keeping(Pacs):
    """A PACS that keeps what it gets, and forgets what it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[str, tuple[str, str]] = {}
        self.forgets: set[str] = set()
        self.commits = lambda uid: 0 if uid in self.kept else 0x0112
        self.guard = threading.Lock()

    def store(self, association: AssociationInfo, command: StoreRequest, context: AcceptedContext) -> _Sink:
        return _Sink(self, command)

    def find(self, association: AssociationInfo, request: FindRequest, cancelled: Callable[[], bool]):
        asked = Identifier.parse(request.identifier, request.transfer_syntax_uid)
        for uid, (study, series) in self.kept.items():
            if asked.text("StudyInstanceUID") == study and asked.text("SeriesInstanceUID") == series:
                values = {"StudyInstanceUID": study, "SeriesInstanceUID": series, "SOPInstanceUID": uid}
                answer = Identifier({key: values.get(key, "") for key in asked} | {"QueryRetrieveLevel": "IMAGE"})
                yield Match(answer.encode(request.transfer_syntax_uid))
        yield Final(0)


class _Sink:
    def __init__(self, pacs: Keeping, command: StoreRequest) -> None:
        self.pacs, self.uid = pacs, command.sop_instance_uid

    def write(self, view: memoryview) -> None:
        pass

    def finish(self) -> StoreAnswer:
        with self.pacs.guard:
            if self.uid not in self.pacs.forgets:
                study = self.uid.rsplit(".", 2)[0]
                self.pacs.kept[self.uid] = (study, f"{study}.1")
        return StoreAnswer()

    def abort(self) -> None:
        pass


@pytest.mark.parametrize("way", ["find", "commit"])
def test_a_pacs_that_confirms_and_forgets(tmp_path: Path, connection: psycopg.Connection, way: str) -> None:
    with Keeping() as pacs:
        study, node = seed_study(tmp_path, 4), add_node("pacs", pacs.port)
        node = registry.change("pacs", {"reconcile": way})
        victim = study.instances[1].uid
        pacs.forgets.add(victim)
        order_all(study, node)
        for attempt in range(MOST_RESENDS):
            run(node, tmp_path)
            assert statuses(node) == {"confirmed": 4}
            found = look(node, tmp_path)
            assert (found.verified, found.resent) == (3 if attempt == 0 else 0, 1)
        run(node, tmp_path)
        assert look(node, tmp_path).dead == 1, "a bounded number of times"
    assert statuses(node) == {"confirmed": 3, "dead": 1}
    assert "not found at the node" in Delivery.objects.get(status="dead").error
    assert not receipt(connection, study.uid).complete
    assert set(Delivery.objects.filter(status="confirmed").values_list("verified_by", flat=True)) == {
        "query" if way == "find" else "commitment"
    }


def test_a_node_that_cannot_be_asked_is_not_taken_for_empty(tmp_path: Path, connection: psycopg.Connection) -> None:
    with Keeping() as pacs:
        study, node = seed_study(tmp_path, 2), add_node("pacs", pacs.port)
        node = registry.change("pacs", {"reconcile": "find"})
        order_all(study, node)
        run(node, tmp_path)
    found = look(node, tmp_path)
    assert (found.verified, found.resent, found.dead, found.unanswered) == (0, 0, 0, 2)
    assert statuses(node) == {"confirmed": 2}
    row = Delivery.objects.all()[0]
    assert "nothing listens" in row.verify_error
    assert row.verify_at is not None, "asked again later"
    assert receipt(connection, study.uid).complete
