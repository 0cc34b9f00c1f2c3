"""Write one file into a folder tree so that it is there whole or not at all, below its root whatever lies in the way."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress

#: Ours until they are renamed; a crash leaves them, and they are removed when their folder is written to again.
DRAFT = ".gantry-"
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_STEP = 1 << 20
_OLD_SECONDS = 3600


class FolderTrouble(Exception):
    """The folder as a whole takes nothing now: gone, full, read-only; the message says which and what to do."""


class NameTaken(Exception):
    """Something that is no file of ours is in the way; the message says what."""


@contextmanager
def opened(root: str) -> Iterator[int]:
    """A descriptor of the root. Raises FolderTrouble."""
    try:
        descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise FolderTrouble(explain(error, root)) from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def explain(error: OSError, root: str) -> str:
    """What is wrong with the folder, with a remedy."""
    words = {
        errno.ENOENT: "is not there (mount its volume, or make it)",
        errno.ENOTDIR: "is no folder (name another one)",
        errno.EACCES: "may not be written by us (give the user of Gantry the right to)",
        errno.EPERM: "may not be written by us (give the user of Gantry the right to)",
        errno.EROFS: "is read-only (mount it for writing)",
        errno.ENOSPC: "is full (free space; we try again)",
        errno.EDQUOT: "is full: the quota of our user is reached (raise it, or free space; we try again)",
        errno.ESTALE: "is gone: its server was restarted (mount it again)",
        errno.EIO: "cannot be written: the volume has a fault (check the disk)",
    }
    return f"the folder {root} {words.get(error.errno or 0, f'cannot be written: {error.strerror}')}"


def free_bytes(descriptor: int) -> int:
    """Free space for us on its volume."""
    found = os.fstatvfs(descriptor)
    return found.f_bavail * found.f_frsize


def write_file(root: int, names: Sequence[str], pieces: Iterable[bytes | memoryview], digest: bytes) -> str:
    """Put the file at `names` below `root`; gives the path it has. `digest` is the SHA-256 of the whole file.

    The same bytes at the place are left as they are: to deliver again is safe. Other bytes are never overwritten: the
    name gets a part of the digest. Raises OSError, NameTaken.
    """
    folder = _folder(root, names[:-1])
    try:
        chunks = list(pieces)
        for last in (False, False, True):
            name = _place_of(folder, names[-1], digest)
            try:
                if name is not None:
                    _draft_and_link(folder, name, chunks)
            except FileExistsError as error:
                # Somebody else wrote there meanwhile, perhaps the same.
                if last:
                    raise NameTaken(f"{name!r} is being written by somebody else") from error
                continue
            break
        return "/".join([*names[:-1], name or names[-1]])
    finally:
        os.close(folder)


def _folder(root: int, names: Sequence[str]) -> int:
    """The folder, made where it is missing. No link on the way is followed: it might lead out."""
    at = os.dup(root)
    try:
        for name in names:
            made = False
            with suppress(FileExistsError):
                os.mkdir(name, 0o755, dir_fd=at)
                made = True
            try:
                inside = os.open(name, _DIRECTORY, dir_fd=at)
            except OSError as error:
                if error.errno in {errno.ELOOP, errno.ENOTDIR}:
                    raise NameTaken(f"{name!r} is in the way: a link or a file where a folder should be") from error
                raise
            if made:
                os.fsync(at)
            os.close(at)
            at = inside
    except BaseException:
        os.close(at)
        raise
    return at


def _place_of(folder: int, name: str, digest: bytes) -> str | None:
    """A free name; None: the bytes are there already."""
    stem, dot, end = name.rpartition(".")
    longer = f"{stem}-{digest.hex()[:16]}{dot}{end}" if stem else f"{name}-{digest.hex()[:16]}"
    for candidate in (name, longer):
        try:
            there = os.open(candidate, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
        except FileNotFoundError:
            return candidate
        except OSError as error:
            if error.errno not in {errno.ELOOP, errno.EISDIR, errno.ENXIO, errno.EACCES}:
                raise
            continue  # a link or the like: never written through
        try:
            if _digest(there) == digest:
                return None
        finally:
            os.close(there)
    raise NameTaken(f"{name!r} and {longer!r} are taken by other files")


def _digest(descriptor: int) -> bytes:
    digest = hashlib.sha256()
    with suppress(IsADirectoryError):
        while chunk := os.read(descriptor, _STEP):
            digest.update(chunk)
    return digest.digest()


def _draft_and_link(folder: int, name: str, pieces: Iterable[bytes | memoryview]) -> None:
    draft = f"{DRAFT}{secrets.token_hex(8)}.part"
    file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644, dir_fd=folder)
    try:
        try:
            for piece in pieces:
                view = memoryview(piece)
                while view:
                    view = view[os.write(file, view[:_STEP]) :]
            os.fsync(file)
        finally:
            os.close(file)
        _name_it(folder, draft, name)
        os.fsync(folder)
    finally:
        with suppress(OSError):
            os.unlink(draft, dir_fd=folder)


def _name_it(folder: int, draft: str, name: str) -> None:
    """Never over what is there: FileExistsError."""
    try:
        os.link(draft, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
    except OSError as error:
        if error.errno not in {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}:
            raise
        # A file system without hard links (a share, a stick): the name is taken first, then replaced.
        os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644, dir_fd=folder))
        os.rename(draft, name, src_dir_fd=folder, dst_dir_fd=folder)
