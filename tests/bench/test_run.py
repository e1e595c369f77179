from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from tests.bench import harness
from tests.bench import run as runner
from tests.bench.harness import Benchmark, Figure, Unavailable


def fails(_folder: Path) -> Figure:
    raise RuntimeError("no such thing")


def lacks(_folder: Path) -> Figure:
    raise Unavailable("no nodemailer here")


def counts_files(folder: Path) -> Figure:
    (folder / "left").touch()
    return Figure(len(list(folder.iterdir())), 3.0, 1 / 3)


def test_a_line_has_the_keys_of_the_contract(capsys: pytest.CaptureFixture[str]) -> None:
    out = io.StringIO()
    assert runner.run([Benchmark("one", "s", counts_files), Benchmark("two", "s", counts_files)], out) == 0
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert lines == [
        {"bench": name, "value": 1.0, "unit": "s", "yardstick": 3.0, "ratio": 0.3333} for name in ("one", "two")
    ]
    assert capsys.readouterr().out == ""


def test_one_that_fails_does_not_stop_the_rest(capsys: pytest.CaptureFixture[str]) -> None:
    out = io.StringIO()
    made = [Benchmark("bad", "s", fails), Benchmark("lacking", "s", lacks), Benchmark("good", "s", counts_files)]
    assert runner.run(made, out) == 1
    assert [json.loads(line)["bench"] for line in out.getvalue().splitlines()] == ["good"]
    said = capsys.readouterr().err
    assert "bad: failed" in said
    assert "no such thing" in said
    assert "lacking: left out: no nodemailer here" in said


@pytest.mark.parametrize(
    ("bounds", "said"),
    [
        ({}, ""),
        ({"least": 0.3}, ""),
        ({"least": 0.4}, "0.333 is less than 0.4"),
        ({"most": 0.3}, "0.333 is more than 0.3"),
    ],
)
def test_a_figure_that_is_not_what_it_should_be_is_named(
    bounds: dict[str, float], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert runner.run([Benchmark("one", "s", counts_files, **bounds)], io.StringIO()) == 0
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if "what it should be" in line] == (
        [f"one: {said}, not what it should be on a quiet machine"] if said else []
    )
    # Without a ratio it is the value that counts.
    assert Benchmark("two", "s", counts_files, most=1).missed(Figure(2.0)) == "2 is more than 1"


def test_no_yardstick_is_null() -> None:
    line = Benchmark("one", "s", counts_files).line(Figure(2.0))
    assert (line["yardstick"], line["ratio"]) == (None, None)


def test_a_whole_name_wins_over_a_part_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness, "_registry", {})
    for name in ("feed-get", "feed-get-gzip", "compose"):
        harness.bench(name, unit="s")(counts_files)
    assert [found.name for found in harness.registered("feed-get")] == ["feed-get"]
    assert [found.name for found in harness.registered("feed")] == ["feed-get", "feed-get-gzip"]
    assert len(harness.registered()) == 3
    with pytest.raises(ValueError, match="compose"):
        harness.bench("compose", unit="s")(counts_files)


def test_an_unknown_name_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert runner.main(["nothing-like-it"]) == 2
    assert "cli-help" in capsys.readouterr().err


def test_commands_are_timed_and_a_failing_one_is_named(tmp_path: Path) -> None:
    slow, quick = [sys.executable, "-c", "import asyncio, http.server"], [sys.executable, "-S", "-c", "pass"]
    times = harness.seconds_of_commands([slow, quick], tmp_path, {}, rounds=3)
    assert times[0] > times[1] > 0
    with pytest.raises(RuntimeError, match="ended with 3"):
        harness.seconds_of_commands([[sys.executable, "-c", "raise SystemExit(3)"]], tmp_path, {}, rounds=1)
