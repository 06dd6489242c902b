"""Places: nodes know where in the user's code they stand, each thread by itself."""

from __future__ import annotations

import threading

import pytest

from halo.errors import Location
from halo.ir.place import at, place
from halo.ir.surface import IndexVar

x, y = IndexVar("x"), IndexVar("y")


def test_places() -> None:
    here = x + 1
    assert here.loc.file == __file__
    with at(None), at(y.loc):
        assert (x + 1).loc is y.loc


def test_what_an_error_leaves_stands_where_it_stood() -> None:
    outer = Location("outer.py", 1)
    with at(outer):
        with pytest.raises(ZeroDivisionError), at(Location("inner.py", 2)):
            raise ZeroDivisionError
        assert (x + 1).loc is outer
    assert place.loc is None


def test_threads_have_places_of_their_own() -> None:
    seen: list[Location | None] = []
    with at(Location("here.py", 1)):
        other = threading.Thread(target=lambda: seen.append((x + 1).loc))
        other.start()
        other.join()
    assert seen[0].file == __file__
