"""Sizes and durations that people write."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ganeti.base.errors import WRONG_INPUT, Refused
from ganeti.base.units import format_mib, parse_duration_s, parse_mib


@pytest.mark.parametrize(
    "text, mib",
    [
        ("64", 64),
        ("64M", 64),
        ("64MiB", 64),
        (" 64 mb ", 64),
        ("1.5g", 1536),
        ("2T", 2 << 20),
        (".5G", 512),
        ("1.", 1),
        ("1.1", 2),
        ("0", 0),
    ],
)
def test_a_size_is_read_as_mib_and_rounded_up(text: str, mib: int) -> None:
    assert parse_mib(text) == mib


@pytest.mark.parametrize(
    "text",
    ["", "M", "-1", "-0", "1k", "1e3", "1_000", "nan", "inf", "64ib", "64 B", "1.5.2", "12 34", "²", "9" * 400],
)
def test_what_is_no_size_is_refused_with_the_text(text: str) -> None:
    with pytest.raises(Refused, match="is not a size") as caught:
        parse_mib(text)
    assert (caught.value.code, caught.value.facts) == (WRONG_INPUT, {"text": text})


@pytest.mark.parametrize(
    "text, seconds", [("90", 90), ("90s", 90), ("5M", 300), ("2h", 7200), ("1d", 86_400), ("1w", 604_800)]
)
def test_a_duration_is_read_as_seconds(text: str, seconds: int) -> None:
    assert parse_duration_s(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "-5", "1.5h", "²", "5y", "1h30m", "9" * 5000])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(Refused, match="is not a duration"):
        parse_duration_s(text)


@given(text=st.text(max_size=12) | st.from_regex(r"[0-9.]{1,6} ?[mgtMGTsShdw]?(i?[bB])?", fullmatch=True))
def test_any_text_is_a_size_or_refused(text: str) -> None:
    for parse in (parse_mib, parse_duration_s):
        with contextlib.suppress(Refused):
            assert parse(text) >= 0


@given(mib=st.integers(0, 1 << 40))
def test_a_size_that_was_written_reads_nearly_the_same(mib: int) -> None:
    assert parse_mib(format_mib(mib)) == pytest.approx(mib, rel=0.05)


@given(count=st.integers(0, 4096), unit=st.sampled_from(["m", "g", "t"]))
def test_whole_numbers_are_read_exactly(count: int, unit: str) -> None:
    assert parse_mib(f"{count}{unit}") == count * {"m": 1, "g": 1 << 10, "t": 1 << 20}[unit]
