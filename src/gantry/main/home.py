"""The home: the one folder that holds all data of an instance.

Everything in it is private to its owner (0700, files 0600). Nothing outside it is made or changed,
not even a missing parent folder.
"""

from __future__ import annotations

import fcntl
import json
import os
import pwd
import secrets
import shlex
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import gantry
from gantry.main.errors import HomeBusy, HomeError, HomeIsNewer, HomeMissing, NotAHome

#: Raised when the layout of the folders changes; a home with a higher number is refused.
LAYOUT = 1
FOLDERS = ("secrets", "run", "run/metrics", "spool", "objects", "quarantine", "logs")
#: What a person may have put into the folder before the first start.
_HARMLESS = frozenset({"gantry.yaml", "lost+found", ".gitignore", ".gitkeep"})


@dataclass(frozen=True, slots=True)
class Home:
    """An opened home; `path` is absolute."""

    path: Path

    @property
    def run(self) -> Path:
        """Process ids, locks, sockets: worthless after a reboot."""
        return self.path / "run"

    @property
    def logs(self) -> Path:
        """Log files, rotated."""
        return self.path / "logs"

    @property
    def secrets(self) -> Path:
        """Keys and passwords."""
        return self.path / "secrets"

    def secret(self, name: str, size: int = 48) -> str:
        """The secret `name`, made on first use (URL-safe text of `size` random bytes)."""
        path = self.secrets / name
        try:
            return path.read_text(encoding="ascii").strip()
        except FileNotFoundError:
            write_private(path, secrets.token_urlsafe(size) + "\n", exclusive=True)
            return path.read_text(encoding="ascii").strip()


def write_private(path: Path, text: str, *, exclusive: bool = False) -> None:
    """Write a 0600 file so that a crash leaves either the old or the new text; `exclusive` keeps an old one."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if exclusive:
            try:
                os.link(draft, path)
            except FileExistsError:
                return
        else:
            os.replace(draft, path)
            draft = None  # type: ignore[assignment]  # it has its final name now
    finally:
        if draft is not None:
            draft.unlink(missing_ok=True)


def open_home(path: Path, *, create: bool = True) -> Home:
    """Open the home at `path`; make it when it is not there and `create` is set.

    Raises HomeMissing, NotAHome, HomeIsNewer, or HomeError when the folder cannot be written, or not without harm.
    """
    home = Home(Path(os.path.abspath(path.expanduser())))
    try:
        if not home.path.exists():
            _make_folder(home.path, create=create)
        elif not home.path.is_dir():
            raise NotAHome(f"{home.path} is not a folder", "Choose another place with --home or GANTRY_HOME")
        if not (home.path / "home.json").exists():
            _found(home, create=create)
        _check_layout(home)
        _check_owner(home)
        for folder in FOLDERS:
            _private_folder(home.path / folder)
        home.secret("django.key")
    except PermissionError as error:
        raise HomeError(
            f"{error.filename or home.path}: not permitted",
            "Run as the user that owns the home, or choose another place with --home or GANTRY_HOME",
        ) from error
    except OSError as error:
        raise HomeError(f"{error.filename or home.path}: {error.strerror}", "Check the volume of the home") from error
    return home


def _make_folder(path: Path, *, create: bool) -> None:
    if not create:
        raise HomeMissing(f"There is no home at {path}", "Start one with `gantry up`, or name it with --home or GANTRY_HOME")
    if not path.parent.is_dir():
        raise HomeMissing(f"{path.parent} does not exist", f"Make it first: mkdir -p {path.parent}")
    path.mkdir(mode=0o700)


def _found(home: Home, *, create: bool) -> None:
    """Make an empty folder a home: the mark comes last but one, so a crash here is repeated, not half believed."""
    present = {entry.name for entry in os.scandir(home.path)}
    foreign = present - _HARMLESS - {name.split("/")[0] for name in FOLDERS}
    foreign = {name for name in foreign if not name.startswith(".home.json.")}
    if foreign:
        raise NotAHome(f"{home.path} is not a home and not empty", "Choose an empty or new folder with --home or GANTRY_HOME")
    if not create:
        raise HomeMissing(f"{home.path} is not a home yet", "Start one with `gantry up`")
    if os.stat(home.path).st_uid == os.geteuid():
        os.chmod(home.path, 0o700)
    mark = {
        "layout": LAYOUT,
        "id": str(uuid.uuid4()),
        "made_by": gantry.__version__,
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    write_private(home.path / "home.json", json.dumps(mark) + "\n", exclusive=True)


def _check_layout(home: Home) -> None:
    path = home.path / "home.json"
    try:
        mark = json.loads(path.read_text(encoding="utf-8"))
        layout, made_by = int(mark["layout"]), str(mark.get("made_by", "?"))
    except (ValueError, KeyError, TypeError) as error:
        raise NotAHome(f"{path} cannot be understood", "Restore it from a backup of the home") from error
    if layout > LAYOUT:
        raise HomeIsNewer(
            f"{home.path} was made by a newer version ({made_by}; layout {layout}, this version knows {LAYOUT})",
            "Install that version or a later one; nothing was changed",
        )


def _check_owner(home: Home) -> None:
    """Root may write everywhere, and what it writes (locks, keys, logs) locks the user out whom the home belongs to."""
    owner = os.stat(home.path / "home.json").st_uid
    if os.geteuid() != 0 or owner == 0:
        return
    with tempfile.TemporaryFile(dir=home.path) as probe:
        if os.fstat(probe.fileno()).st_uid == owner:  # a file system on which everything is of one user
            return
    try:
        name = pwd.getpwuid(owner).pw_name
    except KeyError:
        name = f"#{owner}"
    raise HomeError(
        f"{home.path} belongs to the user {name}, and you are root: what root writes there would lock that user out",
        f"Run it as that user: sudo -u {shlex.quote(name)} GANTRY_HOME={shlex.quote(str(home.path))} gantry ...",
    )


def _private_folder(path: Path) -> None:
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        if not path.is_dir():
            raise NotAHome(f"{path} is not a folder", "Move it away") from None


@contextmanager
def locked(path: Path, *, shared: bool = False) -> Iterator[int]:
    """Hold a lock file for the length of a block; waits. Gives the descriptor."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def claim(home: Home, name: str = "up") -> int:
    """Be the only `name` of this home until the descriptor is closed. Raises HomeBusy, naming the other's process."""
    path = home.run / f"{name}.lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
        os.close(descriptor)
        raise HomeBusy(
            f"`gantry {name}` already runs on {home.path} (process {owner or 'unknown'})",
            "Stop it first, or choose another home with --home",
        ) from None
    os.truncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
    return descriptor


def is_claimed(home: Home, name: str = "up") -> bool:
    """Whether a `gantry up` (or another `name`) runs on the home now."""
    try:
        descriptor = os.open(home.run / f"{name}.lock", os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def clock_complaint(now: float | None = None) -> str | None:
    """What is wrong with the clock, or None. We run with any clock; times are then only as good as it is."""
    year = time.gmtime(time.time() if now is None else now).tm_year
    if 2024 <= year < 2100:
        return None
    return f"The clock says the year {year}: times in the index, in receipts and in logs will be wrong"
