"""Programs: what comes back, and that nothing is left of those that must not go on."""

from __future__ import annotations

import asyncio
import functools
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ganeti.base import processes
from ganeti.base.errors import Failed
from ganeti.base.files import SystemFiles
from ganeti.base.processes import Done, SystemRunner, describe_status, last_lines

SOON_S = 30.0
"""Longer than anything here takes, on a busy machine too."""

ENOUGH_S = 2.0
"""Long enough for a shell to say a word, on a busy machine too; tests wait that long."""


@pytest.fixture
def runner() -> SystemRunner:
    return SystemRunner(grace_s=0.3)


async def run(runner: SystemRunner, script: str, **how: object) -> Done:
    return await runner.run(["/bin/sh", "-c", script], **{"timeout_s": SOON_S, **how})  # type: ignore[arg-type]


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] != b"Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def none_alive(pids: list[int]) -> bool:
    return not any(is_alive(pid) for pid in pids)


def eventually(condition: Callable[[], bool]) -> bool:
    deadline_s = time.monotonic() + SOON_S
    while not condition() and time.monotonic() < deadline_s:
        time.sleep(0.01)
    return condition()


def pids(path: Path) -> list[int]:
    return [int(word) for word in path.read_text().split()]


async def test_output_and_status_come_back(runner: SystemRunner) -> None:
    done = await run(runner, "echo out; echo err >&2; exit 3")
    assert (done.status, done.stdout, done.stderr) == (3, "out\n", "err\n")


async def test_a_signal_is_a_negative_status(runner: SystemRunner) -> None:
    done = await run(runner, "kill -9 $$")
    assert done.status == -9
    with pytest.raises(Failed, match="cannot try: /bin/sh ended with signal SIGKILL"):
        done.expect_success("try")


async def test_stdin_is_given_or_empty(runner: SystemRunner) -> None:
    data = b"x" * 1_000_000
    assert (await run(runner, "wc -c", stdin=data)).stdout.strip() == "1000000"
    assert (await run(runner, "wc -c")).stdout.strip() == "0"
    assert (await run(runner, "exit 0", stdin=data)).status == 0


async def test_the_environment_is_replaced_and_the_directory_chosen(runner: SystemRunner, tmp_path: Path) -> None:
    done = await runner.run(["/usr/bin/env"], timeout_s=SOON_S, env={"A": "b"})
    assert done.stdout == "A=b\n"
    assert (await run(runner, "pwd")).stdout == "/\n"
    assert (await run(runner, "pwd -P", cwd=str(tmp_path))).stdout == f"{tmp_path.resolve()}\n"


async def test_of_long_output_the_end_is_kept(runner: SystemRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "OUTPUT_LIMIT_BYTES", 1000)
    done = await run(runner, "seq 1 100000; seq 1 100000 >&2")
    for text in (done.stdout, done.stderr):
        assert len(text) == 1000
        assert text.endswith("\n99999\n100000\n")


async def test_output_that_is_no_text_is_made_readable(runner: SystemRunner) -> None:
    assert (await run(runner, r"printf 'a\377b'")).stdout == "a\ufffdb"


@pytest.mark.parametrize(
    "argv, how, why",
    [
        (["/no/such/program"], {}, "No such file or directory"),
        (["/etc/passwd"], {}, "Permission denied"),
        (["/bin/sh"], {"cwd": "/no/such/dir"}, r"No such file or directory \(in directory /no/such/dir\)"),
        (["/bin/sh", "a\0b"], {}, "null byte"),
        (["/bin/sh"], {"env": {"A": "\0"}}, "null byte"),
        (["/bin/sh"], {"output_path": "/no/such/log"}, "its log /no/such/log cannot be written: No such file"),
        (["/bin/sh", "x" * 10_000_000], {}, "Argument list too long"),
    ],
)
async def test_what_cannot_be_run_says_why(
    runner: SystemRunner, argv: list[str], how: dict[str, object], why: str
) -> None:
    with pytest.raises(Failed, match=f"cannot run {argv[0]}: .*{why}") as caught:
        await runner.run(argv, timeout_s=SOON_S, **how)  # type: ignore[arg-type]
    assert caught.value.facts["argv"] == argv


async def test_a_script_without_an_interpreter_cannot_be_run(runner: SystemRunner, tmp_path: Path) -> None:
    SystemFiles().write(f"{tmp_path}/script", b"echo hello\n", mode=0o700)
    with pytest.raises(Failed, match="Exec format error"):
        await runner.run([f"{tmp_path}/script"], timeout_s=SOON_S)


async def test_past_its_limit_a_program_is_killed_and_what_it_said_is_told(runner: SystemRunner) -> None:
    with pytest.raises(Failed) as caught:
        await run(runner, "echo about to hang >&2; sleep 600", timeout_s=ENOUGH_S)
    assert caught.value.message == "/bin/sh did not end within 2 s and was killed: about to hang"
    assert caught.value.facts["timeout_s"] == ENOUGH_S


