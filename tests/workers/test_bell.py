"""The bell of a process that answers people: it neither waits nor fails."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from events_service.errors import BrokerError
from tests.processes import PATIENCE
from workers import bell
from workers.bell import PatientBell


def test_it_passes_on_what_it_is_told_in_order() -> None:
    rung: list[Sequence[int]] = []
    patient = PatientBell(rung.append)
    for number in range(5):
        patient([number])
    patient.close(PATIENCE)
    assert rung == [[number] for number in range(5)]


def test_a_broker_that_hangs_keeps_nobody_and_what_is_too_much_is_dropped() -> None:
    hung, free = threading.Event(), threading.Event()
    rung: list[Sequence[int]] = []

    def ring(ids: Sequence[int]) -> None:
        hung.set()
        free.wait(3 * PATIENCE)
        rung.append(ids)

    patient = PatientBell(ring)
    patient([0])
    assert hung.wait(PATIENCE)
    for number in range(2 * bell.MOST):
        patient([number])
    free.set()
    patient.close(PATIENCE)
    assert len(rung) == 1 + bell.MOST


def test_it_goes_on_after_a_broker_was_away() -> None:
    rung: list[int] = []

    def ring(ids: Sequence[int]) -> None:
        if ids[0] < 3:
            raise BrokerError("the broker takes no message")
        rung.extend(ids)

    patient = PatientBell(ring)
    for number in range(5):
        patient([number])
    patient.close(PATIENCE)
    assert rung == [3, 4]
