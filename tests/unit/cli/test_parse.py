"""The words of a command line become the values that were meant, or a sentence that says what is wrong."""

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ganeti.base.errors import Refused
from ganeti.cli import declare, parse
from ganeti.cli.declare import Argument, Command, Option
from ganeti.cli.parse import Usage

COMMAND = Command(
    lambda *_: 0,
    "A command",
    arguments=(Argument("NAME"), Argument("MORE", 0, None)),
    options=(
        Option("-f --force", "force"),
        Option("-v --verbose", "verbose", repeat=True),
        Option("--no-start", "leave it down", off=True),
        Option("-s --os-size", "size", kind=declare.SIZE),
        Option("-n --node", "node", kind=declare.STRING),
        Option("-t --type", "type", choices=("hard", "soft")),
        Option("--disk", "disk", kind=declare.IDENT, repeat=True),
        Option("--secret", "secret", kind=declare.PRIVATE),
        Option("--count", "count", kind=declare.INT),
        Option("--later", "later", kind=declare.STRING, refused="nobody does it"),
        Option("--filter", "filter"),
        Option("--format", "format", choices=("json",), extra=True),
    ),
)


def options(*words: str) -> dict[str, Any]:
    return parse.parse(COMMAND, words).options


def test_options_and_arguments_come_in_any_order() -> None:
    parsed = parse.parse(COMMAND, ["web1", "-f", "web2", "--node", "n1", "--", "-x"])
    assert parsed.arguments == ["web1", "web2", "-x"]
    assert parsed.options["force"] is True
    assert parsed.options["node"] == "n1"


def test_short_options_bundle_and_take_attached_values() -> None:
    assert options("-fvvs10G") == {**options(), "force": True, "verbose": 2, "os_size": 10240}
    assert options("-s", "1.5g")["os_size"] == 1536
    assert options("-n-1")["node"] == "-1"


def test_a_flag_that_switches_off_is_true_until_given() -> None:
    assert options()["start"] is True
    assert options("--no-start")["start"] is False


def test_long_names_may_be_cut_short() -> None:
    assert options("--no-s", "--os=1")["start"] is False
    assert options("--nod=n1")["node"] == "n1"


def test_our_own_options_leave_old_abbreviations_alone() -> None:
    assert options("--fi")["filter"] is True
    assert options("--form=json")["format"] == "json"
    with pytest.raises(Usage, match="--f could be --filter or --force"):
        options("--f")


def test_a_value_may_look_like_an_option() -> None:
    assert options("--disk", "-1:remove")["disk"] == [("-1", {"remove": True})]


@pytest.mark.parametrize(
    "words, said",
    [
        (["--nonsense"], "there is no option --nonsense"),
        (["--forse"], "is --force meant"),
        (["-x"], "there is no option -x"),
        (["--node"], "option --node needs a value"),
        (["--force=yes"], "option --force takes no value"),
        (["--type=loud"], "takes hard, soft; not 'loud'"),
        (["--count=many"], "takes a whole number; not 'many'"),
    ],
)
def test_a_wrong_option_is_named(words: list[str], said: str) -> None:
    with pytest.raises(Usage, match=said):
        options(*words)


@pytest.mark.parametrize("size", ["-1", "big", "1x", "", "nan"])
def test_a_size_that_is_none_is_refused(size: str) -> None:
    with pytest.raises(Refused, match="is not a size"):
        options("-s", size)


def test_an_option_that_is_not_served_is_refused_with_a_reason() -> None:
    with pytest.raises(Refused, match="--later is not served yet: nobody does it"):
        options("--later=x")


def test_what_is_logged_hides_secrets() -> None:
    for words in (["--secret", "a=b", "web1"], ["--secret=a=b", "web1"]):
        logged = parse.parse(COMMAND, words).loggable
        assert "a=b" not in " ".join(logged)
        assert "web1" in logged


