"""No option is declared and then ignored; what is declared is what the server takes; and all of it is explained."""

import contextlib
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import ganeti.ops
from ganeti.base.errors import GanetiError, Refused
from ganeti.cli import declare, parse
from ganeti.cli.declare import EVERY_COMMAND, Command, Group, Option
from ganeti.cli.programs import GROUPS, commands
from ganeti.contract.operation import REGISTRY
from tests.unit.cli.conftest import Shell
from tests.unit.cli.fake_master import FakeMaster

COMMANDS = [pytest.param(*each, id=f"{each[0].program} {each[1]}") for each in commands()]

SAMPLES = {
    declare.STRING: "x",
    declare.INT: "3",
    declare.FLOAT: "1.5",
    declare.SIZE: "64M",
    declare.BOOL: "yes",
    declare.LIST: "a,b",
    declare.KEYVAL: "a=1",
    declare.PRIVATE: "a=1",
    declare.IDENT: "0:size=1G",
    declare.BOUNDS: "min:a=1;max:a=2",
    declare.RATIO: "2.5",
    declare.UIDS: "1-2",
}


class Watched(Mapping[str, Any]):
    """Options that remember which of them were looked at."""

    def __init__(self, values: dict[str, Any]) -> None:
        self._values = values
        self.seen: set[str] = set()

    def __getitem__(self, key: str) -> Any:
        self.seen.add(key)
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def given(option: Option) -> list[str]:
    """The option with some value."""
    if option.kind == declare.FLAG:
        return [option.names[0]]
    return [option.names[0], option.choices[0] if option.choices else SAMPLES[option.kind]]


def arguments(command: Command, tmp_path: Path) -> list[str]:
    words = []
    for argument in command.arguments:
        file = tmp_path / "file.json"
        file.write_text('[{"OP_ID": "OP_TEST_DELAY", "instance_name": "web1", "duration": 0}]')
        word = str(file) if argument.complete == "file" else "1"
        words.append(argument.choices[0] if argument.choices else word)
    return words


OS = {"name": "tiny", "valid": True, "hidden": False, "blacklisted": False, "variants": [], "api_versions": [20]}
VARIANTS = {
    "gnt-job cancel": (["--kill", "--yes-do-it", "1"], ["--pending"]),
    "gnt-job change-priority": (["--priority=low", "1"], ["--priority=low", "--pending"]),
}
"""Lines that get far enough to look at every option, where the arguments alone do not."""

ANSWERS = {
    "/info/cluster": {"Cluster name": "cluster.example.com"},
    "/info/os": [{**OS, "status": "valid", "parameters": {}, "trusted": True, "nodes": []}],
    "/info/instance": [],
    "/info/node": [],
    "/info/group": [],
    "/tags": {"tags": ["a"]},
    "/tags/search": {"tags": [["/cluster", "a"]]},
    "/locks": {"locks": []},
    "/queue/drain": {"drained": False},
    "/query-fields": {"fields": []},
    "/console": {"instance": "web1", "kind": "ssh", "host": None, "user": None, "command": ["true"]},
    "/join-token": {"token": "t"},
    "/jobs/autoarchive": {"archived": 0, "left": 0},
}


@pytest.mark.parametrize("group, name, command", COMMANDS)
def test_every_option_counts_or_is_refused(
    group: Group, name: str, command: Command, shell: Shell, master: FakeMaster, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: pytest.fail("a second look at the locks is one too many"))
    master.answers = dict(ANSWERS)
    master.columns = {
        field: (field, "text") for field in ("name", "pinst_list", "sinst_list", "id", "status", "summary")
    }
    master.rows = [[[0, "web1"], [0, ["web1"]], [0, ["web1"]], [0, 1], [0, "queued"], [0, ["X"]]]]
    local = {option.dest for option in EVERY_COMMAND}
    for option in command.options:
        if option.accepted or option.dest in local or option.dest == "interval":
            continue
        seen: set[str] = set()
        for line in VARIANTS.get(f"{group.program} {name}", (arguments(command, tmp_path),)):
            words = [*given(option), *line]
            if option.refused:
                with pytest.raises(Refused, match="not served yet"):
                    parse.parse(command, words)
                seen.add(option.dest)
                continue
            parsed = parse.parse(command, words)
            options = Watched(parsed.options)
            shell.typed = "y\n"
            session = shell.session(io.StringIO(), io.StringIO())
            session.program, session.command = group.program, name
            with contextlib.suppress(GanetiError):
                command.run(session, options, parsed.arguments)
            seen |= options.seen
        assert option.dest in seen, f"{option.names} is declared and ignored"


@pytest.mark.parametrize("group, name, command", COMMANDS)
def test_every_option_is_a_parameter_of_the_operation(group: Group, name: str, command: Command) -> None:
    ganeti.ops.load()
    named = [option for option in command.options if option.param]
    assert not named or command.op, "parameters of which operation?"
    if command.op not in REGISTRY:
        pytest.skip(f"{command.op or 'no operation'} is not registered")
    fields = REGISTRY[command.op].params.__struct_fields__
    assert {option.param for option in named} <= set(fields)


@pytest.mark.parametrize("group, name, command", COMMANDS)
def test_every_command_explains_itself(group: Group, name: str, command: Command, shell: Shell) -> None:
    done = shell(group.program, name, "--help")
    assert done.status == 0
    assert done.out.startswith(f"Usage: {group.program} {name} [options...]")
    assert "EXAMPLES" in done.out
    for option in command.options:
        assert option.names[-1] in done.out
        assert option.help
    assert max(len(line) for line in done.out.split("EXAMPLES")[0].splitlines()) <= 90
    assert shell(group.program, name, "-h", "--nonsense").out == done.out


@pytest.mark.parametrize("group, name, command", COMMANDS)
def test_options_do_not_collide(group: Group, name: str, command: Command) -> None:
    names = [word for option in command.options for word in option.names]
    assert len(names) == len(set(names))
    kinds = {option.kind for option in command.options}
    assert kinds <= {*SAMPLES, declare.FLAG, declare.CHOICE}


@pytest.mark.parametrize("group, name, command", COMMANDS)
def test_examples_are_command_lines_that_parse(group: Group, name: str, command: Command) -> None:
    import shlex

    for _, line in command.examples:
        if not line.startswith(f"{group.program} {name}"):
            continue
        words = shlex.split(line)
        end = next((at for at, word in enumerate(words) if word in ("|", "||", "&&")), len(words))
        parsed = parse.parse(command, words[2:end])
        parse.check_arguments(command, parsed.arguments)


def test_groups_do_not_promise_what_is_there() -> None:
    for group in GROUPS:
        assert not set(group.commands) & set(group.later)
        assert set(group.aliases.values()) <= {*group.commands, *group.later}
