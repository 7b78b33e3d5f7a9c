"""Find the OS definitions of a host and say what is wrong with each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from ganeti.base.files import Files
from ganeti.contract.os import OsFound
from ganeti.drivers.os import reading

CREATE: Final = "create"
CREATE_UNTRUSTED: Final = "create_untrusted"
VERIFY: Final = "verify"


def find_all(files: Files, search_path: Sequence[str]) -> list[OsFound]:
    """All definitions by name, the broken ones too; of two with one name the first in the path counts."""
    found: dict[str, OsFound] = {}
    for directory in search_path:
        for name in _names(files, directory):
            path = f"{directory}/{name}"
            if name not in found and files.kind(files.real_path(path)) == "directory":
                found[name] = _Inspection(files, name, path).result()
    return [found[name] for name in sorted(found)]


def _names(files: Files, directory: str) -> Iterator[str]:
    try:
        names = files.list_dir(directory)
    except NotADirectoryError:
        return
    yield from (name for name in names if not name.startswith("."))


class _Inspection:
    """The look at one definition, gathering what is wrong with it."""

    def __init__(self, files: Files, name: str, path: str) -> None:
        self._files = files
        self._name = name
        self._path = path
        self._problems: list[str] = []

    def result(self) -> OsFound:
        if "+" in self._name:
            self._problems.append("its name has a '+' in it, which begins a variant; rename its directory")
        versions = self._versions()
        common = reading.common_version(versions)
        trusted = self._there(CREATE) or not self._there(CREATE_UNTRUSTED)
        self._check_script(CREATE if trusted else CREATE_UNTRUSTED)
        for script in ("import", "export", "rename"):
            self._check_script(script)
        variants: tuple[str, ...] = ()
        if common >= reading.VARIANTS_SINCE:
            variants = reading.variants(self._read(reading.VARIANTS_FILE, needed=False) or "")
        parameters: dict[str, str] = {}
        if common >= reading.PARAMETERS_SINCE:
            self._check_script(VERIFY)
            parameters, problems = reading.parameters(self._read(reading.PARAMETERS_FILE, needed=True) or "")
            self._problems += problems
        return OsFound(
            name=self._name,
            path=self._path,
            problems=tuple(self._problems),
            variants=variants,
            api_versions=versions,
            parameters=parameters,
            trusted=trusted,
        )

    def _versions(self) -> tuple[int, ...]:
        text = self._read(reading.API_FILE, needed=True)
        if text is None:
            return ()
        versions, problems = reading.api_versions(text)
        self._problems += problems
        return versions

    def _there(self, name: str) -> bool:
        return self._files.exists(f"{self._path}/{name}")

    def _read(self, name: str, *, needed: bool) -> str | None:
        try:
            return self._files.read(f"{self._path}/{name}").decode()
        except FileNotFoundError:
            if needed:
                self._problems.append(f"file {name} is missing")
        except OSError as error:
            self._problems.append(f"file {name} cannot be read: {error.strerror}")
        except UnicodeDecodeError:
            self._problems.append(f"file {name} is not UTF-8 text")
        return None

    def _check_script(self, name: str) -> None:
        path = f"{self._path}/{name}"
        if not self._there(name):
            self._problems.append(f"script {name} is missing")
        elif self._files.kind(self._files.real_path(path)) != "file":
            self._problems.append(f"script {name} is not a regular file")
        elif not self._files.is_executable(path):
            self._problems.append(f"script {name} is not executable (chmod +x {path})")
