"""The `gantry` command: global options and the commands that run processes; the others are in cli_*.py by noun."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

import gantry
from gantry.main import (
    cli_admin,
    cli_alerts,
    cli_audit,
    cli_backup,
    cli_callers,
    cli_conformance,
    cli_context,
    cli_data,
    cli_deliveries,
    cli_errors,
    cli_file,
    cli_institutes,
    cli_nodes,
    cli_output,
    cli_people,
    cli_quarantine,
    cli_query,
    cli_rule_sets,
    cli_rules,
    cli_storage,
    cli_studies,
)
from gantry.main.cli_output import JsonOption

EPILOG = "Exit status: 0 done; 1 it failed, or problems were found; 2 wrong use or settings; 130 interrupted."
app = typer.Typer(
    name="gantry", no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False, epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"]},
)  # fmt: skip
serve = typer.Typer(no_args_is_help=True, help="Run one process, for systemd or containers.", epilog=EPILOG)
app.add_typer(serve, name="serve")
app.add_typer(cli_nodes.app, name="node")
app.add_typer(cli_rules.app, name="rule")
app.add_typer(cli_studies.studies, name="studies", epilog=EPILOG)
app.add_typer(cli_studies.trash, name="trash", epilog=EPILOG)
app.add_typer(cli_storage.storage, name="storage", epilog=EPILOG)
app.add_typer(cli_quarantine.quarantine, name="quarantine", epilog=EPILOG)
cli_deliveries.app.command("why")(cli_rule_sets.why)
app.add_typer(cli_deliveries.app, name="deliveries")
app.add_typer(cli_callers.app, name="caller")
app.add_typer(cli_audit.app, name="audit")
app.add_typer(cli_alerts.alerts, name="alerts")
app.add_typer(cli_alerts.webhook, name="webhook")
app.add_typer(cli_admin.token, name="token")
app.add_typer(cli_admin.user, name="user")
app.add_typer(cli_admin.config, name="config")
app.add_typer(cli_institutes.institute, name="institute")
app.add_typer(cli_institutes.group, name="group")
app.add_typer(cli_people.registration, name="registration")
app.add_typer(cli_backup.secrets, name="secrets")
app.command("backup", epilog=EPILOG)(cli_backup.backup)
app.command("restore", epilog=EPILOG)(cli_backup.restore)
app.command("export", epilog=EPILOG)(cli_file.export)
app.command("apply", epilog=EPILOG)(cli_file.apply)
app.command("may", epilog=EPILOG)(cli_people.may)
app.command("receipt", epilog=EPILOG)(cli_deliveries.receipt)
app.command("import", epilog=EPILOG)(cli_data.import_)
app.command("send", epilog=EPILOG)(cli_data.send)
app.command("conformance", epilog=EPILOG)(cli_conformance.conformance)
app.command("find", epilog=EPILOG)(cli_query.find)
app.command("fetch", epilog=EPILOG)(cli_query.fetch)
app.command("commit", epilog=EPILOG)(cli_query.commit)
app.command("verify", epilog=EPILOG)(cli_data.verify)
app.command("doctor", epilog=EPILOG)(cli_admin.doctor)

HomeOption = Annotated[Path | None, typer.Option("--home", help="Folder that holds all data (GANTRY_HOME; default ./var).")]
HttpOption = Annotated[str | None, typer.Option("--http", help="Address of the web process, HOST:PORT.")]
DicomOption = Annotated[str | None, typer.Option("--dicom", help="Address of the DICOM receiver, HOST:PORT.")]
DicomTlsOption = Annotated[str | None, typer.Option("--dicom-tls", help="Address of a DICOM port that speaks TLS, HOST:PORT.")]
AetOption = Annotated[str | None, typer.Option("--aet", help="Our AE title.")]


@app.callback()
def options(
    home: HomeOption = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks (GANTRY_DEBUG=1).")] = False,
) -> None:
    """Gantry receives, keeps, indexes, routes and forwards DICOM, byte for byte, with proof of delivery."""
    cli_context.choose_home(home)
    if debug:
        os.environ["GANTRY_DEBUG"] = "1"


@app.command(epilog=EPILOG)
def up(
    home: HomeOption = None,
    http: HttpOption = None,
    dicom: DicomOption = None,
    dicom_tls: DicomTlsOption = None,
    aet: AetOption = None,
) -> None:
    """Run everything: database, receivers, indexer, worker, web. Ctrl-C stops it."""
    from gantry.main import up as running

    cli_context.choose_home(home)
    raise typer.Exit(running.up(cli_context.load({"http": http, "dicom": dicom, "dicom_tls_address": dicom_tls, "aet": aet})))


@app.command(epilog=EPILOG)
def demo(
    once: Annotated[bool, typer.Option("--once", help="End after the receipt, with 0 or 1.")] = False,
    home: Annotated[Path | None, typer.Option("--home", help="A new folder for it (default ./var-demo).")] = None,
) -> None:
    """See a real study arrive, be stored, indexed, forwarded to another node, and get its receipt."""
    from gantry.main.demo import demo as run

    raise typer.Exit(run(home, once=once))


@app.command(epilog=EPILOG)
def version(json: JsonOption = False) -> None:
    """Show the version."""
    if json:
        cli_output.print_json({"version": gantry.__version__})
    else:
        cli_output.out.print(f"gantry {gantry.__version__}")


@serve.command("web", epilog=EPILOG)
def serve_web() -> None:
    """REST, administration pages, health, metrics."""
    from gantry.main import serve as processes

    raise typer.Exit(processes.web(cli_context.load()))


@serve.command("receiver", epilog=EPILOG)
def serve_receiver(
    slot: Annotated[str, typer.Option("--slot", help="Its folder of the spool; each receiver needs its own.")] = "r0",
) -> None:
    """DICOM receiver. Without `gantry up` it brings its indexer along."""
    from gantry.main import serve as processes

    raise typer.Exit(processes.receiver(cli_context.load(), slot))


@serve.command("indexer", epilog=EPILOG)
def serve_indexer() -> None:
    """Takes received objects out of the spool into place and into the index; one per home."""
    from gantry.main import serve as processes

    raise typer.Exit(processes.indexer(cli_context.load()))


@serve.command("worker", epilog=EPILOG)
def serve_worker() -> None:
    """Routes and delivers."""
    from gantry.main import serve as processes

    raise typer.Exit(processes.worker(cli_context.load()))


def run(arguments: Sequence[str] | None = None) -> int:
    """Carry out a command line; gives the exit status and never raises."""
    os.umask(0o077)
    try:
        status = app(list(sys.argv[1:] if arguments is None else arguments), prog_name="gantry", standalone_mode=False)
        return status if isinstance(status, int) else 0
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    except BaseException as error:
        return cli_errors.report(error)


def main() -> None:
    """The console script."""
    sys.exit(run())


if __name__ == "__main__":
    main()
