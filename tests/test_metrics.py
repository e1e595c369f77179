"""Metrics as Prometheus would read them, from a real ledger, over HTTP."""

from __future__ import annotations

import socket
import urllib.request
from datetime import timedelta

import pytest
import sqlalchemy as sa
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from sqlmodel import Session

from events_service import events, figures, heartbeat, people
from events_service.clock import system_clock
from events_service.config import Settings, load_settings
from events_service.db.session import Database
from events_service.errors import SettingsError
from events_service.metrics import Metrics, serving
from events_service.outbox import ROWS
from tests.attendance import make_person
from tests.ledger import INVITED, House, started

DOMAINS = ("example.org", "example.net", "example.com")
EMAILS = tuple(f"{name}@{domain}" for name in ("ada", "bob") for domain in DOMAINS)
MINUTE = timedelta(minutes=1)


class Monitor:
    """Prometheus: looks at a house whenever it is asked to, each time anew."""

    def __init__(self, house: House) -> None:
        self.seconds = 0.0
        self.house = house
        self.metrics = Metrics(house.database, house.clock, lambda: self.seconds)

    def look(self) -> dict[str, float]:
        """Every sample by its name and labels."""
        self.seconds += 3600
        return self.samples(self.metrics)

    @staticmethod
    def samples(metrics: Metrics) -> dict[str, float]:
        return parsed(generate_latest(metrics.registry).decode())


def parsed(text: str) -> dict[str, float]:
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f"{key}={value}" for key, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


def neighbours(session: Session, domain: str, number: int) -> None:
    """So many more people at a domain, invited to nothing."""
    for place in range(number):
        make_person(session, f"neighbour{place}@{domain}")


@pytest.fixture
def house(database: Database, settings: Settings) -> House:
    """Six invitations that are due at INVITED, on three domains."""
    with database.write() as session:
        started(session, *EMAILS)
        for domain in DOMAINS:
            neighbours(session, domain, 8)
    return House(database, settings, INVITED)


def test_what_waits_and_what_went(house: House) -> None:
    monitor = Monitor(house)
    house.clock.at = INVITED + 4 * MINUTE
    before = monitor.look()
    assert before["events_database_up"] == 1
    assert before["events_deliveries{state=pending}"] == 24
    assert (before["events_deliveries_due"], before["events_oldest_due_seconds"]) == (6, 240)
    assert before["events_send_latency_seconds_count"] == 0
    house.work()
    house.clock.at += MINUTE
    after = monitor.look()
    assert (after["events_deliveries{state=sent}"], after["events_deliveries{state=pending}"]) == (6, 18)
    assert (after["events_deliveries_due"], after["events_oldest_due_seconds"]) == (0, 0)
    for domain in DOMAINS:
        assert after[f"events_sent_total{{domain={domain}}}"] == 2
    assert after["events_sent_total{domain=other}"] == 0
    assert after["events_send_latency_seconds_bucket{le=60.0}"] == 0
    assert after["events_send_latency_seconds_bucket{le=300.0}"] == 6
    assert after["events_send_latency_seconds_bucket{le=+Inf}"] == 6
    assert after["events_send_latency_seconds_sum"] == pytest.approx(6 * 240)


def test_what_is_in_doubt_or_held_is_seen(house: House) -> None:
    with house.database.write() as session:
        session.execute(sa.update(ROWS).where(ROWS.c.id == 1).values(state="unknown", changed_at=INVITED))
        session.execute(sa.update(ROWS).where(ROWS.c.id == 2).values(state="held", hold_reason="organiser"))
        people.unsubscribe(session, people.find(session, EMAILS[0]).id or 0, INVITED)
    house.clock.at = INVITED + 10 * MINUTE
    found = Monitor(house).look()
    assert (found["events_deliveries{state=unknown}"], found["events_oldest_unknown_seconds"]) == (1, 600)
    assert found["events_deliveries_held{reason=organiser}"] == 1


