"""A node that is spoken to over TLS gets nothing in plain."""

from __future__ import annotations

import threading
from pathlib import Path

import psycopg
from tests.gantry.receiver.served import Served
from tests.gantry.receiver.test_secure import serving
from tests.gantry.transfers.seed import add_node, order_all, seed_study
from tests.support.certificates import Authority

from gantry.main.home import Home
from gantry.nodes.items import Outcome
from gantry.nodes.models import Node
from gantry.nodes.pool import AssociationPool
from gantry.transfers.deliver import Delivering, deliver
from gantry.transfers.ledger import Patience


def test_deliveries_go_over_tls_or_not_at_all(home: Home, connection: psycopg.Connection, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    ours, theirs = authority.issue("sender"), authority.issue("archive")
    place = Delivering(home=tmp_path, our_aet="GANTRY", owner="test:1", patience=Patience(5, 5), pool=AssociationPool(0))
    with serving(home, authority, theirs, unknown_callers="store") as (plain, secure):
        node = add_node("archive", secure)
        study = seed_study(tmp_path, 3)
        Node.objects.filter(pk=node.pk).update(
            tls=True, tls_authorities=authority.certificate, tls_certificate=ours.certificate, tls_key=ours.key
        )
        order_all(study, node)
        assert deliver(node.pk, threading.Event(), place).counts[Outcome.CONFIRMED] == 3
        assert len(Served(home.path, secure, []).spooled()) == 3
        # The same node on the plain port: a failure, and not one instance more.
        Node.objects.filter(pk=node.pk).update(port=plain)
        order_all(seed_study(tmp_path, 2), node)
        run = deliver(node.pk, threading.Event(), place)
        assert (run.counts[Outcome.CONFIRMED], bool(run.failure)) == (0, True)
        assert len(Served(home.path, secure, []).spooled()) == 3
