"""`gnt-instance modify`."""

from __future__ import annotations

from ganeti.cli import jobs
from ganeti.cli.declare import FORCE, JOB, STRING, Argument, Command, Option
from ganeti.cli.instance import add, devices

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ganeti.cli.declare import Options
    from ganeti.cli.session import Session

OPTIONS = (
    add.BACKEND,
    Option("-H --hypervisor-parameters", "hypervisor parameters", kind="keyval", param="hvparams"),
    add.OS_PARAMETERS,
    add.OS_PRIVATE,
    add.DISK.with_changes(
        help="change disks: add:size=SIZE, N:add,size=SIZE, N:KEY=VALUE, N:remove, remove (the last), attach, detach; N may be a name or UUID"
    ),
    add.NET.with_changes(
        help="change network interfaces: add:KEY=VALUE, N:add,..., N:KEY=VALUE, N:remove, remove (the last)"
    ),
    add.OS_TYPE.with_changes(help="another operating system by name only; nothing is installed", param="os_name"),
    add.FORCE_VARIANT,
    Option("-m --runtime-memory", "memory the running instance shall have now", kind="size", param="runtime_mem"),
    add.TEMPLATE.with_changes(help="store its disks in another way"),
    add.FILE_DRIVER,
    add.FILE_DIR,
    Option(
        "-e --ext-params", "parameters of the external storage it is converted to", kind="keyval", param="ext_params"
    ),
    Option(
        "-n --node",
        "secondary node, when the new template needs one",
        kind=STRING,
        param="remote_node",
        complete="node",
    ),
    add.IALLOCATOR,
    Option(
        "--new-primary",
        "another primary node, in the configuration only",
        kind=STRING,
        param="pnode",
        metavar="NODE",
        complete="node",
    ),
    Option("--offline", "mark it as offline: it cannot be started"),
    Option("--online", "mark it as usable again"),
    Option("-c --communication", "an interface to the metadata service", kind="bool", param="instance_communication"),
    Option("--no-hotplug", "devices of a running instance change at its next start", off=True, param="hotplug"),
    add.CONFLICTS,
    add.WAIT,
    add.IGNORE_IPOLICY,
    FORCE.with_changes(param="force"),
    *JOB,
)
_NO_CHANGE = {"force", "force_variant", "ignore_ipolicy", "conflicts_check", "wait_for_sync", "hotplug"}


def operation(options: Options, name: str) -> dict[str, Any]:
    """The operation these options ask for."""
    from ganeti.base.errors import WRONG_INPUT, Refused

    op = jobs.op_from("OP_INSTANCE_SET_PARAMS", OPTIONS, options, instance_name=name)
    if options["offline"] and options["online"]:
        raise Refused(WRONG_INPUT, "--offline and --online exclude each other")
    if options["offline"] or options["online"]:
        op["offline"] = bool(options["offline"])
    if options["disk"]:
        op["disks"] = devices.modifications("--disk", options["disk"])
    if options["net"]:
        op["nics"] = devices.modifications("--net", options["net"])
    if not set(op) - _NO_CHANGE - {"OP_ID", "instance_name"}:
        raise Refused(WRONG_INPUT, "nothing to change is given; --help shows what can be changed")
    return op


def run(session: Session, options: Options, arguments: list[str]) -> int:
    """`gnt-instance modify NAME`."""
    results = jobs.one(session, options, operation(options, arguments[0]))
    if results and results[0] and not options["dry_run"]:
        session.say(f"Modified instance {arguments[0]}")
        for what, value in results[0]:
            session.say(f" - {what} -> {value}")
        session.say("Most parameters count from the next start by the cluster on; a reboot from within is not enough.")
    return 0


COMMAND = Command(
    run,
    "Change an instance: its parameters, disks and network interfaces",
    arguments=(Argument("INSTANCE", complete="instance"),),
    options=OPTIONS,
    description="The value 'default' gives a parameter back to the cluster, as does -KEY.",
    examples=[
        ("More memory at its next start", "gnt-instance modify -B memory=4G web1.example.com"),
        ("One more disk", "gnt-instance modify --disk add:size=20G web1.example.com"),
        ("Take the second interface away", "gnt-instance modify --net 1:remove web1.example.com"),
    ],
    op="OP_INSTANCE_SET_PARAMS",
)
