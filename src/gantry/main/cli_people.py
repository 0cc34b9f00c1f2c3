"""`gantry user`, `registration`, `may`: people and what they may. Where they belong: cli_institutes.py."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from gantry.main import cli_output
from gantry.main.cli_context import house
from gantry.main.cli_errors import FAILED
from gantry.main.cli_output import JsonOption, YesOption

if TYPE_CHECKING:
    from gantry.accounts.models import User

registration = typer.Typer(no_args_is_help=True, help="People who ask for an account.")

UserName = Annotated[str, typer.Argument(help="User name.")]
MemberOption = Annotated[list[str] | None, typer.Option("--in", help="INSTITUTE=ROLE; repeat for several.")]


def _memberships(given: list[str] | None) -> dict[str, str]:
    found = {}
    for item in given or []:
        name, equals, role = item.rpartition("=")
        if not equals or not name:
            raise typer.BadParameter(f"{item}: write INSTITUTE=ROLE, as in Radiology=clinician.")
        found[name] = role
    return found


def _shown(user: User) -> dict[str, Any]:
    places = [f"{row.institute.name}={row.role}" for row in user.memberships.select_related("institute").order_by("pk")]
    return {
        "user": user.username, "name": user.get_full_name(), "email": user.email, "role": user.role, "institutes": places,
        "active": user.is_active, "last_login": user.last_login,
    }  # fmt: skip


def list_users(json: JsonOption = False) -> None:
    """List people."""
    with house(create=False):
        from gantry.accounts.models import User

        rows = [_shown(user) for user in User.objects.order_by("username")]
    if json:
        cli_output.print_json(rows)
        return
    cli_output.print_table(
        ("user", "name", "e-mail", "role everywhere", "institutes", "state", "last signed in"),
        (
            (row["user"], row["name"], row["email"], row["role"], row["institutes"], "" if row["active"] else "locked",
             row["last_login"])
            for row in rows
        ),
        empty="Nobody yet. `gantry up` makes the first administrator.",
    )  # fmt: skip


def add_user(
    name: UserName,
    email: Annotated[str, typer.Option(help="E-mail address.")] = "",
    role: Annotated[str, typer.Option(help="Role that holds everywhere; none: only those given by --in.")] = "none",
    member: MemberOption = None,
    full_name: Annotated[str, typer.Option("--name", help="As in 'Jane Doe'.")] = "",
    invite: Annotated[bool, typer.Option("--invite", help="Mail a link to choose a password instead of showing one.")] = False,
    machine: Annotated[bool, typer.Option("--machine", help="No password: an account for tokens only.")] = False,
    json: JsonOption = False,
) -> None:
    """Add a person. The password that is made is shown once and must be changed at the first sign-in."""
    with house():
        from gantry.accounts import people
        from gantry.accounts.bootstrap import generate_password
        from gantry.audit.record import by_cli

        password = "" if invite or machine else generate_password()
        first, _, last = full_name.strip().rpartition(" ")
        person = people.Person(name, email, role, first, last)
        user = people.add(person, by_cli(), memberships=_memberships(member), invite=invite, password=password)
        shown = _shown(user)
    if json:
        cli_output.print_json({**shown, **({"password": password} if password else {})})
        return
    if not role or (role == "none" and not member):
        cli_output.note(f"{name} has no role yet: `gantry user set {name} --role ROLE`, or --in INSTITUTE=ROLE.")
    if invite:
        cli_output.note(f"A mail with a link is on its way to {email} (the worker sends it).")
    elif machine:
        cli_output.note(f"{name} is there, without a password. Make it a token: `gantry token create --user {name}`.")
    elif password:
        cli_output.note(f"Password of {name}, shown only now:")
        print(password)


def set_user(
    name: UserName,
    role: Annotated[str | None, typer.Option(help="Role that holds everywhere; none takes it away.")] = None,
    email: Annotated[str | None, typer.Option(help="E-mail address.")] = None,
    department: Annotated[str | None, typer.Option(help="Department.")] = None,
    member: MemberOption = None,
    leave: Annotated[list[str] | None, typer.Option("--out", help="Take out of this institute; repeat for several.")] = None,
    json: JsonOption = False,
) -> None:
    """Change somebody's role, address, department, institutes."""
    with house(create=False):
        from django.db import transaction

        from gantry.accounts import institutes, people
        from gantry.audit.record import by_cli

        changes = {
            key: value for key, value in (("role", role), ("email", email), ("department", department)) if value is not None
        }
        with transaction.atomic():
            user = people.change(name, by_cli(), **changes) if changes else people.find(name)
            for place, there in _memberships(member).items():
                institutes.set_member(place, name, there, by_cli())
            for place in leave or []:
                institutes.remove_member(place, name, by_cli())
        shown = _shown(user)
    if json:
        cli_output.print_json(shown)
    else:
        cli_output.note(f"{name}: role everywhere {shown['role']}; {', '.join(shown['institutes']) or 'in no institute'}")


