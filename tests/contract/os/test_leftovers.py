"""OS scripts of a daemon that was killed are ended by the next one, with all they started; others are left alone."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from ganeti.base.files import SystemFiles
from ganeti.base.paths import Paths
from ganeti.drivers.os.leftovers import Running

SCRIPT = "setsid sleep 4713 & echo $!; exec sleep 4713"
"""Has a process in another session, as a script may that is careless."""


def start(mark: dict[str, str]) -> tuple[subprocess.Popen[str], int]:
    """The script, and its process in the background."""
    process = subprocess.Popen(["sh", "-c", SCRIPT], env=os.environ | mark, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, int(process.stdout.readline())


def is_alive(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


async def test_what_ran_when_the_daemon_was_killed_is_ended(tmp_path: Path) -> None:
    paths, files = Paths(str(tmp_path)), SystemFiles()
    daemon = Running(files=files, paths=paths)
    with daemon.noted() as ended:
        pass
    noted = daemon.noted()
    mark = noted.__enter__()  # and never left, as in a daemon that is killed
    killed, finished = start(mark), start(ended)
    try:
        assert await Running(files=files, paths=paths).end_leftovers() == 1
        assert not is_alive(killed[1])
        assert killed[0].wait(timeout=60) == -9
        assert is_alive(finished[1]), "what a script left behind after its own end stays"
        assert files.list_dir(f"{paths.run}/os-scripts") == []
        assert await Running(files=files, paths=paths).end_leftovers() == 0
    finally:
        for process, pid in (killed, finished):
            process.kill()
            process.wait()
            if is_alive(pid):
                os.kill(pid, 9)
