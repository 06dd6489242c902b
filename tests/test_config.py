"""Settings: defaults, environment variables, the context manager, and what it prints."""

import os
import threading

import pytest

from halo import config
from halo.errors import ArgumentError


@pytest.fixture(autouse=True)
def _clean(monkeypatch):
    for name in list(os.environ):
        if name.startswith("HALO_"):
            monkeypatch.delenv(name)


def test_defaults():
    assert config.current() == config.Options()
    assert config.current().cache is True


def test_environment(monkeypatch):
    monkeypatch.setenv("HALO_CACHE", "0")
    monkeypatch.setenv("HALO_CACHE_LIMIT", "3M")
    monkeypatch.setenv("HALO_CACHE_DIR", "/somewhere")
    assert config.current() == config.Options(cache=False, cache_limit=3 << 20, cache_dir="/somewhere")


def test_empty_variable_is_unset(monkeypatch):
    monkeypatch.setenv("HALO_CACHE", "")
    assert config.current().cache is True


@pytest.mark.parametrize(
    ("variable", "value"), [("HALO_CACHE", "maybe"), ("HALO_CACHE_LIMIT", "-1"), ("HALO_CACHE_LIMIT", "M")]
)
def test_bad_variable_names_itself(monkeypatch, variable, value):
    monkeypatch.setenv(variable, value)
    with pytest.raises(ArgumentError, match=variable):
        config.current()


def test_options_nest_and_restore(monkeypatch):
    monkeypatch.setenv("HALO_TIME", "1")
    with config.options(cache=False):
        with config.options(cache=True, time=False):
            assert config.current() == config.Options(cache=True, time=False)
        assert config.current() == config.Options(cache=False, time=True)
    assert config.current() == config.Options(time=True)


def test_options_restore_after_an_error():
    with pytest.raises(ZeroDivisionError), config.options(cache=False):
        1 / 0
    assert config.current().cache is True


def test_options_stay_in_their_thread():
    seen = []
    with config.options(cache=False):
        thread = threading.Thread(target=lambda: seen.append(config.current().cache))
        thread.start()
        thread.join()
    assert seen == [True]


def test_unknown_option_lists_the_legal_ones():
    with pytest.raises(ArgumentError, match="there is no option 'cach'") as e:
        config.options(cach=False)
    assert "cache_dir" in e.value.legal
    with pytest.raises(ArgumentError):
        config.options().cach


@pytest.mark.parametrize("bad", [{"cache": 1}, {"cache_limit": True}, {"cache_limit": -1}, {"cache_dir": 3}])
def test_wrong_type(bad):
    with pytest.raises(ArgumentError):
        config.options(**bad)


def test_path_is_a_path(tmp_path):
    assert config.options(cache_dir=tmp_path).cache_dir == str(tmp_path)


def test_prints_name_value_and_where_set(monkeypatch):
    monkeypatch.setenv("HALO_CACHE_LIMIT", "1K")
    with config.options(time=True):
        rows = {line.split()[0]: line.split()[1:3] for line in repr(config.options()).splitlines()}
    assert rows["cache"] == ["True", "default"]
    assert rows["cache_limit"] == ["1024", "HALO_CACHE_LIMIT"]
    assert rows["time"] == ["True", "halo.options"]
