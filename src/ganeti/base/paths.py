"""Where things are on a host (spec: interfaces, section 14). Standard library only: commands import it.

With GANETI_ROOTDIR set every path lies below that directory: several hosts can then live on one machine.
Every command imports this module before it does anything: `typing` would double what a start costs.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

OS_SEARCH_PATH: Final = (
    "/srv/ganeti/os",
    "/usr/local/lib/ganeti/os",
    "/usr/lib/ganeti/os",
    "/usr/share/ganeti/os",
)


class Paths:
    """The directories of a host; files hang off them as properties. Equal when the root is the same."""

    __slots__ = ("root",)

    def __init__(self, root: str = "") -> None:
        self.root: Final = root

    def __repr__(self) -> str:
        return f"Paths(root={self.root!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Paths) and self.root == other.root

    def __hash__(self) -> int:
        return hash(self.root)

    @property
    def data(self) -> str:
        """What must survive a reboot: the store, certificates, the epoch."""
        return f"{self.root}/var/lib/ganeti"

    @property
    def run(self) -> str:
        """What is gone after a reboot: sockets, pid files, run-time state of guests."""
        return f"{self.root}/run/ganeti"

    @property
    def log(self) -> str:
        """Logs of daemons, commands and OS scripts."""
        return f"{self.root}/var/log/ganeti"

    @property
    def etc(self) -> str:
        """What the operator writes."""
        return f"{self.root}/etc/ganeti"

    @property
    def os_search_path(self) -> tuple[str, ...]:
        """Directories with OS definitions, first wins."""
        return tuple(self.root + path for path in OS_SEARCH_PATH)

    @property
    def store(self) -> str:
        """The embedded store's database."""
        return f"{self.data}/store.db"

    @property
    def replica(self) -> str:
        """A master candidate's copy of the store."""
        return f"{self.data}/replica.db"

    @property
    def no_vote(self) -> str:
        """Made by a master failover that the operator wanted without a vote: the next start of the master asks nobody."""
        return f"{self.data}/no-vote"

    @property
    def archive(self) -> str:
        """Archived jobs."""
        return f"{self.data}/archive.db"

    @property
    def ca_certificate(self) -> str:
        """The cluster's own certificate authority (PEM)."""
        return f"{self.data}/ca.pem"

    @property
    def ca_key(self) -> str:
        """Its key; on master candidates only."""
        return f"{self.data}/ca.key"

    @property
    def node_certificate(self) -> str:
        """This node's certificate and key in one PEM file: it serves and calls with it."""
        return f"{self.data}/node.pem"

    @property
    def node_settings(self) -> str:
        """JSON: what the node daemon must know before anybody calls it (`contract.settings.NodeSettings`)."""
        return f"{self.data}/node.json"

    @property
    def epoch(self) -> str:
        """The newest master epoch this node has obeyed."""
        return f"{self.data}/epoch"

    @property
    def master_socket(self) -> str:
        """Where the master serves the local API."""
        return f"{self.run}/socket/ganeti-master"

    @property
    def log_commands(self) -> str:
        """One line for each command an operator ran."""
        return f"{self.log}/commands.log"

    def pid_file(self, daemon: str) -> str:
        """Where a daemon writes its pid."""
        return f"{self.run}/{daemon}.pid"

    def log_file(self, daemon: str) -> str:
        """Where a daemon writes its log: `node-daemon.log` and so on."""
        return f"{self.log}/{daemon}.log"


def from_environment() -> Paths:
    """The paths of this host, or below GANETI_ROOTDIR."""
    return Paths(os.environ.get("GANETI_ROOTDIR", "").rstrip("/"))
