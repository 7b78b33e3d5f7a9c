"""Calls about the power of hosts."""

from __future__ import annotations

from ganeti.contract.calls.power import PowerAnswer, PowerRun
from ganeti.node.handlers import handles
from ganeti.node.host import Host


@handles(PowerRun)
async def run(host: Host, call: PowerRun) -> PowerAnswer:
    """`Failed` when the program is not there or takes too long; how it ends is part of the answer."""
    done = await host.runner.run([call.program, call.command, call.host], timeout_s=call.within_s)
    return PowerAnswer(status=done.status, stdout=done.stdout, stderr=done.stderr)