def lock_user(
    name: UserName,
    reason: Annotated[str, typer.Option(help="Why; kept in the audit.")] = "",
    yes: YesOption = False,
) -> None:
    """Lock an account: its sessions end, its tokens stop working, nothing is deleted."""
    cli_output.confirm(f"Lock {name}?", yes=yes)
    with house(create=False):
        from gantry.accounts import people
        from gantry.audit.record import by_cli

        people.lock(name, by_cli(), reason)
    cli_output.note(f"{name} is locked. `gantry user unlock {name}` undoes it.")


def unlock_user(name: UserName) -> None:
    """Unlock an account. Tokens that were not revoked work again."""
    with house(create=False):
        from gantry.accounts import people
        from gantry.audit.record import by_cli

        people.unlock(name, by_cli())
    cli_output.note(f"{name} is unlocked.")


def sessions(
    name: UserName,
    end: Annotated[bool, typer.Option("--end", help="End all of them.")] = False,
    yes: YesOption = False,
    json: JsonOption = False,
) -> None:
    """Show where somebody is signed in, or end it."""
    if end:
        cli_output.confirm(f"End all sessions of {name}?", yes=yes)
    with house(create=False):
        from django.utils import timezone

        from gantry.accounts import people
        from gantry.accounts.models import Session
        from gantry.audit.record import by_cli

        user = people.find(name)
        ended = people.end_sessions(user, by_cli()) if end else 0
        found = Session.objects.filter(user=user, expire_date__gt=timezone.now()).order_by("-last_used_at")
        rows = [(row.public_id, row.address, row.agent, row.created_at, row.last_used_at) for row in found]
    if json:
        keys = ("id", "address", "agent", "created_at", "last_used_at")
        cli_output.print_json({"ended": ended, "sessions": [dict(zip(keys, row, strict=True)) for row in rows]})
    elif end:
        cli_output.note(f"{ended} sessions ended.")
    else:
        cli_output.print_table(("session", "address", "browser", "since", "last used"), rows, empty=f"{name} has no session.")


def may(
    user: UserName,
    action: Annotated[str, typer.Argument(help="As in studies.download; docs/reference/actions.md lists them.")],
    study: Annotated[str | None, typer.Option(help="With the study of this Study Instance UID.")] = None,
    json: JsonOption = False,
) -> None:
    """Say whether somebody may do something, and why, or why not. Exit status 1: they may not."""
    with house(create=False):
        from gantry.accounts import people
        from gantry.accounts.actors import actor_of_user
        from gantry.accounts.allowed import Decision
        from gantry.accounts.explain import explain

        found = people.find(user)
        locked = Decision(False, f"the account is locked{': ' + found.locked_reason if found.locked_reason else ''}")
        decision = explain(actor_of_user(found), action, study) if found.is_active else locked
    if json:
        cli_output.print_json(
            {"user": user, "action": action, "study": study, "allowed": decision.allowed, "reason": decision.reason}
        )
    else:
        cli_output.out.print(f"{'yes' if decision else 'no'}: {cli_output.text(decision.reason)}", soft_wrap=True)
    raise typer.Exit(0 if decision else FAILED)


@registration.command("list")
def list_registrations(
    state: Annotated[str, typer.Option(help="waiting, unconfirmed, approved, refused or all.")] = "waiting",
    json: JsonOption = False,
) -> None:
    """List people who ask for an account."""
    with house(create=False):
        from gantry.accounts.models import Registration

        found = Registration.objects.order_by("pk")
        found = found if state == "all" else found.filter(state=state)
        keys = ("id", "state", "username", "first_name", "last_name", "email", "department", "created_at")
        rows = list(found.values_list(*keys))
    if json:
        cli_output.print_json([dict(zip(keys, row, strict=True)) for row in rows])
    else:
        cli_output.print_table(
            ("id#", "state", "user", "first name", "last name", "e-mail", "department", "asked"), rows, empty="Nobody waits."
        )


@registration.command("approve")
def approve(
    number: Annotated[int, typer.Argument(help="As `registration list` shows it.")],
    role: Annotated[str, typer.Option(help="Role that holds everywhere.")] = "none",
    member: MemberOption = None,
    username: Annotated[str, typer.Option(help="Another user name than the one that was wished for.")] = "",
) -> None:
    """Make the account; its owner is mailed a link to choose a password."""
    with house(create=False):
        from gantry.accounts import registrations
        from gantry.audit.record import by_cli

        user = registrations.approve(number, by_cli(), role=role, memberships=_memberships(member), username=username)
    cli_output.note(f"{user.username} has an account; a mail is on its way (the worker sends it).")


@registration.command("refuse")
def refuse(
    number: Annotated[int, typer.Argument(help="As `registration list` shows it.")],
    reason: Annotated[str, typer.Option(help="Kept in the audit, not told.")] = "",
    yes: YesOption = False,
) -> None:
    """Say no."""
    cli_output.confirm(f"Refuse registration {number}?", yes=yes)
    with house(create=False):
        from gantry.accounts import registrations
        from gantry.audit.record import by_cli

        registrations.refuse(number, by_cli(), reason=reason)
    cli_output.note("Refused.")


def install(user: typer.Typer) -> None:
    """Put the commands about people beside `user password`."""
    for name, command in (
        ("list", list_users), ("add", add_user), ("set", set_user), ("lock", lock_user), ("unlock", unlock_user),
        ("sessions", sessions),
    ):  # fmt: skip
        user.command(name)(command)
