"""Every node call there is, to and from bytes. A new module in this package is found by its place."""

from __future__ import annotations

import functools
import importlib
import operator
import pkgutil
from functools import cache
from typing import Any

import msgspec

from ganeti.contract import calls
from ganeti.contract.calls import Call


@cache
def call_types() -> tuple[type[Call[Any]], ...]:
    """All call types, sorted by tag."""
    for module in pkgutil.iter_modules(calls.__path__):
        importlib.import_module(f"{calls.__name__}.{module.name}")
    found = [kind for base in Call.__subclasses__() for kind in [base, *base.__subclasses__()]]
    concrete = {str(kind.__struct_config__.tag): kind for kind in found if isinstance(kind.__struct_config__.tag, str)}
    return tuple(kind for tag, kind in sorted(concrete.items()) if "." in tag)


@cache
def _decoder() -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(functools.reduce(operator.or_, call_types()))


def encode(call: Call[Any]) -> bytes:
    """A call as JSON with its tag."""
    return msgspec.json.encode(call)


def decode(data: bytes | msgspec.Raw) -> Call[Any]:
    """The call of that JSON. Raises `msgspec.DecodeError` or `msgspec.ValidationError`."""
    call: Call[Any] = _decoder().decode(data)
    return call
