"""The runner of simulated hosts speaks as the real one does."""

from __future__ import annotations

import asyncio

import pytest

from ganeti.base.errors import Failed
from ganeti.base.processes import Runner, SystemRunner
from sim.files import MemoryFiles
from sim.processes import HANGS, FakeRunner, Invocation, Outcome


@pytest.fixture(params=["real", "fake"])
def runner(request: pytest.FixtureRequest) -> Runner:
    if request.param == "real":
        return SystemRunner(grace_s=0.2)
    fake = FakeRunner()
    fake.on("/bin/echo", lambda call: Outcome(stdout=" ".join(call.argv[1:]) + "\n"))
    fake.on("/bin/cat", lambda call: Outcome(stdout=(call.stdin or b"").decode()))
    fake.on("/bin/sleep", HANGS)
    fake.on(lambda argv: argv[0] == "/bin/sh", Outcome(status=3, stdout="out\n", stderr="err\n"))
    return fake


async def test_both_answer_alike(runner: Runner) -> None:
    assert (await runner.run(["/bin/echo", "a", "b"], timeout_s=30)).stdout == "a b\n"
    assert (await runner.run(["/bin/cat"], timeout_s=30, stdin=b"x")).stdout == "x"
    done = await runner.run(["/bin/sh", "-c", "echo out; echo err >&2; exit 3"], timeout_s=30)
    assert (done.argv[0], done.status, done.stdout, done.stderr) == ("/bin/sh", 3, "out\n", "err\n")


async def test_both_fail_alike(runner: Runner) -> None:
    with pytest.raises(Failed) as missing:
        await runner.run(["/no/such"], timeout_s=30)
    assert (missing.value.message, missing.value.facts) == (
        "cannot run /no/such: No such file or directory",
        {"argv": ["/no/such"]},
    )
    with pytest.raises(Failed) as late:
        await runner.run(["/bin/sleep", "600"], timeout_s=0.2)
    assert (late.value.message, late.value.facts) == (
        "/bin/sleep did not end within 0.2 s and was killed",
        {"argv": ["/bin/sleep", "600"], "timeout_s": 0.2, "stderr": ""},
    )
    with pytest.raises(Failed, match="null byte"):
        await runner.run(["/bin/echo"], timeout_s=30, env={"A": "\0"})


async def test_calls_are_recorded_and_the_last_word_wins() -> None:
    fake = FakeRunner()
    fake.on("ip", Outcome(stdout="old"))
    fake.on(lambda argv: argv[:2] == ("ip", "link"), Outcome(stdout="new"))
    assert (await fake.run(["ip", "link"], timeout_s=1, env={"A": "b"})).stdout == "new"
    assert (await fake.run(["ip", "addr"], timeout_s=1)).stdout == "old"
    assert [(call.argv, call.env) for call in fake.calls] == [(("ip", "link"), {"A": "b"}), (("ip", "addr"), None)]


async def test_a_program_may_be_a_coroutine_that_is_cut_off_at_the_limit() -> None:
    ended = asyncio.Event()

    async def program(call: Invocation) -> Outcome:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return Outcome()

    fake = FakeRunner()
    fake.on("x", program)
    with pytest.raises(Failed, match=r"did not end within 0\.05 s"):
        await fake.run(["x"], timeout_s=0.05)
    assert ended.is_set()


async def test_with_files_logs_are_written_and_modes_obeyed() -> None:
    files = MemoryFiles()
    files.write("/script", b"", mode=0o600)
    fake = FakeRunner(files=files)
    fake.on("/script", Outcome(stdout="one\n", stderr="two\n"))
    with pytest.raises(Failed, match="cannot run /script: Permission denied"):
        await fake.run(["/script"], timeout_s=1)
    files.write("/script", b"", mode=0o700)
    done = await fake.run(["/script"], timeout_s=1, output_path="/log")
    assert (done.stdout, done.stderr, files.read("/log")) == ("one\ntwo\n", "", b"one\ntwo\n")
    with pytest.raises(Failed, match="its log /none/log cannot be written: No such file or directory"):
        await fake.run(["/script"], timeout_s=1, output_path="/none/log")
