"""`gnt-instance info`."""

from __future__ import annotations

from ganeti.cli import output, table
from ganeti.cli.declare import NO_JOB_PRIORITY, Argument, Command, Option
from ganeti.cli.output import Pairs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ganeti.cli.declare import Options
    from ganeti.cli.session import Session


def readable(instance: dict[str, Any]) -> Pairs:
    """An instance as people read it. The shape is that of /info/instance (contract.api)."""
    return Pairs(
        [
            ("Instance name", instance["name"]),
            ("UUID", instance["uuid"]),
            ("Serial number", instance["serial_no"]),
            ("Creation time", table.timestamp(instance["ctime"])),
            ("Modification time", table.timestamp(instance["mtime"])),
            ("State", _state(instance)),
            ("Nodes", _nodes(instance)),
            ("Operating system", instance["os"]),
            ("Operating system parameters", output.or_default(instance["os_instance"], instance["os_actual"])),
            ("Allocated network port", instance["network_port"]),
            ("Hypervisor", instance["hypervisor"]),
            ("Hypervisor parameters", output.or_default(instance["hv_instance"], instance["hv_actual"])),
            ("Back-end parameters", output.or_default(instance["be_instance"], _with_memory(instance["be_actual"]))),
            ("NICs", [_nic(number, nic) for number, nic in enumerate(instance["nics"])]),
            ("Disk template", instance["disk_template"]),
            ("Disks", [_disk(number, disk) for number, disk in enumerate(instance["disks"])]),
        ]
    )


def _state(instance: dict[str, Any]) -> str:
    text = f"configured to be {instance['config_state']}"
    return text if instance["run_state"] is None else f"{text}, actual state is {instance['run_state']}"


def _with_memory(beparams: dict[str, Any]) -> dict[str, Any]:
    """With `memory`, the old name of `maxmem`."""
    return {**beparams, "memory": beparams["maxmem"]} if "maxmem" in beparams else beparams


def _nodes(instance: dict[str, Any]) -> list[Pairs]:
    secondaries = [
        Pairs([("name", name), ("group", f"{group} (UUID {uuid})")])
        for name, group, uuid in zip(
            instance["snodes"], instance["snodes_group_names"], instance["snodes_group_uuids"], strict=True
        )
    ]
    group = f"{instance['pnode_group_name']} (UUID {instance['pnode_group_uuid']})"
    return [Pairs([("primary", instance["pnode"]), ("group", group)]), Pairs([("secondaries", secondaries)])]


def _nic(number: int, nic: dict[str, Any]) -> Pairs:
    return Pairs(
        [
            (f"nic/{number}", ""),
            ("MAC", nic["mac"]),
            ("IP", nic["ip"]),
            ("mode", nic["mode"]),
            ("link", nic["link"]),
            ("vlan", nic["vlan"]),
            ("network", nic["network"]),
            ("UUID", nic["uuid"]),
            ("name", nic["name"]),
        ]
    )


def _disk(number: int, disk: dict[str, Any]) -> Pairs:
    where = [("on primary", f"{disk['path']} (N/A:N/A)")] if disk["path"] else []
    return Pairs(
        [
            (f"disk/{number}", f"{disk['dev_type']}, size {table.size(disk['size'], 'h')}"),
            ("access mode", disk["mode"]),
            ("logical_id", str(disk["logical_id"])),
            *where,
            ("name", disk["name"]),
            ("UUID", disk["uuid"]),
        ]
    )


def run(session: Session, options: Options, arguments: list[str]) -> int:
    """`gnt-instance info NAME...`."""
    if bool(arguments) == options["all"]:
        from ganeti.base.errors import WRONG_INPUT, Refused

        raise Refused(WRONG_INPUT, "name at least one instance, or give --all; not both")
    items = session.master.info("instance", arguments, static=options["static"])["items"]
    return output.show(session, options, items, [readable(item) for item in items])


COMMAND = Command(
    run,
    "Show all that is known of instances",
    arguments=(Argument("INSTANCE", 0, None, complete="instance"),),
    options=(
        Option("-s --static", "only what the configuration says; ask no node"),
        Option("--all", "every instance"),
        Option("--roman", "numbers as the Romans wrote them", refused="numbers are only printed in digits"),
        *output.STRUCTURED,
        NO_JOB_PRIORITY,
    ),
    examples=[
        ("One instance", "gnt-instance info web1.example.com"),
        ("Its parameters for a script", "gnt-instance info -o json web1.example.com"),
    ],
)
