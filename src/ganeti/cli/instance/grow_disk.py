"""`gnt-instance grow-disk`."""

from __future__ import annotations

from ganeti.cli import jobs
from ganeti.cli.declare import JOB, Argument, Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ganeti.cli.declare import Options
    from ganeti.cli.session import Session

OPTIONS = (
    Option(
        "--no-wait-for-sync",
        "do not wait until the mirrors of the disk are in step",
        off=True,
        param="wait_for_sync",
        dest="wait_for_sync",
    ),
    Option("--absolute", "AMOUNT is the size that the disk shall have, not what is added", param="absolute"),
    Option("--ignore-ipolicy", "a breach of the policy is only a warning", param="ignore_ipolicy"),
    *JOB,
)


def run(session: Session, options: Options, arguments: list[str]) -> int:
    """`gnt-instance grow-disk NAME DISK AMOUNT`."""
    from ganeti.base.errors import WRONG_INPUT, Refused
    from ganeti.base.units import parse_mib

    name, disk, amount = arguments
    if not disk.isdecimal():
        raise Refused(WRONG_INPUT, f"'{disk}' is not the number of a disk; they count from 0", disk=disk)
    op = jobs.op_from(
        "OP_INSTANCE_GROW_DISK", OPTIONS, options, instance_name=name, disk=int(disk), amount=parse_mib(amount)
    )
    jobs.one(session, options, op)
    return 0


COMMAND = Command(
    run,
    "Make a disk of an instance larger",
    arguments=(Argument("INSTANCE", complete="instance"), Argument("DISK"), Argument("AMOUNT")),
    options=OPTIONS,
    description="DISK counts from 0. AMOUNT is in MiB, or with a suffix: 512M, 10G, 1T. What is in the disk does not grow by itself.",
    examples=[
        ("10 GiB more", "gnt-instance grow-disk web1.example.com 0 10G"),
        ("To 30 GiB", "gnt-instance grow-disk --absolute web1.example.com 0 30G"),
    ],
    op="OP_INSTANCE_GROW_DISK",
)
