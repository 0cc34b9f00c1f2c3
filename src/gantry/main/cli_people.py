"""`gantry user`, `institute`, `group`, `registration`, `may`: people, where they belong, and what they may."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gantry.main import cli_output
from gantry.main.cli_context import connected, house
from gantry.main.cli_errors import FAILED
from gantry.main.cli_output import JsonOption, YesOption

if TYPE_CHECKING:
    from gantry.accounts.models import Institute, User

institute = typer.Typer(no_args_is_help=True, help="Institutes: who is in them, which studies are theirs.")
group = typer.Typer(no_args_is_help=True, help="Groups inside an institute: what their members may beyond their role.")
registration = typer.Typer(no_args_is_help=True, help="People who ask for an account.")

UserName = Annotated[str, typer.Argument(help="User name.")]
InstituteName = Annotated[str, typer.Argument(help="Name of the institute.")]
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
    with house():
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
    with house():
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
    with house():
        from gantry.accounts import people
        from gantry.audit.record import by_cli

        people.lock(name, by_cli(), reason)
    cli_output.note(f"{name} is locked. `gantry user unlock {name}` undoes it.")


def unlock_user(name: UserName) -> None:
    """Unlock an account. Tokens that were not revoked work again."""
    with house():
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
    with house():
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
    with house():
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


def _institute(row: Institute) -> dict[str, Any]:
    return {
        "institute": row.name, "description": row.description, "all_studies": row.all_studies,
        "members": row.memberships.count(),
        "sources": [{"id": source.pk, "kind": source.kind, "pattern": source.pattern} for source in row.sources.order_by("pk")],
    }  # fmt: skip


@institute.command("list")
def list_institutes(json: JsonOption = False) -> None:
    """List institutes with their sources."""
    with house():
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
    with house():
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
    with connected() as connection:
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
    with house():
        from gantry.accounts import institutes
        from gantry.audit.record import by_cli

        institutes.remove(name, by_cli())
    cli_output.note(f"{name} is gone.")


@group.command("list")
def list_groups(json: JsonOption = False) -> None:
    """List groups."""
    with house():
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
    with house():
        from gantry.accounts import institutes
        from gantry.audit.record import by_cli

        institutes.remove_group(place, name, by_cli())
    cli_output.note(f"{name} is gone.")


@registration.command("list")
def list_registrations(
    state: Annotated[str, typer.Option(help="waiting, unconfirmed, approved, refused or all.")] = "waiting",
    json: JsonOption = False,
) -> None:
    """List people who ask for an account."""
    with house():
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
    with house():
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
    with house():
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
