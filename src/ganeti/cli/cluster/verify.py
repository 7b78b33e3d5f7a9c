"""`gnt-cluster verify`."""

from __future__ import annotations

from ganeti.cli import jobs
from ganeti.cli.declare import DRY_RUN, PRIORITY, STRING, Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ganeti.cli.declare import Options
    from ganeti.cli.session import Session

CODES = (
    "ECLUSTERCERT",
    "ECLUSTERCFG",
    "ECLUSTERCLIENTCERT",
    "ECLUSTERDANGLINGINST",
    "ECLUSTERDANGLINGNODES",
    "ECLUSTERFILECHECK",
    "EEXTAGS",
    "EGROUPDIFFERENTPVSIZE",
    "EINSTANCEBADNODE",
    "EINSTANCEDOWN",
    "EINSTANCEFAULTYDISK",
    "EINSTANCELAYOUT",
    "EINSTANCEMISSINGCFGPARAMETER",
    "EINSTANCEMISSINGDISK",
    "EINSTANCEPOLICY",
    "EINSTANCESPLITGROUPS",
    "EINSTANCEUNSUITABLENODE",
    "EINSTANCEWRONGNODE",
    "ENODEDRBD",
    "ENODEDRBDHELPER",
    "ENODEDRBDVERSION",
    "ENODEFILECHECK",
    "ENODEFILESTORAGEPATHS",
    "ENODEFILESTORAGEPATHUNUSABLE",
    "ENODEGLUSTERSTORAGEPATHUNUSABLE",
    "ENODEHOOKS",
    "ENODEHV",
    "ENODELVM",
    "ENODEN1",
    "ENODENET",
    "ENODEOOBPATH",
    "ENODEORPHANINSTANCE",
    "ENODEORPHANLV",
    "ENODEOS",
    "ENODERPC",
    "ENODESETUP",
    "ENODESHAREDFILESTORAGEPATHUNUSABLE",
    "ENODESSH",
    "ENODETIME",
    "ENODEUSERSCRIPTS",
    "ENODEVERSION",
)

OPTIONS = (
    Option("-v --verbose", "say more", param="verbose"),
    Option("--error-codes", "findings as fields parted by colons, for scripts", param="error_codes"),
    Option(
        "-I --ignore-errors",
        "a finding of this code is only a warning",
        choices=CODES,
        repeat=True,
        param="ignore_errors",
        metavar="CODE",
    ),
    Option("-g --node-group", "only this group", kind=STRING, param="group_name", metavar="GROUP"),
    Option("--no-nplus1-mem", "do not check whether memory suffices when a node fails"),
    Option("--no-hv-param-assessment", "do not check hypervisor parameters"),
    Option("--verify-ssh-clutter", "look for stale SSH keys", param="verify_clutter"),
    Option(
        "--debug-simulate-errors", "let every check fail, to see what that looks like", param="debug_simulate_errors"
    ),
    DRY_RUN,
    PRIORITY,
)


def operation(options: Options) -> dict[str, Any]:
    """The operation these options ask for."""
    op = jobs.op_from("OP_CLUSTER_VERIFY", OPTIONS, options)
    skipped = [check for check in ("nplus1_mem", "hv_param_assessment") if options[f"no_{check}"]]
    if skipped:
        op["skip_checks"] = ["hvparam_assessment" if check.startswith("hv") else check for check in skipped]
    return op


def run(session: Session, options: Options, arguments: list[str]) -> int:
    """`gnt-cluster verify`. Status 1 when a check found an error or could not be made."""
    results = jobs.one(session, options, operation(options))
    result = results[0] if results else None
    if options["dry_run"] or not isinstance(result, dict) or "jobs" not in result:
        return 0 if options["dry_run"] or result else 1
    numbers = [job for accepted, job in result["jobs"] if accepted]
    refused = [reason for accepted, reason in result["jobs"] if not accepted]
    if numbers:
        session.say(f"Submitted jobs {', '.join(map(str, numbers))}")
    for reason in refused:
        session.warn(f"Failed to submit a job: {reason}")
    failed, found = len(refused), 0
    for number in numbers:
        session.say(f"Waiting for job {number} ...")
        status, outcome = jobs.ended(session, number, f"Job {number} has failed", options)
        failed += status
        found += not status and not (outcome and outcome[0])
    if failed:
        session.warn(f"{failed} of {len(result['jobs'])} jobs failed while verifying the cluster")
    return 1 if failed or found else 0


COMMAND = Command(
    run,
    "Check that the cluster is as it should be",
    options=OPTIONS,
    examples=[("For a monitoring system", "gnt-cluster verify --error-codes")],
    op="OP_CLUSTER_VERIFY",
)
