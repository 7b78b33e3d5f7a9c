"""Calls about hooks: finds and runs the operator's scripts (spec: interfaces, section 2)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from ganeti.base.clock import Clock
from ganeti.base.errors import WRONG_INPUT, Failed, Refused
from ganeti.base.files import Files
from ganeti.base.log import Log
from ganeti.base.processes import Runner, describe_status
from ganeti.contract.calls.hooks import HooksFind, HooksFound, HooksRan, HooksRun
from ganeti.contract.hooks import FAILED, SKIPPED, SUCCEEDED, Phase, ScriptResult
from ganeti.node.handlers import handles
from ganeti.node.host import Host

PATH: Final = "/sbin:/bin:/usr/sbin:/usr/bin"
OUTPUT_CHARACTERS: Final = 16 * 1024
"""How much of a script's output is kept: its end."""

_log: Final = Log(__name__)
_SCRIPT: Final = re.compile(r"[a-zA-Z0-9_-]+")
_HOOKS_PATH: Final = re.compile(r"[a-z0-9-]+")


@handles(HooksFind)
async def find(host: Host, call: HooksFind) -> HooksFound:
    """Only those that would run."""
    return HooksFound(pre=_runnable(host, call.path, "pre"), post=_runnable(host, call.path, "post"))


@handles(HooksRun)
async def run(host: Host, call: HooksRun) -> HooksRan:
    """Their environment is what the call says, and where this node keeps its data."""
    directory = _directory(call.path, call.phase)
    results = await run_scripts(
        host.runner,
        host.files,
        host.clock,
        f"{host.paths.etc}/hooks/{directory}",
        shown_as=directory,
        env={"GANETI_DATA_DIR": host.paths.data, **call.env},
        within_s=call.within_s,
    )
    return HooksRan(results=results)


async def run_scripts(
    runner: Runner,
    files: Files,
    clock: Clock,
    directory: str,
    *,
    shown_as: str,
    env: Mapping[str, str],
    within_s: float,
) -> tuple[ScriptResult, ...]:
    """Run the scripts in a directory one after another, in the order of their names.

    One that fails does not keep the next from running. All together have `within_s`. `env` and PATH is all they get.
    """
    env = {"PATH": PATH, **env}
    ends_s = clock.now_s() + within_s
    results = []
    for name, runnable in _scripts(files, directory):
        script = f"{shown_as}/{name}"
        if not runnable:
            results.append(ScriptResult(script=script, status=SKIPPED))
            continue
        result = await _run_one(runner, script, f"{directory}/{name}", env, ends_s - clock.now_s())
        _log.info("hook ran", script=script, status=result.status)
        results.append(result)
    return tuple(results)


async def _run_one(runner: Runner, name: str, script: str, env: Mapping[str, str], left_s: float) -> ScriptResult:
    if left_s <= 0:
        return ScriptResult(script=name, status=FAILED, output="not begun: the scripts before it took all the time")
    try:
        done = await runner.run([script], timeout_s=left_s, env=env, cwd="/")
    except Failed as error:
        return ScriptResult(script=name, status=FAILED, output=error.message)
    output = "\n".join(text.rstrip() for text in (done.stdout, done.stderr) if text.strip())[-OUTPUT_CHARACTERS:]
    if done.status == 0:
        return ScriptResult(script=name, status=SUCCEEDED, output=output)
    return ScriptResult(script=name, status=FAILED, output=output or f"it ended with {describe_status(done.status)}")


def _runnable(host: Host, path: str, phase: Phase) -> tuple[str, ...]:
    found = _scripts(host.files, f"{host.paths.etc}/hooks/{_directory(path, phase)}")
    return tuple(name for name, runnable in found if runnable)


def _directory(path: str, phase: Phase) -> str:
    if not _HOOKS_PATH.fullmatch(path):
        raise Refused(WRONG_INPUT, f"'{path}' is no path of hooks", path=path)
    return f"{path}-{phase}.d"


def _scripts(files: Files, directory: str) -> Iterator[tuple[str, bool]]:
    """(name, whether it runs) of what is in a directory, sorted."""
    for name in files.list_dir(directory):
        yield name, _SCRIPT.fullmatch(name) is not None and files.is_executable(f"{directory}/{name}")
