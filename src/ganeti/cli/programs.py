"""All programs with their commands, for what walks over the declarations: manual, completion, tests."""

from __future__ import annotations

from collections.abc import Iterator

from ganeti.cli.cluster import GROUP as CLUSTER
from ganeti.cli.debug import GROUP as DEBUG
from ganeti.cli.declare import Command, Group
from ganeti.cli.group import GROUP as NODE_GROUP
from ganeti.cli.instance import GROUP as INSTANCE
from ganeti.cli.job import GROUP as JOB
from ganeti.cli.node import GROUP as NODE
from ganeti.cli.os import GROUP as OS

GROUPS = (CLUSTER, DEBUG, INSTANCE, JOB, NODE, NODE_GROUP, OS)


def commands() -> Iterator[tuple[Group, str, Command]]:
    """Every command there is."""
    for group in GROUPS:
        for name in group.commands:
            yield group, name, group.command(name)
