"""The committed reference is what the declarations say now, and its links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import ganeti.ops
from ganeti.cli.declare import EVERY_COMMAND
from ganeti.cli.programs import commands
from ganeti.contract.calls.codec import call_types
from ganeti.contract.operation import REGISTRY
from ganeti.main import reference
from ganeti.main.catalog import build_catalog

DOCS = Path(__file__).resolve().parents[3] / "docs"
PAGES = reference.pages()


def test_the_committed_pages_are_fresh() -> None:
    committed = {path.name: path.read_text() for path in (DOCS / "reference").glob("*.md")}
    stale = sorted(name for name in {*PAGES, *committed} if PAGES.get(name) != committed.get(name))
    assert stale == [], f"run 'make docs' and commit docs/reference: {', '.join(stale)} differ"


def test_everything_that_is_declared_has_its_place() -> None:
    ganeti.ops.load()
    for tag in REGISTRY:
        assert f"\n## {tag}\n" in PAGES["operations.md"]
    for call in call_types():
        assert f"\n## {call.__struct_config__.tag}\n" in PAGES["node-calls.md"]
    for group, name, command in commands():
        section = PAGES[f"{group.program}.md"].partition(f"\n## {name}\n")[2].partition("\n## ")[0]
        for option in command.options:
            common = option in EVERY_COMMAND
            assert common or option.names[0] in section, f"{group.program} {name} {option.names[0]}"
    catalog, _ = build_catalog()
    drivers = [traits.params for traits in catalog.hypervisors.values()]
    drivers += [traits.params for traits in catalog.storages.values()]
    for param in (param for params in drivers for param in params):
        assert f"| `{param.name}` |" in PAGES["parameters.md"]


@pytest.mark.parametrize("name", sorted(PAGES))
def test_a_page_is_sound_markdown(name: str) -> None:
    columns = 0
    for line in PAGES[name].splitlines():
        cells = len(re.findall(r"(?<!\\)\|", line)) if line.startswith("|") else 0
        assert not (columns and cells) or cells == columns, line
        columns = cells
    assert "object at 0x" not in PAGES[name]
    assert "typing." not in PAGES[name]


def anchors(page: Path) -> set[str]:
    heads = re.findall(r"^#+ (.*)$", page.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def test_links_between_pages_lead_somewhere() -> None:
    pages = [*DOCS.rglob("*.md"), DOCS.parent / "README.md"]
    for page in pages:
        for target in re.findall(r"\]\(([^)]+)\)", page.read_text()):
            if "://" in target:
                continue
            file, _, anchor = target.partition("#")
            meant = (page.parent / file) if file else page
            assert meant.exists(), f"{page.name}: {target}"
            assert not anchor or anchor in anchors(meant), f"{page.name}: {target}"


def test_writing_again_changes_nothing_and_removes_what_is_no_page_any_more(tmp_path: Path) -> None:
    (tmp_path / "gnt-gone.md").write_text("old")
    reference.main(str(tmp_path))
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == PAGES
