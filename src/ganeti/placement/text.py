"""The text file that holds a cluster for the placement programs: read with errors that name the place, written exactly.

Source: spec htools, "Text file". Sizes are MiB throughout. Reading what was written gives equal objects, and writing
what was read gives the same bytes as long as the file was written here (optional fields are always written).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NoReturn, TypeVar

import msgspec

from ganeti.base.errors import WRONG_INPUT, Refused

T = TypeVar("T")

ALLOC_POLICIES = ("preferred", "last_resort", "unallocable")
DISK_TEMPLATES = ("diskless", "file", "sharedfile", "plain", "blockdev", "drbd", "rbd", "ext", "gluster")
STATUSES = (
    "running",
    "ADMIN_down",
    "ADMIN_offline",
    "ERROR_up",
    "ERROR_down",
    "ERROR_nodedown",
    "ERROR_nodeoffline",
    "ERROR_wrongnode",
    "USER_down",
)


class Spec(msgspec.Struct, frozen=True):
    """The size of an instance: one end of what a policy allows."""

    memory_mib: int
    cpus: int
    disk_mib: int
    disks: int
    nics: int
    spindle_use: int


_LEAST = Spec(128, 1, 1024, 1, 1, 1)
_MOST = Spec(32768, 8, 1048576, 16, 8, 12)


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """What instances may be like, and how far CPUs and spindles are shared."""

    standard: Spec = _LEAST
    ranges: tuple[tuple[Spec, Spec], ...] = ((_LEAST, _MOST),)
    templates: tuple[str, ...] = DISK_TEMPLATES
    vcpu_ratio: float = 4.0
    spindle_ratio: float = 32.0


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """A node group. `policy` is None where the file has none for it: then the default holds."""

    name: str
    uuid: str
    alloc_policy: str
    tags: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    policy: Policy = Policy()


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """A node as it was measured. `group` is an index; with exclusive storage `spindles` is their total."""

    name: str
    total_memory_mib: float = 0.0
    used_memory_mib: int = 0
    free_memory_mib: int = 0
    total_disk_mib: float = 0.0
    free_disk_mib: int = 0
    total_cpus: float = 0.0
    offline: bool = False
    master: bool = False
    group: int
    spindles: int = 1
    tags: tuple[str, ...] = ()
    exclusive_storage: bool = False
    free_spindles: int = 0
    used_cpus: int = 1
    cpu_speed: float = 1.0


class Instance(msgspec.Struct, frozen=True, kw_only=True):
    """An instance. `primary` and `secondary` are indices of nodes; without a second node `secondary` is None."""

    name: str
    memory_mib: int
    disk_mib: int
    vcpus: int
    status: str
    auto_balance: bool
    primary: int
    secondary: int | None
    template: str
    tags: tuple[str, ...] = ()
    spindle_use: int = 1
    spindles: int | None = None
    forthcoming: bool = False


class Cluster(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the file says; the order of the lines is the order here."""

    groups: tuple[Group, ...]
    nodes: tuple[Node, ...]
    instances: tuple[Instance, ...]
    tags: tuple[str, ...] = ()
    policy: Policy = Policy()


class FormatError(Refused):
    """The file is not a cluster; the message begins with file, line and field."""


def parse(text: str, *, source: str = "input") -> Cluster:
    """The cluster in `text`. `source` is named in errors. Fails with `FormatError`."""
    sections = _sections(text)
    if len(sections) < 4:
        raise FormatError(
            WRONG_INPUT, f"{source}: Invalid format of the input file: {len(sections)} sections instead of 4 or more"
        )
    groups = tuple(_group(_Line(source, number, line, GROUP_FIELDS)) for number, line in sections[0])
    by_uuid = {group.uuid: index for index, group in enumerate(groups)}
    nodes = tuple(_node(_Line(source, number, line, NODE_FIELDS), by_uuid) for number, line in sections[1])
    by_name = {node.name: index for index, node in enumerate(nodes)}
    instances = tuple(_instance(_Line(source, number, line, INSTANCE_FIELDS), by_name) for number, line in sections[2])
    policy = Policy()
    if len(sections) > 4:
        known = {group.name: index for index, group in enumerate(groups)}
        changed = list(groups)
        for number, text_line in sections[4]:
            line = _Line(source, number, text_line, POLICY_FIELDS)
            owner, found = line.text(0), _policy(line)
            if not owner:
                policy = found
            elif owner in known:
                changed[known[owner]] = msgspec.structs.replace(groups[known[owner]], policy=found)
            else:
                line.fail(0, f"unknown group '{owner}'")
        groups = tuple(changed)
    return Cluster(
        groups=groups, nodes=nodes, instances=instances, tags=tuple(line for _, line in sections[3]), policy=policy
    )


def dump(cluster: Cluster) -> str:
    """The text file of a cluster, ending with a newline."""
    node_names = [node.name for node in cluster.nodes]
    sections = [
        [_group_line(group) for group in cluster.groups],
        [_node_line(node, cluster.groups[node.group].uuid) for node in cluster.nodes],
        [_instance_line(instance, node_names) for instance in cluster.instances],
        list(cluster.tags),
        [_policy_line("", cluster.policy), *(_policy_line(group.name, group.policy) for group in cluster.groups)],
    ]
    return "\n".join("".join(f"{line}\n" for line in section) for section in sections)


