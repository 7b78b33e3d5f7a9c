"""The client speaks the local API, and says who must act when nobody answers."""

import json
import math
import os
import socket
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ganeti.base.errors import Bug, Failed, Refused, Unavailable
from ganeti.client import fastjson
from ganeti.client.errors import from_result
from ganeti.client.http import Broken, Connection
from ganeti.client.master import Master
from tests.unit.cli.conftest import Shell
from tests.unit.cli.fake_master import FakeMaster, refusal

DATA = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@given(DATA)
def test_json_is_read_and_written_as_by_the_standard_library(value: Any) -> None:
    assert json.loads(fastjson.dumps(value)) == value
    assert fastjson.loads(json.dumps(value)) == value
    assert fastjson.loads(json.dumps(value, indent=1).encode() + b"\n") == value


@given(st.text(max_size=20))
def test_what_is_no_json_is_a_value_error(text: str) -> None:
    try:
        expected = json.loads(text)
    except ValueError:
        with pytest.raises(ValueError):  # noqa: PT011  # the kind of ValueError is the scanner's own
            fastjson.loads(text)
    else:
        found = fastjson.loads(text)
        assert found == expected or (math.isnan(found) and math.isnan(expected))


def test_errors_arrive_as_classes(shell: Shell, master: FakeMaster) -> None:
    client = Master(shell.paths.master_socket, shell.paths.node_settings)
    for name, kind in (("Refused", Refused), ("Unavailable", Unavailable), ("Failed", Failed), ("Bug", Bug)):
        said = {"class": name, "code": "wrong_state", "message": "it is so", "facts": {"node": "n1"}}
        master.answers["/locks"] = lambda _, said=said: (500, {"error": said})
        with pytest.raises(kind, match="it is so") as caught:
            client.locks()
        assert caught.value.facts == {"node": "n1"}
    master.answers["/locks"] = lambda _: (502, "gone")
    with pytest.raises(Bug, match="502"):
        client.locks()


def test_one_connection_serves_many_questions_and_a_large_answer(shell: Shell, master: FakeMaster) -> None:
    client = Master(shell.paths.master_socket, shell.paths.node_settings)
    locks: list[dict[str, Any]] = [
        {"name": f"instance/web{number}", "mode": None, "owner": [], "pending": []} for number in range(20_000)
    ]
    master.answers["/locks"] = {"locks": locks}
    assert client.locks() == locks
    assert client.locks() == locks


def test_each_job_is_accepted_or_not(shell: Shell, master: FakeMaster) -> None:
    master.answers["/jobs"] = {"jobs": [{"id": 7}, refusal("wrong_input", "no such operation")[1]]}
    client = Master(shell.paths.master_socket, shell.paths.node_settings)
    first, second = client.submit([[{"OP_ID": "OP_A"}], [{"OP_ID": "OP_B"}]])
    assert first == 7
    assert isinstance(second, Refused)
    assert second.message == "no such operation"


def test_log_lines_are_given_once_and_in_order(shell: Shell, master: FakeMaster) -> None:
    news = [("running", [[1, 1.0, "message", "a"]]), ("running", []), ("success", [[2, 2.0, "message", "b"]])]
    asked: list[Any] = []

    def wait(body: Any) -> tuple[int, Any]:
        status, log = news[len(asked)]
        asked.append((body["status"], body["log_serial"]))
        return 200, {"id": 1, "status": status, "op_status": [status], "op_result": [None], "log": log, "changed": True}

    master.answers["/jobs/ID/wait"] = wait
    heard: list[str] = []
    client = Master(shell.paths.master_socket, shell.paths.node_settings)
    last = client.follow(1, lambda time_s, kind, text: heard.append(text))
    assert heard == ["a", "b"]
    assert last["status"] == "success"
    assert asked == [(None, 0), ("running", 1), ("running", 1)]


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SMTP ready\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{]",
        b"x" * 100_000,
    ],
)
def test_an_answer_that_is_none_is_told_apart(tmp_path: Path, answer: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        listener.listen()

        def serve() -> None:
            accepted, _ = listener.accept()
            with accepted:
                accepted.recv(65536)
                accepted.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(Broken):
            Connection(str(tmp_path / "socket")).request("GET", "/", None, timeout_s=30)
        thread.join()


def test_a_chunked_answer_is_put_together(tmp_path: Path) -> None:
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n[1,\r\n2;x=y\r\n2]\r\n0\r\n\r\n"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        listener.listen()

        def serve() -> None:
            accepted, _ = listener.accept()
            with accepted:
                accepted.recv(65536)
                for at in range(len(answer)):
                    accepted.sendall(answer[at : at + 1])

        thread = threading.Thread(target=serve)
        thread.start()
        assert Connection(str(tmp_path / "socket")).request("GET", "/", None, timeout_s=30) == (200, [1, 2])
        thread.join()


@pytest.mark.parametrize(
    "result, kind, message",
    [
        (["OpPrereqError", ["it is there", "already_exists"]], Refused, "it is there"),
        (["OpExecError", ["the disk is full"], {"node": "n1"}], Failed, "the disk is full"),
        (["OpExecError", ["the disk is full"]], Failed, "the disk is full"),
        ({"class": "Unavailable", "message": "silent"}, Unavailable, "silent"),
        ("odd", Failed, "odd"),
    ],
)
def test_a_stored_result_tells_its_error(result: Any, kind: type[Exception], message: str) -> None:
    error = from_result(result)
    assert type(error) is kind
    assert error.message == message


def test_a_daemon_that_is_down_is_named_with_the_way_out(shell: Shell) -> None:
    done = shell("gnt-instance", "list")
    assert done.status == 1
    assert "the master daemon does not answer" in done.err
    assert "ganeti-daemons start" in done.err
    assert shell.paths.master_socket in done.err


def test_another_node_names_the_master(shell: Shell) -> None:
    shell.join_cluster(node="node2.example.com", master="node1.example.com")
    done = shell("gnt-instance", "list")
    assert done.status == 11
    assert "run the command on node1.example.com" in done.err
    assert shell("gnt-cluster", "getmaster").out == "node1.example.com\n"


def test_a_host_in_no_cluster_says_how_to_make_one(shell: Shell) -> None:
    os.unlink(shell.paths.node_settings)
    for program, words in (("gnt-instance", ["list"]), ("gnt-cluster", ["getmaster"])):
        done = shell(program, *words)
        assert done.status == 12
        assert "gnt-cluster init" in done.err


def test_only_root_may(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Connection, "request", refused)
    done = shell("gnt-instance", "list")
    assert done.status == 1
    assert "only root may use this command" in done.err


def test_an_explicit_socket_is_used(shell: Shell, tmp_path: Path) -> None:
    path = str(tmp_path / "other")
    with FakeMaster(path) as master:
        shell.environ["FORCE_LUXI_SOCKET"] = path
        assert shell("gnt-instance", "list", "-o", "name").status == 14
        assert len(master.requests) == 1
