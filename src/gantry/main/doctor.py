"""`gantry doctor`: is everything there that is needed, and if not, what to do about it.

It changes nothing. A finding is fine, a warning (works, but look), or a problem.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import stat
import time
from collections.abc import Callable, Iterator
from typing import Any

from gantry.config import Config, split_address
from gantry.main import doctor_dicom, doctor_storage, migrate, ports
from gantry.main import home as homes
from gantry.main.errors import SetupError
from gantry.main.findings import Finding
from gantry.main.home import Home

_SLOW_SYNC = 0.1
_SUBJECTS = (
    ("quarantine", "SELECT count(*) FROM intake_quarantinedobject WHERE state = 'held'", "objects are held in quarantine",
     "`gantry quarantine` shows them with their reasons"),
    ("conflicts", "SELECT count(*) FROM catalogue_conflict WHERE resolved_at IS NULL", "conflicts between senders are open",
     "`gantry studies` shows the studies; GET /api/v1/conflicts the details"),
    ("dead letters", "SELECT count(*) FROM transfers_delivery WHERE status = 'dead'", "deliveries are dead",
     "Mend their cause, then `gantry deliveries retry`; `gantry deliveries --status dead` shows why"),
    ("alerts", "SELECT count(*) FROM alerts_alert WHERE state = 'open'", "alerts are open",
     "`gantry alerts list` says what each needs"),
)  # fmt: skip


def examine(home: Home, config: Config, no_database: SetupError | None = None) -> Iterator[Finding]:
    """All checks, in order; needs session.opened(). A check that fails itself is a problem, never an end.

    `no_database`: why there is none; then all that can be looked at without."""
    running = homes.is_claimed(home)
    if running:
        config = _as_running(home, config)
    checks: list[Callable[[], Iterator[Finding]]] = [
        _clock,
        lambda: _home_modes(home),
        lambda: _disk(home, config),
        lambda: _sync(home),
        lambda: _ports(config, running=running),
        lambda: doctor_dicom.tls(config),
        lambda: _processes(home, running=running),
    ]
    if no_database is None:
        checks += [
            lambda: doctor_storage.volumes(home),
            _database,
            _counts,
            lambda: doctor_dicom.callers(config),
            _nodes,
        ]
    for check in checks:
        try:
            yield from check()
        except Exception as error:
            yield Finding(
                "doctor", "problem", f"a check could not be made: {type(error).__name__}", "See `gantry --debug doctor`"
            )
    if no_database is not None:
        words = f"{no_database.cause}. Volumes, queues, callers and nodes were not looked at"
        yield Finding("database", "problem", words, no_database.remedy)


def _as_running(home: Home, config: Config) -> Config:
    """The settings with the addresses that `gantry up` was given on its command line, which our own do not know."""
    status = _status(home)
    if status is None:
        return config
    return config.model_copy(
        update={"http": status["http"], "dicom": status["dicom"], "dicom_tls_address": status["dicom_tls"], "aet": status["aet"]}
    )


def _status(home: Home) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads((home.run / "status.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found


def _clock() -> Iterator[Finding]:
    complaint = homes.clock_complaint()
    if complaint:
        yield Finding("clock", "problem", complaint, "Set the clock, best with NTP (timedatectl set-ntp true), and restart")
        return
    yield Finding("clock", "fine", time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()))


def _home_modes(home: Home) -> Iterator[Finding]:
    open_places = []
    for place in (home.path, home.secrets, *home.secrets.iterdir()):
        mode = stat.S_IMODE(os.stat(place).st_mode)
        allowed = 0o711 if place == home.path else 0o700
        if mode & ~allowed:
            open_places.append(f"{place} ({mode:04o})")
    if open_places:
        yield Finding(
            "home",
            "problem",
            f"others can read {', '.join(open_places)}",
            f"chmod -R go= {home.path / 'secrets'}; chmod 700 {home.path}",
        )
    else:
        yield Finding("home", "fine", f"{home.path} is private")


def _disk(home: Home, config: Config) -> Iterator[Finding]:
    usage = shutil.disk_usage(home.path)
    reserve = config.disk_reserve_mb * 1024 * 1024
    words = f"{usage.free / 1e9:.1f} GB free of {usage.total / 1e9:.1f} GB"
    if usage.free < reserve:
        yield Finding("disk", "problem", f"{words}, below the reserve of {config.disk_reserve_mb} MB: C-STORE is answered A700",
                      "Free space on the volume, or move the home to a larger one")  # fmt: skip
    elif usage.free < 5 * reserve:
        yield Finding("disk", "warning", f"{words}, near the reserve of {config.disk_reserve_mb} MB", "Plan for more space")
    else:
        yield Finding("disk", "fine", words)
    state = os.statvfs(home.path)
    if state.f_files and state.f_favail < 10_000:
        yield Finding("disk", "problem", f"only {state.f_favail} inodes are free", "Free some, or use a volume made with more")


def _sync(home: Home) -> Iterator[Finding]:
    """Durability rests on fdatasync: does it work here, and how long does it take?"""
    path = home.run / f".sync-{os.getpid()}"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        times = []
        for _ in range(5):
            os.pwrite(descriptor, os.urandom(4096), 0)
            began = time.perf_counter()
            os.fdatasync(descriptor)
            times.append(time.perf_counter() - began)
    except OSError as error:
        yield Finding("sync", "problem", f"the volume cannot sync: {error.strerror}", "Put the home on a local file system")
        return
    finally:
        os.close(descriptor)
        path.unlink()
    middle = sorted(times)[2]
    if middle > _SLOW_SYNC:
        yield Finding(
            "sync", "warning", f"a sync takes {middle * 1000:.0f} ms: receiving will be slow", "Use a faster volume for the home"
        )
    else:
        yield Finding("sync", "fine", f"a sync takes {middle * 1000:.1f} ms")


def _ports(config: Config, *, running: bool) -> Iterator[Finding]:
    for option, address in (("http", config.http), ("dicom", config.dicom), ("dicom-tls", config.dicom_tls_address)):
        if not address:
            continue
        if running:
            yield _answers(option, address)
            continue
        try:
            ports.check_free(address, option)
        except SetupError as error:
            yield Finding(f"port {option}", "problem", error.cause, error.remedy)
        else:
            yield Finding(f"port {option}", "fine", f"{address} is free")


def _answers(option: str, address: str) -> Finding:
    host, port = split_address(address)
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  not bound, asked
    try:
        socket.create_connection((host, port), timeout=5).close()
    except OSError as error:
        return Finding(
            f"port {option}",
            "problem",
            f"{address} does not answer: {error.strerror or error}",
            "See the logs of the home; `gantry up` starts again what dies",
        )
    return Finding(f"port {option}", "fine", f"{address} answers")


def _processes(home: Home, *, running: bool) -> Iterator[Finding]:
    if not running:
        yield Finding(
            "processes", "warning", "`gantry up` does not run on this home", "Start it; what was received waits in the spool"
        )
        return
    status = _status(home)
    if status is None:
        yield Finding("processes", "warning", "the supervisor has not written its status yet", "Ask again in a moment")
        return
    restarted = {name: state["restarts"] for name, state in status["processes"].items() if state["restarts"]}
    if restarted:
        words = ", ".join(f"{name} {count} times" for name, count in restarted.items())
        yield Finding("processes", "warning", f"restarted: {words}", f"The reason is in {home.logs}")
    else:
        yield Finding("processes", "fine", f"{len(status['processes'])} run since {status['started_at']}")


def _database() -> Iterator[Finding]:
    try:
        version = migrate.check_server()
    except SetupError as error:
        yield Finding("database", "problem", error.cause, error.remedy)
        return
    yield Finding("database", "fine", f"PostgreSQL {version // 10000}.{version % 10000} answers")
    pending = migrate.pending()
    if pending:
        yield Finding(
            "tables", "problem", f"{len(pending)} migrations are not applied", "Restart `gantry up`, which applies them"
        )
    else:
        yield Finding("tables", "fine", "all migrations are applied")


def _counts() -> Iterator[Finding]:
    from gantry import database

    with database.connect(autocommit=True, application="gantry-doctor") as connection:
        for subject, statement, words, remedy in _SUBJECTS:
            row = connection.execute(statement).fetchone()
            count = int(row[0]) if row else 0
            yield Finding(subject, "warning", f"{count} {words}", remedy) if count else Finding(subject, "fine", "none")


def _nodes() -> Iterator[Finding]:
    from gantry.nodes.checks import check_nodes

    checks = check_nodes()
    if not checks:
        yield Finding("nodes", "fine", "there are none")
    for check in checks:
        if check.result.ok:
            yield Finding(f"node {check.name}", "fine", f"{check.address} answered in {check.result.seconds * 1000:.0f} ms")
        else:
            yield Finding(f"node {check.name}", "problem", check.result.explanation, check.result.remedy)
