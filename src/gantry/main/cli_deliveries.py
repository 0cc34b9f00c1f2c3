"""`gantry deliveries` and `gantry receipt`: the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from gantry.main import cli_output
from gantry.main.cli_context import connected
from gantry.main.cli_output import JsonOption, YesOption

if TYPE_CHECKING:
    from gantry.transfers.receipt import InstanceReceipt
    from gantry.transfers.steer import Act

app = typer.Typer(help="Deliveries: what goes where, and how far it got.")
_PAGE = 1000
#: A number of the ledger is shorter than this; what is longer is a UID.
_DIGITS = 19
StudyOption = Annotated[str | None, typer.Option("--study", metavar="UID", help="Of this study.")]
NodeOption = Annotated[str | None, typer.Option("--node", help="To this node.")]


@app.callback(invoke_without_command=True)
def list_(
    context: typer.Context,
    study: StudyOption = None,
    status: Annotated[str | None, typer.Option(help="waiting, sent, confirmed, failed, dead, held, away or cancelled.")] = None,
    node: NodeOption = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many rows.")] = 1000,
    json: JsonOption = False,
) -> None:
    """List deliveries: one row per instance and destination."""
    if context.invoked_subcommand is not None:
        return
    with connected(create=False) as connection:
        from gantry.transfers.find import DeliveryRow, LedgerFilter, find

        wanted = LedgerFilter(study_uid=study, node=node, status=status)
        rows: list[DeliveryRow] = []
        after: int | None = None
        while len(rows) < limit:
            page = find(connection, wanted, after=after, limit=min(_PAGE, limit - len(rows)))
            rows += page.items
            if (after := page.next_after) is None:
                break
    if json:
        cli_output.print_json(rows)
    else:
        cli_output.print_table(
            ("SOP instance", "node", "status", "attempts#", "DIMSE", "next attempt", "explanation"),
            (
                (row.sop_instance_uid, row.node, row.status, row.attempts,
                 "" if row.dimse_status is None else f"{row.dimse_status:04X}",
                 None if row.status in {"confirmed", "dead"} else row.next_attempt_at, row.error)
                for row in rows
            ),
            empty="No deliveries.",
        )  # fmt: skip
    if after is not None:
        cli_output.note(f"There are more than {limit}; use --limit, --study, --node or --status.")


@app.command()
def retry(
    study: StudyOption = None,
    node: NodeOption = None,
    status: Annotated[list[str] | None, typer.Option(help="dead or failed; repeat for both (default: both).")] = None,
    yes: YesOption = False,
    json: JsonOption = False,
) -> None:
    """Try failed and dead deliveries again, now. What is confirmed stays confirmed."""
    if study is None and node is None:
        cli_output.confirm("Retry everything that failed or is dead?", yes=yes)
    with connected(create=False) as connection:
        from gantry.audit.record import by_cli
        from gantry.transfers.retry import RETRYABLE
        from gantry.transfers.retry import retry as try_again

        statuses = status or list(RETRYABLE)
        count = try_again(connection, study_uid=study, node=node, statuses=statuses, by=by_cli())
    if json:
        cli_output.print_json({"retried": count})
    else:
        cli_output.note(f"{count} deliveries will be tried again.")


StudyArgument = Annotated[str, typer.Argument(metavar="STUDY", help="Study Instance UID.")]
ReasonOption = Annotated[str, typer.Option(help="Why; it stands in the ledger and in the audit.")]
RemovedOption = Annotated[bool, typer.Option("--removed", help="The proof of before it was removed, though it has come again.")]
PriorityOption = Annotated[int | None, typer.Option(min=0, max=1000, help="100 and more is urgent.")]


@app.command()
def send(
    study: StudyArgument,
    to: Annotated[list[str], typer.Option(help="Node; repeat for several.")],
    priority: PriorityOption = None,
    json: JsonOption = False,
) -> None:
    """Send a stored study to nodes, beside the rules. What was ordered to a node before is left as it is."""
    with connected(create=False) as connection:
        from gantry.audit.record import by_cli
        from gantry.transfers.by_hand import send_by_hand

        sent = send_by_hand(connection, study, to, by=by_cli(), priority=priority or 0)
    if json:
        cli_output.print_json(sent)
        return
    for one in sent.nodes:
        cli_output.note(f"{one['ordered']} of {sent.instances} instances go to {one['node']} now.")
        if one["ordered"] < sent.instances:
            cli_output.note("The others were ordered before: `gantry deliveries resend` sends them again.")
    cli_output.note(f"See how far: gantry deliveries show {study}")


@app.command()
def hold(study: StudyArgument, reason: ReasonOption, node: NodeOption = None, json: JsonOption = False) -> None:
    """Hold a study back in all queues, or in that of one node."""
    _steer("hold", study, node, reason, None, json=json)


@app.command()
def release(
    study: StudyArgument,
    node: NodeOption = None,
    reason: ReasonOption = "",
    priority: PriorityOption = None,
    json: JsonOption = False,
) -> None:
    """Let go what was held of a study."""
    _steer("release", study, node, reason, priority, json=json)


@app.command()
def recall(
    study: StudyArgument, reason: ReasonOption, node: NodeOption = None, yes: YesOption = False, json: JsonOption = False
) -> None:
    """Take back what was not sent yet of a study. It is not sent any more, unless you send it again."""
    cli_output.confirm(f"Recall what waits of the study {study}?", yes=yes)
    _steer("recall", study, node, reason, None, json=json)


@app.command()
def resend(
    study: StudyArgument, reason: ReasonOption, node: NodeOption = None, priority: PriorityOption = None, json: JsonOption = False
) -> None:
    """Send a study again to where it was ordered, also what was confirmed. The old proof stays."""
    _steer("resend", study, node, reason, priority, json=json)


_NOTHING: dict[Act, str] = {
    "hold": "Nothing of it waits to be sent, so nothing is held. Where it is: gantry deliveries show UID",
    "recall": "Nothing of it waits to be sent, so nothing is recalled. Where it is: gantry deliveries show UID",
    "release": "Nothing of it is held.",
    "resend": "Nothing of it was ordered there. To send it: gantry deliveries send UID --to NODE",
}


def _steer(act: Act, study: str, node: str | None, reason: str, priority: int | None, *, json: bool) -> None:
    with connected(create=False) as connection:
        from gantry.audit.record import by_cli
        from gantry.transfers.steer import steer

        done = steer(connection, act, study, by=by_cli(), reason=reason, node=node, priority=priority)
    words = {"hold": "held", "release": "released", "recall": "recalled", "resend": "ordered again"}[act]
    if json:
        cli_output.print_json({"act": act, **cli_output.plain(done)})
    else:
        if done.changed:
            cli_output.note(f"{done.changed} {'delivery was' if done.changed == 1 else 'deliveries were'} {words}.")
        if done.under_way and act != "release":
            cli_output.note(f"{done.under_way} are on the wire this moment and end as they began.")
        elif not done.changed:
            cli_output.note(_NOTHING[act])
    if act == "resend" and not done.changed and not done.under_way:
        raise typer.Exit(1)


@app.command()
def nodes(json: JsonOption = False) -> None:
    """See how the destinations are: what waits, how fast it goes, when it will be through, the circuit breaker."""
    with connected(create=False) as connection:
        from gantry.transfers.measure import outlook

        found = outlook(connection)
    if json:
        cli_output.print_json(
            [{**cli_output.plain(one), "open": one.open, "limit": one.limit, "finish_at": one.finish_at} for one in found]
        )
        return
    cli_output.print_table(
        ("node", "state", "open#", "held#", "dead#", "waiting", "oldest", "speed", "limit", "through at", "last error"),
        (
            (one.name, one.breaker if one.enabled else "disabled", one.open, one.held, one.dead, cli_output.size(one.bytes),
             one.oldest, f"{cli_output.size(one.rate)}/s" if one.rate else "", _limit(one.limit), one.finish_at, one.last_error)
            for one in found
        ),
        empty="No nodes. Add one with `gantry node add NAME ADDRESS`.",
    )  # fmt: skip


def _limit(rate: float | None) -> str:
    if rate is None:
        return "none"
    return f"{rate * 8 / 1e6:g} Mbit/s" if rate else "closed"


@app.command()
def show(
    study: Annotated[str, typer.Argument(metavar="STUDY|NUMBER", help="Study Instance UID, or the number of one delivery.")],
    node: NodeOption = None,
    limit: Annotated[int, typer.Option(min=1, max=500, help="The newest so many.")] = 100,
    json: JsonOption = False,
) -> None:
    """Show the attempts of a study, or of one delivery, the newest first: when, how long, what came of it, what to do."""
    with connected(create=False) as connection:
        from gantry.transfers.attempts import attempts, study_of

        number = int(study) if study.isdecimal() and len(study) < _DIGITS else None
        uid = study_of(connection, number)[0] if number is not None else study
        found = attempts(connection, uid, node=node, delivery_id=number, limit=limit)
    if json:
        extra = ("seconds", "cause", "remedy")
        cli_output.print_json([{**cli_output.plain(one), **{name: getattr(one, name) for name in extra}} for one in found])
        return
    cli_output.print_table(
        ("began", "took#", "node", "attempt#", "instances#", "outcome", "DIMSE", "why", "what to do"),
        (
            (one.began_at, f"{one.seconds:.1f} s", one.node, one.number or "", one.count,
             f"{one.outcome}, {one.dead} given up" if one.dead else one.outcome,
             "" if one.dimse_status is None else f"{one.dimse_status:04X}", one.cause, one.remedy)
            for one in found
        ),
        empty="Nothing was attempted yet: `gantry deliveries --study UID` shows what waits.",
    )  # fmt: skip


@app.command()
def prove(
    study: StudyArgument,
    check: Annotated[bool, typer.Option("--check", help="Ask the destinations now whether they have it.")] = False,
    removed: RemovedOption = False,
    json: JsonOption = False,
) -> None:
    """Print the receipt of a study: digests, why it went there, and how the destination was asked later whether it has it.

    Of a study that was removed, the proof that was kept. Exit status 0 only if all of it was delivered as ordered.
    """
    if check:
        _check_now(study)
    receipt(study, removed, json)


def _check_now(study: str) -> None:
    with connected(create=False) as connection:
        from gantry.main.cli_context import load
        from gantry.transfers.find import summary_of_studies
        from gantry.transfers.measure import outlook
        from gantry.transfers.reconcile import reconcile

        settings = load()
        involved = {one.node for one in summary_of_studies(connection, [study])}
        for one in outlook(connection):
            if one.name in involved:
                done = reconcile(one.id, home=settings.home, our_aet=settings.aet, study_uid=study)
                again = f", {done.resent} were not there and are sent again" if done.resent else ""
                why = f" ({done.why})" if done.why else ""
                cli_output.note(
                    f"{one.name}: of the deliveries {done.verified} found there, {done.unanswered} without an answer{why}{again}"
                )


def receipt(
    study: Annotated[str, typer.Argument(metavar="STUDY", help="Study Instance UID.")],
    removed: RemovedOption = False,
    json: JsonOption = False,
) -> None:
    """Show what was delivered of a study, here or removed. Exit status 0 only if all of it was, byte-identical."""
    with connected(create=False) as connection:
        from gantry.transfers.receipt import receipt as read

        found = read(connection, study, removed=removed)
    if json:
        destinations = [
            {
                **cli_output.plain(place),
                "ordered": place.ordered,
                "confirmed": place.confirmed,
                "verified": place.verified,
                "complete": place.complete,
            }
            for place in found.destinations
        ]
        cli_output.print_json({**cli_output.plain(found), "destinations": destinations, "complete": found.complete})
        raise typer.Exit(0 if found.complete else 1)
    if found.removed_at is not None:
        cli_output.note(f"This study was removed at {cli_output.text(found.removed_at)}; this is the proof of that moment.")
    for place in found.destinations:
        cli_output.print_table(
            ("SOP instance", "status", "sent", "bytes#", "SHA-256 of the data set", "as ordered", "verified", "why"),
            (
                (
                    item.sop_instance_uid,
                    item.status,
                    item.sent_at,
                    item.dataset_bytes,
                    item.stored_sha256 if not item.changed else f"{item.stored_sha256} {item.changed}: {item.sent_sha256}",
                    ("yes, byte-identical" if item.identical else f"yes, {item.changed}") if item.as_ordered else "no",
                    f"{cli_output.text(item.verified_at)} by {item.verified_by}" if item.verified_at else item.verify_error,
                    _why(item),
                )
                for item in place.instances
            ),
            title=f"{place.node} ({place.aet}): {place.confirmed} of {place.ordered} instances delivered, "
            f"{place.verified} verified",
        )
    if not found.destinations:
        cli_output.note("Nothing of this study was to be delivered.")
    raise typer.Exit(0 if found.complete else 1)


def _why(item: InstanceReceipt) -> str:
    if item.origin == "move":
        return f"C-MOVE of {item.ordered_by}"
    words = f"rule {item.rule_name}" if item.rule_name else "by hand"
    if item.ordered_by:
        words += f", {'once more by ' if item.origin == 'again' else ''}{item.ordered_by}"
    if item.decision_id is not None:
        words += f", decision {item.decision_id}"
    return f"{words}; {item.hold_reason}" if item.hold_reason else words
