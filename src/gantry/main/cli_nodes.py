"""`gantry node`: places we talk to."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from gantry.main import cli_output
from gantry.main.cli_context import connected, house, load
from gantry.main.cli_output import JsonOption, YesOption

app = typer.Typer(no_args_is_help=True, help="Nodes: the places we talk to.")
FIELDS = ("name", "kind", "aet", "host", "port", "url", "calling_aet", "max_associations", "max_attempts", "enabled", "tls",
          "tls_authorities", "tls_fingerprint", "tls_certificate", "user_name", "http_auth", "path_template", "transcode",
          "bandwidth", "reconcile", "failover_seconds", "breaker")  # fmt: skip


def as_dict(node: Any) -> dict[str, Any]:
    """A node as JSON."""
    found = {field: getattr(node, field) for field in FIELDS}
    times = {field: getattr(node, field) for field in ("created_at", "last_success_at", "last_failure_at", "last_error")}
    from gantry.nodes.kinds import words_of

    return {**found, "address": words_of(node), **times}


@app.command()
def add(  # noqa: PLR0913, PLR0917  a command's parameters are its options
    name: Annotated[str, typer.Argument(help="A name of our own for it.")],
    address: Annotated[
        str,
        typer.Argument(metavar="ADDRESS", help="AET@HOST:PORT, https://HOST/PATH (DICOMweb), or folder:/PATH."),
    ],
    calling_aet: Annotated[str, typer.Option(help="Our AE title towards it (default: our own).")] = "",
    associations: Annotated[int, typer.Option(help="Associations at once.")] = 4,
    attempts: Annotated[int, typer.Option(help="Attempts before a delivery is dead.")] = 12,
    tls: Annotated[bool, typer.Option("--tls", help="Only over TLS, never plain.")] = False,
    authorities: Annotated[str, typer.Option(metavar="PEM", help="TLS: whom to trust to vouch for it.")] = "",
    fingerprint: Annotated[str, typer.Option(metavar="SHA256", help="TLS: the one certificate that it may show.")] = "",
    certificate: Annotated[str, typer.Option(metavar="PEM", help="TLS: our certificate towards it.")] = "",
    key: Annotated[str, typer.Option(metavar="PEM", help="TLS: the key of our certificate.")] = "",
    user: Annotated[str, typer.Option(help="User name to tell it (user identity).")] = "",
    passcode_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The user's passcode is the first line of this.")
    ] = None,
    auth: Annotated[str, typer.Option(help="DICOMweb sign-in: basic (user and passcode) or bearer (passcode).")] = "",
    setting: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A setting, as in `gantry node set`.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Add a node: a DICOM peer, a DICOMweb server or a folder."""
    settings = _pairs(setting or [])
    if auth:
        settings["http_auth"] = auth
    with house():
        from gantry.audit.record import by_cli
        from gantry.nodes import registry
        from gantry.nodes.items import Security
        from gantry.nodes.kinds import words_of

        limits = registry.NodeLimits(max_associations=associations, max_attempts=attempts)
        passcode = passcode_file.read_text(encoding="utf-8").split("\n", 1)[0] if passcode_file else ""
        security = Security(tls, authorities, fingerprint, certificate, key, user, passcode)
        node = registry.add(
            name, address, calling_aet=calling_aet, limits=limits, security=security, settings=settings, by=by_cli()
        )
        if json:
            cli_output.print_json(as_dict(node))
        else:
            cli_output.note(f"Added node {node.name}: {words_of(node)}. Check it with `gantry node echo {node.name}`.")


def _pairs(texts: list[str]) -> dict[str, Any]:
    """KEY=VALUE; with - for _ in the key, as people write it."""
    found = {}
    for text in texts:
        key, sign, value = text.partition("=")
        if not sign:
            raise typer.BadParameter(f"{text!r} is not KEY=VALUE")
        found[key.strip().replace("-", "_")] = value.strip()
    return found


