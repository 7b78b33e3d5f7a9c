"""Calls about hooks: finds and runs the operator's scripts (spec: interfaces, section 2)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from ganeti.base.errors import WRONG_INPUT, Failed, Refused
from ganeti.base.log import Log
from ganeti.base.processes import describe_status
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
    """One after another, in the order of their names; one that fails does not keep the next from running."""
    env = {"PATH": PATH, "GANETI_DATA_DIR": host.paths.data, **call.env}
    ends_s = host.clock.now_s() + call.within_s
    results = []
    for name, script, runnable in _scripts(host, call.path, call.phase):
        if not runnable:
            results.append(ScriptResult(script=name, status=SKIPPED))
            continue
        result = await _run_one(host, name, script, env, ends_s - host.clock.now_s())
        _log.info("hook ran", script=name, status=result.status)
        results.append(result)
    return HooksRan(results=tuple(results))


async def _run_one(host: Host, name: str, script: str, env: dict[str, str], left_s: float) -> ScriptResult:
    if left_s <= 0:
        return ScriptResult(script=name, status=FAILED, output="not begun: the scripts before it took all the time")
    try:
        done = await host.runner.run([script], timeout_s=left_s, env=env, cwd="/")
    except Failed as error:
        return ScriptResult(script=name, status=FAILED, output=error.message)
    output = "\n".join(text.rstrip() for text in (done.stdout, done.stderr) if text.strip())[-OUTPUT_CHARACTERS:]
    if done.status == 0:
        return ScriptResult(script=name, status=SUCCEEDED, output=output)
    return ScriptResult(script=name, status=FAILED, output=output or f"it ended with {describe_status(done.status)}")


def _runnable(host: Host, path: str, phase: Phase) -> tuple[str, ...]:
    return tuple(name for name, _, runnable in _scripts(host, path, phase) if runnable)


def _scripts(host: Host, path: str, phase: Phase) -> Iterator[tuple[str, str, bool]]:
    """(path below the directory of hooks, whole path, whether it runs), sorted."""
    if not _HOOKS_PATH.fullmatch(path):
        raise Refused(WRONG_INPUT, f"'{path}' is no path of hooks", path=path)
    directory = f"{path}-{phase}.d"
    whole = f"{host.paths.etc}/hooks/{directory}"
    for name in host.files.list_dir(whole):
        runnable = _SCRIPT.fullmatch(name) is not None and host.files.is_executable(f"{whole}/{name}")
        yield f"{directory}/{name}", f"{whole}/{name}", runnable