GROUP_FIELDS = ("name", "uuid", "allocation policy", "tags", "networks")
NODE_FIELDS = (
    "name",
    "total memory",
    "memory used by the node",
    "free memory",
    "total disk",
    "free disk",
    "CPUs",
    "state",
    "group",
    "spindles",
    "tags",
    "exclusive storage",
    "free spindles",
    "CPUs used by the node",
    "CPU speed",
)
INSTANCE_FIELDS = (
    "name",
    "memory",
    "disk",
    "vcpus",
    "status",
    "auto balance",
    "primary node",
    "secondary node",
    "disk template",
    "tags",
    "spindle use",
    "spindles",
    "forthcoming",
)
POLICY_FIELDS = ("owner", "standard spec", "min/max specs", "disk templates", "vcpu ratio", "spindle ratio")

_INT = re.compile(r"-?\d+")
_FLOAT = re.compile(r"-?\d+(\.\d+)?([eE][-+]?\d+)?")


class _Line:
    """One line cut into fields; every failure says where it happened."""

    def __init__(self, source: str, number: int, line: str, names: Sequence[str]) -> None:
        self.fields = line.split("|")
        self._where = f"{source}, line {number}"
        self._names = names

    def fail(self, field: int, reason: str) -> NoReturn:
        raise FormatError(WRONG_INPUT, f"{self._where}, field {field + 1} ({self._names[field]}): {reason}")

    def expect(self, least: int) -> None:
        """At least so many fields, at most as many as have names."""
        have, most = len(self.fields), len(self._names)
        if not least <= have <= most:
            wanted = str(least) if least == most else f"{least} to {most}"
            raise FormatError(
                WRONG_INPUT, f"{self._where}, '{self.fields[0]}': {have} fields separated by '|' instead of {wanted}"
            )

    def text(self, field: int) -> str:
        return self.fields[field]

    def integer(self, field: int, default: int = 0) -> int:
        return int(self._number(field, _INT)) if field < len(self.fields) else default

    def real(self, field: int, default: float = 0.0) -> float:
        return float(self._number(field, _FLOAT)) if field < len(self.fields) else default

    def _number(self, field: int, shape: re.Pattern[str]) -> str:
        value = self.fields[field].strip()
        found = shape.match(value)
        if found is None:
            self.fail(field, f"{self.fields[0]}: cannot parse string '{value}'")
        if found.end() < len(value):
            self.fail(field, f"{self.fields[0]}: leftover characters when parsing '{value}': '{value[found.end() :]}'")
        return value

    def choice(self, field: int, choices: Mapping[str, T], default: T | None = None) -> T:
        if field >= len(self.fields) and default is not None:
            return default
        value = self.fields[field]
        if value not in choices:
            self.fail(field, f"'{value}' is none of {', '.join(choices)}")
        return choices[value]

    def words(self, field: int) -> tuple[str, ...]:
        value = self.fields[field] if field < len(self.fields) else ""
        return tuple(value.split(",")) if value else ()


_YES_NO = {"Y": True, "N": False}
_NODE_STATES = {"Y": (True, False), "M": (False, True), "N": (False, False)}


def _sections(text: str) -> list[list[tuple[int, str]]]:
    """Lines with their numbers (from 1), cut at every empty line."""
    lines = text.split("\n")
    if lines and lines[-1] == "":
        lines.pop()
    sections: list[list[tuple[int, str]]] = [[]]
    for number, line in enumerate(lines, 1):
        if line:
            sections[-1].append((number, line))
        else:
            sections.append([])
    if lines and lines[-1] == "" and len(sections) > 4:
        sections.pop()
    return sections


def _same(names: Iterable[str]) -> dict[str, str]:
    return {name: name for name in names}


def _group(line: _Line) -> Group:
    line.expect(4)
    return Group(
        name=line.text(0),
        uuid=line.text(1),
        alloc_policy=line.choice(2, _same(ALLOC_POLICIES)),
        tags=line.words(3),
        networks=line.words(4),
    )


def _node(line: _Line, groups: Mapping[str, int]) -> Node:
    line.expect(9)
    group = line.choice(8, groups)
    if "?" in line.fields[1:8]:
        return Node(name=line.text(0), offline=True, group=group)
    offline, master = line.choice(7, _NODE_STATES)
    return Node(
        name=line.text(0),
        total_memory_mib=line.real(1),
        used_memory_mib=line.integer(2),
        free_memory_mib=line.integer(3),
        total_disk_mib=line.real(4),
        free_disk_mib=line.integer(5),
        total_cpus=line.real(6),
        offline=offline,
        master=master,
        group=group,
        spindles=line.integer(9, 1),
        tags=line.words(10),
        exclusive_storage=line.choice(11, _YES_NO, default=False),
        free_spindles=line.integer(12, 0),
        used_cpus=line.integer(13, 1),
        cpu_speed=line.real(14, 1.0),
    )


