"""Copy a disk that nobody uses from node to node: the target serves the new one over NBD with TLS, the source fills it.

The server is a `qemu-storage-daemon` of its own for each disk, known by its pid file; it outlives the node daemon.
"""

from __future__ import annotations

import os
import re
import signal
from typing import Final

from ganeti.base.errors import NO_RESOURCES, Failed, Refused
from ganeti.base.files import Files
from ganeti.base.paths import Paths
from ganeti.base.processes import Runner
from ganeti.base.retry import attempts
from ganeti.contract.guest import AttachedDisk
from ganeti.contract.migration import Landing
from ganeti.drivers.certificates import Certificates, identity

SERVER: Final = "qemu-storage-daemon"
COPIER: Final = "qemu-img"
FIRST_PORT: Final = 8302
PORTS: Final = 200
START_LIMIT_S: Final = 60.0
END_LIMIT_S: Final = 20.0
_PERCENT: Final = re.compile(r"\((\d+(?:\.\d+)?)/100%\)")
_CREDENTIALS: Final = "tls-creds-x509,id=tls,dir={},verify-peer=on,sanity-check=off,endpoint={}"


class Copier:
    """Both halves, for one host."""

    def __init__(self, *, files: Files, runner: Runner, paths: Paths) -> None:
        self._files = files
        self._runner = runner
        self._directory = f"{paths.run}/disk-copies"
        self._certificates = Certificates(files, certificate=paths.node_certificate, authority=paths.ca_certificate)

    async def serve(self, disk: AttachedDisk, *, address: str, peer: str) -> Landing:
        """Let the node `peer`, and nobody else, write the disk. `Landing.name` is left to the caller."""
        await self.end(disk.disk.uuid)
        keys = f"{self._directory}/{disk.disk.uuid}.tls"
        self._files.make_dirs(self._directory, mode=0o700)
        try:
            self._certificates.lay_out(keys, "server")
            for port in range(FIRST_PORT, FIRST_PORT + PORTS):
                done = await self._runner.run(
                    self._server_words(disk, keys, address, port, peer), timeout_s=START_LIMIT_S
                )
                if done.status == 0:
                    return Landing(name="", host=address, port=port, disks_port=port)
                if "in use" not in done.stderr:
                    done.expect_success(f"serve disk {disk.path}")
        finally:
            self._certificates.clear(keys)
        raise Refused(NO_RESOURCES, f"all ports from {FIRST_PORT} to {FIRST_PORT + PORTS - 1} are in use here")

    async def end(self, uuid: str) -> None:
        """Serve it no longer; fine when nobody does."""
        path, pid = self._pid_file(uuid), None
        async for _ in attempts(within_s=END_LIMIT_S):
            pid = self._server(path)
            if pid is None:
                self._files.remove(path)
                return
            try:
                os.kill(pid, signal.SIGTERM)
            except ProcessLookupError:
                continue
        raise Failed(f"{SERVER} (pid {pid}) of disk {uuid} does not end within {END_LIMIT_S:g} s", pid=pid)

    async def send(self, disk: AttachedDisk, landing: Landing, *, within_s: float) -> None:
        """Fill the disk that is served at `landing` with this one; zeros are not sent. Durable when this returns."""
        keys = f"{self._directory}/{disk.disk.uuid}.tls"
        log = self._log_file(disk.disk.uuid)
        self._files.make_dirs(self._directory, mode=0o700)
        self._files.remove(log)
        driver = "host_device" if disk.is_block_device else "file"
        target = (
            f"driver=nbd,server.type=inet,server.host={landing.host},server.port={landing.port},export=disk,tls-creds=tls,"
            f"tls-hostname={landing.name}"
        )
        try:
            self._certificates.lay_out(keys, "client")
            done = await self._runner.run(
                [
                    *(COPIER, "convert", "-n", "-p", "--target-is-zero"),
                    *("--object", _CREDENTIALS.format(_escaped(keys), "client")),
                    *("--image-opts", "--target-image-opts"),
                    f"driver=raw,file.driver={driver},file.filename={_escaped(disk.path)}",
                    target,
                ],
                timeout_s=within_s,
                output_path=log,
            )
            if done.status != 0:
                said = " ".join(
                    line.strip() for line in done.stdout.replace("\r", "\n").splitlines() if "%)" not in line
                )
                raise Failed(f"cannot copy disk {disk.path} to node {landing.name}: {said}", status=done.status)
        finally:
            self._certificates.clear(keys)
            self._files.remove(log)

    def percent(self, uuid: str) -> float | None:
        """How far the sending of a disk is; None when it is not being sent."""
        try:
            found = _PERCENT.findall(self._files.read(self._log_file(uuid)).decode(errors="replace"))
        except FileNotFoundError:
            return None
        return float(found[-1]) if found else 0.0

    def _server_words(self, disk: AttachedDisk, keys: str, address: str, port: int, peer: str) -> list[str]:
        driver = "host_device" if disk.is_block_device else "file"
        return [
            *(SERVER, "--daemonize", "--pidfile", self._pid_file(disk.disk.uuid)),
            *("--object", _CREDENTIALS.format(_escaped(keys), "server")),
            *("--object", f"authz-simple,id=peer,identity={_escaped(identity(peer))}"),
            *("--blockdev", f"driver={driver},node-name=file,filename={_escaped(disk.path)},discard=unmap"),
            *("--blockdev", "driver=raw,node-name=disk,file=file,discard=unmap"),
            "--nbd-server",
            f"addr.type=inet,addr.host={address},addr.port={port},tls-creds=tls,tls-authz=peer",
            *("--export", "type=nbd,id=export,node-name=disk,name=disk,writable=on"),
        ]

    def _server(self, pid_file: str) -> int | None:
        """The pid of the server, if it is one."""
        try:
            pid = int(self._files.read(pid_file))
            words = self._files.read(f"/proc/{pid}/cmdline").split(b"\0")
        except (FileNotFoundError, ProcessLookupError, ValueError):
            return None
        return pid if pid_file.encode() in words else None

    def _pid_file(self, uuid: str) -> str:
        return f"{self._directory}/{uuid}.pid"

    def _log_file(self, uuid: str) -> str:
        return f"{self._directory}/{uuid}.log"


def _escaped(text: str) -> str:
    return text.replace(",", ",,")
