"""The text file of a cluster: what is read, what is written, and what an error says."""

from __future__ import annotations

import pytest

from ganeti.placement.text import FormatError, Policy, dump, parse
from tests.unit.placement.clusters import text_file

SMALL = """g|u|preferred||

n1|1000|100|900|5000|5000|4|M|u
n2|1e3|100|900|5000|5000|4|N|u|2|a,b|N|0|1|1.5

i1|10|20|1|running|Y|n1|n2|drbd|

"""


def test_optional_fields_have_their_defaults() -> None:
    cluster = parse(SMALL)
    first, second = cluster.nodes
    assert (first.spindles, first.tags, first.exclusive_storage, first.free_spindles, first.used_cpus) == (
        1,
        (),
        False,
        0,
        1,
    )
    assert (second.total_memory_mib, second.tags, second.cpu_speed) == (1000.0, ("a", "b"), 1.5)
    assert (first.master, second.master) == (True, False)
    assert cluster.instances[0].spindles is None
    assert cluster.policy == Policy()


def test_what_is_not_known_of_a_node_takes_it_offline() -> None:
    node = parse(SMALL.replace("n1|1000|100|900", "n1|1000|?|900")).nodes[0]
    assert node.offline
    assert (node.total_memory_mib, node.total_cpus) == (0, 0)


@pytest.mark.parametrize("seed", range(3))
def test_what_was_written_is_read_and_written_the_same(seed: int) -> None:
    cluster = parse(
        text_file(seed, nodes=9, instances=40, groups=2, offline=1, mixed=True, tags=True, forthcoming=True)
    )
    written = dump(cluster)
    assert parse(written) == cluster
    assert dump(parse(written)) == written


def test_empty_sections_keep_their_empty_lines() -> None:
    written = dump(parse("g|u|preferred||\n\n\n\n"))
    assert written.startswith("g|u|preferred||\n\n\n\n\n|128,1,")
    assert dump(parse(written)) == written


def test_ratios_are_written_as_the_older_programs_do() -> None:
    line = "|128,1,1024,1,1,1|128,1,1024,1,1,1;256,1,1024,1,1,1|drbd|0.05|12345678.5\n"
    assert line.replace("|0.05|12345678.5", "|5.0e-2|1.23456785e7") in dump(parse(SMALL + "\n" + line))


@pytest.mark.parametrize(
    "old, new, message",
    [
        ("n1|1000|", "n1|.5|", "file, line 3, field 2 (total memory): n1: cannot parse string '.5'"),
        ("n1|1000|100|", "n1|1000|1.0|", "file, line 3, field 3 (memory used by the node): n1: leftover characters when parsing '1.0': '.0'"),
        ("n1|1000|", "n1|+1|", "file, line 3, field 2 (total memory): n1: cannot parse string '+1'"),
        ("|4|M|u", "|4|M|w", "file, line 3, field 9 (group): 'w' is none of u"),
        ("|n1|n2|", "|n1|n3|", "file, line 6, field 8 (secondary node): Unknown node 'n3' for instance i1"),
        ("|n1|n2|", "|n1|n1|", "file, line 6, field 8 (secondary node): instance i1 has the same primary and secondary node"),
        ("running", "walking", "file, line 6, field 5 (status): 'walking' is none of running,"),
        ("|drbd|", "|drbd", "file, line 6, 'i1': 9 fields separated by '|' instead of 10 to 13"),
        ("preferred", "liked", "file, line 1, field 3 (allocation policy): 'liked' is none of preferred,"),
    ],
)  # fmt: skip
def test_an_error_names_file_line_and_field(old: str, new: str, message: str) -> None:
    with pytest.raises(FormatError) as caught:
        parse(SMALL.replace(old, new), source="file")
    assert caught.value.message.startswith(message)


def test_a_truncated_file_is_told_by_its_sections() -> None:
    with pytest.raises(FormatError, match="file: Invalid format of the input file: 2 sections instead of 4 or more"):
        parse("g|u|preferred||\n\nn1|1000|100|900|5000|5000|4|M|u\n", source="file")


def test_a_single_minimum_has_no_maximum() -> None:
    with pytest.raises(FormatError, match=r"line 9, field 3 .*3 specs separated by ';' instead of pairs"):
        parse(SMALL + "\n|1,1,1,1,1,1|1,1,1,1,1,1;1,1,1,1,1,1;1,1,1,1,1,1|drbd|4.0|32.0\n")
