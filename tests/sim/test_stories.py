"""Random users and random faults, in worlds of 1 to 3 nodes: in the end hosts equal store and no job is lost."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sim.faults import CLIMATES
from sim.story import tell

pytestmark = pytest.mark.sim

SEEDS = 200
BATCH = 20


@pytest.mark.parametrize("first", range(0, SEEDS, BATCH))
def test_nothing_is_violated_whatever_happens(first: int) -> None:
    bad = [told for told in map(tell, range(first, first + BATCH)) if told.violations]
    assert bad == [], "\n".join(map(str, bad))


def test_the_stories_are_eventful() -> None:
    told = [tell(seed) for seed in range(2 * len(CLIMATES))]
    lines = [line for each in told for line in each.trace]
    for event in ("ends: success", "ends: error", "is killed", "starts", "accepted", "Deposed"):
        assert sum(event in line for line in lines) > 1, event


def test_a_seed_tells_the_same_story_in_another_process() -> None:
    root = Path(__file__).resolve().parents[2]
    here = {seed: tell(seed).fingerprint for seed in (3, 4, 5)}
    assert len(set(here.values())) == 3
    for seed, fingerprint in here.items():
        assert tell(seed).fingerprint == fingerprint
        for hash_seed in ("1", "2"):
            there = subprocess.run(
                [sys.executable, "-m", "sim.replay", str(seed)],
                cwd=root,
                env={**os.environ, "PYTHONHASHSEED": hash_seed},
                capture_output=True,
                text=True,
                check=True,
            )
            assert there.stdout.splitlines()[-1] == fingerprint
