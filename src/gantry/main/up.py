"""`gantry up` as a person sees it: what is starting, where things are, the first password, a clean stop."""

from __future__ import annotations

import signal
import time
from types import FrameType

from gantry.config import Config, split_address
from gantry.main import cli_output, logs
from gantry.main import home as homes
from gantry.main.child import die_with_parent
from gantry.main.supervisor import Supervisor


def up(config: Config) -> int:
    """Run until Ctrl-C or SIGTERM; gives the exit status. Raises SetupError."""
    began = time.monotonic()
    die_with_parent()
    if complaint := homes.clock_complaint():
        cli_output.note(f"Warning: {complaint}. Set the clock (timedatectl), then restart.")
    supervisor = Supervisor(config)
    logs.set_up(supervisor.home.logs, "supervisor", config.log_level)
    asked = False

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        supervisor.request_stop()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    supervisor.start(lambda step: cli_output.note(f"Starting: {step}"))
    try:
        _welcome(supervisor, time.monotonic() - began)
        supervisor.run()
        cli_output.note("Stopping (Ctrl-C again to hurry)")
        supervisor.stop()
    except KeyboardInterrupt:
        supervisor.stop(hurry=True)
    cli_output.note("Stopped")
    return 0


def _welcome(supervisor: Supervisor, seconds: float) -> None:
    config = supervisor.config
    console = cli_output.err
    console.print(f"Gantry is up after {seconds:.1f} s. Home: {cli_output.text(supervisor.home.path)}", soft_wrap=True)
    console.print(f"  web    http://{cli_output.text(config.http)}/    (open it in a browser)")
    console.print(f"  DICOM  {cli_output.text(config.aet)}@{cli_output.text(config.dicom)}")
    if config.dicom_tls_address:
        words = f"  DICOM  {cli_output.text(config.aet)}@{cli_output.text(config.dicom_tls_address)} over TLS"
        console.print(f"{words}, certificates of callers: {config.dicom_tls_clients}", soft_wrap=True)
    hosts = {split_address(address)[0] for address in (config.http, config.dicom)}
    if config.unknown_callers != "refuse" and not hosts <= {"127.0.0.1", "::1", "localhost"}:
        console.print(
            f"  Open to the network, and strangers are let in (unknown_callers: {config.unknown_callers}): mind your firewall.",
            soft_wrap=True,
        )
    if config.unknown_callers == "refuse":
        console.print("  Callers: nodes, and who is let in with `gantry caller allow AET`; see `gantry caller refused`.",
                      soft_wrap=True)  # fmt: skip
    if supervisor.first_password is not None:
        console.print(
            f"  First sign-in, shown only now: user [bold]admin[/bold], password [bold]{supervisor.first_password}[/bold]",
            soft_wrap=True,
        )
    console.print("Ctrl-C stops it.")
