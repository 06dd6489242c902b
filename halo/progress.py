"""Progress of what takes long: in a terminal and in a notebook a bar of rich's, where it is installed (the extra
`notebook`); elsewhere a plain line now and then, on stderr.

    with Progress("fuzzing", 20_000) as p:
        for case in cases:
            run(case)
            p.advance()

What goes on inside another's shows nothing of its own. What was done before Ctrl-C is said, and
the KeyboardInterrupt goes on to whoever has something to keep.
"""

from __future__ import annotations

import sys
import threading
import time
from types import TracebackType
from typing import Any

from . import config

__all__ = ["Progress", "in_notebook"]

LINES = 20  # plain ones in all, where it is known how much there is
PAUSE = 10.0  # seconds between plain lines, where it is not
_outermost = threading.Lock()  # held by the one that is shown


class Progress:
    """`total` pieces of `what`, None where nobody knows how many. Nothing is shown before `after` seconds have passed since
    the first piece, nor if the option `progress` is off."""

    def __init__(self, what: str, total: int | None = None, after: float = 0.0) -> None:
        self.what, self.total, self.after = what, total, after
        self.done, self.note = 0, ""
        self._lock = threading.Lock()
        self._start: float | None = None
        self._timer: threading.Timer | None = None
        self._shown: _Bar | _Lines | None = None
        self._wanted = config.current().progress

    def __enter__(self) -> Progress:
        if not self.after:
            self._begin()
        return self

    def advance(self, pieces: int = 1, note: str = "") -> None:
        """So many more are done; `note` says what goes on. From any thread."""
        self._begin()
        with self._lock:
            self.done, self.note = self.done + pieces, note or self.note
            if self._shown is not None:
                self._shown.update(self)

    def say(self, line: str) -> None:
        """A line of text on stdout, above the bar."""
        with self._lock:
            if isinstance(self._shown, _Bar):
                self._shown.say(line)
            else:
                print(line, flush=True)

    @property
    def seconds(self) -> float:
        """Since the first piece."""
        return 0.0 if self._start is None else time.monotonic() - self._start

    def __str__(self) -> str:
        of = "" if self.total is None else f" of {self.total}"
        note = f", {self.note}" if self.note else ""
        return f"{self.what}: {self.done}{of}, {self.seconds:.0f} s{note}"

    def _begin(self) -> None:
        if self._start is not None:
            return
        self._start = time.monotonic()
        if not self._wanted:
            return
        if self.after:
            self._timer = threading.Timer(self.after, self._show)
            self._timer.daemon = True
            self._timer.start()
        else:
            self._show()

    def _show(self) -> None:
        with self._lock:
            if _outermost.acquire(blocking=False):
                self._shown = _display()
                self._shown.update(self)

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        with self._lock:
            if self._shown is not None:
                self._shown.close()
                if kind is not None and issubclass(kind, KeyboardInterrupt):
                    print(f"stopped at {self}", file=sys.stderr, flush=True)
                self._shown = None
                _outermost.release()


class _Bar:
    """A bar of rich's."""

    def __init__(self, rich: Any) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
                   TimeRemainingColumn(), TextColumn("{task.fields[note]}"))  # fmt: skip
        self.bar = rich.Progress(*columns, console=Console(stderr=not in_notebook()), transient=True)
        self.task: Any = None
        self.bar.start()

    def update(self, p: Progress) -> None:
        if self.task is None:
            self.task = self.bar.add_task(p.what, total=p.total, note=p.note)
        self.bar.update(self.task, completed=p.done, note=p.note)

    def say(self, line: str) -> None:
        self.bar.console.print(line, markup=False, highlight=False)

    def close(self) -> None:
        self.bar.stop()


class _Lines:
    """A line at every twentieth of the whole, or every few seconds."""

    def __init__(self) -> None:
        self.last, self.said = 0, time.monotonic()

    def update(self, p: Progress) -> None:
        now = time.monotonic()
        if p.total:
            due = p.done * LINES // p.total > self.last * LINES // p.total
        else:
            due = now - self.said >= PAUSE
        if due or (p.after and not self.last):  # what is shown late is shown at once
            print(p, file=sys.stderr, flush=True)
            self.last, self.said = max(p.done, 1), now

    def close(self) -> None:
        """Nothing is left to be said."""


def _display() -> _Bar | _Lines:
    if sys.stderr.isatty() or in_notebook():
        try:
            from rich import progress as rich
        except ImportError:
            return _Lines()
        return _Bar(rich)
    return _Lines()


def in_notebook() -> bool:
    """Whether this is the kernel of a notebook."""
    shell = sys.modules.get("IPython")
    running = None if shell is None else shell.get_ipython()
    return running is not None and type(running).__name__ == "ZMQInteractiveShell"
