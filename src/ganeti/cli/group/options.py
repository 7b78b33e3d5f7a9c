"""What `add` and `modify` of a node group share."""

from __future__ import annotations

from ganeti.cli import jobs
from ganeti.cli.cluster import options as shared
from ganeti.cli.cluster import policy
from ganeti.cli.declare import JOB, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ganeti.cli.declare import Options

_LATER = "declared states of nodes are not served yet"

VALUES = (
    Option(
        "--alloc-policy",
        "whether new instances are put here: gladly, only when nowhere else fits, or never",
        choices=("preferred", "last_resort", "unallocable"),
        param="alloc_policy",
    ),
    shared.NDPARAMS.with_changes(help="parameters of its nodes", param="ndparams"),
    shared.DISKPARAMS.with_changes(help="parameters of a disk template"),
    shared.HV_STATE.with_changes(refused=_LATER),
    shared.DISK_STATE.with_changes(refused=_LATER),
    *policy.OPTIONS,
    *JOB,
)


def operation(op_id: str, options: Options, name: str) -> dict[str, Any]:
    """The operation these options ask for."""
    op = jobs.op_from(op_id, VALUES, options, group_name=name)
    if options["disk_parameters"]:
        op["diskparams"] = shared.keyed("-D", options["disk_parameters"])
    if chosen := policy.chosen(options):
        op["ipolicy"] = chosen
    return op
