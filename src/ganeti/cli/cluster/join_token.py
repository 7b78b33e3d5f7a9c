"""`gnt-cluster join-token`: a word with which one host can make itself a node, without ssh."""

from __future__ import annotations

from ganeti.cli.declare import BOOL, KEYVAL, STRING, Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ganeti.cli.declare import Options
    from ganeti.cli.session import Session

OPTIONS = (
    Option("--ttl", "how long it is good: 90s, 30m, 2h, 1d", kind=STRING, default="1h", metavar="DURATION"),
    Option("--name", "only the host of this name may use it", kind=STRING, metavar="NODE"),
    Option("--readd", "the host is a node that comes back; needs --name"),
    Option("-g --node-group", "group of the new node", kind=STRING, metavar="GROUP"),
    Option("--master-capable", "whether the node can become master", kind=BOOL),
    Option("--vm-capable", "whether instances may run on the node", kind=BOOL),
    Option("--node-parameters", "parameters of the node", kind=KEYVAL),
)


def run(session: Session, options: Options, arguments: list[str]) -> int:
    """`gnt-cluster join-token`."""
    from ganeti.base.units import parse_duration_s

    answer = session.master.join_token(
        ttl_s=parse_duration_s(options["ttl"]),
        node_name=options["name"],
        readd=options["readd"],
        group=options["node_group"],
        master_capable=options["master_capable"],
        vm_capable=options["vm_capable"],
        ndparams=options["node_parameters"] or None,
    )
    session.say(answer["token"])
    if session.out_is_terminal:
        from time import ctime

        session.warn(f"Run there: ganeti-join {'--readd ' if options['readd'] else ''}TOKEN")
        session.warn(f"It is good once, until {ctime(answer['expires_s'])}; keep it secret until then")
    return 0


COMMAND = Command(
    run,
    "Make a token with which one host can join the cluster, by 'ganeti-join TOKEN' on it",
    options=OPTIONS,
    description="The token is good for one host and for a short time. It names the address of the master and holds the"
    " fingerprint of the cluster's authority, so that the host cannot be led into another cluster. While there are"
    " tokens the master listens on TCP port 1812.",
    examples=[
        ("Let a host in within the hour", "gnt-cluster join-token"),
        ("Only that one, within five minutes", "gnt-cluster join-token --ttl 5m --name node3.example.com"),
    ],
)
