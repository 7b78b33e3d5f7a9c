"""The OS definitions of this host: list and judge them, run their scripts (`contract.os.OsDefinitions`)."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Final

from ganeti.base.clock import Clock
from ganeti.base.errors import WRONG_INPUT, Failed, Refused
from ganeti.base.files import Files
from ganeti.base.processes import Done, Runner, describe_status, last_lines
from ganeti.contract.guest import AttachedDisk, Guest
from ganeti.contract.os import OsFound, Script
from ganeti.drivers.os import environment, reading, search, validate
from ganeti.drivers.os.leftovers import Running
from ganeti.drivers.os.search import CREATE, CREATE_UNTRUSTED, VERIFY

VERIFY_WITHIN_S: Final = 120.0


class Definitions:
    """OS definitions below `search_path`, where the first one of a name wins; scripts write to files in `log_dir`.

    `running`: where scripts are noted that write to disks; None where no daemon can be killed (in simulation).
    """

    def __init__(
        self,
        *,
        runner: Runner,
        files: Files,
        clock: Clock,
        search_path: Sequence[str],
        log_dir: str,
        running: Running | None = None,
    ) -> None:
        self._running = running
        self._runner = runner
        self._files = files
        self._clock = clock
        self._search_path = tuple(search_path)
        self._log_dir = log_dir

    async def list(self) -> Sequence[OsFound]:
        """See `OsDefinitions.list`."""
        return search.find_all(self._files, self._search_path)

    async def validate(
        self, os_name: str, params: Mapping[str, str], *, force_variant: bool = False, required: bool = True
    ) -> None:
        """See `OsDefinitions.validate`. Without a variant the first one is meant; not `required`: it may be absent."""
        found = search.find_all(self._files, self._search_path)
        name, _ = validate.split(os_name)
        if not required and all(definition.name != name for definition in found):
            return
        definition = validate.usable(os_name, found, self._search_path)
        variant = validate.chosen_variant(os_name, definition, force=force_variant)
        validate.check_parameters(definition, params)
        await self._verify(definition, variant, params)

    async def run(
        self,
        script: Script,
        guest: Guest,
        disks: Sequence[AttachedDisk],
        *,
        params: Mapping[str, str],
        extra_env: Mapping[str, str] | None = None,
        timeout_s: float = 3600.0,
    ) -> None:
        """See `OsDefinitions.run`. Runs `create`, `rename` and `verify`; the variant is not judged again.

        `Refused` for the scripts that cannot be run like this: `import` and `export` move a stream, and what is
        not trusted must not run on the node itself.
        """
        definition = validate.usable(guest.os, search.find_all(self._files, self._search_path), self._search_path)
        variant = validate.chosen_variant(guest.os, definition, force=True)
        if script == VERIFY:
            await self._verify(definition, variant, params)
            return
        _check_runnable(script, definition)
        env = self._environment(definition, variant, params)
        env |= environment.of_guest(guest, disks)
        env |= extra_env or {}
        log_path = self._log_path(script, guest)
        deed = f"{script} script of OS '{guest.os}' for {guest.name}"
        try:
            self._files.make_dirs(self._log_dir)
        except OSError as error:
            raise Failed(f"cannot run the {deed}: {self._log_dir} cannot be made: {error.strerror}") from error
        noted: AbstractContextManager[dict[str, str]]
        noted = self._running.noted() if self._running is not None else nullcontext({})
        try:
            with noted as mark:
                done = await self._runner.run(
                    [f"{definition.path}/{script}"], timeout_s=timeout_s, env=env | mark, cwd="/", output_path=log_path
                )
        except Failed as error:
            facts = {**error.facts, "log": log_path, "os": guest.os, "instance": guest.name}
            more = "; --install-timeout gives it longer" if script == CREATE and "timeout_s" in facts else ""
            raise Failed(
                f"the {deed} failed: {error.message}{more}\n(its log on this node: {log_path})", **facts
            ) from error
        if done.status != 0:
            said = last_lines(done.stdout)
            raise Failed(
                f"the {deed} failed with {describe_status(done.status)}"
                + (f": {said}" if said else " and said nothing")
                + f"\n(its log on this node: {log_path})",
                argv=list(done.argv),
                status=done.status,
                stderr=said,
                log=log_path,
                os=guest.os,
                instance=guest.name,
            )

    async def _verify(self, definition: OsFound, variant: str, params: Mapping[str, str]) -> None:
        """Ask the definition itself about its parameters; those before API 20 cannot be asked."""
        if reading.common_version(definition.api_versions) < reading.PARAMETERS_SINCE:
            return
        done: Done = await self._runner.run(
            [f"{definition.path}/{VERIFY}", "parameters"],
            timeout_s=VERIFY_WITHIN_S,
            env=self._environment(definition, variant, params),
            cwd="/",
        )
        if done.status != 0:
            said = last_lines(done.stderr or done.stdout)
            raise Refused(
                WRONG_INPUT,
                f"OS '{definition.name}' does not accept its parameters: "
                + (said or f"its verify script ended with {describe_status(done.status)}"),
                os=definition.name,
                status=done.status,
            )

    def _environment(self, definition: OsFound, variant: str, params: Mapping[str, str]) -> environment.Environment:
        version = reading.common_version(definition.api_versions)
        return environment.of_definition(name=definition.name, variant=variant, api_version=version, params=params)

    def _log_path(self, script: str, guest: Guest) -> str:
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._clock.now_s()))
        os_name = guest.os.replace("/", "_")
        return f"{self._log_dir}/{script}-{os_name}-{guest.name}-{now}.log"


def _check_runnable(script: Script, definition: OsFound) -> None:
    if script in {"import", "export"}:
        raise Refused(
            WRONG_INPUT,
            f"the {script} script of an OS moves a disk through a stream; it is run by the export and import of "
            "instances only",
            script=script,
        )
    if script == CREATE_UNTRUSTED or (script == CREATE and not definition.trusted):
        raise Refused(
            WRONG_INPUT,
            f"OS '{definition.name}' has only the script {CREATE_UNTRUSTED}, which must run inside a helper virtual "
            f"machine; that is not possible yet, use an OS with a script {CREATE}",
            os=definition.name,
        )
