"""Manual pages and completion say what the declarations say, and the tools that read them take them."""

import shutil
import subprocess
from pathlib import Path

import pytest

from ganeti.cli import completion, man
from ganeti.cli.programs import GROUPS, commands

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")


def completed(*words: str, tmp_path: Path) -> list[str]:
    """What bash offers for the last word. Names come from a gnt-instance that is no real one."""
    (tmp_path / "completion").write_text(completion.script())
    fake = tmp_path / "gnt-instance"
    fake.write_text("#!/bin/sh\necho web1.example.com\necho web2.example.com\n")
    fake.chmod(0o755)
    typed = " ".join(f"'{word}'" for word in words)
    script = f"""
        source {tmp_path}/completion
        COMP_WORDS=({typed}); COMP_CWORD={len(words) - 1}
        _ganeti
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(
        ["bash", "-c", script],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return done.stdout.split()


@pytest.mark.parametrize(
    "words, expected",
    [
        (["gnt-instance", "st"], ["start", "startup", "stop"]),
        (["gnt-instance", "add", "--disk-t"], ["--disk-template"]),
        (["gnt-instance", "add", "-t", "dr"], ["drbd"]),
        (["gnt-instance", "add", "--disk-template", "=", "f"], ["file"]),
        (["gnt-instance", "add", "--disk-template", "="], ["blockdev", "diskless", "drbd"]),
        (["gnt-instance", "stop", "web1"], ["web1.example.com"]),
        (["gnt-instance", "modify", "-c", ""], ["yes", "no"]),
        (["gnt-cluster", "queue", "d"], ["drain"]),
        (["/usr/sbin/gnt-cluster", "ve"], ["verify", "verify-disks", "version"]),
    ],
)
def test_bash_completes(words: list[str], expected: list[str], tmp_path: Path) -> None:
    assert completed(*words, tmp_path=tmp_path)[: len(expected)] == expected


def test_the_manual_tells_every_command_and_option(tmp_path: Path) -> None:
    man.main(str(tmp_path))
    pages = {group.program: (tmp_path / f"{group.program}.8").read_text().replace("\\-", "-") for group in GROUPS}
    for group, name, command in commands():
        assert f".SS {name}" in pages[group.program]
        for option in command.options:
            assert option.names[-1] in pages[group.program]


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
def test_the_manual_is_clean_roff(tmp_path: Path) -> None:
    for group in GROUPS:
        done = subprocess.run(
            ["groff", "-man", "-Tutf8", "-ww", "-z"],
            input=man.page(group),
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        complaints = [line for line in done.stderr.splitlines() if "cannot adjust" not in line and "break" not in line]
        assert complaints == []
