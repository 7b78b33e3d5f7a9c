"""Tables about a cluster for the eye: nodes, instances, the components of the score.

Source: spec htools, "hbal" (columns). Every row is a prefix, a space, and the columns joined by spaces; text to the
left, numbers to the right.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ganeti.placement.score import WEIGHTS, Scorer
from ganeti.placement.state import NOWHERE, State

Cell = Callable[[State, int], str]

NODE_FIELDS = [
    "status",
    "name",
    "tmem",
    "nmem",
    "imem",
    "xmem",
    "fmem",
    "umem",
    "rmem",
    "tdsk",
    "fdsk",
    "tcpu",
    "ucpu",
    "pcnt",
    "scnt",
    "pfmem",
    "pfdsk",
    "rcpu",
    "cload",
    "mload",
    "dload",
    "nload",
]


def table(prefix: str, header: Sequence[str], rows: Sequence[Sequence[str]], numeric: Sequence[bool]) -> str:
    """Lines with a newline each."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    lines = []
    for row in (header, *rows):
        cells = [
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, numeric, strict=True)
        ]
        lines.append(f"{prefix} {' '.join(cells)}\n")
    return "".join(lines)


def components(scorer: Scorer) -> str:
    """Field, value and weight of the score's components."""
    rows = [[name, f"{value:.8f}", f"x{WEIGHTS[name]:.2f}"] for name, value in scorer.components().items()]
    return table("  ", ["Field", "Value", "Weight"], rows, [False, True, True])


def nodes(state: State, fields: Sequence[str], short: Callable[[str], str], indices: Sequence[int]) -> str:
    """The nodes with these fields of `NODE_FIELDS` or `MORE_NODE_FIELDS`."""
    known = _node_cells(short)
    unknown: tuple[str, bool, Cell] = ("<unknown field>", False, lambda _s, _n: "<unknown field>")
    chosen = [known.get(field, unknown) for field in fields]
    rows = [[cell(state, index) for _, _, cell in chosen] for index in indices]
    return table("", [title for title, _, _ in chosen], rows, [right for _, right, _ in chosen])


def instances(state: State, indices: Sequence[int]) -> str:
    """All about these instances."""
    letters = {"running": "R", "ERROR_up": "R"}
    names = [node.name for node in state.cluster.nodes]
    rows = []
    for i in indices:
        instance, second = state.cluster.instances[i], int(state.secondary[i])
        rows.append(
            [
                letters.get(instance.status, " "),
                instance.name,
                names[state.primary[i]],
                "" if second == NOWHERE else names[second],
                "Y" if instance.auto_balance else "N",
                str(instance.vcpus),
                str(instance.memory_mib),
                str(instance.disk_mib // 1024),
                *(f"{load:.3f}" for load in state.load[:, i]),
            ]
        )
    header = ["F", "Name", "Pri_node", "Sec_node", "Auto_bal", "vcpu", "mem", "dsk", "lCpu", "lMem", "lDsk", "lNet"]
    return table("", header, rows, [False] * 5 + [True] * 7)


def _status(s: State, n: int) -> str:
    return "-" if not s.online[n] else "*" if s.failing[n] else " "


def _node_cells(short: Callable[[str], str]) -> dict[str, tuple[str, bool, Cell]]:
    def whole(value: Callable[[State, int], float]) -> Cell:
        return lambda s, n: str(int(value(s, n)))

    def share(top: Callable[[State, int], float], bottom: Callable[[State, int], float], digits: int) -> Cell:
        def cell(s: State, n: int) -> str:
            return f"{top(s, n) / bottom(s, n):.{digits}f}" if bottom(s, n) else f"{1.0:.{digits}f}"

        return cell

    def load(kind: int) -> Cell:
        return lambda s, n: f"{s.node_load[kind, n]:.3f}"

    return {
        "status": ("F", False, _status),
        "name": ("Name", False, lambda s, n: short(s.cluster.nodes[n].name)),
        "fqdn": ("Name", False, lambda s, n: s.cluster.nodes[n].name),
        "idx": ("Idx", True, lambda _s, n: str(n)),
        "tmem": ("t_mem", True, whole(lambda s, n: s.total_memory_mib[n])),
        "nmem": ("n_mem", True, whole(lambda s, n: s.node_memory_mib[n])),
        "imem": ("i_mem", True, whole(lambda s, n: s.instance_memory_mib[n])),
        "xmem": ("x_mem", True, whole(lambda s, n: s.missing_mib[n])),
        "fmem": ("f_mem", True, whole(lambda s, n: s.measured_free_mib[n])),
        "umem": ("u_mem", True, whole(lambda s, n: s.unallocated_mib[n])),
        "rmem": ("r_mem", True, whole(lambda s, n: s.reserve_mib[n])),
        "tdsk": ("t_dsk", True, whole(lambda s, n: s.total_disk_mib[n] // 1024)),
        "fdsk": ("f_dsk", True, whole(lambda s, n: s.free_disk_mib[n] // 1024)),
        "tcpu": ("pcpu", True, whole(lambda s, n: s.total_cpus[n])),
        "ucpu": ("vcpu", True, whole(lambda s, n: s.used_cpus[n])),
        "pcnt": ("pcnt", True, whole(lambda s, n: s.primaries[n])),
        "scnt": ("scnt", True, whole(lambda s, n: s.secondaries[n])),
        "pfmem": ("p_fmem", True, share(lambda s, n: s.unallocated_mib[n], lambda s, n: s.total_memory_mib[n], 4)),
        "pfdsk": ("p_fdsk", True, share(lambda s, n: s.free_disk_mib[n], lambda s, n: s.total_disk_mib[n], 4)),
        "rcpu": ("r_cpu", True, share(lambda s, n: s.used_cpus[n], lambda s, n: s.total_cpus[n], 2)),
        "cload": ("lCpu", True, load(0)),
        "mload": ("lMem", True, load(1)),
        "dload": ("lDsk", True, load(2)),
        "nload": ("lNet", True, load(3)),
    }