def test_arguments_are_counted() -> None:
    parse.check_arguments(COMMAND, ["a", "b", "c"])
    with pytest.raises(Usage, match="missing: NAME"):
        parse.check_arguments(COMMAND, [])
    none = Command(lambda *_: 0, "None")
    with pytest.raises(Usage, match="takes no arguments: x"):
        parse.check_arguments(none, ["x"])
    choice = Command(lambda *_: 0, "Choice", arguments=(Argument("WHAT", choices=("on", "off")),))
    with pytest.raises(Usage, match="'dim' is none of on, off"):
        parse.check_arguments(choice, ["dim"])


def test_key_value_lists() -> None:
    text = r"memory=1G,no_auto_balance,always_failover,-vcpus,path=a\,b\\c"
    assert parse.keyval("-B", text) == {
        "memory": "1G",
        "auto_balance": False,
        "always_failover": True,
        "vcpus": None,
        "path": r"a,b\c",
    }
    assert parse.keyval("-B", "") == {}
    assert parse.keyval("-B", "a=b=c") == {"a": "b=c"}
    for wrong in ("a=1,a=2", "=x", "a,,b", "no_"):
        with pytest.raises(Usage, match="-B"):
            parse.keyval("-B", wrong)


def written(values: dict[str, Any]) -> str:
    def escaped(text: str) -> str:
        return text.replace("\\", "\\\\").replace(",", "\\,")

    def part(key: str, value: Any) -> str:
        match value:
            case True:
                return key
            case False:
                return f"no_{key}"
            case None:
                return f"-{key}"
            case _:
                return f"{key}={escaped(value)}"

    return ",".join(part(key, value) for key, value in values.items())


KEYS = st.from_regex(r"[a-z][a-z0-9/_.]{0,9}", fullmatch=True).filter(lambda key: not key.startswith("no_"))


@given(st.dictionaries(KEYS, st.one_of(st.text(max_size=12), st.booleans(), st.none()), max_size=5))
def test_key_value_lists_survive_being_written_and_read(values: dict[str, Any]) -> None:
    assert parse.keyval("-B", written(values)) == values
    assert parse.ident_keyval("--disk", f"0:{written(values)}") == ("0", values)


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused_as_usage(text: str) -> None:
    for reader in (parse.keyval, parse.ident_keyval, parse.bounds):
        with contextlib.suppress(Usage):
            assert reader("--opt", text) is not None


def test_identified_lists() -> None:
    assert parse.ident_keyval("-H", "kvm:acpi=no") == ("kvm", {"acpi": "no"})
    assert parse.ident_keyval("-H", "kvm") == ("kvm", {})
    assert parse.ident_keyval("-H", "no_kvm") == ("kvm", False)
    assert parse.ident_keyval("-H", "-kvm") == ("kvm", None)
    assert parse.ident_keyval("--net", "-1:mac=aa:bb") == ("-1", {"mac": "aa:bb"})
    with pytest.raises(Usage, match="takes no values"):
        parse.ident_keyval("-H", "no_kvm:acpi=no")


def test_bounds_of_a_policy() -> None:
    assert parse.bounds("--b", "min:a=1;max:a=2//max:a=4;min:a=3") == [
        {"min": {"a": "1"}, "max": {"a": "2"}},
        {"max": {"a": "4"}, "min": {"a": "3"}},
    ]
    for wrong in ("min:a=1", "min:a=1;min:a=2", "std:a=1;max:a=2", ""):
        with pytest.raises(Usage, match="--b"):
            parse.bounds("--b", wrong)


def test_ranges_of_user_ids() -> None:
    assert parse.uid_ranges("--uids", "1000-1010,2000") == [[1000, 1010], [2000, 2000]]
    with pytest.raises(Usage, match="ends before it begins"):
        parse.uid_ranges("--uids", "9-1")


def test_booleans() -> None:
    option = Option("--maybe", "maybe", kind=declare.BOOL)
    assert parse.convert(option, "yes") is True
    assert parse.convert(option, "False") is False
    with pytest.raises(Usage, match="takes yes or no"):
        parse.convert(option, "perhaps")
