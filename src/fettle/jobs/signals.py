"""Being asked to stop: the first Ctrl-C or SIGTERM asks, a second Ctrl-C insists."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType


class StopRequest:
    """While it is entered, SIGINT and SIGTERM set `is_set` instead of killing; the second SIGINT raises."""

    def __init__(self) -> None:
        self._asked = threading.Event()
        self._before: dict[signal.Signals, object] = {}

    def is_set(self) -> bool:
        """Whether somebody asked."""
        return self._asked.is_set()

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._ask)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _ask(self, number: int, _frame: FrameType | None) -> None:
        if self._asked.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        self._asked.set()
