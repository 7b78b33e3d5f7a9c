"""`gnt-cluster show-ispecs-cmd`."""

from __future__ import annotations

from ganeti.cli.cluster import policy
from ganeti.cli.declare import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ganeti.cli.declare import Options
    from ganeti.cli.session import Session


def run(session: Session, options: Options, arguments: list[str]) -> int:
    """`gnt-cluster show-ispecs-cmd`."""
    import shlex

    cluster = session.master.info("cluster")
    words = policy.command_words(cluster["Instance policy - limits for instances"])
    session.say(shlex.join(["gnt-cluster", "init", *words, cluster["Cluster name"]]))
    return 0


COMMAND = Command(
    run,
    "Print the options of 'init' that make the instance policy of this cluster",
    examples=[("Take the policy to another cluster", "gnt-cluster show-ispecs-cmd")],
)
