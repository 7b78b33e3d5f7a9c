"""What verification finds, and how it is told. Pure; spec: opcodes, "Cluster verify error codes"."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Final, Literal

import msgspec

from ganeti.base.errors import WRONG_INPUT, Refused
from ganeti.contract.operation import Context, OpParams, Plan

Kind = Literal["cluster", "group", "node", "instance"]

CODES: Final[dict[str, Kind]] = {
    "ECLUSTERCERT": "cluster",
    "ECLUSTERCFG": "cluster",
    "ECLUSTERCLIENTCERT": "cluster",
    "ECLUSTERFILECHECK": "cluster",
    "EGROUPDIFFERENTPVSIZE": "group",
    "EINSTANCEBADNODE": "instance",
    "EINSTANCEDOWN": "instance",
    "EINSTANCEFAULTYDISK": "instance",
    "EINSTANCELAYOUT": "instance",
    "EINSTANCEMISSINGCFGPARAMETER": "instance",
    "EINSTANCEMISSINGDISK": "instance",
    "EINSTANCEPOLICY": "instance",
    "EINSTANCESPLITGROUPS": "instance",
    "EINSTANCEUNSUITABLENODE": "instance",
    "EINSTANCEWRONGNODE": "instance",
    "ECLUSTERDANGLINGINST": "node",
    "ECLUSTERDANGLINGNODES": "node",
    "ENODEDRBD": "node",
    "ENODEDRBDHELPER": "node",
    "ENODEDRBDVERSION": "node",
    "ENODEFILECHECK": "node",
    "ENODEFILESTORAGEPATHS": "node",
    "ENODEFILESTORAGEPATHUNUSABLE": "node",
    "ENODEGLUSTERSTORAGEPATHUNUSABLE": "node",
    "ENODEHOOKS": "node",
    "ENODEHV": "node",
    "ENODELVM": "node",
    "ENODEN1": "node",
    "ENODENET": "node",
    "ENODEOOBPATH": "node",
    "ENODEORPHANINSTANCE": "node",
    "ENODEORPHANLV": "node",
    "ENODEOS": "node",
    "ENODERPC": "node",
    "ENODESETUP": "node",
    "ENODESHAREDFILESTORAGEPATHUNUSABLE": "node",
    "ENODESSH": "node",
    "ENODETIME": "node",
    "ENODEUSERSCRIPTS": "node",
    "ENODEVERSION": "node",
    "EEXTAGS": "cluster",
}
"""Each code and the kind of object it is about."""


class VerifyParams(OpParams, frozen=True, kw_only=True):
    """How findings are told; every verification takes these."""

    summary_field: ClassVar[str | None] = None

    debug_simulate_errors: bool = False
    error_codes: bool = False
    ignore_errors: tuple[str, ...] = ()
    verbose: bool = False


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is not as it should be. `name` is empty for the cluster; `error` False makes it a warning."""

    code: str
    name: str
    message: str
    error: bool = True

    @property
    def kind(self) -> Kind:
        """What kind of object it is about."""
        return CODES[self.code]


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """Findings of one kind of check, under its heading."""

    heading: str
    findings: tuple[Finding, ...]


class VerifyPlan(Plan, frozen=True, kw_only=True):
    """All that was found."""

    sections: tuple[Section, ...]


def check_codes(params: VerifyParams) -> frozenset[str]:
    """The codes to demote, or `Refused` (wrong_input) for one there is not."""
    wanted = frozenset(code.removeprefix("CV_") for code in params.ignore_errors)
    for code in sorted(wanted - CODES.keys()):
        raise Refused(WRONG_INPUT, f"there is no error code '{code}' to ignore; there is {', '.join(sorted(CODES))}")
    return wanted


def line(finding: Finding, *, error_codes: bool, is_error: bool) -> str:
    """A finding as one line of a job's log."""
    level = "ERROR" if is_error else "WARNING"
    message = " ".join(finding.message.split())
    if error_codes:
        return f"  - {level}:{finding.code}:{finding.kind}:{finding.name}:{message}"
    subject = f"{finding.kind} {finding.name}".rstrip()
    return f"  - {level}: {subject}: {message}"


def tell(ctx: Context, params: VerifyParams, sections: Iterable[Section]) -> bool:
    """Say everything; whether no error was among it."""
    ignored = check_codes(params)
    clean = True
    for section in sections:
        ctx.say(f"* {section.heading}")
        for finding in section.findings:
            is_error = finding.error and finding.code not in ignored
            clean = clean and not is_error
            ctx.say(line(finding, error_codes=params.error_codes, is_error=is_error))
    return clean


def simulated(params: VerifyParams, codes: Iterable[str], name: str) -> tuple[Section, ...]:
    """With `debug_simulate_errors` one made-up finding of each code, to try what reads them."""
    if not params.debug_simulate_errors:
        return ()
    made_up = tuple(Finding(code=code, name=name, message="this error is simulated") for code in codes)
    return (Section(heading="Simulated errors", findings=made_up),)
