"""What an error carries."""

from __future__ import annotations

import pytest

from ganeti.base import errors
from ganeti.base.errors import Bug, Failed, GanetiError, Refused, Unavailable


def test_an_error_is_a_sentence_with_facts() -> None:
    error = Failed("cannot make it", node="node1", status=3)
    assert (str(error), error.message, error.facts) == (
        "cannot make it",
        "cannot make it",
        {"node": "node1", "status": 3},
    )


def test_a_refusal_has_a_code_besides() -> None:
    error = Refused(errors.WRONG_STATE, "it runs", instance="web1")
    assert (error.code, error.facts) == ("wrong_state", {"instance": "web1"})


@pytest.mark.parametrize("kind", [Unavailable, Failed, Bug])
def test_who_must_act_is_told_apart(kind: type[GanetiError]) -> None:
    others = {Refused, Unavailable, Failed, Bug} - {kind}
    assert issubclass(kind, GanetiError)
    assert not any(issubclass(kind, other) for other in others)


def test_every_code_that_clients_know_has_a_name() -> None:
    named = {value for name, value in vars(errors).items() if name.isupper() and isinstance(value, str)}
    assert named == {
        "resolver_error",
        "insufficient_resources",
        "temp_insufficient_resources",
        "wrong_input",
        "wrong_state",
        "unknown_entity",
        "already_exists",
        "resource_not_unique",
        "internal_error",
        "environment_error",
    }
