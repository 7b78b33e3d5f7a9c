"""Give the tests of the OS definition `tiny` its scripts, disks and real guests."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

TINY = Path(__file__).resolve().parents[2] / "os" / "tiny"
OS_PATH = "/sbin:/bin:/usr/sbin:/usr/bin"
BOOT_LIMIT_S = 180.0  # 4 s on an idle machine; one under load has taken 70 s
END_LIMIT_S = 120.0


def until(look: Callable[[], Any], *, limit_s: float, what: Callable[[], str]) -> Any:
    """Look again and again until there is something; after the limit fail with what was seen instead."""
    end_s = time.monotonic() + limit_s
    while not (seen := look()):
        if time.monotonic() > end_s:
            pytest.fail(f"after {limit_s:.0f} s: {what()}")
        time.sleep(0.05)
    return seen


class Tiny:
    """The scripts of the OS, run with nothing but the environment of the OS interface."""

    def __init__(self, cache: Path, boot: Path) -> None:
        self.boot = boot
        self._env = {"PATH": OS_PATH, "TINY_CACHE_DIR": str(cache), "TINY_BOOT_DIR": str(boot)}

    def start(self, script: str, env: dict[str, str]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [TINY / script],
            env=self._env | env,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def run(self, script: str, env: dict[str, str], *, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [TINY / script],
            env=self._env | env,
            cwd="/",
            input=stdin,
            capture_output=True,
            timeout=900,
        )

    def ok(self, script: str, env: dict[str, str], *, stdin: bytes = b"") -> bytes:
        done = self.run(script, env, stdin=stdin)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    def refused(self, script: str, env: dict[str, str], *, stdin: bytes = b"") -> str:
        """What the script says when it fails, as it must: a cause and a way out."""
        done = self.run(script, env, stdin=stdin)
        said = done.stderr.decode()
        assert done.returncode != 0, said
        assert "tiny: error: " in said
        assert "tiny: way out: " in said
        return said


class Guest:
    """A QEMU process with serial console, monitor and one port forwarded to the guest's TCP port."""

    def __init__(self, folder: Path, args: list[str]) -> None:
        self._log = folder / "serial.log"
        self._serial = folder / "serial"
        self._monitor = folder / "qmp"
        self._line: socket.socket | None = None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.errors = folder / "qemu.log"
        with self.errors.open("wb") as errors:
            self._process = subprocess.Popen(
                [
                    *("qemu-system-x86_64", "-accel", "tcg,tb-size=64", "-m", "128"),
                    *("-nodefaults", "-display", "none", "-no-reboot"),
                    *("-qmp", f"unix:{self._monitor},server=on,wait=off"),
                    *("-chardev", f"socket,id=s,path={self._serial},server=on,wait=off,logfile={self._log}"),
                    *("-serial", "chardev:s"),
                    *("-netdev", f"user,id=n0,hostfwd=tcp:127.0.0.1:{self.port}-10.0.2.15:7"),
                    *("-device", "virtio-net-pci,netdev=n0,mac=52:54:00:12:34:56,romfile="),
                    *args,
                ],
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=subprocess.STDOUT,
            )

    def console(self) -> str:
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def wait_for(self, text: str, *, limit_s: float = BOOT_LIMIT_S) -> str:
        """The console up to now, as soon as it holds the text."""

        def look() -> str:
            self._drain()
            seen = self.console()
            if text not in seen and self._process.poll() is not None:
                pytest.fail(f"the guest ended without {text!r}: {seen}{self.errors.read_text()}")
            return seen if text in seen else ""

        seen = until(look, limit_s=limit_s, what=lambda: f"no {text!r} on the console: {self.console()}")
        assert isinstance(seen, str)
        return seen

    def type(self, text: str) -> None:
        """The line stays open: what QEMU has not passed on when it hangs up is lost."""
        if self._line is None:
            self._line = socket.socket(socket.AF_UNIX)
            self._line.connect(str(self._serial))
        self._line.sendall(text.encode())

    def _drain(self) -> None:
        """Read what the line holds: the guest cannot write past some 280 bytes that nobody reads."""
        while self._line is not None:
            try:
                if not self._line.recv(65536, socket.MSG_DONTWAIT):
                    return
            except (BlockingIOError, ConnectionError):
                return

    def qmp(self, command: str) -> None:
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(END_LIMIT_S)
            line.connect(str(self._monitor))
            with line.makefile("rw") as stream:
                stream.readline()  # the greeting
                for each in ("qmp_capabilities", command):
                    stream.write(json.dumps({"execute": each}) + "\n")
                    stream.flush()
                    while "return" not in (reply := json.loads(stream.readline())):
                        assert "error" not in reply, reply

    def connect(self) -> socket.socket:
        """A connection that the guest itself has answered (QEMU accepts before the guest does)."""

        def look() -> socket.socket | None:
            line = socket.create_connection(("127.0.0.1", self.port), timeout=END_LIMIT_S)
            try:
                if line.recv(1, socket.MSG_PEEK):
                    return line
            except ConnectionError:
                pass  # the guest does not listen yet
            line.close()
            return None

        line = until(look, limit_s=END_LIMIT_S, what=lambda: f"no answer on TCP: {self.console()}")
        assert isinstance(line, socket.socket)
        return line

    def wait_for_end(self) -> None:
        try:
            rc = self._process.wait(END_LIMIT_S)
        except subprocess.TimeoutExpired:
            pytest.fail(f"the guest still runs: {self.console()}")
        assert rc == 0, self.errors.read_text()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        if self._line is not None:
            self._line.close()


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """The OS with the cache of this machine (the kernel is fetched once) and a boot folder of the test's own."""
    if os.geteuid() != 0:
        pytest.skip("OS scripts run as root")
    cache = Path(os.environ.get("TINY_CACHE_DIR", "/var/cache/ganeti-os-tiny"))
    os_definition = Tiny(cache, tmp_path_factory.mktemp("boot"))
    os_definition.ok("prepare", {})
    return os_definition


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    path = tmp_path / "disk.img"
    with path.open("wb") as image:
        image.truncate(16 << 20)
    return path


@pytest.fixture
def boot(tmp_path_factory: pytest.TempPathFactory, tiny: Tiny) -> Iterator[Callable[..., Guest]]:
    if shutil.which("qemu-system-x86_64") is None:
        pytest.skip("no QEMU on this machine (package qemu-system-x86)")
    guests: list[Guest] = []

    def start(disk: Path | None = None, *, kernel: bool = True, machine: str = "pc", words: str = "") -> Guest:
        args = ["-machine", machine]
        if disk is not None:
            args += ["-drive", f"file={disk},if=virtio,format=raw"]
        if kernel:
            arguments = f"root=/dev/vda1 ro console=ttyS0,38400 quiet tsc=reliable mitigations=off {words}"
            args += ["-kernel", str(tiny.boot / "vmlinuz"), "-initrd", str(tiny.boot / "initrd.img")]
            args += ["-append", arguments]
        guest = Guest(tmp_path_factory.mktemp("guest"), args)
        guests.append(guest)
        return guest

    yield start
    for guest in guests:
        guest.kill()
