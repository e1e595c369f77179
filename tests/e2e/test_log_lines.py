"""The log of a live service whose mail server refuses people by name: numbers and codes, and nobody's address."""

from __future__ import annotations

import json
from pathlib import Path

from sqlmodel import select

from events_service.db.schema import open_database
from events_service.db.tables import Delivery, Person
from tests.crowds import counts, crowd
from tests.mail.servers import DROP, Heard, scripted
from tests.processes import live


def test_refusals_are_logged_by_number_and_code_and_without_an_address(tmp_path: Path) -> None:
    data = open_database(f"sqlite:///{tmp_path / 'var/events.db'}")
    crowd(data, 12)

    def rcpt(heard: Heard) -> str:
        said = {"p1": "550 5.1.1 <p1@example.org>: no such user", "p2": "451 4.3.2 p2@example.org: come back later"}
        return said.get(heard.recipient.split("@")[0], "250 fine")

    def word(heard: Heard) -> str:
        said = {"p3": "554 5.7.1 p3@example.org wants nothing from events@example.org", "p4": DROP}
        return said.get(heard.recipient.split("@")[0], "250 taken")

    with scripted(RCPT=rcpt, dot=word) as server:
        settings = {"smtp_url": f"smtp://127.0.0.1:{server.port}", "log_format": "json", "tick_seconds": 0.2}
        with live(tmp_path, "up", "--port", 0, metrics_addr="127.0.0.1:0", **settings) as service:
            want = {"sent": 8, "failed": 2, "pending": 1, "unknown": 1}
            service.wait_for(lambda: counts(data) == want, str(want))
            assert service.stop() == 0
            said = service.said
    with data.read() as session:
        query = select(Person.email, Delivery.id, Delivery.state).join(Person)
        rows = {email.split("@")[0]: (id, state) for email, id, state in session.exec(query)}
    data.dispose()
    lines = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    assert "@" not in said
    failed = [(one["id"], one["code"]) for one in lines if one["event"] == "delivery failed"]
    assert sorted(failed) == sorted([(rows["p1"][0], 550), (rows["p3"][0], 554)])
    assert [one["id"] for one in lines if one["event"] == "delivery unknown"] == [rows["p4"][0]]
    done = [one for one in lines if one["event"] == "delivered"]
    assert sorted(id for one in done for id in one.get("sent_ids", [])) == sorted(
        id for id, state in rows.values() if state == "sent"
    )
    assert sum(one["sent"] for one in done) == 8
    assert {id for one in done for id in one.get("retried_ids", [])} == {rows["p2"][0]}
