"""Full length where EVENTS_TEST_FAULTS says full, short otherwise."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(scope="session")
def full() -> bool:
    """Whether the faults are injected at full length."""
    return os.environ.get("EVENTS_TEST_FAULTS") == "full"
