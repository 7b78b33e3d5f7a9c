"""What every file system promises, the real one and the one in memory."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ganeti.base.files import Files, SystemFiles
from sim.files import MemoryFiles


@pytest.fixture(params=["system", "memory"])
def files(request: pytest.FixtureRequest) -> Files:
    return SystemFiles() if request.param == "system" else MemoryFiles()


@pytest.fixture
def root(files: Files, tmp_path: Path) -> str:
    files.make_dirs(str(tmp_path))
    return str(tmp_path)


def test_what_is_written_is_read_and_replaced_whole(files: Files, root: str) -> None:
    files.write(f"{root}/a", b"first, the longer one")
    files.write(f"{root}/a", b"second")
    assert files.read(f"{root}/a") == b"second"
    assert files.list_dir(root) == ["a"]


def test_appending_makes_the_file_and_adds_to_its_end(files: Files, root: str) -> None:
    files.append(f"{root}/log", b"one\n")
    files.append(f"{root}/log", b"two\n")
    assert files.read(f"{root}/log") == b"one\ntwo\n"
    assert files.size_bytes(f"{root}/log") == 8


@pytest.mark.parametrize(
    "deed",
    [
        lambda files, path: files.read(path),
        lambda files, path: files.size_bytes(path),
        lambda files, path: files.used_bytes(path),
        lambda files, path: files.grow(path, 5),
        lambda files, path: files.rename(path, path + ".new"),
        lambda files, path: files.write(path + "/x", b""),
        lambda files, path: files.append(path + "/x", b""),
        lambda files, path: files.allocate(path + "/x", 5),
        lambda files, path: files.symlink("target", path + "/x"),
    ],
)
def test_what_needs_something_that_is_not_there_says_so(
    files: Files, root: str, deed: Callable[[Files, str], object]
) -> None:
    with pytest.raises(FileNotFoundError):
        deed(files, f"{root}/missing")
    assert files.list_dir(root) == []


@pytest.mark.parametrize(
    "deed, error",
    [
        (lambda files, path: files.read(path), IsADirectoryError),
        (lambda files, path: files.write(path, b""), IsADirectoryError),
        (lambda files, path: files.append(path, b""), IsADirectoryError),
        (lambda files, path: files.remove(path), IsADirectoryError),
        (lambda files, path: files.symlink("target", path), IsADirectoryError),
        (lambda files, path: files.allocate(path, 5), FileExistsError),
    ],
)
def test_a_directory_is_not_taken_for_a_file(
    files: Files, root: str, deed: Callable[[Files, str], object], error: type[OSError]
) -> None:
    files.make_dirs(f"{root}/d")
    with pytest.raises(error):
        deed(files, f"{root}/d")
    assert files.kind(f"{root}/d") == "directory"


@pytest.mark.parametrize(
    "deed, error",
    [
        (lambda files, path: files.list_dir(path), NotADirectoryError),
        (lambda files, path: files.remove_dir(path), NotADirectoryError),
        (lambda files, path: files.write(path + "/x", b""), NotADirectoryError),
        (lambda files, path: files.allocate(path + "/x", 5), NotADirectoryError),
        (lambda files, path: files.make_dirs(path), FileExistsError),
    ],
)
def test_a_file_is_not_taken_for_a_directory(
    files: Files, root: str, deed: Callable[[Files, str], object], error: type[OSError]
) -> None:
    files.write(f"{root}/f", b"stays")
    with pytest.raises(error):
        deed(files, f"{root}/f")
    assert files.read(f"{root}/f") == b"stays"


def test_removing_what_is_not_there_is_fine(files: Files, root: str) -> None:
    files.remove(f"{root}/missing")
    files.remove_dir(f"{root}/missing")
    files.remove(f"{root}/missing/deeper")
    assert files.list_dir(f"{root}/missing") == []


def test_directories_are_made_with_their_parents_and_removed_when_empty(files: Files, root: str) -> None:
    files.make_dirs(f"{root}/a/b/c")
    files.make_dirs(f"{root}/a/b/c")
    files.write(f"{root}/a/b/c/file", b"")
    with pytest.raises(OSError, match="not empty"):
        files.remove_dir(f"{root}/a/b/c")
    files.remove(f"{root}/a/b/c/file")
    files.remove_dir(f"{root}/a/b/c")
    assert files.list_dir(f"{root}/a/b") == []


def test_a_rename_replaces_a_file_but_no_directory(files: Files, root: str) -> None:
    files.write(f"{root}/old", b"old")
    files.write(f"{root}/new", b"new")
    files.make_dirs(f"{root}/full/inner")
    files.rename(f"{root}/old", f"{root}/new")
    assert files.read(f"{root}/new") == b"old"
    assert files.kind(f"{root}/old") is None
    with pytest.raises(IsADirectoryError):
        files.rename(f"{root}/new", f"{root}/full")
    files.make_dirs(f"{root}/other")
    with pytest.raises(OSError, match="not empty"):
        files.rename(f"{root}/other", f"{root}/full")
    with pytest.raises(NotADirectoryError):
        files.rename(f"{root}/other", f"{root}/new")
    with pytest.raises(OSError, match="Invalid argument"):
        files.rename(f"{root}/full", f"{root}/full/inner/deeper")


def test_a_directory_moves_with_what_is_in_it(files: Files, root: str) -> None:
    files.make_dirs(f"{root}/a")
    files.write(f"{root}/a/file", b"x")
    files.rename(f"{root}/a", f"{root}/b")
    assert files.read(f"{root}/b/file") == b"x"
    assert files.kind(f"{root}/a") is None


def test_links_are_followed_except_where_the_path_itself_is_meant(files: Files, root: str) -> None:
    files.make_dirs(f"{root}/real")
    files.write(f"{root}/real/file", b"x")
    files.symlink(f"{root}/real", f"{root}/absolute")
    files.symlink("real/file", f"{root}/relative")
    assert files.read(f"{root}/absolute/file") == b"x"
    assert files.read(f"{root}/relative") == b"x"
    assert files.kind(f"{root}/relative") == "link"
    assert files.real_path(f"{root}/absolute/not/yet") == f"{root}/real/not/yet"
    files.symlink("nowhere", f"{root}/relative")
    assert not files.exists(f"{root}/relative")
    assert files.kind(f"{root}/relative") == "link"
    with pytest.raises(FileExistsError):
        files.allocate(f"{root}/relative", 5)
    files.remove(f"{root}/relative")
    files.remove(f"{root}/absolute")
    assert files.list_dir(root) == ["real"]
    assert files.list_dir(f"{root}/real") == ["file"]


def test_a_path_with_dots_leads_where_it_leads_past_a_link(files: Files, root: str) -> None:
    files.make_dirs(f"{root}/far/away")
    files.symlink("far/away", f"{root}/near")
    assert files.real_path(f"{root}/near/../x") == f"{root}/far/x"


def test_links_in_a_circle_lead_nowhere(files: Files, root: str) -> None:
    files.symlink("b", f"{root}/a")
    files.symlink("a", f"{root}/b")
    assert not files.exists(f"{root}/a")
    assert files.kind(f"{root}/a") == "link"


def test_replacing_a_file_through_its_link_replaces_the_link(files: Files, root: str) -> None:
    files.write(f"{root}/target", b"target")
    files.symlink("target", f"{root}/link")
    files.write(f"{root}/link", b"new")
    assert files.read(f"{root}/target") == b"target"
    assert files.kind(f"{root}/link") == "file"


def test_appending_through_a_link_reaches_its_target(files: Files, root: str) -> None:
    files.symlink("target", f"{root}/link")
    files.append(f"{root}/link", b"x")
    assert files.read(f"{root}/target") == b"x"


def test_an_allocated_file_reads_as_zeros_and_is_never_an_old_one(files: Files, root: str) -> None:
    files.allocate(f"{root}/disk", 10_000)
    assert files.read(f"{root}/disk") == bytes(10_000)
    assert files.used_bytes(f"{root}/disk") <= 10_000
    with pytest.raises(FileExistsError):
        files.allocate(f"{root}/disk", 10)
    assert files.size_bytes(f"{root}/disk") == 10_000


def test_a_size_below_nothing_is_no_size(files: Files, root: str) -> None:
    with pytest.raises(OSError, match="Invalid argument"):
        files.allocate(f"{root}/disk", -1)
    assert files.list_dir(root) == []


def test_growing_keeps_the_content_and_never_shrinks(files: Files, root: str) -> None:
    files.write(f"{root}/disk", b"data")
    files.grow(f"{root}/disk", 8)
    assert files.read(f"{root}/disk") == b"data\0\0\0\0"
    files.grow(f"{root}/disk", 2)
    assert files.size_bytes(f"{root}/disk") == 8


def test_execution_is_a_matter_of_mode(files: Files, root: str) -> None:
    files.write(f"{root}/script", b"#!/bin/sh\n", mode=0o700)
    files.write(f"{root}/text", b"", mode=0o600)
    files.make_dirs(f"{root}/d")
    found = [name for name in ("script", "text", "d", "missing") if files.is_executable(f"{root}/{name}")]
    assert found == ["script"]


def test_room_is_told_for_a_directory_that_is_not_there_yet(files: Files, root: str) -> None:
    total_bytes, free_bytes = files.space_bytes(f"{root}/not/yet")
    assert 0 < free_bytes <= total_bytes


def test_kinds_that_only_a_real_file_system_has(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert SystemFiles().kind(f"{tmp_path}/pipe") == "other"
    assert SystemFiles().kind("/dev/null") == "other"


_FULL = """
import errno, os, sys
from ganeti.base.files import SystemFiles
files, root = SystemFiles(), sys.argv[1]
def refused(deed):
    try:
        deed()
    except OSError as error:
        assert error.errno == errno.ENOSPC, error
    else:
        raise AssertionError("it fitted")
