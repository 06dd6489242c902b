"""The disk cache: what it keeps, where, and that nothing that happens to it is an error or a wrong answer."""

import errno
import os
import subprocess
import sys
import threading
import time

import pytest

from halo import config
from halo.jit import cache


@pytest.fixture(autouse=True)
def directory(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "_state", cache._State())
    monkeypatch.delenv("HALO_CACHE", raising=False)
    monkeypatch.delenv("HALO_CACHE_LIMIT", raising=False)
    monkeypatch.setenv("HALO_CACHE_DIR", str(tmp_path / "c"))
    return tmp_path / "c"


def test_what_is_put_is_got(directory):
    assert cache.get("k") is None
    cache.put("k", b"code")
    assert cache.get("k") == b"code"
    found = cache.info()
    assert (found.directory, found.entries, found.hits, found.misses) == (directory, 1, 1, 1)
    assert found.bytes > 4
    cache.clear()
    assert cache.get("k") is None
    assert cache.info().entries == 0


def test_empty_and_large_values():
    cache.put("e", b"")
    cache.put("l", bytes(3 << 20))
    assert cache.get("e") == b""
    assert cache.get("l") == bytes(3 << 20)


DAMAGES = {
    "cut": lambda d: d[:-1],
    "longer": lambda d: d + b"x",
    "empty": lambda d: b"",
    "only a head": lambda d: d[:10],
    "another magic": lambda d: b"?" + d[1:],
    "one bit": lambda d: d[:-1] + bytes([d[-1] ^ 1]),
    "garbage": lambda d: os.urandom(len(d)),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_corruption_is_a_miss_and_heals(directory, damage):
    cache.put("k", b"the code of a kernel")
    (path,) = directory.glob("*.bin")
    path.write_bytes(damage(path.read_bytes()))
    assert cache.get("k") is None
    assert not path.exists()
    cache.put("k", b"again")
    assert cache.get("k") == b"again"


def test_an_entry_that_is_a_directory(directory):
    (directory / "k.bin").mkdir(parents=True)
    assert cache.get("k") is None
    cache.put("k", b"x")
    assert cache.get("k") is None


def test_least_recently_used_goes_first(directory):
    with config.options(cache_limit=5000):
        for k in range(4):
            cache.put(f"k{k}", bytes(1000))
            os.utime(directory / f"k{k}.bin", (k + 1e9, k + 1e9))
        assert cache.get("k0") is not None
        cache.put("new", bytes(1500))
        assert [k for k in ("k0", "k1", "k2", "k3", "new") if (directory / f"{k}.bin").exists()] == ["k0", "k3", "new"]


def test_a_directory_is_not_listed_for_each_entry(directory, monkeypatch):
    looks = []
    monkeypatch.setattr(cache, "_entries", lambda d, real=cache._entries: looks.append(d) or real(d))
    with config.options(cache_limit=6400 << 10):
        for k in range(20):
            cache.put(f"k{k}", bytes(10 << 10))
    assert 2 <= len(looks) <= 4


def test_what_other_processes_write_is_evicted_too(directory):
    with config.options(cache_limit=64_000):
        cache.put("mine", bytes(10))
        for k in range(8):
            path = directory / f"other{k}.bin"
            path.write_bytes(bytes(10_000))
            os.utime(path, (k + 1e9,) * 2)
        for k in range(4):
            cache.put(f"k{k}", bytes(300))
    assert sum(path.stat().st_size for path in directory.iterdir()) <= 64_000
    assert cache.get("mine") is not None


def test_larger_than_the_limit_is_not_kept():
    with config.options(cache_limit=10):
        cache.put("k", bytes(11))
    assert cache.info().entries == 0


def test_switched_off():
    cache.put("k", b"x")
    with config.options(cache=False):
        assert cache.get("k") is None
        cache.put("j", b"x")
    assert cache.get("k") == b"x"
    assert cache.get("j") is None


def test_falls_back_to_the_temporary_directory(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("HALO_CACHE_DIR", str(tmp_path / "file" / "c"))
    monkeypatch.setattr(cache.tempfile, "tempdir", str(tmp_path / "t"))
    (tmp_path / "t").mkdir()
    cache.put("k", b"x")
    assert cache.get("k") == b"x"
    assert cache.info().directory.parent == tmp_path / "t"
    assert cache.info().directory.stat().st_mode & 0o077 == 0


def test_a_temporary_directory_that_others_can_write_is_not_trusted(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("HALO_CACHE_DIR", str(tmp_path / "file"))
    monkeypatch.setattr(cache.tempfile, "tempdir", str(tmp_path))
    (tmp_path / f"halo-{os.getuid()}").mkdir()
    (tmp_path / f"halo-{os.getuid()}").chmod(0o777)
    cache.put("k", b"x")
    assert cache.info().directory is None


def test_falls_back_to_memory(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("HALO_CACHE_DIR", str(tmp_path / "file"))
    monkeypatch.setattr(cache.tempfile, "tempdir", str(tmp_path / "file"))
    assert cache.info().directory is None
    with config.options(cache_limit=10):
        for k in range(5):
            cache.put(f"k{k}", bytes(4))
    assert [cache.get(f"k{k}") is not None for k in range(5)] == [False] * 3 + [True] * 2
    assert cache.info().bytes == 8
    cache.clear()
    assert cache.get("k4") is None


def test_a_directory_that_vanishes(directory):
    cache.put("k", b"x")
    for path in directory.iterdir():
        path.unlink()
    directory.rmdir()
    assert cache.get("k") is None
    cache.put("k", b"y")
    assert cache.get("k") == b"y"


def test_a_disk_that_is_full(directory, monkeypatch):
    cache.put("k", b"x")

    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(cache.os, "replace", full)
    cache.put("j", b"y")
    assert cache.get("j") is None
    assert cache.get("k") == b"x"
    assert not list(directory.glob("*.tmp"))


def test_temporary_files_of_dead_writers_are_removed(directory):
    directory.mkdir()
    old, young = directory / "a.tmp", directory / "b.tmp"
    for path in (old, young):
        path.write_bytes(b"half")
    os.utime(old, (time.time() - 7200,) * 2)
    cache.put("j", b"y")
    assert (old.exists(), young.exists()) == (False, True)


def test_threads_and_processes_at_once(directory):
    """Eight writers and readers of the same four keys: a reader sees nothing or the right bytes."""
    values = {f"k{k}": bytes([k]) * 50_000 for k in range(4)}
    code = (
        "import sys\nfrom halo.jit import cache\n"
        "for n in range(60):\n"
        "    k = n % 4\n"
        "    cache.put(f'k{k}', bytes([k]) * 50_000)\n"
        "    found = cache.get(f'k{k}')\n"
        "    assert found is None or found == bytes([k]) * 50_000\n"
    )
    processes = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(2)]
    wrong = []

    def work(seed):
        for n in range(60):
            name = f"k{(n + seed) % 4}"
            cache.put(name, values[name])
            if cache.get(name) not in (None, values[name]):
                wrong.append(name)
            if n % 20 == seed:
                cache.clear()

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert [p.wait() for p in processes] == [0, 0]
    assert not wrong
    assert not list(directory.glob("*.tmp"))


def test_digests():
    assert cache.digest(b"a", b"avx2") == cache.digest(b"a", b"avx2")
    assert len({cache.digest(*p) for p in ((b"a", b"b"), (b"ab",), (b"b", b"a"), (b"a", b"b", b""), ())}) == 5


def test_sources_are_hashed_once_and_remembered(directory, monkeypatch):
    monkeypatch.setattr(config, "LOADED", time.time())
    first = cache.sources()
    assert len(list(directory.glob("sources-*"))) == 1
    assert cache.info().entries == 0
    monkeypatch.setattr(cache, "_state", cache._State())
    monkeypatch.setattr(cache.Path, "read_bytes", _refuse_python(cache.Path.read_bytes))
    assert cache.sources() == first


def _refuse_python(read):
    def read_bytes(path):
        assert path.suffix != ".py"
        return read(path)

    return read_bytes


def test_sources_edited_after_import_match_nothing(monkeypatch):
    monkeypatch.setattr(config, "LOADED", 0.0)
    edited = cache.sources()
    assert edited == cache.sources()
    monkeypatch.setattr(cache, "_state", cache._State())
    assert cache.sources() != edited