async def test_past_its_limit_nothing_of_a_program_is_left(runner: SystemRunner, tmp_path: Path) -> None:
    scripts = {
        "children": "sleep 600 & echo $! >> {pids}; echo $$ >> {pids}; wait",
        "deaf to SIGTERM": "trap '' TERM; (trap '' TERM; echo $$ >> {pids}; sleep 600; sleep 600); sleep 600",
        "job control": "set -m; sleep 600 & echo $! >> {pids}; (echo $$; sleep 600) >> {pids}",
        "grandchildren": "sh -c 'sh -c \"sleep 600 & echo \\$! >> {pids}; wait\"'",
        "stopped": "kill -STOP $$ & echo $$ >> {pids}; sleep 600",
    }

    async def killed(name: str, script: str) -> list[int]:
        with pytest.raises(Failed, match="was killed"):
            await run(runner, script.format(pids=f"'{tmp_path}/{name}'"), timeout_s=ENOUGH_S)
        return pids(tmp_path / name)

    found = await asyncio.gather(*(killed(name, script) for name, script in scripts.items()))
    for name, left in zip(scripts, found, strict=True):
        assert left, name
        assert eventually(functools.partial(none_alive, left)), name


async def test_a_program_may_clean_up_before_it_is_killed(tmp_path: Path) -> None:
    script = f"trap 'echo cleaned > {tmp_path}/trace; exit' TERM; echo ready; sleep 600 & wait"
    with pytest.raises(Failed, match="ready"):
        await run(SystemRunner(grace_s=SOON_S), script, timeout_s=ENOUGH_S)
    assert (tmp_path / "trace").read_text() == "cleaned\n"


async def test_a_cancelled_caller_leaves_nothing_running(runner: SystemRunner, tmp_path: Path) -> None:
    path = tmp_path / "pids"
    task = asyncio.ensure_future(run(runner, f"sleep 600 & echo $! > {path}.new; mv {path}.new {path}; wait"))
    async with asyncio.timeout(SOON_S):
        while not path.exists():
            await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert eventually(functools.partial(none_alive, pids(path)))


async def test_a_process_left_in_the_background_holds_nobody_up(runner: SystemRunner, tmp_path: Path) -> None:
    begin_s = time.monotonic()
    done = await run(runner, f"sleep 600 & echo $! > {tmp_path}/pid; echo done")
    assert (done.status, done.stdout) == (0, "done\n")
    assert time.monotonic() - begin_s < SOON_S
    [pid] = pids(tmp_path / "pid")
    assert is_alive(pid)
    os.kill(pid, 9)


async def test_no_descriptor_is_left_open(runner: SystemRunner, tmp_path: Path) -> None:
    await run(runner, "echo warm up")
    await asyncio.sleep(0)
    before = len(os.listdir("/proc/self/fd"))
    for number in range(5):
        await run(runner, "echo x", stdin=b"data")
        await run(runner, "echo x", output_path=f"{tmp_path}/log")
        with pytest.raises(Failed):
            await runner.run(["/no/such/program"], timeout_s=SOON_S, stdin=b"data")
        with pytest.raises(Failed):
            await run(runner, "sleep 600", timeout_s=0.01 * number)
    for _ in range(3):
        await asyncio.sleep(0)
    assert eventually(lambda: len(os.listdir("/proc/self/fd")) <= before)


async def test_a_log_is_added_to_and_only_what_is_new_comes_back(runner: SystemRunner, tmp_path: Path) -> None:
    log = tmp_path / "log"
    first = await run(runner, "echo one; echo two >&2", output_path=str(log))
    second = await run(runner, "echo three", output_path=str(log))
    assert (first.stdout, first.stderr, second.stdout) == ("one\ntwo\n", "", "three\n")
    assert log.read_text() == "one\ntwo\nthree\n"
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


async def test_of_a_long_log_the_end_comes_back(runner: SystemRunner, tmp_path: Path) -> None:
    done = await run(runner, "seq 1 100000", output_path=f"{tmp_path}/log")
    assert done.stdout.endswith("\n100000\n")
    assert len(done.stdout) == processes.TAIL_BYTES


async def test_a_hanging_program_with_a_log_tells_its_end(runner: SystemRunner, tmp_path: Path) -> None:
    (tmp_path / "log").write_text("of yesterday\n")
    with pytest.raises(Failed) as caught:
        await run(runner, "echo waiting; sleep 600", timeout_s=ENOUGH_S, output_path=f"{tmp_path}/log")
    assert caught.value.message.endswith("was killed: waiting")


async def test_many_programs_run_at_once(runner: SystemRunner) -> None:
    done = await asyncio.gather(*(run(runner, f"echo {number}") for number in range(20)))
    assert [one.stdout for one in done] == [f"{number}\n" for number in range(20)]


def test_a_status_has_words() -> None:
    assert [describe_status(status) for status in (0, 3, -15, -99)] == [
        "exit status 0",
        "exit status 3",
        "signal SIGTERM",
        "signal 99",
    ]


def test_success_returns_itself_and_failure_carries_the_last_lines() -> None:
    good = Done(argv=("x",), status=0, stdout="", stderr="")
    assert good.expect_success("do it") is good
    text = "\n".join(str(number) for number in range(50))
    with pytest.raises(Failed, match="cannot do it: x ended with exit status 1: 30\n31") as caught:
        Done(argv=("x", "y"), status=1, stdout=text, stderr="").expect_success("do it")
    assert caught.value.facts == {"argv": ["x", "y"], "status": 1, "stderr": last_lines(text)}
