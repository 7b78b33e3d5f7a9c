"""hbal and hinfo as programs: what they print, refuse, and with which status they end."""

from __future__ import annotations

from pathlib import Path

import pytest

from ganeti.main import htools
from tests.unit.placement.clusters import text_file


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    def program(line: str) -> tuple[int, str, str]:
        name, *arguments = line.split()
        monkeypatch.setattr("sys.argv", [name, *arguments])
        status = {"hbal": htools.hbal, "hinfo": htools.hinfo}[name]()
        out, err = capsys.readouterr()
        return status, out, err

    return program


@pytest.fixture
def cluster(tmp_path: Path) -> Path:
    path = tmp_path / "cluster"
    path.write_text(text_file(1, nodes=8, instances=60, skew=2))
    return path


def test_hbal_prints_the_moves_that_the_older_program_prints(run, cluster: Path) -> None:
    status, out, _ = run(f"hbal -t {cluster} -l 4")
    assert status == 0
    assert out.splitlines()[-6:] == [
        "    1. inst36 node0:node3 => node3:node4  40.89596147 a=f r:node4",
        "    2. inst48 node0:node7 => node7:node4  39.15615921 a=f r:node4",
        "    3. inst57 node0:node6 => node6:node4  37.44430195 a=f r:node4",
        "    4. inst45 node0:node2 => node3:node2  35.74425557 a=f r:node3 f",
        "Cluster score improved from 42.64381160 to 35.74425557",
        "Solution length=4",
    ]


def test_the_saved_clusters_are_before_and_after(run, cluster: Path, tmp_path: Path) -> None:
    assert run(f"hbal -t {cluster} -S {tmp_path}/saved")[0] == 0
    status, out, _ = run(f"hbal -t {tmp_path}/saved.balanced -S {tmp_path}/again --min-gain-limit 1000")
    assert (status, out.splitlines()[-2:]) == (0, ["No solution found", "Solution length=0"])
    assert (tmp_path / "again.original").read_text() == (tmp_path / "saved.balanced").read_text()
    assert (tmp_path / "again.balanced").read_text() == (tmp_path / "saved.balanced").read_text()


def test_commands_are_printed_or_written_as_a_script(run, cluster: Path, tmp_path: Path) -> None:
    _, out, _ = run(f"hbal -t {cluster} -l 1 -C")
    assert "    gnt-instance migrate -f inst36\n    gnt-instance replace-disks -n node4 inst36\n" in out
    run(f"hbal -t {cluster} -l 1 -C{tmp_path}/script")
    script = (tmp_path / "script").read_text()
    assert script.startswith("#!/bin/sh\n")
    assert "  check\n  gnt-instance migrate -f inst36\n" in script


def test_job_sets_are_filled_from_the_last_step(run, tmp_path: Path) -> None:
    path = tmp_path / "cluster"
    path.write_text(text_file(1, nodes=10, instances=70, forthcoming=True, skew=1.5))
    _, out, _ = run(f"hbal -t {path} -l 10 -C")
    sizes = [int(line.split()[3]) for line in out.splitlines() if "jobset" in line]
    assert sizes == [1, 1, 1, 1, 1, 1, 2, 2]


def test_hinfo_prints_components_and_score(run, cluster: Path) -> None:
    status, out, err = run(f"hinfo -t {cluster} -p")
    assert status == 0
    assert "Loaded 8 nodes, 60 instances, 1 node group\n" in out
    assert "   free_mem_cv               0.14861200  x0.50\n" in out
    assert out.endswith("Cluster score: 42.64381160\n")
    assert err.startswith("\nCluster status:\n F Name  t_mem n_mem")


@pytest.mark.parametrize(
    "line, status, message",
    [
        ("hbal", 1, "Error: failed to load data, aborting: No backend selected! Exiting."),
        ("hbal -t CLUSTER word", 1, "Error: This program doesn't take any arguments."),
        ("hbal -t /nowhere", 1, "Error: failed to load data, aborting: /nowhere: No such file or directory"),
        ("hbal -t CLUSTER --bogus", 2, "Command line error: unrecognized option `--bogus'"),
        ("hbal -t CLUSTER --min 1", 2, "Command line error: option `--min' is ambiguous"),
        ("hbal -t", 2, "Command line error: option `--text-data' requires an argument"),
        ("hbal -t CLUSTER -L", 1, "Error: --luxi is not served yet"),
        ("hbal -t CLUSTER --mond-xen", 1, "Error: --mond-xen is not served yet"),
        ("hbal -t CLUSTER -l x", 1, "Error while parsing command line arguments:\nmax-length: cannot parse string 'x'"),
        ("hbal -t CLUSTER -O nodeX", 1, "Error: wrong node name(s) set as offline: nodeX"),
        ("hbal -t CLUSTER --select-instances no", 1, "Error: failed to load data, aborting: Unknown instance(s): no"),
        ("hbal -t CLUSTER -G no", 1, "Node group no not found. Node group list is:\n  group0\nError: Aborting."),
        ("hinfo -t CLUSTER -C", 2, "Command line error: unrecognized option `-C'"),
    ],
)
def test_what_cannot_be_done_is_refused_with_a_sentence(
    run, cluster: Path, line: str, status: int, message: str
) -> None:
    found, _, err = run(line.replace("CLUSTER", str(cluster)))
    assert found == status
    assert message in err


def test_of_several_groups_one_must_be_named(run, tmp_path: Path) -> None:
    path = tmp_path / "cluster"
    path.write_text(text_file(1, nodes=8, instances=40, groups=2))
    status, _, err = run(f"hbal -t {path}")
    assert (status, err) == (1, "Found multiple node groups:\n  group0\n  group1\nError: Aborting.\n")
    status, out, _ = run(f"hbal -t {path} -G uuid-1 -l 1")
    assert status == 0
    assert "Selected node group: group1\n" in out


def test_an_empty_cluster_needs_nothing(run, tmp_path: Path) -> None:
    path = tmp_path / "cluster"
    path.write_text("g|u|preferred||\n\n\n\n\n")
    assert run(f"hbal -t {path}") == (0, "Cluster is empty, exiting.\n", "")
    assert "Cluster score: 0.00000000\n" in run(f"hinfo -t {path}")[1]


def test_a_name_may_leave_out_its_domain(run, cluster: Path) -> None:
    status, out, _ = run(f"hbal -t {cluster} -O node3 -E --sel=inst36,inst41")
    assert status == 0
    assert "Trying to minimize" in out