def _instance(line: _Line, nodes: Mapping[str, int]) -> Instance:
    line.expect(10)

    def node(field: int) -> int:
        name = line.text(field)
        if name not in nodes:
            line.fail(field, f"Unknown node '{name}' for instance {line.text(0)}")
        return nodes[name]

    template = line.choice(8, _same(DISK_TEMPLATES))
    primary, secondary = node(6), node(7) if line.text(7) else None
    if template == "drbd" and primary == secondary:
        line.fail(7, f"instance {line.text(0)} has the same primary and secondary node")
    return Instance(
        name=line.text(0),
        memory_mib=line.integer(1),
        disk_mib=line.integer(2),
        vcpus=line.integer(3),
        status=line.choice(4, _same(STATUSES)),
        auto_balance=line.choice(5, _YES_NO),
        primary=primary,
        secondary=secondary,
        template=template,
        tags=line.words(9),
        spindle_use=line.integer(10, 1),
        spindles=None if len(line.fields) < 12 or line.text(11) == "-" else line.integer(11),
        forthcoming=line.choice(12, _YES_NO, default=False),
    )


def _policy(line: _Line) -> Policy:
    line.expect(6)

    def spec(field: int, text: str) -> Spec:
        numbers = text.split(",")
        if len(numbers) != 6 or not all(_INT.fullmatch(number) for number in numbers):
            line.fail(field, f"'{text}' is not six numbers: memory,cpus,disk size,disks,nics,spindle use")
        return Spec(*map(int, numbers))

    ends = line.text(2).split(";")
    if len(ends) % 2:
        line.fail(2, f"{len(ends)} specs separated by ';' instead of pairs of a minimum and a maximum")
    allowed = line.words(3)
    for template in allowed:
        if template not in DISK_TEMPLATES:
            line.fail(3, f"'{template}' is none of {', '.join(DISK_TEMPLATES)}")
    return Policy(
        standard=spec(1, line.text(1)),
        ranges=tuple((spec(2, low), spec(2, high)) for low, high in zip(ends[::2], ends[1::2], strict=True)),
        templates=allowed,
        vcpu_ratio=line.real(4),
        spindle_ratio=line.real(5),
    )


def _joined(*fields: object) -> str:
    return "|".join(map(str, fields))


def _yes_no(value: bool) -> str:
    return "Y" if value else "N"


def _group_line(group: Group) -> str:
    return _joined(group.name, group.uuid, group.alloc_policy, ",".join(group.tags), ",".join(group.networks))


def _node_line(node: Node, group_uuid: str) -> str:
    return _joined(
        node.name,
        f"{node.total_memory_mib:.0f}",
        node.used_memory_mib,
        node.free_memory_mib,
        f"{node.total_disk_mib:.0f}",
        node.free_disk_mib,
        f"{node.total_cpus:.0f}",
        "Y" if node.offline else "M" if node.master else "N",
        group_uuid,
        node.spindles,
        ",".join(node.tags),
        _yes_no(node.exclusive_storage),
        node.free_spindles,
        node.used_cpus,
        _plain_digits(node.cpu_speed),
    )


def _instance_line(instance: Instance, nodes: Sequence[str]) -> str:
    return _joined(
        instance.name,
        instance.memory_mib,
        instance.disk_mib,
        instance.vcpus,
        instance.status,
        _yes_no(instance.auto_balance),
        nodes[instance.primary],
        "" if instance.secondary is None else nodes[instance.secondary],
        instance.template,
        ",".join(instance.tags),
        instance.spindle_use,
        "-" if instance.spindles is None else instance.spindles,
        _yes_no(instance.forthcoming),
    )


def _policy_line(owner: str, policy: Policy) -> str:
    specs: Callable[[Spec], str] = lambda spec: ",".join(map(str, msgspec.structs.astuple(spec)))  # noqa: E731
    ranges = ";".join(f"{specs(low)};{specs(high)}" for low, high in policy.ranges)
    ratios = _shown(policy.vcpu_ratio), _shown(policy.spindle_ratio)
    return _joined(owner, specs(policy.standard), ranges, ",".join(policy.templates), *ratios)


def _plain_digits(value: float) -> str:
    """The shortest digits that read back as the same number, never with an exponent, always with a fraction."""
    digits = repr(value)
    if "e" not in digits:
        return digits
    from decimal import Decimal

    written = format(Decimal(digits), "f")
    return written if "." in written else f"{written}.0"


def _shown(value: float) -> str:
    """The same digits; below 0.1 and from ten million on with an exponent, `1.0e-2`: what older programs write."""
    if value == 0 or 0.1 <= abs(value) < 1e7:
        return _plain_digits(value)
    digits, exponent = f"{value!r}e0".split("e")[:2] if "e" in repr(value) else (repr(value), "0")
    from decimal import Decimal

    sign, figures, power = Decimal(digits).scaleb(int(exponent)).normalize().as_tuple()
    assert isinstance(power, int)
    first, *rest = map(str, figures)
    return f"{'-' if sign else ''}{first}.{''.join(rest) or '0'}e{power + len(figures) - 1}"
