"""`gnt-node add`: bring a host into the cluster over ssh, which is used this once."""

from __future__ import annotations

from ganeti.cli.cluster import options as shared
from ganeti.cli.declare import BOOL, KEYVAL, PRIORITY, STRING, Argument, Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ganeti.cli.declare import Options
    from ganeti.cli.session import Session

_LATER = "declared state has no effect yet"
TOKEN_TTL_S = 900
CONNECT_WITHIN_S = 30

OPTIONS = (
    Option("-s --secondary-ip", "address of the host for replication", kind=STRING, metavar="ADDRESS"),
    Option("--readd", "the host is a node that comes back, after a repair say"),
    Option("--no-ssh-key-check", "trust whatever host key is shown", off=True, dest="ssh_key_check"),
    Option("--force-join", "also a host that is in another cluster, or has files of one"),
    Option(
        "--no-node-setup",
        "the ssh between nodes is set up already",
        off=True,
        accepted="nothing of ssh is set up on the new node: it is used once, to bring it in",
    ),
    Option("-v --verbose", "let ssh say what it does"),
    Option("-g --node-group", "group of the new node", kind=STRING, metavar="GROUP"),
    PRIORITY,
    Option("--master-capable", "whether the node can become master", kind=BOOL),
    Option("--vm-capable", "whether instances may run on the node", kind=BOOL),
    Option("--node-parameters", "parameters of the node", kind=KEYVAL),
    shared.HV_STATE.with_changes(refused=_LATER),
    shared.DISK_STATE.with_changes(refused=_LATER),
)


def run(session: Session, options: Options, arguments: list[str]) -> int:
    """`gnt-node add HOST`."""
    from ganeti.base.errors import Failed
    from ganeti.cli.jobs import PRIORITIES
    from ganeti.model.names import checked_host

    host = checked_host(arguments[0], what="host name")
    answer = session.master.join_token(
        ttl_s=TOKEN_TTL_S,
        node_name=host,
        readd=options["readd"],
        group=options["node_group"],
        master_capable=options["master_capable"],
        vm_capable=options["vm_capable"],
        ndparams=options["node_parameters"] or None,
        priority=PRIORITIES.get(options["priority"] or "normal", 0),
    )
    session.show()
    status = session.run_program(ssh(options, host), f"{answer['token']}\n".encode())
    if status == 255:
        raise Failed(
            f"ssh could not reach root@{host}; without ssh, say 'gnt-cluster join-token' here and 'ganeti-join TOKEN' there"
        )
    if status == 127:
        raise Failed(f"there is no ganeti-join on {host}; install the same version of the software there")
    if status != 0:
        raise Failed(f"{host} did not join; what it said is above")
    return 0


def ssh(options: Options, host: str) -> list[str]:
    """The words that start `ganeti-join` there, which reads its token from standard input."""
    import shlex
    import sys
    from os.path import dirname, join

    words = ["ssh", "-o", "User=root", "-o", f"ConnectTimeout={CONNECT_WITHIN_S}", "-o", "ServerAliveInterval=15"]
    if options["ssh_key_check"]:
        words += ["-o", "StrictHostKeyChecking=ask"]
    else:
        words += ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"]
    if options["verbose"]:
        words.append("-v")
    there = []
    if options["secondary_ip"]:
        there += ["--secondary-ip", options["secondary_ip"]]
    if options["readd"]:
        there.append("--readd")
    if options["force_join"]:
        there.append("--force-join")
    # The same place as here, if it is there; else wherever that host has it.
    place = join(dirname(sys.executable), "ganeti-join")
    script = f'p={shlex.quote(place)}; [ -x "$p" ] || p=ganeti-join; exec "$p" {shlex.join(there)}'
    return [*words, "--", host, script]


COMMAND = Command(
    run,
    "Bring a host into the cluster",
    arguments=(Argument("HOST"),),
    options=OPTIONS,
    description="Root of this host must be able to reach root of HOST by ssh; it is asked for what ssh needs, such as a"
    " password. The host makes its own key and gets a certificate for it; from then on ssh is not needed. Its name must"
    " resolve to the address by which nodes talk to one another.",
    examples=[
        ("A new host", "gnt-node add node2.example.com"),
        ("With an address for replication", "gnt-node add -s 192.0.2.12 node2.example.com"),
        ("It was installed anew", "gnt-node add --readd node2.example.com"),
    ],
)
