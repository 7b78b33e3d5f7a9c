"""Whether an OS can be used as asked: its name, variant and parameters. Pure; every no is a `Refused`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ganeti.base.errors import ENVIRONMENT, UNKNOWN, WRONG_INPUT, Refused
from ganeti.contract.os import OsFound
from ganeti.drivers.os.reading import PARAMETERS_SINCE, common_version


def split(os_name: str) -> tuple[str, str]:
    """The name of the definition and the variant; empty when none is named."""
    name, _, variant = os_name.partition("+")
    return name, variant


def usable(os_name: str, found: Sequence[OsFound], search_path: Sequence[str]) -> OsFound:
    """The definition that `os_name` means, if it is there and valid."""
    name, _ = split(os_name)
    for definition in found:
        if definition.name == name:
            if definition.valid:
                return definition
            raise Refused(
                ENVIRONMENT,
                f"OS '{name}' in {definition.path} cannot be used: {'; '.join(definition.problems)}",
                os=name,
                problems=list(definition.problems),
            )
    there = ", ".join(definition.name for definition in found if definition.valid)
    raise Refused(
        UNKNOWN,
        f"there is no OS '{name}' on this node; "
        + (f"there is {there}" if there else f"none is installed in {', '.join(search_path)}"),
        os=name,
    )


def chosen_variant(os_name: str, definition: OsFound, *, force: bool) -> str:
    """The variant to use: the one named, else the default one; empty for an OS that has none."""
    name, variant = split(os_name)
    there = ", ".join(definition.variants)
    if not definition.variants:
        if variant or "+" in os_name:
            raise Refused(WRONG_INPUT, f"OS '{name}' has no variants; write just '{name}'", os=os_name)
        return ""
    if "+" in os_name and not variant:
        raise Refused(WRONG_INPUT, f"'{os_name}' names no variant; OS '{name}' has {there}", os=os_name)
    if variant and variant not in definition.variants and not force:
        raise Refused(
            WRONG_INPUT,
            f"OS '{name}' has no variant '{variant}'; it has {there} (--force-variant accepts any)",
            os=os_name,
        )
    return variant or definition.variants[0]


def check_parameters(definition: OsFound, params: Mapping[str, str]) -> None:
    """Whether all parameters are declared and can be handed to a script."""
    takes_any = common_version(definition.api_versions) >= PARAMETERS_SINCE
    declared = sorted(definition.parameters) if takes_any else []
    for name, value in params.items():
        if name not in declared:
            raise Refused(
                WRONG_INPUT,
                f"OS '{definition.name}' has no parameter '{name}'; it has {', '.join(declared) or 'none'}",
                os=definition.name,
                parameter=name,
            )
        if "\0" in str(value):
            raise Refused(
                WRONG_INPUT,
                f"the value of parameter '{name}' of OS '{definition.name}' has a NUL character in it",
                os=definition.name,
                parameter=name,
            )
