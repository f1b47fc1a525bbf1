"""Tests marked nightly run with NIGHTLY=1 alone: each repeats at length what shorter ones show."""

from __future__ import annotations

import os

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what is for the night."""
    if "NIGHTLY" in os.environ:
        return
    for item in items:
        if item.get_closest_marker("nightly"):
            item.add_marker(pytest.mark.skip(reason="nightly: NIGHTLY=1 ./test.sh runs it"))
