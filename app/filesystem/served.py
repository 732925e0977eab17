"""Files that rows of the database name, to be read and shown: only regular ones, and only below the facility's roots.

A row may name anything. So a path is judged by its text first; then, within one bounded look, by where its links lead
and by what was really opened. No file stays open between two looks, so that a look which outlives its request leaves
nothing behind.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from app.errors import NotFound, Unavailable
from app.filesystem.looks import Looks, NoAnswer

log = logging.getLogger(__name__)

WHOLE = 4 * 2**20  # bytes: files up to this size are read within the look that finds them
CHUNK = 4 * 2**20  # bytes of a larger one that one look reads
AT_ONCE = 8  # looks at one visit's files: a page shows that many images, and must not keep launches waiting
TURN = 30.0  # seconds that a download which has begun waits for its next part
GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP})
_VISIT = re.compile(r"/(?:[^/]+/)*?[a-z]{2}[0-9]+-[0-9]+(?=/)")


class FileMissing(NotFound):
    """The file that ISPyB names is not there, or must not be shown."""


class FileUnavailable(Unavailable):
    """The file system does not answer."""


class FileChanged(Exception):
    """The file is no longer the one whose first part was sent."""


@dataclass(frozen=True)
class File:
    """A file that was found.

    Args:
        modified_ns: when it was last written, in nanoseconds since 1970.
        node: its device and inode, which tell it from another one under the same name.
        content: all of it, if it was small enough to be read at once.
    """

    path: str
    size: int
    modified_ns: int
    node: tuple[int, int]
    content: bytes | None = None


@dataclass(frozen=True)
class NoFile:
    """There is none to show.

    Args:
        why: the reason, where there is something of this name that must not or cannot be shown.
        failed: the file system failed, so that it may be there all the same.
    """

    why: str | None = None
    failed: bool = False


def find(looks: Looks, roots: Sequence[Path], path: str, what: str, *, most: int = WHOLE) -> File | NoFile:
    """The file of this name, with its content if it has at most ``most`` bytes.

    Args:
        what: what it belongs to, for the log.

    Raises:
        NoAnswer: the file system did not answer in time, or failed.
    """
    found = find_all(looks, roots, {path: most}, what)[path]
    if isinstance(found, NoFile) and found.failed:
        raise NoAnswer(f"{path} {found.why}")
    return found


def find_all(
    looks: Looks, roots: Sequence[Path], paths: Mapping[str, int], what: str, *, total: int | None = None
) -> dict[str, File | NoFile]:
    """The files of these names, all in one look, if they are at one visit.

    Args:
        paths: each with the number of bytes up to which its content is wanted.
        total: bytes that are read of all files of one visit together; the content of others is left out.

    Raises:
        NoAnswer: the file system did not answer in time.
    """
    found: dict[str, File | NoFile] = {}
    for path in paths:
        if why := refusal(path, roots):
            found[path] = NoFile(why)
    if wanted := [path for path in paths if path not in found]:
        found |= _by_visit(looks, roots, {path: paths[path] for path in wanted}, total)
    for path, file in found.items():
        if isinstance(file, NoFile) and file.why is not None:
            log.warning("%s: %r is not shown: it %s", what, path, file.why)
    return found


def _by_visit(
    looks: Looks, roots: Sequence[Path], paths: Mapping[str, int], total: int | None
) -> dict[str, File | NoFile]:
    """One look for each visit, for one of them may hang."""
    by_key: dict[str, list[str]] = {}
    for path in paths:
        by_key.setdefault(key_of(path, roots), []).append(path)
    found: dict[str, File | NoFile] = {}
    for key, wanted in by_key.items():
        found |= looks.run(key, partial(_find_each, wanted, roots, paths, total), at_once=AT_ONCE)
    return found


def _find_each(
    wanted: Sequence[str], roots: Sequence[Path], paths: Mapping[str, int], total: int | None
) -> dict[str, File | NoFile]:
    found: dict[str, File | NoFile] = {}
    left = sum(paths.values()) if total is None else total
    for path in wanted:
        file = found[path] = _find(path, roots, min(paths[path], left))
        if isinstance(file, File) and file.content is not None:
            left -= len(file.content)
    return found


def get(looks: Looks, roots: Sequence[Path], path: str | None, what: str) -> File:
    """The file of this name, as ``find`` has it.

    Raises:
        FileMissing: there is none that may be shown, or ISPyB names none.
        FileUnavailable: the file system did not answer in time, or failed.
    """
    try:
        found = NoFile() if path is None else find(looks, roots, path, what)
    except NoAnswer as error:
        log.warning("%s: %s", what, error)
        raise FileUnavailable("The file system does not answer. Try again in a moment.") from error
    if isinstance(found, NoFile):
        raise FileMissing(f"There is no {what} to show: its file has not been written yet, or was removed.")
    return found


def read(looks: Looks, roots: Sequence[Path], file: File, start: int, length: int) -> bytes:
    """A part of a file that was found before; it is opened and judged anew.

    Raises:
        FileChanged: it is another one by now, or shorter.
        NoAnswer, OSError: the file system did not answer in time, or failed.
    """

    def look() -> bytes:
        try:
            with _opened(file.path, roots) as (descriptor, status):
                if _file(file.path, status) != File(file.path, file.size, file.modified_ns, file.node):
                    raise FileChanged(f"{file.path} has changed while it was sent")
                content = _read(descriptor, start, length)
        except _Refused as refused:
            raise FileChanged(f"{file.path} {refused}") from None
        if len(content) < length:
            raise FileChanged(f"{file.path} became shorter while it was sent")
        return content

    return looks.run(key_of(file.path, roots), look, at_once=AT_ONCE, wait=TURN)


def refusal(path: str, roots: Sequence[Path]) -> str | None:
    """Why a path must not be opened, judging by its text alone."""
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        return "cannot be the name of a file"
    if "\0" in path:
        return "cannot be the name of a file"
    if not path.startswith("/"):
        return "is not absolute"
    if ".." in path.split("/"):
        return "contains '..'"
    if _root_of(os.path.normpath(path), [os.path.normpath(root) for root in roots]) is None:
        return f"does not lie below {', '.join(map(str, roots))}"
    return None


def key_of(path: str, roots: Sequence[Path]) -> str:
    """What hangs together with this file: its visit's directory, or a few levels of it.

    Not the name by which other looks know the visit: showing images must not keep launches and states waiting.
    """
    normal = re.sub("^//+", "/", os.path.normpath(path))
    if match := _VISIT.match(normal):
        return f"files of {match[0]}"
    root = _root_of(normal, [os.path.normpath(root) for root in roots]) or "/"
    return "files of " + "/".join(normal.split("/")[: root.rstrip("/").count("/") + 4])


def _root_of(path: str, roots: Sequence[str]) -> str | None:
    """The root that a normal path lies below."""
    path = re.sub("^//+", "/", path)  # POSIX keeps two slashes at the beginning
    return next((root for root in roots if path != root and path.startswith(root.rstrip("/") + "/")), None)


class _Refused(Exception):
    """What is under this name must not be shown."""


def _find(path: str, roots: Sequence[Path], most: int) -> File | NoFile:
    try:
        with _opened(path, roots) as (descriptor, status):
            if status.st_size > most:
                return _file(path, status)
            content = _read(descriptor, 0, status.st_size)
            return _file(path, status, content)
    except _Refused as refused:
        return NoFile(str(refused))
    except PermissionError:
        return NoFile("may not be read by the service")
    except OSError as error:
        if error.errno in GONE:
            return NoFile()
        return NoFile(f"cannot be read: {error.strerror or error}", failed=True)


def _file(path: str, status: os.stat_result, content: bytes | None = None) -> File:
    size = status.st_size if content is None else len(content)
    return File(path, size, status.st_mtime_ns, (status.st_dev, status.st_ino), content)


@contextmanager
def _opened(path: str, roots: Sequence[Path]) -> Iterator[tuple[int, os.stat_result]]:
    real_roots = [os.path.realpath(root) for root in roots]
    real = os.path.realpath(path)
    _require_below(real, real_roots)
    _require_regular(os.lstat(real))  # before it is opened: to open a device can do something to it
    # Somebody may put another file or a pipe in its place at this moment: links are not followed any more, a pipe
    # does not keep us waiting, and what was opened is judged once more.
    descriptor = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        _require_regular(status)
        _require_below(_path_of(descriptor, real, status), real_roots)
        yield descriptor, status
    finally:
        os.close(descriptor)


def _require_below(real: str, roots: Sequence[str]) -> None:
    if _root_of(real, roots) is None:
        raise _Refused(f"leads to {real!r}, out of {', '.join(roots)}")


def _require_regular(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise _Refused("is no regular file")


def _path_of(descriptor: int, opened: str, status: os.stat_result) -> str:
    """Where a file that is open lies."""
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    except OSError:  # no Linux: see whether the same file is still found on the same way
        real = os.path.realpath(opened)
        if not os.path.samestat(os.lstat(real), status):
            raise _Refused("was replaced while it was opened") from None
        return real


def _read(descriptor: int, start: int, length: int) -> bytes:
    parts = []
    while length > 0 and (part := os.pread(descriptor, length, start)):
        parts.append(part)
        start += len(part)
        length -= len(part)
    return b"".join(parts)
