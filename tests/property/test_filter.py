"""The filter language: text and tree say the same, nonsense is refused with words, predicates mean what they say."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ganeti.base.errors import Refused
from ganeti.model import filter as filters

fields = st.sampled_from(["name", "be/memory", "nic.mac/0", "tags", "pnode.group", "OP_ID"])
values = st.one_of(
    st.text(max_size=8),
    st.integers(),
    st.booleans(),
    st.none(),
    st.floats(allow_nan=False, allow_infinity=False),
)


def _itself(_field: str) -> Callable[[Any], Any]:
    return lambda row: row


def _from_row(field: str) -> Callable[[dict[str, Any]], Any]:
    return lambda row: row[field]


def usable(regex: str) -> bool:
    try:
        filters.compiled_regex(regex)
    except Refused:
        return False
    return True


regexes = st.text(alphabet="ab.*+()[]/#^|\\\"'$?", max_size=10).filter(usable)
conditions = st.one_of(
    st.builds(lambda f: ["?", f], fields),
    st.builds(lambda o, f, v: [o, f, v], st.sampled_from(["==", "!=", "<", "<=", ">", ">=", "=[]"]), fields, values),
    st.builds(lambda f, r: ["=~", f, r], fields, regexes),
)
trees: st.SearchStrategy[list[Any]] = st.recursive(
    conditions,
    lambda inner: st.one_of(
        st.builds(lambda x: ["!", x], inner),
        st.builds(lambda o, xs: [o, *xs], st.sampled_from(["&", "|"]), st.lists(inner, min_size=2, max_size=4)),
    ),
    max_leaves=12,
)


@given(trees)
def test_a_printed_tree_reads_back_as_the_same_tree(tree: list[Any]) -> None:
    assert json.dumps(filters.parse(filters.printed(tree))) == json.dumps(tree)


@given(trees)
def test_a_checked_tree_stays_what_it_is(tree: list[Any]) -> None:
    assert filters.checked(json.loads(json.dumps(tree))) == tree


@given(
    st.one_of(
        st.text(max_size=60),
        st.text(alphabet="ab =!~*<>()\"'/#m|^\\.0123-einotrd", max_size=60),
        st.lists(st.sampled_from(["name", "=~", "m/a/", "(", ")", "not", "in", "and", "or", '"x"', "==", "7"])).map(
            " ".join
        ),
    )
)
def test_nonsense_is_refused_never_a_crash(text: str) -> None:
    try:
        tree = filters.parse(text)
    except Refused as refused:
        code: str | None = refused.code
    else:
        code = None
        test = filters.compile(tree, _itself)
        assert test("x") in (True, False)
    assert code in (None, "wrong_input")


json_data = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.sampled_from(["&", "|", "!", "?", "==", "=~", "name", "("]),
    ),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=20,
)


@given(json_data)
def test_any_json_is_either_a_filter_or_refused(data: object) -> None:
    try:
        tree = filters.checked(data)
    except Refused as refused:
        code: str | None = refused.code
    else:
        code = None
        assert filters.parse(filters.printed(tree)) == tree
    assert code in (None, "wrong_input")


@given(trees, st.dictionaries(fields, st.one_of(values, st.lists(st.text(max_size=3)))))
def test_not_is_the_opposite_of_what_it_negates(tree: list[Any], row: dict[str, Any]) -> None:
    def get(field: str) -> Any:
        return lambda row: row.get(field)

    assert filters.compile(["!", tree], get)(row) is not filters.compile(tree, get)(row)


@pytest.mark.parametrize(
    "text, tree",
    [
        ('name == "web1"', ["==", "name", "web1"]),
        ("name='web1'", ["==", "name", "web1"]),
        ("be/memory>=512 and not offline", ["&", [">=", "be/memory", 512], ["!", ["?", "offline"]]]),
        ("a or b and c", ["|", ["?", "a"], ["&", ["?", "b"], ["?", "c"]]]),
        ("(a or b) and c", ["&", ["|", ["?", "a"], ["?", "b"]], ["?", "c"]]),
        ('"prod" in tags', ["=[]", "tags", "prod"]),
        ('"prod" not in tags', ["!", ["=[]", "tags", "prod"]]),
        ("name =~ m/^web/i", ["=~", "name", "(?i)^web"]),
        ("name =~ /^web/", ["=~", "name", "^web"]),
        (r"path =~ m#a/b\#c#", ["=~", "path", "a/b#c"]),
        ("name !~ m|x|is", ["!", ["=~", "name", "(?is)x"]]),
        (r"""name == 'it\'s'""", ["==", "name", "it's"]),
        ("memory > -1.5e3", [">", "memory", -1500.0]),
    ],
)
def test_the_language_is_the_one_of_the_manual(text: str, tree: list[Any]) -> None:
    assert filters.parse(text) == tree


@pytest.mark.parametrize(
    "text, position, expected",
    [
        ("", 1, "field name"),
        ("name ==", 8, "a value"),
        ("name == web1", 9, "in quotes"),
        ('name == "web1', 14, "closing"),
        ("(name", 6, "')'"),
        ("name )", 6, "'and', 'or' or the end"),
        ('"x" tags', 5, "'in' or 'not in'"),
        ("name =~ web", 9, "regular expression"),
        ("name =~ m/(/", 9, "not a regular expression"),
        ("name =~ m/a/x", 13, "flags"),
        ("name =~ m/(a+)+b/", 9, "repeats"),
        ("and", 1, "field name"),
    ],
)
def test_an_error_says_where_and_what_was_expected(text: str, position: int, expected: str) -> None:
    with pytest.raises(Refused, match=re.escape(expected)) as caught:
        filters.parse(text)
    assert caught.value.code == "wrong_input"
    assert caught.value.facts["position"] == position


def test_deep_nesting_and_endless_numbers_are_refused() -> None:
    for text in ("(" * 5000 + "a", "not " * 5000 + "a", "a == " + "9" * 5000, "a == 1e999"):
        with pytest.raises(Refused):
            filters.parse(text)
    deep: list[Any] = ["?", "a"]
    for _ in range(5000):
        deep = ["!", deep]
    with pytest.raises(Refused, match="nested"):
        filters.checked(deep)


@pytest.mark.parametrize("regex", ["(a*)*", "(a+)+$", "((ab)*c+)+", "(?:x{2,})*", "(a|b+)*", "([)]+)+"])
def test_a_regex_that_can_take_forever_is_refused(regex: str) -> None:
    with pytest.raises(Refused, match="repeats"):
        filters.compiled_regex(regex)


@pytest.mark.parametrize("regex", ["a+b+", "(ab)+", r"(a\+)+", "([*+])+", "(a{2})*", "^web.*$", "(web|db)[0-9]+"])
def test_an_ordinary_regex_is_accepted(regex: str) -> None:
    assert filters.compiled_regex(regex).pattern == regex


ROW = {"name": "web1.example", "mem": 512, "up": True, "down": False, "tags": ["prod", "web"], "ip": None, "port": 0}


@pytest.mark.parametrize(
    "text, holds",
    [
        ('name == "web1.example"', True),
        ('name == "web1"', True),
        ('name == "web"', False),
        ('name != "web1"', False),
        ('name =* "web*"', True),
        ('name =* "web"', False),
        ('name !* "db?.*"', True),
        ("name =~ m/WEB/i", True),
        ("mem > 511 and mem < 513", True),
        ("mem > 512", False),
        ('mem > "5"', False),
        ("up and not down", True),
        ("up == true and down == false", True),
        ("port or ip", False),
        ("ip != 3", True),
        ("ip == none", True),
        ("ip < 3 or ip > 3", False),
        ('"prod" in tags and "db" not in tags', True),
        ("tags =~ m/^pr/", True),
        ("port == 0 and down != 0", True),
    ],
)
def test_a_filter_holds_of_a_row(text: str, holds: bool) -> None:
    test = filters.compile(filters.parse(text), _from_row, host_fields={"name"})
    assert test(ROW) is holds


def test_arguments_are_names_globs_or_one_filter() -> None:
    assert filters.selection([]) == filters.Selection()
    assert filters.selection(["web1", "web2"]).names == ("web1", "web2")
    assert filters.selection(["offline"]).names == ("offline",)
    assert filters.selection(["offline"], force_filter=True).tree == ["?", "offline"]
    assert filters.selection(["not offline"]).tree == ["!", ["?", "offline"]]
    assert filters.selection(["be/memory"]).tree == ["?", "be/memory"]
    mixed = filters.selection(["web*", "db1"])
    assert mixed.names == ("db1",)
    assert re.match(mixed.globs[0], "web1.example")
    assert not re.match(mixed.globs[0], "db1.example")
    assert re.match(filters.selection(["web?"]).globs[0], "web1.example.com")
    for wrong in ([], ["a", "b"]):
        with pytest.raises(Refused, match="exactly one filter"):
            filters.selection(wrong, force_filter=True)


def test_the_fields_of_a_filter_and_its_independent_parts_are_known() -> None:
    tree = filters.parse('a == 1 and (b or "x" in c) and not d')
    assert filters.fields_of(tree) == {"a", "b", "c", "d"}
    assert [filters.fields_of(part) for part in filters.conjuncts(tree)] == [{"a"}, {"b", "c"}, {"d"}]
