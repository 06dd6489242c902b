"""Compiled code on disk, addressed by content: `get`, `put`, and `digest`, which makes the keys.

A file holds a checksum and the bytes, appears whole (written beside, then renamed) and is ignored and deleted when it
is not what its checksum says. The directory is `HALO_CACHE_DIR`, else `halo` under `XDG_CACHE_HOME` or ~/.cache, else a
private one under the system's temporary directory; where none can be written, bytes are kept in memory. Nothing here
raises: a cache that does not work is an empty one.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import tempfile
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from .. import config

__all__ = ["CacheInfo", "clear", "digest", "get", "info", "put", "sources"]

_MAGIC = b"halo1\n"
_SUFFIX = ".bin"
_MEMO = "sources-"
_STALE = 3600.0  # seconds after which a temporary file has lost its writer
_UNSEEN = 64  # a process writes at most this part of the limit before it lists the directory again


@dataclass(frozen=True)
class CacheInfo:
    """Where compiled code is kept (`directory` is None for memory), how much of it, and how often it served."""

    directory: Path | None
    entries: int
    bytes: int
    hits: int
    misses: int


class _State:
    """What this process knows: its counts, and the entries that no directory would take."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.hits = self.misses = 0
        self.memory: OrderedDict[str, bytes] = OrderedDict()
        self.directories: dict[tuple[str, ...], Path | None] = {}
        self.room: dict[tuple[Path, int], int] = {}  # (directory, limit) -> bytes to write before it is listed again
        self.sources = ""

    def unlock(self) -> None:
        """The lock as new: in a forked child nobody is left to release it."""
        self.lock = threading.Lock()


_state = _State()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_state.unlock)


def digest(*parts: bytes) -> str:
    """The key of `parts` and of halo's own sources: a change to the compiler leaves nothing stale."""
    h = hashlib.sha256(f"{sources()} {sys.implementation.cache_tag} {sys.platform}".encode())
    for part in parts:
        h.update(len(part).to_bytes(8, "little"))
        h.update(part)
    return h.hexdigest()


def get(key: str) -> bytes | None:
    """The bytes that were put under `key`, or None."""
    if not config.current().cache:
        return None
    directory = _directory()
    found = _state.memory.get(key) if directory is None else _read(directory / (key + _SUFFIX))
    with _state.lock:
        if found is None:
            _state.misses += 1
        else:
            _state.hits += 1
            if directory is None and key in _state.memory:
                _state.memory.move_to_end(key)
    return found


def put(key: str, data: bytes) -> None:
    """Keep `data` under `key`."""
    options = config.current()
    if not options.cache or len(data) > options.cache_limit:
        return
    directory = _directory()
    if directory is None:
        _remember(key, data, options.cache_limit)
        return
    try:
        _write(directory / (key + _SUFFIX), data)
        _keep_to(options.cache_limit, directory, len(_MAGIC) + 32 + len(data))
    except OSError:
        pass  # a full or vanished disk: the code is compiled again next time


def info() -> CacheInfo:
    """What is kept where.

    >>> import halo
    >>> halo.cache.info().hits >= 0
    True
    """
    directory = _directory()
    if directory is None:
        sizes = [len(v) for v in list(_state.memory.values())]
    else:
        sizes = [size for path, size, _ in _entries(directory) if not path.name.startswith(_MEMO)]
    return CacheInfo(directory, len(sizes), sum(sizes), _state.hits, _state.misses)


def clear() -> None:
    """Delete everything that is kept."""
    with _state.lock:
        _state.memory.clear()
    directory = _directory()
    if directory is not None:
        for path, _, _ in _entries(directory):
            _delete(path)


# Where


def _directory() -> Path | None:
    """The first directory of the list that can be written, or None."""
    wanted = (config.current().cache_dir, os.environ.get("XDG_CACHE_HOME", ""), os.environ.get("HOME", ""))
    if wanted not in _state.directories:
        named = (d for d in _named(wanted[0], wanted[1]) if _writable(d))
        _state.directories[wanted] = next(named, None) or next((d for d in _temporary() if _private(d)), None)
    return _state.directories[wanted]


def _named(named: str, xdg: str) -> Iterator[Path]:
    with contextlib.suppress(RuntimeError):  # no home directory
        if named:
            yield Path(named).expanduser()
        elif xdg:
            yield Path(xdg) / "halo"
        else:
            yield Path.home() / ".cache" / "halo"


