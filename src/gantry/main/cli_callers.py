"""`gantry caller`: who may call the DICOM port, and who was refused."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from gantry.main import cli_output
from gantry.main.cli_context import house, load
from gantry.main.cli_output import JsonOption, YesOption

app = typer.Typer(no_args_is_help=True, help="Callers: who may call the DICOM port, and for what.")
AetArgument = Annotated[str, typer.Argument(metavar="AET", help="The AE title it calls itself by.")]


def as_dict(caller: Any) -> dict[str, Any]:
    """A caller as JSON."""
    from gantry.receiver.allow import actions_of

    fields = ("aet", "name", "hosts", "certificate", "enabled", "created_at", "created_by")
    return {**{field: getattr(caller, field) for field in fields}, "may": actions_of(caller)}


@app.command("list")
def list_(json: JsonOption = False) -> None:
    """List the callers that are allowed or denied by name."""
    with house(create=False):
        from gantry.receiver import allow

        found = [as_dict(caller) for caller in allow.list_callers()]
    if json:
        cli_output.print_json(found)
        return
    cli_output.print_table(
        ("AET", "name", "may", "from", "certificate", "denied"),
        (
            (one["aet"], one["name"], one["may"], one["hosts"] or "anywhere", one["certificate"][:16],
             "" if one["enabled"] else "yes")
            for one in found
        ),
        empty="No callers. Allow one with `gantry caller allow AET`; `gantry caller refused` shows who was turned away.",
    )  # fmt: skip
    cli_output.note(f"Nodes may echo and store. Anybody else: {load().unknown_callers} (unknown_callers).")


@app.command("allow")
def allow_(
    aet: AetArgument,
    host: Annotated[
        list[str] | None, typer.Option(help="Address or network it calls from; repeat for several (default: any).")
    ] = None,
    may: Annotated[str, typer.Option(help="Some of echo,store,find,get,move,commit.")] = "echo,store",
    certificate: Annotated[str, typer.Option(help="SHA-256 of the certificate it must show (only over TLS).")] = "",
    name: Annotated[str, typer.Option(help="A name of our own for it.")] = "",
    json: JsonOption = False,
) -> None:
    """Let a caller in, for exactly this; what was said of it before is replaced."""
    with house():
        from gantry.audit import by_cli
        from gantry.receiver import allow

        actions = [word.strip() for word in may.split(",") if word.strip()]
        found = as_dict(
            allow.allow(aet, may=actions, hosts=host or (), certificate=certificate, name=name, by=by_cli())
        )  # fmt: skip
    if json:
        cli_output.print_json(found)
    else:
        where = " or ".join(found["hosts"]) or "anywhere"
        cli_output.note(f"{found['aet']} may {', '.join(found['may'])} from {where}.")


@app.command()
def deny(aet: AetArgument, json: JsonOption = False) -> None:
    """Refuse an AE title, also if it is a node or strangers are let in."""
    with house(create=False):
        from gantry.audit import by_cli
        from gantry.receiver import allow

        found = as_dict(allow.deny(aet, by=by_cli()))
    if json:
        cli_output.print_json(found)
    else:
        cli_output.note(f"{found['aet']} is refused from now on.")


@app.command()
def remove(aet: AetArgument, yes: YesOption = False, json: JsonOption = False) -> None:
    """Forget what was said of an AE title: it is a stranger again."""
    cli_output.confirm(f"Forget the caller {aet}?", yes=yes)
    with house(create=False):
        from gantry.audit import by_cli
        from gantry.receiver import allow

        allow.remove(aet, by=by_cli())
    if json:
        cli_output.print_json({"removed": aet})
    else:
        cli_output.note(f"Forgot {aet}.")


@app.command()
def refused(json: JsonOption = False) -> None:
    """List who was refused and why, with the command that lets each of them in."""
    with house(create=False):
        from gantry.receiver import allow

        fields = ("aet", "host", "reason", "count", "first_seen_at", "last_seen_at")
        found = [{field: getattr(one, field) for field in fields} for one in allow.list_refused()]
    if json:
        cli_output.print_json(found)
        return
    cli_output.print_table(
        ("AET", "from", "reason", "times#", "last", "to let it in"),
        (
            (one["aet"], one["host"], one["reason"], one["count"], one["last_seen_at"],
             f"gantry caller allow {_word(one['aet'])} --host {one['host']}")
            for one in found
        ),
        empty="Nobody was refused.",
    )  # fmt: skip


def _word(aet: str) -> str:
    import shlex

    return shlex.quote(aet)
