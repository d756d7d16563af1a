"""Signals in this process, as fgspec is used as a library; processes of its own are elsewhere."""

import signal

import pytest

from fgspec.processes import stopping
from fgspec.processes.stopping import SIGNALS, deferred


@pytest.fixture
def before():
    """The signals that reach whoever handled them before."""
    came, outer = [], {number: signal.getsignal(number) for number in SIGNALS}
    for number in SIGNALS:
        signal.signal(number, lambda number, frame: came.append(number))
    yield came
    for number, handler in outer.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_signal_waits_for_an_answer(before, number):
    with deferred() as asked:
        assert not asked()
        signal.raise_signal(number)
        assert asked()
    signal.raise_signal(number)
    assert before == [number]


def test_the_second_acts_at_once(before, monkeypatch):
    monkeypatch.setattr(stopping, "TOGETHER", 0.0)
    with deferred():
        signal.raise_signal(signal.SIGTERM)
        assert before == []
        signal.raise_signal(signal.SIGINT)
        assert before == [signal.SIGINT]


def test_what_comes_together_is_one_request(before):
    with deferred() as asked:
        for number in SIGNALS:
            signal.raise_signal(number)
        assert asked()
    assert before == []


def test_a_signal_that_nobody_asked_about_is_passed_on(before):
    with deferred():
        signal.raise_signal(signal.SIGTERM)
    assert before == [signal.SIGTERM]


def test_what_nohup_ignores_stays_ignored(before):
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with deferred() as asked:
        signal.raise_signal(signal.SIGHUP)
        assert not asked()