@app.command("set")
def set_(
    name: Annotated[str, typer.Argument(help="The node.")],
    pairs: Annotated[
        list[str],
        typer.Argument(
            metavar="KEY=VALUE...",
            help="address, calling_aet, enabled, max_associations, max_attempts, connect_seconds, response_seconds, "
            "failover_seconds, transcode (never, uncompressed, any), bandwidth ('Mon-Fri 07:00-19:00 20 Mbit/s; * 0'), "
            "reconcile (off, find, commit, auto), path_template, http_auth (basic, bearer).",
        ),
    ],
    passcode_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A new passcode or token is the first line of this.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Change settings of a node."""
    settings = _pairs(pairs)
    address = settings.pop("address", "")
    passcode = passcode_file.read_text(encoding="utf-8").split("\n", 1)[0] if passcode_file else None
    with house(create=False):
        from gantry.audit.record import by_cli
        from gantry.nodes import registry

        node = registry.change(name, settings, address=address, passcode=passcode, by=by_cli())
        if json:
            cli_output.print_json(as_dict(node))
        else:
            cli_output.note(f"Node {name}: {', '.join(f'{key}={getattr(node, key)}' for key in settings) or 'changed'}.")


@app.command()
def enable(name: str, json: JsonOption = False) -> None:
    """Let deliveries to a node run; what waits goes at once."""
    _switch(name, enabled=True, json=json)


@app.command()
def disable(name: str, json: JsonOption = False) -> None:
    """Hold the deliveries to a node back; what is ordered waits."""
    _switch(name, enabled=False, json=json)


def _switch(name: str, *, enabled: bool, json: bool) -> None:
    with house(create=False):
        from gantry.audit.record import by_cli
        from gantry.nodes import registry

        node = registry.enable(name, enabled=enabled, by=by_cli())
        if json:
            cli_output.print_json(as_dict(node))
        else:
            cli_output.note(f"Node {name} is {'enabled' if enabled else 'disabled'}.")


@app.command("list")
def list_(json: JsonOption = False) -> None:
    """List the nodes."""
    with house(create=False):
        from gantry.nodes import registry
        from gantry.nodes.kinds import words_of

        nodes = registry.list_nodes()
        if json:
            cli_output.print_json([as_dict(node) for node in nodes])
            return
        cli_output.print_table(
            ("name", "address", "security", "associations#", "enabled", "last success", "last error"),
            (
                (node.name, words_of(node), "TLS" if node.tls else "plain", node.max_associations,
                 "yes" if node.enabled else "no",
                 node.last_success_at, node.last_error)
                for node in nodes
            ),
            empty="No nodes. Add one with `gantry node add NAME AET@HOST:PORT`.",
        )  # fmt: skip


@app.command()
def echo(
    name: Annotated[str, typer.Argument(metavar="NAME|AET@HOST:PORT", help="A node, or an address.")],
    json: JsonOption = False,
) -> None:
    """Ask a node for a sign of life: a C-ECHO, a question to the web server, a file in the folder. Exit status 1 if it
    does not answer as it should."""
    from gantry.nodes.kinds import ask

    where = target(name) if "@" in name else _place(name)
    result = ask(where)
    if json:
        cli_output.print_json({"name": name, "address": where.words, **cli_output.plain(result)})
    elif result.ok:
        cli_output.note(f"{where.words} answered in {result.seconds * 1000:.0f} ms")
    else:
        cli_output.note(f"{where.words}: {result.explanation}")
        cli_output.note(result.remedy)
    raise typer.Exit(0 if result.ok else 1)


@app.command()
def probe(
    name: Annotated[str, typer.Argument(metavar="NAME|AET@HOST:PORT", help="A node, or an address.")],
    json: JsonOption = False,
) -> None:
    """Find out what a node can do, keep that with the node, and say what has changed. Exit status 1 if it cannot be asked."""
    from gantry.nodes import probe as probing

    where = target(name)
    with cli_output.progress("Asking", quiet=json) as advance:
        found = probing.probe(where, advance=lambda: advance(1))
    changes: list[str] = []
    if "@" not in name and not found.error:
        with house(create=False):
            from gantry.nodes import registry

            changes = registry.keep_profile(name, found)
    if json:
        cli_output.print_json({**found.as_dict(), "changes": changes})
    else:
        cli_output.print_table(("", "what"), probing.lines(found), title=f"{where.address}")
        for change in changes:
            cli_output.note(f"Changed since the last probe: {change}")
    raise typer.Exit(1 if found.error else 0)


@app.command()
def remove(name: str, yes: YesOption = False, json: JsonOption = False) -> None:
    """Remove a node without open deliveries."""
    cli_output.confirm(f"Remove the node {name}?", yes=yes)
    with connected(create=False) as connection:
        from gantry.audit.record import by_cli
        from gantry.nodes import registry
        from gantry.transfers.find import count_open

        registry.remove(name, open_deliveries=lambda node_id: count_open(connection, node_id), by=by_cli())
    if json:
        cli_output.print_json({"removed": name})
    else:
        cli_output.note(f"Removed node {name}.")


def _place(name: str) -> Any:
    with house(create=False):
        from gantry.nodes import registry

        return registry.place_of(registry.get(name))


def target(name: str) -> Any:
    """The SendTarget of a node or an address; only a node needs the home and its database."""
    if "@" in name:
        from gantry.nodes.address import DimseAddress
        from gantry.nodes.items import SendTarget

        return SendTarget(DimseAddress.parse(name), load().aet)
    with house(create=False):
        from gantry.nodes import registry

        return registry.target_of(registry.get(name))
