"""What jobs take is counted once for every plan that cannot see it, and not for any other."""

from __future__ import annotations

from ganeti.contract.reservation import Reservation
from ganeti.master.reservations import Reservations
from ganeti.model.objects import Uuid

NODE = Uuid("node")


def memory(mib: int) -> Reservation:
    return Reservation(memory_mib={NODE: mib})


def taken(reservations: Reservations, job: int) -> int:
    return reservations.seen_by(job).memory_mib(NODE)


def test_a_job_does_not_count_what_it_has_taken_itself() -> None:
    reservations = Reservations()
    reservations.survey_begins(1)
    reservations.take(1, memory(100))
    assert taken(reservations, 1) == 0
    assert taken(reservations, 2) == 100


def test_what_was_taken_fades_only_for_plans_whose_facts_are_newer() -> None:
    reservations = Reservations()
    reservations.take(1, memory(100))
    reservations.survey_begins(2)
    reservations.release(1)
    reservations.survey_begins(3)
    assert (taken(reservations, 2), taken(reservations, 3)) == (100, 0)
    reservations.take(2, memory(0))
    reservations.release(2)
    assert taken(reservations, 4) == 0


def test_both_operations_of_a_job_count_for_a_plan_that_has_seen_neither() -> None:
    reservations = Reservations()
    reservations.survey_begins(9)
    for mib in (100, 30):
        reservations.survey_begins(1)
        reservations.take(1, memory(mib))
        reservations.release(1)
    assert taken(reservations, 9) == 130
