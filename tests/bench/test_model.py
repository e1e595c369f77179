from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.bench import model
from tests.bench.model import Costs, Load, Supply

COSTS = Costs(
    sqlite_cpu=0.001,
    sqlite_left=2,
    postgres_left=2,
    worker_cpu=0.001,
    database_cpu=0.0004,
    sink_cpu=0.0001,
    bytes=20_000,
    sqlite_rate=900,
    postgres_rate=1300,
    processes=2,
    commits=0.25,
    commits_rate=5000,
    ring_rate=40_000,
    feed_rate=4000,
    web_cpu=0.005,
    row_bytes=1000,
)
LINES = [
    {"bench": "campaign-sqlite", "value": 900, "costs": {"cpu": 1000, "processors_left": 2, "bytes": 20_000}},
    {
        "bench": "campaign-postgres-rabbitmq",
        "value": 1300,
        "costs": {
            "worker_cpu": 1000, "database_cpu": 400, "sink_cpu": 100, "processes": 2, "commits": 0.25,
            "commits_per_second": 5000,
            "processors_left": 2,
        },
    },
    {"bench": "ring-due", "value": 40_000},
    {"bench": "feed-304", "value": 4000},
    {"bench": "reply-under-load", "value": 0.5, "costs": {"web_cpu": 5000}},
    {"bench": "ledger-million", "value": 900, "costs": {"row_bytes": 1000}},
]  # fmt: skip
MACHINE = Supply()
QUIET = Load(window_hours=1, replies=0, subscribers=0)


def full_at(costs: Costs = COSTS, load: Load = QUIET, supply: Supply = MACHINE) -> dict[str, float]:
    return dict(model.limits(costs, load, supply))


def test_costs_are_read_from_the_lines_of_the_benchmarks() -> None:
    assert model.read([*map(json.dumps, LINES), json.dumps({"bench": "compose", "value": 0.2})]) == COSTS


@pytest.mark.parametrize("line", LINES, ids=lambda line: line["bench"])
def test_a_benchmark_that_was_not_run_is_named(
    line: dict[str, object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bench.jsonl"
    path.write_text("\n".join(json.dumps(one) for one in LINES if one != line))
    assert model.main([str(path)]) == 1
    said = capsys.readouterr()
    assert f"make bench ONLY={line['bench']}" in said.err
    assert said.out == ""


def test_the_first_to_be_full_comes_first() -> None:
    found = model.limits(COSTS, QUIET, MACHINE)
    assert [limit.recipients for limit in found] == sorted(limit.recipients for limit in found)
    assert found[0].resource == "one worker process"
    assert model.limits(COSTS, QUIET, Supply(relay_rate=100))[0].resource == "one relay"


def test_a_worker_is_full_when_its_processor_is() -> None:
    assert full_at()["one worker process"] == pytest.approx(3_600_000)
    assert full_at(replace(COSTS, worker_cpu=0.002))["one worker process"] == pytest.approx(1_800_000)


def test_one_machine_shares_its_processors() -> None:
    everything = "one machine's processors, for everything"
    assert full_at()[everything] == pytest.approx(2 * 3600 / 0.0014)
    assert full_at(supply=Supply(processors=8))[everything] == pytest.approx(8 * 3600 / 0.0014)
    busier = Load(window_hours=1, replies=0.5, subscribers=0.1, polls_a_day=24)
    each = 0.0014 + 0.5 * (0.005 + 0.0014) + 2.4 / 4000 / 24
    assert full_at(load=busier)[everything] == pytest.approx(2 * 3600 / each)


def test_who_replies_gets_a_confirmation_and_costs_four_commits() -> None:
    half = Load(window_hours=1, replies=0.5, subscribers=0)
    assert full_at(load=half)["one relay"] == pytest.approx(3600 * 1000 / 1.5)
    assert full_at(load=half)["the database's commits, on one disk"] == pytest.approx(3600 * 5000 / 2.25)
    assert full_at(load=half)["one web process, for replies"] == pytest.approx(3600 / 0.0025)


def test_feeds_are_asked_for_through_the_day() -> None:
    hourly = Load(window_hours=1, replies=0, subscribers=0.1, polls_a_day=24)
    assert full_at(load=hourly)["one web process, for feeds"] == pytest.approx(86_400 * 4000 / 2.4)
    assert full_at()["one web process, for feeds"] == float("inf")


def test_a_longer_window_gives_more() -> None:
    one, four = (full_at(load=replace(QUIET, window_hours=hours)) for hours in (1, 4))
    assert four["one relay"] == pytest.approx(4 * one["one relay"])


def test_what_is_predicted_of_the_campaigns() -> None:
    assert model.predicted_sqlite(COSTS) == pytest.approx(1000)
    assert model.predicted_sqlite(replace(COSTS, sqlite_left=1)) == pytest.approx(1 / 0.0011)
    # Two processors for 1.5 ms a message.
    assert model.predicted_postgres(COSTS) == pytest.approx(2 / 0.0015)
    # On a large machine the worker processes have one processor each, and then the disk is the limit.
    large = replace(COSTS, postgres_left=64)
    assert model.predicted_postgres(large) == pytest.approx(2000)
    assert model.predicted_postgres(replace(large, postgres_left=640, processes=50)) == pytest.approx(20_000)


def test_the_report_says_how_far_off_it_is_and_what_each_size_needs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bench.jsonl"
    path.write_text("\n".join(json.dumps(line) for line in LINES) + "\n")
    assert model.main([str(path), "--window-hours", "1", "--relay-rate", "100"]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "one process, SQLite 1,000/s 900/s +11%" in lines
    assert "2 processes, PostgreSQL 1,333/s 1,300/s +3%" in lines
    # 100 a second for an hour, of which three in thirteen are confirmations.
    assert "one relay 276,923" in lines
    assert "one relay 3.6% 36.1% 3.6× 36.1×" in lines
    assert "ledger: 13 GB a day at 10,000,000" in lines


def test_what_is_no_json_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bench.jsonl"
    path.write_text("compose: running\n")
    assert model.main([str(path)]) == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert model.main([str(tmp_path / "absent")]) == 1
    assert "absent" in capsys.readouterr().err
