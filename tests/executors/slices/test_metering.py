"""What calls cost: time that a thread waited of its own accord counts, time it was kept waiting not."""

import threading
import time

import pytest

from dask_dispatcher.executors.slices import metering
from dask_dispatcher.executors.slices.metering import Meter


def test_a_short_time_is_taken_as_it_is():
    assert Meter().cost(1e-6) == 1e-6


def test_a_call_that_waits_costs_its_time_by_the_clock():
    meter = Meter()
    start = time.perf_counter()
    threading.Event().wait(0.01)
    seconds = time.perf_counter() - start
    assert meter.cost(seconds) == seconds


def test_a_call_that_was_kept_waiting_costs_what_it_computed(monkeypatch):
    usage = [(7, 1.0), (7, 1.002), (7, 1.5), (8, 1.6)]
    monkeypatch.setattr(metering, "_usage", lambda: usage.pop(0))
    meter = Meter()
    assert meter.cost(0.1) == pytest.approx(0.002)
    assert meter.cost(0.1) == 0.1  # never more than the clock says
    assert meter.cost(0.3) == 0.3  # it has waited