def test_counters_never_go_down_and_miss_nothing(house: House) -> None:
    """Words that are committed late, people who are erased, looks that are far apart: each message is counted once."""
    monitor, ids = Monitor(house), list(house.tick())
    assert house.postroom.deliver(ids).sent == 6
    assert _sent(monitor.look()) == 6
    with house.database.write() as session:
        # Committed now, given ten minutes ago; and one whose person was erased.
        session.execute(sa.update(ROWS).where(ROWS.c.id.in_(ids[:2])).values(sent_at=None, state="sending"))
    assert _sent(monitor.look()) == 6
    house.clock.at += 10 * MINUTE
    with house.database.write() as session:
        late = {"sent_at": INVITED + MINUTE, "state": "sent", "person_id": None, "attendee_id": None}
        session.execute(sa.update(ROWS).where(ROWS.c.id.in_(ids[:2])).values(**late))
    found = monitor.look()
    # Two more in the minute after: of people who are gone, so of no domain of their own.
    assert (_sent(found), found["events_sent_total{domain=other}"]) == (8, 2)
    for _ in range(3):
        house.clock.at += timedelta(hours=5)
        assert _sent(monitor.look()) == 8
    assert monitor.look()["events_send_latency_seconds_count"] == 8


def _sent(found: dict[str, float]) -> float:
    return sum(value for name, value in found.items() if name.startswith("events_sent_total"))


def test_a_new_process_begins_with_the_last_quarter_of_an_hour(house: House) -> None:
    house.work()
    house.clock.at += 14 * MINUTE
    assert _sent(Monitor(house).look()) == 6
    house.clock.at += 14 * MINUTE
    assert _sent(Monitor(house).look()) == 0


def test_few_domains_have_a_name(database: Database, settings: Settings) -> None:
    """Thirty domains with ten people each and one with fifteen: the largest and nineteen others are named."""
    with database.write() as session:
        many = [f"p{number}@big.example" for number in range(10)]
        started(session, *many, *(f"ada@d{number:02}.example" for number in range(30)))
        neighbours(session, "big.example", 5)
        for number in range(30):
            neighbours(session, f"d{number:02}.example", 9)
    house = House(database, settings, INVITED)
    house.work()
    found = {name: value for name, value in Monitor(house).look().items() if name.startswith("events_sent_total")}
    assert len(found) == 21
    assert found["events_sent_total{domain=big.example}"] == 10
    assert found["events_sent_total{domain=other}"] == 11


def test_a_domain_of_a_few_people_has_no_name(database: Database, settings: Settings) -> None:
    """It may be one family's. Where there are few people at all, each domain has one in a hundred of them."""
    with database.write() as session:
        started(session, "ada@lovelace.example", "bob@ten.example")
        neighbours(session, "lovelace.example", 8)
        neighbours(session, "ten.example", 9)
    house = House(database, settings, INVITED)
    house.work()
    found = {name: value for name, value in Monitor(house).look().items() if name.startswith("events_sent_total")}
    assert found == {"events_sent_total{domain=ten.example}": 1, "events_sent_total{domain=other}": 1}


def test_buckets_are_the_same_in_sql_and_in_python(house: House) -> None:
    ids = list(house.tick())
    house.work()
    seconds = (0.0, 1.0, 1.5, 300.0, 301.0, 90_000.0)
    with house.database.write() as session:
        for id, late in zip(ids, seconds, strict=True):
            due = sa.select(ROWS.c.due_at).where(ROWS.c.id == id)
            at = session.execute(due).scalar_one() + timedelta(seconds=late)
            session.execute(sa.update(ROWS).where(ROWS.c.id == id).values(sent_at=at))
    house.clock.at = INVITED + timedelta(days=2)
    sent = figures.Sent()
    sent._open = {f"{INVITED:%Y-%m-%d %H:%M}": {}}
    with house.database.read() as session:
        sent.look(session, house.clock.at)
    cumulative, total = sent.latencies()
    want = [sum(figures.bucket_of(late) <= place for late in seconds) for place in range(len(figures.BUCKETS) + 1)]
    assert (cumulative, total) == (want, pytest.approx(sum(seconds)))