def _temporary() -> Iterator[Path]:
    with contextlib.suppress(OSError):  # no temporary directory
        yield Path(tempfile.gettempdir()) / f"halo-{os.getuid() if hasattr(os, 'getuid') else 'cache'}"


def _writable(directory: Path) -> bool:
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            return True
    except (OSError, ValueError):
        return False


def _private(directory: Path) -> bool:
    """Whether files can be made there and nobody else can: anybody may make a directory of our name under /tmp."""
    if not _writable(directory):
        return False
    stat = directory.lstat()
    return not hasattr(os, "getuid") or (stat.st_uid == os.getuid() and not stat.st_mode & 0o022)


# Files


def _read(path: Path) -> bytes | None:
    try:
        data = path.read_bytes()
        start = len(_MAGIC) + 32
        if data[: len(_MAGIC)] == _MAGIC and hashlib.sha256(data[start:]).digest() == data[len(_MAGIC) : start]:
            with contextlib.suppress(OSError):
                os.utime(path)
            return data[start:]
    except OSError:
        return None
    _delete(path)
    return None


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as f:
            f.write(_MAGIC + hashlib.sha256(data).digest())
            f.write(data)
        os.replace(name, path)
    except BaseException:
        _delete(Path(name))
        raise


def _entries(directory: Path) -> list[tuple[Path, int, float]]:
    """The (path, bytes, time of last use) of every entry, the longest unused first. Deletes what dead writers left."""
    found, now = [], time.time()
    try:
        with os.scandir(directory) as files:
            for f in files:
                with contextlib.suppress(OSError):
                    stat = f.stat()
                    if f.name.endswith(_SUFFIX):
                        found.append((Path(f.path), stat.st_size, stat.st_mtime))
                    elif f.name.endswith(".tmp") and now - stat.st_mtime > _STALE:
                        os.unlink(f.path)
    except OSError:
        return []
    return sorted(found, key=lambda entry: entry[2])


def _keep_to(limit: int, directory: Path, written: int) -> None:
    """Evict if those bytes may have been too many. To list thousands of entries takes longer than to write one: what other
    processes write is seen only once this one has written its share."""
    with _state.lock:
        room = _state.room[directory, limit] = _state.room.get((directory, limit), 0) - written
    if room < 0:
        room = min(_evict(directory, limit), limit // _UNSEEN)
        with _state.lock:
            _state.room[directory, limit] = room


def _evict(directory: Path, limit: int) -> int:
    """Delete the longest unused entries until a tenth of `limit` is free again, if it is exceeded. The bytes left."""
    entries = _entries(directory)
    total = sum(size for _, size, _ in entries)
    if total <= limit:
        return limit - total
    for path, size, _ in entries:
        _delete(path)
        total -= size
        if total <= limit - limit // 10:
            break
    return limit - total


def _remember(key: str, data: bytes, limit: int) -> None:
    with _state.lock:
        _state.memory[key] = data
        total = sum(map(len, _state.memory.values()))
        while total > limit:
            total -= len(_state.memory.popitem(last=False)[1])


def _delete(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()


# Halo's own sources


def sources() -> str:
    """A hash of the source files that this process runs. To read them takes milliseconds: it is kept by their dates."""
    _state.sources = _state.sources or _sources() or _hash((os.urandom(16),))
    return _state.sources


def _sources() -> str | None:
    """The hash, or None where nobody can tell what runs: files are missing, or were edited after the import."""
    files = sorted(Path(__file__).resolve().parent.parent.rglob("*.py"))
    try:
        stats = [(path, path.stat()) for path in files]
        if not stats or any(config.LOADED < s.st_mtime < time.time() for _, s in stats):
            return None
        stamp = _hash(f"{path} {s.st_size} {s.st_mtime_ns}".encode() for path, s in stats)
        directory = _directory()
        memo = None if directory is None else directory / f"{_MEMO}{stamp}{_SUFFIX}"
        if memo is not None and (known := _read(memo)):
            return known.decode()
        found = _hash(path.read_bytes() for path in files)
        if memo is not None:
            _write(memo, found.encode())
        return found
    except OSError:
        return None


def _hash(parts: Iterable[bytes]) -> str:
    h = hashlib.sha256()
    for part in parts:
        h.update(hashlib.sha256(part).digest())
    return h.hexdigest()
