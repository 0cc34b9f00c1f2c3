"""`gantry token`, `user`, `doctor`, `config`: looking after an instance."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from gantry.config import Config, ConfigError
from gantry.main import cli_output, cli_people
from gantry.main.cli_context import house, load
from gantry.main.cli_errors import FAILED, USAGE
from gantry.main.cli_output import JsonOption, YesOption

token = typer.Typer(no_args_is_help=True, help="API tokens.")
user = typer.Typer(no_args_is_help=True, help="People.")
config = typer.Typer(no_args_is_help=True, help="Settings.")
cli_people.install(user)
_MARKS = {"fine": "[green]fine[/green]", "warning": "[yellow]warning[/yellow]", "problem": "[red]problem[/red]"}


@token.command("create")
def create_token(
    name: Annotated[str, typer.Option(help="What it is for.")] = "command line",
    user: Annotated[str | None, typer.Option(help="Whose (default: the first administrator).")] = None,
    scope: Annotated[
        list[str] | None,
        typer.Option("--scope", "--action", help="Only for this action; repeat for several (default: all of the user's)."),
    ] = None,
    node: Annotated[list[str] | None, typer.Option(help="Only for this node; repeat for several (default: all).")] = None,
    institute: Annotated[
        list[str] | None, typer.Option(help="Only studies of this institute; repeat for several (default: all of the user's).")
    ] = None,
    days: Annotated[
        int | None, typer.Option("--expires", "--days", help="Days it lives, as in 1, 7, 30, 90 (default: never).")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Make an API token; it is shown once. Whoever may run this owns the home."""
    with house():
        from gantry.accounts.bootstrap import create_token as make
        from gantry.accounts.tokens import Scope
        from gantry.audit.record import by_cli

        plaintext = make(user, name, Scope(scope or (), node or (), institute or ()), expires_days=days, by=by_cli())
        unknown = _unknown_nodes(node or [])
    if unknown:
        cli_output.note(f"There is no node {', '.join(unknown)} yet: the token counts for it when there is (`gantry node list`).")
    if json:
        cli_output.print_json({"token": plaintext})
    else:
        cli_output.note("Shown only now; send it as `Authorization: Bearer TOKEN`:")
        print(plaintext)


def _unknown_nodes(names: list[str]) -> list[str]:
    from gantry.nodes.registry import list_nodes

    return sorted(set(names) - {one.name for one in list_nodes()})


@token.command("list")
def list_tokens(
    user: Annotated[str | None, typer.Option(help="Only this person's.")] = None,
    ended: Annotated[bool, typer.Option("--ended", help="Those that expired or were revoked, too.")] = False,
    json: JsonOption = False,
) -> None:
    """List tokens; their secrets are not kept."""
    with house(create=False):
        from django.db.models import Q
        from django.utils import timezone

        from gantry.accounts.models import Token

        found = Token.objects.order_by("pk")
        if user:
            found = found.filter(user__username__iexact=user)
        if not ended:
            found = found.filter(Q(expires_at=None) | Q(expires_at__gt=timezone.now()), revoked_at=None)
        keys = ("id", "user__username", "name", "prefix", "actions", "nodes", "expires_at", "last_used_at", "revoked_at")
        rows = list(found.values_list(*keys))
    if json:
        cli_output.print_json([dict(zip((key.partition("__")[0] for key in keys), row, strict=True)) for row in rows])
    else:
        columns = ("id#", "user", "name", "begins with", "scope", "nodes", "expires", "last used", "revoked")
        cli_output.print_table(columns, rows, empty="None. `gantry token create` makes one.")


@token.command("revoke")
def revoke_token(
    number: Annotated[int, typer.Argument(help="As `token list` shows it.")],
    yes: YesOption = False,
) -> None:
    """End a token for good: the next request with it fails."""
    cli_output.confirm(f"Revoke token {number}?", yes=yes)
    with house(create=False):
        from gantry.accounts import tokens
        from gantry.accounts.errors import NotFound
        from gantry.accounts.models import Token
        from gantry.audit.record import by_cli

        found = Token.objects.filter(pk=number).first()
        if found is None:
            raise NotFound("There is no such token.", remedy="`gantry token list` shows them.")
        tokens.end(found, by_cli())
    cli_output.note("The token is revoked.")


@user.command("password")
def reset_password(
    name: Annotated[str, typer.Argument(help="Whose.")] = "admin",
    json: JsonOption = False,
) -> None:
    """Give a person a new password, shown once; it must be changed at the next sign-in. Whoever may run this owns the home."""
    with house(create=False):
        from gantry.accounts.bootstrap import reset_password as reset
        from gantry.audit.record import by_cli

        password = reset(name, by_cli())
    if json:
        cli_output.print_json({"user": name, "password": password})
    else:
        cli_output.note(f"New password of {name}, shown only now:")
        print(password)


def doctor(json: JsonOption = False) -> None:
    """Check database, disk, ports, clock, nodes and more, with remedies. Exit status 1 if there is a problem."""
    from gantry.main import home as homes
    from gantry.main.doctor import examine
    from gantry.main.errors import DatabaseError

    try:
        with house(create=False) as home:
            findings = list(examine(home, load()))
    except DatabaseError as error:
        home = homes.open_home(Path(load().home), create=False)
        findings = list(examine(home, load(), error))
    problems = [finding for finding in findings if finding.level == "problem"]
    if json:
        cli_output.print_json({"ok": not problems, "findings": findings})
    else:
        for finding in findings:
            cli_output.out.print(
                f"{_MARKS[finding.level]:<8} {cli_output.text(finding.subject)}: {cli_output.text(finding.message)}",
                soft_wrap=True,
            )
            if finding.remedy:
                cli_output.out.print(f"         {cli_output.text(finding.remedy)}", soft_wrap=True)
    raise typer.Exit(FAILED if problems else 0)


@config.command()
def show(json: JsonOption = False) -> None:
    """Show all settings with their values here. Passwords in addresses are left out."""
    values = _shown(load())
    if json:
        cli_output.print_json(values)
        return
    fields = Config.model_fields
    cli_output.print_table(
        ("key", "value", "default", "meaning"),
        ((key, value, _default(fields[key]), fields[key].description or "") for key, value in values.items()),
        title="Settings: HOME/gantry.yaml, or GANTRY_<KEY> in the environment, which wins",
    )


@config.command()
def check(json: JsonOption = False) -> None:
    """Check file and variables. Exit status 2 if something is wrong, with place and key."""
    try:
        loaded = load()
    except ConfigError as error:
        if json:
            cli_output.print_json({"ok": False, "problems": str(error).splitlines()})
            raise typer.Exit(USAGE) from None
        raise
    if json:
        cli_output.print_json({"ok": True, "problems": []})
    else:
        cli_output.note(f"The settings are fine. Home: {loaded.home}")


def _default(field: Any) -> object:
    return field.get_default(call_default_factory=True)


def _shown(loaded: Config) -> dict[str, Any]:
    values = {key: cli_output.plain(value) for key, value in loaded.model_dump().items()}
    if "@" in values["database_url"]:
        scheme, _, rest = values["database_url"].partition("://")
        user, _, place = rest.rpartition("@")
        values["database_url"] = f"{scheme}://{user.partition(':')[0]}:***@{place}"
    return values
