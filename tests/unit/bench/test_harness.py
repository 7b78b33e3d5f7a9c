"""How measurements become figures; nothing is timed here."""

from __future__ import annotations

import pytest

from bench.harness import Goal, Report, Sample, Unit, at_least, at_most, interleaved, rate, shown, within


def test_a_machine_that_slows_down_does_not_change_a_ratio() -> None:
    limit = Sample((1.0, 2.0, 30.0))
    assert Sample((2.0, 4.0, 60.0)).of(limit) == 2.0


def test_what_was_not_measured_side_by_side_is_compared_by_medians() -> None:
    assert Sample((9.0,)).of(Sample((1.0, 3.0, 50.0))) == 3.0


def test_things_take_turns_and_the_first_turn_does_not_count() -> None:
    turns: list[str] = []
    times = interleaved({"a": lambda: turns.append("a"), "b": lambda: turns.append("b")}, rounds=3)
    assert "".join(turns) == "ab" + "ab" + "ba" + "ab"
    assert [len(times[name].values) for name in "ab"] == [3, 3]


def test_a_rate_is_counted_in_each_round() -> None:
    assert rate(100, Sample((0.5, 2.0))) == Sample((200.0, 50.0), "/s")


@pytest.mark.parametrize(
    "goal, expected",
    [
        (at_most(Sample((0.029,)), 0.030), Goal("< 30 ms", True)),
        (at_most(Sample((0.031,)), 0.030), Goal("< 30 ms", False)),
        (at_least(Sample((301.0,), "/s"), 300), Goal("> 300/s", True)),
        (at_least(Sample((299.0,), "/s"), 300), Goal("> 300/s", False)),
        (within(Sample((2.4,)), Sample((1.0,)), 2.5), Goal("ratio < 2.5", True)),
        (within(Sample((2.6,)), Sample((1.0,)), 2.5), Goal("ratio < 2.5", False)),
    ],
)
def test_a_goal_is_reached_or_missed(goal: Goal, expected: Goal) -> None:
    assert goal == expected


@pytest.mark.parametrize(
    "value, unit, text",
    [
        (0.000283, "s", "283 us"),
        (0.0146, "s", "14.6 ms"),
        (1.5, "s", "1.5 s"),
        (20.4, "/s", "20.4/s"),
        (974.2, "/s", "974/s"),
        (43.6, "MiB", "44 MiB"),
        (200, "jobs", "200 jobs"),
    ],
)
def test_values_are_shown_with_their_unit(value: float, unit: Unit, text: str) -> None:
    assert shown(value, unit) == text


def test_the_table_names_figure_limit_ratio_and_whether_the_goal_was_missed() -> None:
    report = Report()
    limit = Sample((0.010, 0.010))
    report.add("start", Sample((0.020, 0.020)), limit=("python", limit), goal=Goal("ratio < 1", False))
    report.add("memory", Sample((44.0,), "MiB"))
    titles, _, start, memory = report.table().splitlines()
    assert [cell.strip() for cell in titles.split("|")] == ["what", "figure", "limit", "ratio", "goal", "ok"]
    assert [cell.strip() for cell in start.split("|")] == [
        "start",
        "20 ms (20 ms .. 20 ms)",
        "python: 10 ms",
        "2",
        "ratio < 1",
        "NO",
    ]
    assert memory.startswith("memory | 44 MiB")
    assert report.missed == 1
