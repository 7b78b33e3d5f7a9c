"""Hook scripts that no job runs: those of this host around the birth and the end of its cluster, and of the watcher."""

from __future__ import annotations

import json
from typing import Final

from ganeti.base.clock import Clock
from ganeti.base.files import Files
from ganeti.base.paths import Paths
from ganeti.base.processes import Runner
from ganeti.contract.hooks import FAILED, ScriptResult

WITHIN_S: Final = 900.0


async def run(
    *,
    paths: Paths,
    files: Files,
    runner: Runner,
    clock: Clock,
    directory: str,
    path: str,
    object_type: str,
    more: dict[str, str] | None = None,
) -> list[ScriptResult]:
    """Run the scripts in `/etc/ganeti/hooks/DIRECTORY`, phase post of `path`; those that failed.

    `more` are variables without the prefix GANETI_. None of them can stop anything.
    """
    where = f"{paths.etc}/hooks/{directory}"
    if not files.list_dir(where):
        return []
    # Late, because most hosts have none.
    from ganeti.node.handlers.hooks import run_scripts

    settings = json.loads(files.read(paths.node_settings))
    variables = {
        "HOOKS_VERSION": "2",
        "HOOKS_PHASE": "post",
        "HOOKS_PATH": path,
        "OBJECT_TYPE": object_type,
        "DATA_DIR": paths.data,
        "CLUSTER": str(settings["cluster_name"]),
        "MASTER": str(settings["master_name"]),
        **(more or {}),
    }
    env = {f"GANETI_{name}": value for name, value in variables.items()}
    results = await run_scripts(runner, files, clock, where, shown_as=directory, env=env, within_s=WITHIN_S)
    return [result for result in results if result.status == FAILED]
