"""`gantry deliveries` and `gantry receipt`: the ledger."""

from __future__ import annotations

from typing import Annotated

import typer

from gantry.main import cli_output
from gantry.main.cli_context import connected
from gantry.main.cli_output import JsonOption, YesOption

app = typer.Typer(help="Deliveries: what goes where, and how far it got.")
_PAGE = 1000
StudyOption = Annotated[str | None, typer.Option("--study", metavar="UID", help="Of this study.")]
NodeOption = Annotated[str | None, typer.Option("--node", help="To this node.")]


@app.callback(invoke_without_command=True)
def list_(
    context: typer.Context,
    study: StudyOption = None,
    status: Annotated[str | None, typer.Option(help="waiting, sent, confirmed, failed or dead.")] = None,
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
        from gantry.transfers.retry import RETRYABLE
        from gantry.transfers.retry import retry as try_again

        statuses = status or list(RETRYABLE)
        count = try_again(connection, study_uid=study, node=node, statuses=statuses)
    if json:
        cli_output.print_json({"retried": count})
    else:
        cli_output.note(f"{count} deliveries will be tried again.")


def receipt(
    study: Annotated[str, typer.Argument(metavar="STUDY", help="Study Instance UID.")],
    json: JsonOption = False,
) -> None:
    """Show what was delivered of a study. Exit status 0 only if all of it was, byte-identical."""
    with connected(create=False) as connection:
        from gantry.transfers.receipt import receipt as read

        found = read(connection, study)
    if json:
        destinations = [
            {**cli_output.plain(place), "ordered": place.ordered, "confirmed": place.confirmed, "complete": place.complete}
            for place in found.destinations
        ]
        cli_output.print_json({**cli_output.plain(found), "destinations": destinations, "complete": found.complete})
        raise typer.Exit(0 if found.complete else 1)
    for place in found.destinations:
        cli_output.print_table(
            ("SOP instance", "status", "sent", "bytes#", "SHA-256 of the data set", "byte-identical"),
            (
                (
                    item.sop_instance_uid,
                    item.status,
                    item.sent_at,
                    item.dataset_bytes,
                    item.stored_sha256,
                    "yes" if item.identical else "no",
                )
                for item in place.instances
            ),
            title=f"{place.node} ({place.aet}): {place.confirmed} of {place.ordered} instances delivered",
        )
    if not found.destinations:
        cli_output.note("Nothing of this study was to be delivered.")
    raise typer.Exit(0 if found.complete else 1)
