"""Read the text files of an OS definition. Pure; what is wrong comes back as sentences."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

API_VERSIONS: Final = (10, 15, 20)
"""What this node speaks."""

VARIANTS_SINCE: Final = 15
PARAMETERS_SINCE: Final = 20

API_FILE: Final = "ganeti_api_version"
VARIANTS_FILE: Final = "variants.list"
PARAMETERS_FILE: Final = "parameters.list"

_PARAMETER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


def common_version(versions: tuple[int, ...]) -> int:
    """The highest version that both sides speak; 0 when there is none."""
    return max((version for version in versions if version in API_VERSIONS), default=0)


def api_versions(text: str) -> tuple[tuple[int, ...], list[str]]:
    """The versions that `ganeti_api_version` names, highest first, and what is wrong with it."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    wrong = [line for line in lines if not (line.isascii() and line.isdigit() and len(line) < 10)]
    if wrong:
        return (), [f"{API_FILE} has the line '{wrong[0]}', which is no version number"]
    versions = tuple(sorted({int(line) for line in lines}, reverse=True))
    if common_version(versions):
        return versions, []
    named = f"names {_numbers(versions)}" if versions else "is empty"
    return versions, [f"{API_FILE} {named}, and this node speaks {_numbers(API_VERSIONS)}"]


def variants(text: str) -> tuple[str, ...]:
    """The variants, the default one first."""
    return tuple(dict.fromkeys(_content_lines(text)))


def parameters(text: str) -> tuple[dict[str, str], list[str]]:
    """The parameters with their descriptions, and what is wrong with the list."""
    found: dict[str, str] = {}
    problems: list[str] = []
    variables: dict[str, str] = {}
    for line in _content_lines(text):
        name, _, description = line.replace("\t", " ").partition(" ")
        other = variables.setdefault(variable(name), name)
        if not _PARAMETER.fullmatch(name):
            problems.append(f"{PARAMETERS_FILE} has '{name}', which cannot name a parameter")
        elif other != name:
            problems.append(f"{PARAMETERS_FILE} has '{other}' and '{name}', which scripts could not tell apart")
        else:
            found[name] = description.strip()
    return found, problems


def variable(parameter: str) -> str:
    """The environment variable that carries a parameter to the scripts."""
    return "OSP_" + parameter.upper().replace("-", "_")


def _content_lines(text: str) -> Iterator[str]:
    for line in text.splitlines():
        content = line.strip()
        if content and not content.startswith("#"):
            yield content


def _numbers(versions: tuple[int, ...]) -> str:
    return ", ".join(str(version) for version in versions)
