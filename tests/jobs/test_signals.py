"""The first Ctrl-C asks, the second insists; afterwards everything is as it was."""

from __future__ import annotations

import signal
import threading

import pytest

from fettle.jobs.signals import StopRequest


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_first_signal_asks_and_kills_nothing(number: signal.Signals) -> None:
    with StopRequest() as stop:
        assert not stop.is_set()
        signal.raise_signal(number)
        assert stop.is_set()
    assert stop.is_set()


def test_second_interrupt_insists() -> None:
    with StopRequest() as stop:
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        assert stop.is_set()


def test_terminating_twice_still_only_asks() -> None:
    with StopRequest() as stop:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        assert stop.is_set()


def test_handlers_are_put_back() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]

    def fail() -> None:
        with StopRequest():
            assert signal.getsignal(signal.SIGINT) != before[0]
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_outside_the_main_thread_it_asks_for_no_signal() -> None:
    seen = []

    def work() -> None:
        with StopRequest() as stop:
            seen.append(stop.is_set())

    thread = threading.Thread(target=work)
    before = signal.getsignal(signal.SIGINT)
    thread.start()
    thread.join()

    assert seen == [False]
    assert signal.getsignal(signal.SIGINT) is before
