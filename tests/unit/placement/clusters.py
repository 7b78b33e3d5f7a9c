"""Clusters made by chance, as text files: the input of the tests of placement and of comparisons with other programs."""

from __future__ import annotations

from random import Random

TEMPLATES = ("drbd", "drbd", "drbd", "plain", "sharedfile", "rbd", "diskless")
STATUSES = ("running", "running", "running", "ADMIN_down", "ERROR_up", "ADMIN_offline", "ERROR_down")
MEMORY_MIB = 65536


def text_file(
    seed: int,
    *,
    nodes: int,
    instances: int,
    groups: int = 1,
    offline: int = 0,
    mixed: bool = False,
    tags: bool = False,
    forthcoming: bool = False,
    skew: float = 1.0,
) -> str:
    """A cluster that fits on its nodes. `mixed`: templates and states of all kinds; `skew` > 1 leans to the first nodes."""
    rng = Random(seed)
    group_of = [index % groups for index in range(nodes)]
    used_memory, used_disk = [0] * nodes, [0] * nodes
    lines: list[str] = []
    for number in range(instances):
        memory, disk = rng.choice((128, 256, 512, 1024, 2048)), rng.choice((1024, 2048, 10240, 20480))
        template = rng.choice(TEMPLATES) if mixed else "drbd"
        status = rng.choice(STATUSES) if mixed else "running"
        expected = forthcoming and rng.random() < 0.1
        group = rng.randrange(groups)
        members = [index for index in range(nodes) if group_of[index] == group]
        primary = members[int(len(members) * rng.random() ** skew)]
        secondary = rng.choice([index for index in members if index != primary])
        if status in ("running", "ERROR_up") and not expected:
            used_memory[primary] += memory
        if template in ("drbd", "plain") and not expected:
            used_disk[primary] += disk
        if template == "drbd" and not expected:
            used_disk[secondary] += disk
        labels = [f"service:{rng.randrange(max(2, instances // 3))}"] if tags and rng.random() < 0.7 else []
        if tags and rng.random() < 0.2:
            labels.append(f"rack:{rng.randrange(4)}")
        lines.append(
            f"inst{number}.example.com|{memory}|{disk if template != 'diskless' else 0}|{rng.choice((1, 2, 4))}|{status}"
            f"|{'N' if mixed and rng.random() < 0.1 else 'Y'}|node{primary}.example.com"
            f"|{f'node{secondary}.example.com' if template == 'drbd' else ''}|{template}|{','.join(labels)}"
            f"|{rng.choice((1, 1, 2))}|-|{'Y' if expected else 'N'}"
        )
    dark = set(rng.sample(range(1, nodes), offline))
    records = []
    for index in range(nodes):
        node_tags = [f"rack:{index % 4}"] if tags else []
        if tags and index % 5 == 0:
            node_tags.append("hv:new")
        total_memory, total_disk = MEMORY_MIB + 4096 * (index % 3), 2097152
        state = "Y" if index in dark else "M" if index == 0 else "N"
        records.append(
            f"node{index}.example.com|{total_memory}|1024|{total_memory - 1024 - used_memory[index]}|{total_disk}"
            f"|{total_disk - used_disk[index]}|{16 + 8 * (index % 2)}|{state}|uuid-{group_of[index]}"
            f"|1|{','.join(node_tags)}|N|0|1|1.0"
        )
    cluster_tags = (
        ["htools:iextags:service", "htools:nlocation:rack", "htools:desiredlocation:rack", "htools:migration:hv"]
        if tags
        else []
    )
    parts = [
        "".join(f"group{index}|uuid-{index}|preferred||\n" for index in range(groups)),
        "".join(record + "\n" for record in records),
        "".join(line + "\n" for line in lines),
        "".join(tag + "\n" for tag in cluster_tags),
    ]
    return "\n".join(parts)
