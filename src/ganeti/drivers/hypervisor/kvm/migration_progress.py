"""What QEMU says of a migration, read into our words. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from ganeti.contract.migration import Phase, Progress

MIRROR: Final = "mirror-"
"""What the ids of the jobs that copy disks begin with."""

_PHASES: Final[dict[str, Phase]] = {
    "none": "none",
    "setup": "memory",
    "active": "memory",
    "wait-unplug": "memory",
    "pre-switchover": "arriving",
    "device": "arriving",
    "postcopy-active": "postcopy",
    "postcopy-paused": "postcopy",
    "postcopy-recover": "postcopy",
    "completed": "completed",
    "failed": "failed",
    "cancelling": "canceled",
    "cancelled": "canceled",
    "colo": "memory",
}


def read_progress(answer: Mapping[str, Any], jobs: Iterable[Mapping[str, Any]], *, page_bytes: int = 4096) -> Progress:
    """The answers to `query-migrate` and `query-jobs` of the source."""
    mirrors = [job for job in jobs if str(job.get("id", "")).startswith(MIRROR)]
    ram = answer.get("ram", {})
    phase = _PHASES.get(str(answer.get("status", "none")), "none")
    error = str(answer.get("error-desc", ""))
    broken = next((str(job["error"]) for job in mirrors if job.get("error")), "")
    if phase == "none" and mirrors:
        phase = "disks"
    if broken and phase not in ("completed", "failed", "canceled"):
        phase, error = "failed", f"a disk could not be copied: {broken}"
    return Progress(
        phase=phase,
        disk_done_bytes=sum(int(job["current-progress"]) for job in mirrors),
        disk_total_bytes=sum(int(job["total-progress"]) for job in mirrors),
        sent_bytes=int(ram.get("transferred", 0)),
        total_bytes=int(ram.get("total", 0)),
        remaining_bytes=int(ram.get("remaining", 0)),
        rate_bytes_s=float(ram.get("mbps", 0.0)) * 1e6 / 8,
        dirty_rate_bytes_s=float(ram.get("dirty-pages-rate", 0)) * float(ram.get("page-size", page_bytes)),
        rounds=int(ram.get("dirty-sync-count", 0)),
        downtime_ms=int(answer.get("downtime", 0)),
        error=error,
    )


def all_ready(jobs: Iterable[Mapping[str, Any]], count: int) -> bool:
    """Whether that many disks are mirrored and stay so."""
    ready = [job for job in jobs if str(job.get("id", "")).startswith(MIRROR) and job.get("status") == "ready"]
    return len(ready) == count
