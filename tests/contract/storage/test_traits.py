"""What the master is told of the templates (spec: params, "disk templates")."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ganeti.contract.storage import Addressing, Storage
from ganeti.drivers.storage import allowed, diskless, file, sharedfile
from sim.files import MemoryFiles


def test_traits_are_those_of_the_specification() -> None:
    told = {
        traits.template: (traits.storage_type, traits.mirrored, traits.has_disks, traits.growable, traits.copyable)
        for traits in (file.TRAITS, sharedfile.TRAITS, diskless.TRAITS)
    }
    assert told == {
        "file": ("file", "none", True, True, True),
        "sharedfile": ("sharedfile", "external", True, True, False),
        "diskless": ("diskless", "external", False, False, False),
    }


def test_every_driver_keeps_the_port() -> None:
    ports: list[tuple[Addressing, Storage]] = [
        (module.ADDRESSING, module.Driver(files=MemoryFiles(), allowed_dirs=list))
        for module in (file, sharedfile, diskless)
    ]
    assert len(ports) == 3


_PARTS = st.lists(st.sampled_from(["a", "b", "..", ".", "ab", ""]), max_size=6)


@given(parts=_PARTS, links=st.dictionaries(st.sampled_from(["a", "b", "a/b"]), _PARTS, max_size=2))
def test_no_path_that_is_let_through_leaves_the_allowed_directory(
    parts: list[str], links: dict[str, list[str]]
) -> None:
    files = MemoryFiles()
    files.make_dirs("/srv/ok/a")
    for name, target in links.items():
        if files.kind(f"/srv/ok/{name}") is None:
            files.symlink("/".join(target) or "/", f"/srv/ok/{name}")
    path = "/srv/ok/" + "/".join(parts)
    if not allowed.objections(files, path, ["/srv/ok"]):
        real = files.real_path(path)
        assert real == "/srv/ok" or real.startswith("/srv/ok/")
        assert ".." not in path.split("/")
