"""`gantry institute`, `group`: where people and studies belong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gantry.main import cli_output
from gantry.main.cli_context import connected, house
from gantry.main.cli_output import JsonOption, YesOption

if TYPE_CHECKING:
    from gantry.accounts.models import Institute

institute = typer.Typer(no_args_is_help=True, help="Institutes: who is in them, which studies are theirs.")
group = typer.Typer(no_args_is_help=True, help="Groups inside an institute: what their members may beyond their role.")

UserName = Annotated[str, typer.Argument(help="User name.")]
InstituteName = Annotated[str, typer.Argument(help="Name of the institute.")]


def _institute(row: Institute) -> dict[str, Any]:
    return {
        "institute": row.name, "description": row.description, "all_studies": row.all_studies,
        "members": row.memberships.count(),
        "sources": [{"id": source.pk, "kind": source.kind, "pattern": source.pattern} for source in row.sources.order_by("pk")],
    }  # fmt: skip


@institute.command("list")
def list_institutes(json: JsonOption = False) -> None:
    """List institutes with their sources."""
    with house(create=False):
        from gantry.accounts.models import Institute

        rows = [_institute(row) for row in Institute.objects.order_by("name")]
    if json:
        cli_output.print_json(rows)
        return
    cli_output.print_table(
        ("institute", "members#", "studies that are theirs", "description"),
        ((row["institute"], row["members"], _theirs(row), row["description"]) for row in rows),
        empty="None. Without institutes a role holds everywhere, which is right for a single department.",
    )


def _theirs(row: Mapping[str, Any]) -> str:
    if row["all_studies"]:
        return "all"
    return "; ".join(f"{source['kind']}={source['pattern']} ({source['id']})" for source in row["sources"]) or "none"


@institute.command("add")
def add_institute(
    name: InstituteName,
    description: Annotated[str, typer.Option(help="For people.")] = "",
    all_studies: Annotated[bool, typer.Option("--all-studies", help="Every study is theirs.")] = False,
    source: Annotated[
        list[str] | None,
        typer.Option(help="KIND=PATTERN, KIND one of calling_aet, called_aet, address, institution_name; repeat for several."),
    ] = None,
) -> None:
    """Add an institute, and say which studies are theirs."""
    with house():
        from django.db import transaction

        from gantry.accounts import institutes
        from gantry.accounts.models import User
        from gantry.audit.record import by_cli

        with transaction.atomic():
            institutes.add(name, by_cli(), description=description, all_studies=all_studies)
            for item in source or []:
                kind, _, pattern = item.partition("=")
                institutes.add_source(name, kind, pattern, by_cli())
        everywhere = list(User.objects.exclude(role__in=["none", "administrator"]).values_list("username", flat=True)[:11])
    cli_output.note(f"{name} is there. Put people into it: `gantry user set NAME --in '{name}=clinician'`.")
    if everywhere:
        more = " and others" if len(everywhere) > 10 else ""
        cli_output.note(
            f"These have a role that holds everywhere and see all studies: {', '.join(everywhere[:10])}{more}. "
            "`gantry user set NAME --role none` takes it away."
        )


@institute.command("source")
def set_source(
    name: InstituteName,
    add: Annotated[list[str] | None, typer.Option(help="KIND=PATTERN; repeat for several.")] = None,
    remove: Annotated[list[int] | None, typer.Option(help="The number that `institute list` shows; repeat for several.")] = None,
) -> None:
    """Say which studies are an institute's; those that are there are sorted at once."""
    with house(create=False):
        from django.db import transaction

        from gantry.accounts import institutes
        from gantry.audit.record import by_cli

        with transaction.atomic():
            for item in add or []:
                kind, _, pattern = item.partition("=")
                institutes.add_source(name, kind, pattern, by_cli())
            for number in remove or []:
                institutes.remove_source(name, number, by_cli())
    sort()


@institute.command("sort")
def sort(json: JsonOption = False) -> None:
    """Sort all studies into institutes anew, now. The worker does it too when sources change."""
    with connected(create=False) as connection:
        from gantry.catalogue.belong import belong_all

        came, went = belong_all(connection)
    if json:
        cli_output.print_json({"came": came, "went": went})
    else:
        cli_output.note(f"{came} studies came to an institute, {went} left one.")


@institute.command("remove")
def remove_institute(name: InstituteName, yes: YesOption = False) -> None:
    """Remove an institute with its memberships, groups and sources. People and studies stay."""
    cli_output.confirm(f"Remove {name}?", yes=yes)
    with house(create=False):
        from gantry.accounts import institutes
        from gantry.audit.record import by_cli

        institutes.remove(name, by_cli())
    cli_output.note(f"{name} is gone.")


@group.command("list")
def list_groups(json: JsonOption = False) -> None:
    """List groups."""
    with house(create=False):
        from gantry.accounts.models import Group

        rows = [
            {"institute": row.institute.name, "group": row.name, "actions": row.actions,
             "members": sorted(row.members.values_list("user__username", flat=True))}
            for row in Group.objects.select_related("institute").order_by("institute__name", "name")
        ]  # fmt: skip
    if json:
        cli_output.print_json(rows)
        return
    cells = ((row["institute"], row["group"], row["actions"], row["members"]) for row in rows)
    cli_output.print_table(("institute", "group", "its members may too", "members"), cells, empty="None.")


@group.command("set")
def set_group(
    place: InstituteName,
    name: Annotated[str, typer.Argument(help="Name of the group.")],
    action: Annotated[list[str] | None, typer.Option(help="What its members may; repeat. Replaces what was given.")] = None,
    join: Annotated[list[str] | None, typer.Option(help="Put this person in; repeat.")] = None,
    leave: Annotated[list[str] | None, typer.Option(help="Take this person out; repeat.")] = None,
) -> None:
    """Make or change a group, and who is in it."""
    with house():
        from django.db import transaction

        from gantry.accounts import institutes
        from gantry.audit.record import by_cli

        with transaction.atomic():
            if action is not None or not (join or leave):
                institutes.set_group(place, name, action or (), by_cli())
            for username in join or []:
                institutes.set_in_group(place, name, username, by_cli(), member=True)
            for username in leave or []:
                institutes.set_in_group(place, name, username, by_cli(), member=False)
    cli_output.note("Done. `gantry group list` shows it.")


@group.command("remove")
def remove_group(
    place: InstituteName, name: Annotated[str, typer.Argument(help="Name of the group.")], yes: YesOption = False
) -> None:
    """Remove a group; its members stay in the institute."""
    cli_output.confirm(f"Remove the group {name} of {place}?", yes=yes)
    with house(create=False):
        from gantry.accounts import institutes
        from gantry.audit.record import by_cli

        institutes.remove_group(place, name, by_cli())
    cli_output.note(f"{name} is gone.")
