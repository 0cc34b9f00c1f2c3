"""Walk all chains: an entry that was changed, removed or slipped in is found, and with an anchor also a cut tail."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow

from gantry import database

#: More are counted, not listed.
MAX_PROBLEMS = 1000
_GUARDS = {
    "audit_entry.audit_entry_keep": "A", "audit_entry.audit_entry_keep_all": "A", "audit_entry.audit_entry_seal": "O",
    "audit_link.audit_link_keep": "A", "audit_link.audit_link_keep_all": "A",
}  # fmt: skip

#: The last link of each chain: chain -> (seq, digest).
Heads = Mapping[int, tuple[int, bytes]]


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong, and with which entry (None: with no single one)."""

    kind: str
    entry_id: int | None
    explanation: str


@dataclass(slots=True)
class Report:
    """The outcome. `heads` and `head` (one digest for all of them) are worth keeping outside the database."""

    entries: int = 0
    #: Documented retirements of old entries: read those entries too, they say who cut what.
    retirements: int = 0
    heads: dict[int, tuple[int, bytes]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    problem_count: int = 0

    @property
    def ok(self) -> bool:
        """Nothing is wrong."""
        return not self.problem_count

    @property
    def head(self) -> str:
        """SHA-256 over all heads, in hexadecimal."""
        return digest_of(self.heads)

    def complain(self, kind: str, entry_id: int | None, explanation: str) -> None:
        """Note a problem."""
        self.problem_count += 1
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(Problem(kind, entry_id, explanation))


def digest_of(heads: Heads) -> str:
    """One digest for the heads of all chains."""
    whole = hashlib.sha256()
    for chain, (seq, digest) in sorted(heads.items()):
        whole.update(f"{chain}:{seq}:".encode("ascii") + digest)
    return whole.hexdigest()


def verify(connection: psycopg.Connection[Any], anchors: Sequence[Heads] = (), report: Report | None = None) -> Report:
    """Check all chains as they are at one moment; rows are streamed, writers are not held up.

    `anchors`: heads that were kept outside the database; each must still be a link of its chain. `report`: an empty
    one, in which somebody else may read meanwhile how many entries were looked at.
    """
    report = Report() if report is None else report
    inside = connection.info.transaction_status != TransactionStatus.IDLE
    with connection.transaction():
        if not inside:
            # One snapshot for all statements; inside the transaction of somebody else it is too late to ask for it.
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        queries = database.statements("gantry.audit")
        wanted = {(chain, seq): digest for heads in anchors for chain, (seq, digest) in heads.items()}
        retirements = _retired(connection)
        report.retirements = len(retirements)
        retired = {chain: cut for one in retirements for chain, cut in one.items()}
        with connection.cursor(name="audit_verify") as cursor:
            cursor.itersize = 5000
            cursor.execute(queries["chain"])
            _walk(cursor, report, wanted, retired)
        for (entry_id,) in connection.execute(queries["unsealed"]).fetchall():
            report.complain(
                "not sealed", entry_id, "the entry has no link: it was written past the triggers, or its link removed"
            )
        found = dict(connection.execute(queries["guards"]).fetchall())
    for name, state in _GUARDS.items():
        if found.get(name) != state:
            report.complain("guard off", None, f"the trigger {name} is {'missing' if name not in found else 'switched off'}")
    for chain, seq in sorted(wanted):
        report.complain("cut", None, f"chain {chain}: link {seq}, which an anchor knows, is gone or another one")
    return report


def _retired(connection: psycopg.Connection[Any]) -> list[dict[int, tuple[int, bytes]]]:
    """Where chains begin after documented retirements (docs/howto/audit.md), oldest first: chain -> last removed link."""
    found = []
    for _, after in connection.execute(database.statements("gantry.audit")["retired"]).fetchall():
        content = json.loads(after) if isinstance(after, str) else after or {}
        found.append({int(chain): (int(seq), bytes.fromhex(digest)) for chain, (seq, digest) in content.get("cut", {}).items()})
    return found


def _walk(
    cursor: psycopg.ServerCursor[TupleRow], report: Report, wanted: dict[tuple[int, int], bytes],
    retired: Mapping[int, tuple[int, bytes]],
) -> None:  # fmt: skip
    for chain, (seq, digest) in retired.items():
        if wanted.get((chain, seq)) == digest:
            del wanted[chain, seq]
    for key in [key for key in wanted if key[1] < retired.get(key[0], (0, b""))[0]]:
        del wanted[key]
    chain, last_seq, last_digest = -1, 0, b""
    for one, seq, entry_id, stored, there, content in cursor:
        digest = bytes(stored)
        if one != chain:
            chain = one
            last_seq, last_digest = retired.get(chain, (0, b""))
        if seq != last_seq + 1:
            report.complain("gap", entry_id, f"chain {chain}: links {last_seq + 1} to {seq - 1} are missing")
        elif not there:
            report.complain("removed", entry_id, f"chain {chain}: the entry of link {seq} is gone")
        elif hashlib.sha256(last_digest + content.encode("utf-8")).digest() != digest:
            report.complain("changed", entry_id, f"chain {chain}: entry or link {seq} is not what was sealed")
        if wanted.get((chain, seq)) == digest:
            del wanted[chain, seq]
        last_seq, last_digest = seq, digest
        report.entries += 1
        report.heads[chain] = (last_seq, last_digest)
