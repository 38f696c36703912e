"""Signals wait for the end of a step; a second one does not."""

import os
import signal
import threading

import pytest

from ifambench.train import interrupts
from ifambench.train.interrupts import gentle_stop


def asked_twice(seen):
    with gentle_stop() as stop:
        seen.append(stop.asked)
        os.kill(os.getpid(), signal.SIGINT)
        seen.append(stop.asked)
        os.kill(os.getpid(), signal.SIGTERM)
        seen.append("went on")


def test_the_first_signal_is_noted_the_second_stops(monkeypatch):
    monkeypatch.setattr(interrupts, "_IMPATIENT_SECONDS", 0.0)
    before, seen = signal.getsignal(signal.SIGINT), []
    with pytest.raises(KeyboardInterrupt):
        asked_twice(seen)
    assert seen == [False, True]
    assert signal.getsignal(signal.SIGINT) is before


def test_the_two_signals_of_one_ctrl_c_count_once_and_are_not_lost():
    seen = []
    with pytest.raises(KeyboardInterrupt):
        asked_twice(seen)
    assert seen == [False, True, "went on"]


def test_other_threads_leave_the_handlers_alone():
    before, seen = signal.getsignal(signal.SIGINT), []

    def work():
        with gentle_stop() as stop:
            seen.append((stop.asked, signal.getsignal(signal.SIGINT)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(False, before)]
