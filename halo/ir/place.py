"""Places: where in the user's code stands what a definition is made of."""

from __future__ import annotations

import threading
from types import CodeType

from ..errors import Location, call_site, locate

__all__ = ["Located", "at", "place", "site"]

Site = tuple[CodeType, int, int]


class _Place(threading.local):
    loc: Location | None = None


place = _Place()


class at:
    """Nodes made inside stand at `loc`; without it, at the nearest caller outside the package."""

    __slots__ = ("_loc", "_saved")

    def __init__(self, loc: Location | None) -> None:
        self._loc = loc

    def __enter__(self) -> None:
        self._saved, place.loc = place.loc, self._loc

    def __exit__(self, *raised: object) -> None:
        place.loc = self._saved


def site() -> Location | Site | None:
    """Where the node stands in whose `__init__` this is asked."""
    return place.loc if place.loc is not None else call_site(3)


class Located:
    """Something that knows where in the user's code it stands."""

    __slots__ = ("_where",)
    _where: Location | Site | None

    @property
    def loc(self) -> Location | None:
        """Where it was made."""
        if isinstance(self._where, tuple):
            self._where = locate(*self._where)
        return self._where
