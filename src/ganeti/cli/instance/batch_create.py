"""`gnt-instance batch-create`: many instances from a file, each as a job of its own."""

from __future__ import annotations

from ganeti.cli import jobs
from ganeti.cli.declare import JOB, Argument, Command
from ganeti.cli.instance import devices
from ganeti.cli.instance.add import IALLOCATOR

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ganeti.cli.declare import Options
    from ganeti.cli.session import Session

_SHORT = {"name": "instance_name", "os": "os_type"}


def operations(text: str, iallocator: str | None) -> list[dict[str, Any]]:
    """The operations a file asks for. Raises `Refused` naming the item that is wrong."""
    import json

    from ganeti.base.errors import WRONG_INPUT, Refused

    try:
        data = json.loads(text)
    except ValueError as error:
        raise Refused(WRONG_INPUT, f"the file is no JSON: {error}") from error
    items = data.get("instances") if isinstance(data, dict) else data
    if not isinstance(items, list) or not items:
        raise Refused(WRONG_INPUT, "the file must hold a list of instances, or an object with one under 'instances'")
    result = []
    for number, item in enumerate(items, start=1):
        if not isinstance(item, dict):
            raise Refused(WRONG_INPUT, f"instance {number} of the file is no object")
        op: dict[str, Any] = {_SHORT.get(str(key), str(key)): value for key, value in item.items()}
        if not isinstance(op.get("instance_name"), str):
            raise Refused(WRONG_INPUT, f"instance {number} of the file has no 'instance_name'")
        op = {"OP_ID": "OP_INSTANCE_CREATE", "mode": "create", "nics": [{}], **op}
        described = op.get("disks") or []
        if not isinstance(described, list) or not all(isinstance(disk, dict) for disk in described):
            raise Refused(WRONG_INPUT, f"the disks of {op['instance_name']} are no list of objects")
        op["disks"] = [
            devices.with_size(disk, f"disk {at} of {op['instance_name']}") for at, disk in enumerate(described)
        ]
        if iallocator and not op.get("pnode"):
            op["iallocator"] = iallocator
        result.append(op)
    return result


def run(session: Session, options: Options, arguments: list[str]) -> int:
    """`gnt-instance batch-create FILE`."""
    from ganeti.base.errors import ENVIRONMENT, Refused

    try:
        with open(arguments[0], encoding="utf-8") as file:
            text = file.read()
    except OSError as error:
        raise Refused(ENVIRONMENT, f"cannot read {arguments[0]}: {error.strerror}") from error
    wanted = operations(text, options["iallocator"])
    return jobs.many(session, options, [(op["instance_name"], [op]) for op in wanted])


COMMAND = Command(
    run,
    "Make many instances from a file",
    arguments=(Argument("FILE", complete="file"),),
    options=(IALLOCATOR, *JOB),
    description="The file is a JSON list (or an object with the list under 'instances'). Each item has the parameters"
    " of OP_INSTANCE_CREATE: instance_name, os_type, disk_template, disks (with size), nics, beparams, hvparams,"
    " hypervisor, pnode, tags and so on. Every instance is a job of its own; one that fails does not stop the others.",
    examples=[
        ("Make what the file describes", "gnt-instance batch-create web.json"),
        (
            "Such a file",
            '[{"instance_name": "web1.example.com", "os_type": "tiny", "disk_template": "file", "disks": [{"size": "1G"}]}]',
        ),
    ],
    op="OP_INSTANCE_CREATE",
)
