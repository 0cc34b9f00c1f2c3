"""`gantry alerts` and `gantry webhook`: what needs a person, and who is told over HTTP."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from gantry.main import cli_output
from gantry.main.cli_context import connected, house
from gantry.main.cli_output import JsonOption, YesOption

alerts = typer.Typer(no_args_is_help=True, help="Alerts: what needs a person.")
webhook = typer.Typer(no_args_is_help=True, help="Webhooks: tell another system, signed, what happens here.")
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Its name.")]
KindOption = Annotated[
    list[str] | None, typer.Option("--kind", help="Kind of fact, as in AlertChanged; repeat for several (default: all).")
]
_ALERT_FIELDS = (
    "id", "rule", "subject", "state", "message", "remedy", "opened_at", "last_at", "acknowledged_at", "acknowledged_by",
    "closed_at",
)  # fmt: skip
_HOOK_FIELDS = ("name", "url", "kinds", "enabled", "failures", "not_before", "created_at", "created_by")


def _fields(row: Any, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: getattr(row, name) for name in names}


@alerts.command("list")
def list_alerts(
    everything: Annotated[bool, typer.Option("--all", help="Closed ones too.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 100,
    json: JsonOption = False,
) -> None:
    """List alerts that are not closed, the newest first. Exit status 1 when one of them is open."""
    with house(create=False):
        from gantry.alerts.models import Alert

        rows = Alert.objects.exclude(state="seen")
        rows = rows if everything else rows.exclude(state="closed")
        found = [_fields(row, _ALERT_FIELDS) for row in rows.order_by("-pk")[:limit]]
    if json:
        cli_output.print_json(found)
    else:
        cli_output.print_table(
            ("number#", "state", "since", "what", "what to do"),
            ((one["id"], one["state"], one["opened_at"], one["message"], one["remedy"]) for one in found),
            empty="Nothing needs you.",
        )
    raise typer.Exit(1 if any(one["state"] == "open" for one in found) else 0)


@alerts.command()
def ack(number: Annotated[int, typer.Argument(min=1, help="Its number.")], json: JsonOption = False) -> None:
    """Say that somebody looks after it: no more reminders. It closes when its cause is gone."""
    with house(create=False):
        from gantry.alerts import state
        from gantry.audit import by_cli

        found = _fields(state.acknowledge(number, by_cli()), _ALERT_FIELDS)
    if json:
        cli_output.print_json(found)
    else:
        cli_output.note(f"Acknowledged: {found['message']}")


@alerts.command("test")
def try_(json: JsonOption = False) -> None:
    """Look now, as the worker does each minute, tell nobody; and send a test mail to those who would be told."""
    with connected(create=False) as connection:
        from datetime import UTC, datetime

        from gantry.accounts import mail
        from gantry.alerts import rules, state
        from gantry.main.cli_context import load

        findings, failed = rules.look_at_all(rules.Look(connection, load(), datetime.now(UTC)))
        to = state.recipients()
        outcome = "nobody has a mail address: set mail_administrators"
        if to:
            try:
                outcome = mail.send(to, "[Gantry] test", "This is a test of the mail that tells you of alerts.")
            except mail.MailFailed as error:
                outcome = f"failed: {error}"
    if json:
        cli_output.print_json({"findings": findings, "rules_that_failed": failed, "recipients": len(to), "mail": outcome})
    else:
        rows = ((one.rule, one.subject, one.message) for one in findings)
        cli_output.print_table(("rule", "subject", "what it sees"), rows, empty="No rule sees anything.")
        cli_output.note(f"Test mail to {len(to)} people: {outcome}")
    raise typer.Exit(1 if failed or outcome.startswith(("failed", "nobody")) else 0)


@webhook.command("list")
def list_webhooks(json: JsonOption = False) -> None:
    """List webhooks."""
    with house(create=False):
        from gantry.alerts import webhooks

        found = [_fields(one, _HOOK_FIELDS) for one in webhooks.list_webhooks()]
    if json:
        cli_output.print_json(found)
        return
    cli_output.print_table(
        ("name", "URL", "kinds", "enabled", "failures#", "not before"),
        ((one["name"], one["url"], one["kinds"], "yes" if one["enabled"] else "no", one["failures"], one["not_before"])
         for one in found),
        empty="No webhooks. Add one with `gantry webhook add NAME URL`.",
    )  # fmt: skip


@webhook.command()
def add(
    name: NameArgument,
    url: Annotated[str, typer.Argument(metavar="URL", help="https://...")],
    kind: KindOption = None,
    secret: Annotated[str, typer.Option(help="Where its secret is (env:GANTRY_SECRET_..., file:/...); default: a new one.")] = "",
    json: JsonOption = False,
) -> None:
    """Tell a URL what happens from now on. Its secret is shown once."""
    if secret and not secret.startswith(("env:", "file:/")):
        raise typer.BadParameter(
            "--secret says where the secret is (env:... or file:/...), so that it stays out of the shell's memory"
        )
    with house():
        from gantry.alerts import webhooks
        from gantry.audit import by_cli

        made, plain = webhooks.add(name, url, kind or [], by_cli(), secret=secret)
        found = {**_fields(made, _HOOK_FIELDS), "secret": plain}
    if json:
        cli_output.print_json(found)
        return
    cli_output.note(f"Added {name}: {', '.join(found['kinds'])} go to {url}.")
    if plain:
        cli_output.note(f"Its secret, shown this once: {plain}")
    cli_output.note(f"Try it: gantry webhook test {name}")


@webhook.command("change")
def change(
    name: NameArgument,
    url: Annotated[str | None, typer.Option(help="Another URL.")] = None,
    kind: KindOption = None,
    enabled: Annotated[bool | None, typer.Option("--on/--off", help="Switch it on or off.")] = None,
    json: JsonOption = False,
) -> None:
    """Change a webhook; pauses after failures end."""
    with house(create=False):
        from gantry.alerts import webhooks
        from gantry.audit import by_cli

        found = _fields(webhooks.change(name, by_cli(), url=url, kinds=kind, enabled=enabled), _HOOK_FIELDS)
    if json:
        cli_output.print_json(found)
    else:
        cli_output.note(f"Changed {name}.")


@webhook.command()
def secret(name: NameArgument, yes: YesOption = False, json: JsonOption = False) -> None:
    """Give it a new secret, shown once; the old one is of no use from then on."""
    cli_output.confirm(f"Replace the secret of {name}?", yes=yes)
    with house(create=False):
        from gantry.alerts import webhooks
        from gantry.audit import by_cli

        plain = webhooks.renew_secret(name, by_cli())
    if json:
        cli_output.print_json({"name": name, "secret": plain})
    else:
        cli_output.note(f"Its secret, shown this once: {plain}")


@webhook.command("test")
def try_webhook(name: NameArgument, json: JsonOption = False) -> None:
    """Send a message of type Test now. Exit status 1 when it was not accepted."""
    with house(create=False):
        from gantry.alerts import webhooks

        ok, status, explanation = webhooks.attempt(name)
    if json:
        cli_output.print_json({"ok": ok, "status": status, "explanation": explanation})
    else:
        cli_output.note(f"{name} accepted it ({status})." if ok else f"{name}: {explanation}.")
    raise typer.Exit(0 if ok else 1)


@webhook.command()
def log(
    name: NameArgument,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 50,
    json: JsonOption = False,
) -> None:
    """List what was sent and what became of it, the newest first."""
    names = ("id", "kind", "state", "attempts", "status", "explanation", "created_at", "finished_at")
    with house(create=False):
        from gantry.alerts import webhooks

        found = [_fields(one, names) for one in webhooks.get(name).notices.order_by("-pk")[:limit]]
    if json:
        cli_output.print_json(found)
    else:
        cli_output.print_table(
            ("number#", "kind", "state", "attempts#", "status#", "explanation", "made", "done"),
            (tuple(one.values()) for one in found), empty="Nothing was sent yet.",
        )  # fmt: skip


@webhook.command()
def remove(name: NameArgument, yes: YesOption = False, json: JsonOption = False) -> None:
    """Remove a webhook with its log."""
    cli_output.confirm(f"Remove the webhook {name}?", yes=yes)
    with house(create=False):
        from gantry.alerts import webhooks
        from gantry.audit import by_cli

        webhooks.remove(name, by_cli())
    if json:
        cli_output.print_json({"removed": name})
    else:
        cli_output.note(f"Removed {name}.")
