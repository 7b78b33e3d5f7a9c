"""Lines of a daemon's log: one event each, fields that can be searched."""

import logging
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ganeti.base.log import JOB, Log
from ganeti.main import logs


@pytest.fixture
def log_file(tmp_path: Path) -> Iterator[Path]:
    root, own = logging.getLogger(), logging.getLogger("ganeti")
    handlers, levels = root.handlers, (root.level, own.level)
    path = tmp_path / "new" / "daemon.log"
    file = logs.start(str(path), debug=False, also_stderr=False)
    yield path
    file.stream.close()
    root.handlers = handlers
    root.setLevel(levels[0])
    own.setLevel(levels[1])


def test_an_event_is_one_line_with_time_level_and_fields(log_file: Path):
    Log("ganeti.test").info("guest started", instance="web1", took_s=1.23456789, reason=None)
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO guest started instance=web1 took_s=1\.23457\n",
        log_file.read_text(),
    )


@pytest.mark.parametrize(
    "value,written",
    [
        ("two words", '"two words"'),
        ("two\nlines", '"two\\nlines"'),
        ('say "x"', '"say \\"x\\""'),
        ("", '""'),
        ("a=b", '"a=b"'),
        (7, "7"),
    ],
)
def test_a_value_that_could_be_misread_is_quoted(log_file: Path, value: object, written: str):
    Log("ganeti.test").warning("event", field=value)
    assert log_file.read_text().endswith(f" WARNING event field={written}\n")


def test_the_job_comes_from_the_context(log_file: Path):
    token = JOB.set(42)
    try:
        Log("ganeti.test").info("event", node="n1")
    finally:
        JOB.reset(token)
    Log("ganeti.test").info("event", node="n1")
    first, second = log_file.read_text().splitlines()
    assert first.endswith(" event job=42 node=n1")
    assert second.endswith(" event node=n1")


def test_a_traceback_is_indented_below_its_event(log_file: Path):
    try:
        raise ValueError("oh\nno")
    except ValueError as error:
        Log("ganeti.test").bug("a bug", error, call_id="c")
    first, *rest = log_file.read_text().splitlines()
    assert first.endswith(" ERROR a bug call_id=c")
    assert rest
    assert all(line.startswith("  ") for line in rest)
    assert any("ValueError: oh" in line for line in rest)


def test_details_are_only_written_when_asked_for_and_libraries_only_warn(log_file: Path):
    Log("ganeti.test").debug("detail")
    logging.getLogger("asyncio").info("chatter")
    logging.getLogger("asyncio").warning("trouble")
    assert log_file.read_text().count("\n") == 1
    assert " WARNING trouble" in log_file.read_text()


def test_a_log_that_was_moved_away_goes_on_at_its_path(log_file: Path):
    log = Log("ganeti.test")
    log.info("before")
    log_file.rename(f"{log_file}.1")
    (file,) = (handler for handler in logging.getLogger().handlers if isinstance(handler, logs.ReopeningFile))
    file.reopen()
    log.info("after")
    assert "before" in Path(f"{log_file}.1").read_text()
    assert log_file.read_text().endswith(" after\n")
