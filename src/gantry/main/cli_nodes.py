"""`gantry node`: places we talk to."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from gantry.main import cli_output
from gantry.main.cli_context import connected, house, load
from gantry.main.cli_output import JsonOption, YesOption

app = typer.Typer(no_args_is_help=True, help="Nodes: the places we talk to.")
FIELDS = ("name", "aet", "host", "port", "calling_aet", "max_associations", "max_attempts", "enabled", "tls",
          "tls_authorities", "tls_fingerprint", "tls_certificate", "user_name")  # fmt: skip


def as_dict(node: Any) -> dict[str, Any]:
    """A node as JSON."""
    found = {field: getattr(node, field) for field in FIELDS}
    times = {field: getattr(node, field) for field in ("created_at", "last_success_at", "last_failure_at", "last_error")}
    return {**found, **times}


@app.command()
def add(  # noqa: PLR0913, PLR0917  a command's parameters are its options
    name: Annotated[str, typer.Argument(help="A name of our own for it.")],
    address: Annotated[str, typer.Argument(metavar="AET@HOST:PORT", help="Where it is.")],
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
    json: JsonOption = False,
) -> None:
    """Add a DICOM node."""
    with house():
        from gantry.nodes import registry
        from gantry.nodes.items import Security

        limits = registry.NodeLimits(max_associations=associations, max_attempts=attempts)
        passcode = passcode_file.read_text(encoding="utf-8").split("\n", 1)[0] if passcode_file else ""
        security = Security(tls, authorities, fingerprint, certificate, key, user, passcode)
        node = registry.add(name, address, calling_aet=calling_aet, limits=limits, security=security)
        if json:
            cli_output.print_json(as_dict(node))
        else:
            cli_output.note(
                f"Added node {node.name}: {node.aet}@{node.host}:{node.port}. Check it with `gantry node echo {node.name}`."
            )


@app.command("list")
def list_(json: JsonOption = False) -> None:
    """List the nodes."""
    with house(create=False):
        from gantry.nodes import registry

        nodes = registry.list_nodes()
        if json:
            cli_output.print_json([as_dict(node) for node in nodes])
            return
        cli_output.print_table(
            ("name", "address", "security", "associations#", "enabled", "last success", "last error"),
            (
                (node.name, f"{node.aet}@{node.host}:{node.port}", "TLS" if node.tls else "plain", node.max_associations,
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
    """Ask a node for a sign of life (C-ECHO). Exit status 1 if it does not answer as it should."""
    from gantry.nodes.echo import echo as ask

    where = target(name)
    result = ask(where)
    if json:
        cli_output.print_json({"name": name, "address": str(where.address), **cli_output.plain(result)})
    elif result.ok:
        cli_output.note(f"{where.address} answered in {result.seconds * 1000:.0f} ms")
    else:
        cli_output.note(f"{where.address}: {result.explanation}")
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
        from gantry.nodes import registry
        from gantry.transfers.find import count_open

        registry.remove(name, open_deliveries=lambda node_id: count_open(connection, node_id))
    if json:
        cli_output.print_json({"removed": name})
    else:
        cli_output.note(f"Removed node {name}.")


def target(name: str) -> Any:
    """The SendTarget of a node or an address; only a node needs the home and its database."""
    if "@" in name:
        from gantry.nodes.address import DimseAddress
        from gantry.nodes.items import SendTarget

        return SendTarget(DimseAddress.parse(name), load().aet)
    with house(create=False):
        from gantry.nodes import registry

        return registry.target_of(registry.get(name))
