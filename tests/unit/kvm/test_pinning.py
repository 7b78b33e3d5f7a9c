"""How `cpu_mask` is read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ganeti.drivers.hypervisor.kvm import pinning


@pytest.mark.parametrize(
    "text, masks",
    [
        ("all", (None,)),
        ("3", (frozenset({3}),)),
        ("0-3,^2,7", (frozenset({0, 1, 3, 7}),)),
        ("0:all:1-2", (frozenset({0}), None, frozenset({1, 2}))),
    ],
)
def test_masks_are_lists_of_cpus(text: str, masks: tuple[pinning.Mask, ...]) -> None:
    assert pinning.parse(text) == masks


@pytest.mark.parametrize("text", ["", "x", "3-1", "0-", "-1", "1,,2", "0:", "^1", "1,^1", "0-99999", "all,1"])
def test_what_is_no_mask_is_refused_with_the_whole_text(text: str) -> None:
    with pytest.raises(ValueError, match="cpu_mask") as error:
        pinning.parse(text)

    assert f"'{text}'" in str(error.value)


@given(st.sets(st.integers(min_value=0, max_value=500), min_size=1))
def test_every_set_of_cpus_can_be_written(cpus: set[int]) -> None:
    assert pinning.parse(",".join(map(str, cpus))) == (frozenset(cpus),)