files.write(root + "/kept", b"old")
refused(lambda: files.allocate(root + "/disk", 1 << 21, sparse=False))
refused(lambda: files.write(root + "/kept", bytes(1 << 21)))
assert files.read(root + "/kept") == b"old"
assert files.list_dir(root) == ["kept"], files.list_dir(root)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small file system, which needs root")
def test_a_full_real_file_system_leaves_the_old_and_nothing_new(tmp_path: Path) -> None:
    mount = f"mount -t tmpfs -o size=1m full {tmp_path}"
    script = ["unshare", "--mount", "--propagation", "private", "sh", "-ec", f'{mount}; exec "$@"', "sh"]
    done = subprocess.run(
        [*script, sys.executable, "-c", _FULL, str(tmp_path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_full_memory_file_system_leaves_the_old_and_nothing_new() -> None:
    files = MemoryFiles(capacity_bytes=1 << 20)
    files.write("/kept", b"old")
    for deed in (
        lambda: files.allocate("/disk", 1 << 21),
        lambda: files.write("/kept", bytes(1 << 21)),
        lambda: files.append("/kept", bytes(1 << 21)),
        lambda: files.grow("/kept", 1 << 21),
    ):
        with pytest.raises(OSError, match="No space left") as caught:
            deed()
        assert caught.value.errno == errno.ENOSPC
    assert files.read("/kept") == b"old"
    assert files.everything() == ["/kept"]


def test_memory_charges_the_whole_length_and_gives_it_back() -> None:
    files = MemoryFiles(capacity_bytes=1000)
    files.allocate("/disk", 600)
    assert files.space_bytes("/") == (1000, 400)
    files.remove("/disk")
    assert files.space_bytes("/") == (1000, 1000)


def test_a_fault_strikes_once_and_only_where_it_was_put() -> None:
    files = MemoryFiles()
    files.make_dirs("/a")
    files.fail_next(errno.EIO, method="write", path="/a")
    files.write("/b", b"")
    files.append("/a/x", b"")
    with pytest.raises(OSError, match="Input/output error"):
        files.write("/a/x", b"1")
    files.write("/a/x", b"2")
    assert files.read("/a/x") == b"2"


def test_a_power_failure_takes_what_was_not_durable() -> None:
    files = MemoryFiles()
    for directory in ("/run/ganeti", "/var/lib"):
        files.make_dirs(directory)
        files.write(f"{directory}/whole", b"whole")
        files.append(f"{directory}/whole", b" and more")
    files.lose_power()
    assert files.read("/var/lib/whole") == b"whole"
    assert files.everything("/run") == []


_NAMES = st.sampled_from(["a", "b", "c"])
_PATHS = st.lists(_NAMES, min_size=1, max_size=3).map("/".join)
_DEEDS = st.one_of(
    st.tuples(st.just("write"), _PATHS, st.binary(max_size=4)),
    st.tuples(st.just("append"), _PATHS, st.binary(max_size=4)),
    st.tuples(st.just("make_dirs"), _PATHS),
    st.tuples(st.just("remove"), _PATHS),
    st.tuples(st.just("remove_dir"), _PATHS),
    st.tuples(st.just("rename"), _PATHS, _PATHS),
    st.tuples(st.just("symlink"), _PATHS, _PATHS),
    st.tuples(st.just("allocate"), _PATHS, st.integers(-1, 9)),
    st.tuples(st.just("grow"), _PATHS, st.integers(0, 9)),
    st.tuples(st.just("read"), _PATHS),
    st.tuples(st.just("list_dir"), _PATHS),
    st.tuples(st.just("size_bytes"), _PATHS),
    st.tuples(st.just("exists"), _PATHS),
    st.tuples(st.just("kind"), _PATHS),
    st.tuples(st.just("real_path"), _PATHS),
    st.tuples(st.just("is_executable"), _PATHS),
)


@given(deeds=st.lists(_DEEDS, max_size=25))
def test_any_history_ends_the_same_in_memory_as_on_disk(
    tmp_path_factory: pytest.TempPathFactory, deeds: list[tuple[object, ...]]
) -> None:
    root = str(tmp_path_factory.mktemp("history"))
    memory = MemoryFiles()
    memory.make_dirs(root)
    for number, (method, path, *rest) in enumerate(deeds):
        arguments = [f"{root}/{path}", *rest]
        if method == "rename":
            arguments[1] = f"{root}/{rest[0]}"
        if method == "symlink":
            arguments = [rest[0], arguments[0]]
        if method == "real_path" and not memory.exists(str(arguments[0])):
            continue  # a circle of links leads nowhere, and everybody says so in other words
        said = [_said(files, str(method), arguments) for files in (SystemFiles(), memory)]
        assert said[0] == said[1], (number, method, arguments)
    assert memory.everything(root) == sorted(
        os.path.join(directory, name)
        for directory, directories, names in os.walk(root)
        for name in [*directories, *names]
    )


def _said(files: Files, method: str, arguments: list[object]) -> object:
    try:
        return getattr(files, method)(*arguments)
    except OSError as error:
        return errno.errorcode[error.errno] if error.errno is not None else str(error)