def test_the_heartbeat_is_that_of_the_database(house: House) -> None:
    monitor = Monitor(house)
    assert monitor.look()["events_tick_last_success_timestamp_seconds"] == 0
    heartbeat.begin(house.database, house.settings, INVITED)
    assert monitor.look()["events_tick_last_success_timestamp_seconds"] == 0
    heartbeat.end(house.database, INVITED + MINUTE)
    assert monitor.look()["events_tick_last_success_timestamp_seconds"] == (INVITED + MINUTE).timestamp()


def test_a_look_is_kept_for_a_while(house: House) -> None:
    monitor = Monitor(house)
    monitor.look()
    house.work()
    assert monitor.samples(monitor.metrics)["events_deliveries{state=sent}"] == 0
    monitor.seconds += 4.9
    assert monitor.samples(monitor.metrics)["events_deliveries{state=sent}"] == 0
    monitor.seconds += 0.2
    assert monitor.samples(monitor.metrics)["events_deliveries{state=sent}"] == 6


def test_no_label_holds_an_address(house: House) -> None:
    house.work()
    with house.database.write() as session:
        events.cancel(session, events.find(session, "munich"), "strike", INVITED)
    assert not [name for name in Monitor(house).look() if "@" in name or "ada" in name]


def test_a_database_that_does_not_answer_is_a_figure_too(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    monitor = Monitor(house)
    with house.database.write() as session:
        session.connection().exec_driver_sql("ALTER TABLE delivery RENAME TO gone")
    found = monitor.look()
    assert (found["events_database_up"], "events_deliveries_due" in found) == (0, False)
    assert "no figures for the metrics" in capsys.readouterr().out
    with house.database.write() as session:
        session.connection().exec_driver_sql("ALTER TABLE gone RENAME TO delivery")
    assert monitor.look()["events_database_up"] == 1


def test_what_ticks_did_is_counted(house: House) -> None:
    monitor = Monitor(house)
    monitor.metrics.ticked({"rung": 20, "expired": 1}, 0.5)
    monitor.metrics.ticked({"rung": 5, "expired": 0}, 0.25)
    monitor.metrics.tick_failed()
    found = monitor.look()
    assert (found["events_tick_did_total{what=rung}"], found["events_tick_did_total{what=expired}"]) == (25, 1)
    assert (found["events_ticks_total{result=ok}"], found["events_ticks_total{result=failed}"]) == (2, 1)
    assert (found["events_tick_seconds_count"], found["events_tick_seconds_sum"]) == (2, 0.75)


def test_they_are_served_where_the_settings_say(house: House, settings: Settings) -> None:
    own = settings.model_copy(update={"metrics_addr": "127.0.0.1:0"})
    with serving(Metrics(house.database, house.clock), own) as port:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as answer:
            found = parsed(answer.read().decode())
        assert found["events_deliveries{state=pending}"] == 24
        assert found["process_resident_memory_bytes"] > 0
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", port or 0), timeout=5).close()


def test_a_port_that_is_taken_is_a_warning(
    settings: Settings, sqlite_database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        own = settings.model_copy(update={"metrics_addr": address})
        with serving(Metrics(sqlite_database, system_clock), own) as port:
            assert port is None
    assert "no metrics are served" in (said := capsys.readouterr().out) and address in said
    with serving(Metrics(sqlite_database, system_clock), own.model_copy(update={"metrics_addr": "off"})) as port:
        assert port is None
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("address", ["9191", "localhost", "127.0.0.1:port", "http://127.0.0.1:9191", "127.0.0.1:99999"])
def test_an_address_that_is_none_is_refused_at_the_start(address: str) -> None:
    with pytest.raises(SettingsError, match=r"EVENTS_METRICS_ADDR=.*write it like 127\.0\.0\.1:9191"):
        load_settings({"EVENTS_METRICS_ADDR": address})


def test_addresses_to_listen_on() -> None:
    assert load_settings({}).metrics_listener == ("127.0.0.1", 9191)
    assert load_settings({"EVENTS_METRICS_ADDR": "[::1]:9191"}).metrics_listener == ("::1", 9191)
    assert load_settings({"EVENTS_METRICS_ADDR": "off"}).metrics_listener is None
