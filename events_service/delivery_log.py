"""What became of deliveries, as lines of the log: their numbers and the server's codes, never an address."""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from events_service.errors import MailError, PermanentMailError, UnknownMailError

log = structlog.get_logger(__name__)

_MOST_NUMBERS = 100


class DeliveryLog:
    """Of one call of the post room: a line for each that needs a person, and one for all when it is `closed`."""

    def __init__(self) -> None:
        self._numbers: dict[str, list[int]] = {}

    def settled(self, id: int, error: MailError | None, *, over: bool) -> None:
        """What the server said of a delivery is committed; `over` if it was the last attempt."""
        if error is None:
            self._note("sent", id)
        elif isinstance(error, UnknownMailError):
            self._note("unknown", id)
            log.warning("delivery unknown", id=id)
        elif isinstance(error, PermanentMailError) or over:
            self._note("failed", id)
            log.warning("delivery failed", id=id, code=error.code)
        else:
            self._note("retried", id)
            log.debug("delivery put off", id=id, code=error.code)

    def closed(self, counts: Mapping[str, int]) -> None:
        """Everything that the call did, in numbers; of many the first hundred."""
        numbers = {f"{what}_ids": sorted(ids)[:_MOST_NUMBERS] for what, ids in sorted(self._numbers.items())}
        log.info("delivered", **counts, **numbers)

    def _note(self, what: str, id: int) -> None:
        self._numbers.setdefault(what, []).append(id)
