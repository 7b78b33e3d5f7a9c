"""What running jobs have taken: counted until no plan is in the making that rests on older facts.

A plan rests on what nodes said when its survey began. A job that ended since then has used memory that those
facts do not show, so its reservation still counts for that plan; it fades when the last such plan is made.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ganeti.contract.reservation import NOTHING, Reservation, Reserved


@dataclass
class Reservations:
    """The reservations of all jobs."""

    _held: dict[int, Reservation] = field(default_factory=dict)
    _fading: dict[int, Reservation] = field(default_factory=dict)
    """By the moment of release, of which every one is another."""
    _surveys: dict[int, int] = field(default_factory=dict)
    _moment: int = 0

    def survey_begins(self, job: int) -> None:
        """From now on facts are gathered for the job's plan."""
        self._moment += 1
        self._surveys[job] = self._moment

    def seen_by(self, job: int) -> Reserved:
        """What the job's plan must count besides the facts."""
        began = self._surveys.get(job, self._moment)
        fading = {-moment: old for moment, old in self._fading.items() if moment >= began}
        return Reserved(by_job={number: r for number, r in self._held.items() if number != job} | fading)

    def take(self, job: int, reservation: Reservation) -> None:
        """The plan is made: it takes what it says."""
        self._surveys.pop(job, None)
        if reservation != NOTHING:
            self._held[job] = reservation

    def release(self, job: int) -> None:
        """The job's operation ended, well or not."""
        self._surveys.pop(job, None)
        self._moment += 1
        taken = self._held.pop(job, None)
        if taken is not None and self._surveys:
            self._fading[self._moment] = taken
        oldest = min(self._surveys.values(), default=self._moment + 1)
        self._fading = {moment: old for moment, old in self._fading.items() if moment >= oldest}
