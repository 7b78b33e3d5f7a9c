"""The hooks around one operation: a script that fails before it stops it, what is said after it goes to the job's log."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ganeti.base.errors import GanetiError, HooksAborted
from ganeti.base.log import Log
from ganeti.contract.hooks import Hooks
from ganeti.contract.operation import Operation, OpParams, Plan
from ganeti.contract.view import View
from ganeti.ops.parts.hook_phases import Caller, HookPhases

log = Log(__name__)

Warn = Callable[[str], None]


class OperationHooks:
    """What a planned operation tells its hooks, before and after. `warn` writes to the job's log.

    The scripts of phase post run after the commit: a master that dies in between does not run them.
    """

    def __init__(
        self, operation: Operation[Any, Any, Any], params: OpParams, plan: Plan, op_id: str, warn: Warn
    ) -> None:
        self._operation = operation
        self._params = params
        self._plan = plan
        self._phases = HookPhases(op_id)
        self._op_id = op_id
        self._warn = warn
        self._before: Hooks | None = None

    async def before(self, caller: Caller, view: View) -> None:
        """Run the scripts of phase pre. `HooksAborted` when one fails; a node that cannot be asked is left out."""
        self._before = self._operation.hooks(self._params, self._plan, view)
        if self._before is None:
            return
        ran = await self._phases.run(caller, view, self._before, "pre")
        for node, why in ran.silent:
            self._warn(f"the hooks of node {node} were not run: {why}")
        if ran.failures:
            raise HooksAborted([(each.node, each.script, each.output) for each in ran.failures])

    async def after(self, caller: Caller, view: View) -> None:
        """Run the scripts of phase post. The operation has succeeded and stays so, whatever happens here."""
        if self._before is None:
            return
        try:
            after = self._operation.hooks(self._params, self._plan, view) or self._before
            ran = await self._phases.run(caller, view, self._before, "post", after=after)
        except GanetiError as error:
            self._warn(f"the hooks after it were not run: {error.message}")
        except Exception as error:
            # The border of an operation lies behind its commit here: what breaks now must not undo what is done.
            log.bug("hooks broke", error, op=self._op_id)
            self._warn(f"the hooks after it were not run: {type(error).__name__}: {error}")
        else:
            for node, why in ran.silent:
                self._warn(f"the hooks of node {node} were not run: {why}")
            for each in ran.failures:
                output = " ".join(each.output.split()) or "no output"
                self._warn(f"hook {each.script} failed on node {each.node}: {output}")
