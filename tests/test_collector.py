"""`collector_paused`."""

from __future__ import annotations

import gc

import pytest

from dask_dispatcher.collector import collector_paused


@pytest.mark.parametrize("is_on", [True, False])
def test_the_collector_is_as_it_was_afterwards(is_on: bool) -> None:
    if not is_on:
        gc.disable()
    try:
        with collector_paused():
            assert not gc.isenabled()
        assert gc.isenabled() == is_on
    finally:
        gc.enable()
