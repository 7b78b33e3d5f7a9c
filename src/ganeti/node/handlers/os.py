"""Calls about OS definitions and their scripts."""

from __future__ import annotations

from ganeti.base.errors import WRONG_STATE, Refused
from ganeti.contract.calls.os import OsInstall, OsList, OsListGet, OsRename, OsValidate
from ganeti.contract.guest import Guest
from ganeti.contract.os import Script
from ganeti.node.handlers import handles
from ganeti.node.handlers.disk import assemble_all, put_away, shutdown_all
from ganeti.node.handlers.instance import is_alive
from ganeti.node.host import Host


@handles(OsListGet)
async def listed(host: Host, call: OsListGet) -> OsList:
    """The broken ones too: why they are broken is part of the answer."""
    return OsList(found=tuple(await host.os.list()))


@handles(OsValidate)
async def validate(host: Host, call: OsValidate) -> None:
    """Runs its `verify` script."""
    await host.os.validate(call.os_name, call.params, force_variant=call.force_variant)


@handles(OsInstall)
async def install(host: Host, call: OsInstall) -> None:
    """The guest must not run: the script writes to its disks."""
    extra = {"DEBUG_LEVEL": str(call.debug_level)}
    if call.reinstall:
        extra["INSTANCE_REINSTALL"] = "1"
    await _run(host, "create", call.guest, params=call.params, extra_env=extra, within_s=call.within_s)


@handles(OsRename)
async def rename(host: Host, call: OsRename) -> None:
    """The guest must not run: the script writes to its disks."""
    extra = {"OLD_INSTANCE_NAME": call.old_name}
    await _run(host, "rename", call.guest, params=call.params, extra_env=extra, within_s=call.within_s)


async def _run(
    host: Host, script: Script, guest: Guest, *, params: dict[str, str], extra_env: dict[str, str], within_s: float
) -> None:
    state = await host.hypervisor(guest.hypervisor).state(guest.name)
    if is_alive(state):
        raise Refused(
            WRONG_STATE,
            f"cannot run the {script} script of {guest.os}: guest {guest.name} is {state.status} "
            "and has its disks open; stop it first",
            instance=guest.name,
        )
    attached = await assemble_all(host, guest)
    try:
        await host.os.run(script, guest, attached, params=params, extra_env=extra_env, timeout_s=within_s)
    except BaseException:
        await put_away(host, guest)
        raise
    await shutdown_all(host, guest)
