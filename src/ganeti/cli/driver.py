"""From the words after `gnt-X` to an exit status: find the command, parse, run, and say what went wrong.

Exit status: 0 done; 1 any failure and bad usage; 11 not the master; 12 in no cluster; 13 declined; 14 unknown field.
"""

from __future__ import annotations

from ganeti.cli.parse import Usage, check_arguments, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ganeti.cli.declare import Command, Group
    from ganeti.cli.session import Session


def run(group: Group, words: list[str], session: Session) -> int:
    """Run one command line and return its exit status."""
    session.program = group.program
    if not words or words[0] in ("-h", "--help", "--version"):
        return _about(group, words, session)
    name = group.aliases.get(words[0], words[0])
    if name not in group.commands:
        return _no_command(group, name, session)
    session.command = name
    command = group.command(name)
    words = [*_from_environment(group, name, session), *words[1:]]
    try:
        if _wants_help(command, words):
            from ganeti.cli.help import command_help

            session.write(command_help(group, name, command))
            return 0
        return _run(group, command, words, session)
    except Usage as error:
        from ganeti.cli.help import usage_line

        session.warn(usage_line(group, name, command))
        session.warn(f"{group.program} {name}: {error}")
        session.warn(f"'{group.program} {name} --help' shows all options")
        return 1
    except KeyboardInterrupt:
        known = ", ".join(map(str, session.jobs))
        session.warn(
            f"Interrupted. Submitted jobs go on: {known}; 'gnt-job watch' shows one" if known else "Interrupted"
        )
        return 1


def _run(group: Group, command: Command, words: list[str], session: Session) -> int:
    debug = False
    try:
        parsed = parse(command, words)
        debug = bool(parsed.options["debug"])
        check_arguments(command, parsed.arguments)
        _audit(group, parsed.loggable, session)
        return command.run(session, parsed.options, parsed.arguments)
    except Exception as error:
        from ganeti.base.errors import Bug, GanetiError

        if not isinstance(error, GanetiError):
            raise
        from ganeti.cli import failure

        if debug or isinstance(error, Bug):
            import traceback

            session.warn("".join(traceback.format_exception(error)).rstrip())
        session.warn(failure.describe(error))
        return failure.exit_status(error)


def _wants_help(command: Command, words: list[str]) -> bool:
    """Whether -h or --help stands among the options; also when the rest of the line is not right."""
    for word in words:
        if word == "--":
            return False
        if word in ("-h", "--help"):
            return True
    return False


def _about(group: Group, words: list[str], session: Session) -> int:
    from ganeti.cli import help

    if words and words[0] == "--version":
        from ganeti.base.version import software

        session.say(f"{group.program} (ganeti) {software()}")
        return 0
    if words:
        session.write(help.group_help(group))
        return 0
    session.warn(help.group_help(group))
    return 1


def _no_command(group: Group, name: str, session: Session) -> int:
    from ganeti.cli import help

    if name in group.later:
        session.warn(f"{group.program} {name} is not served yet by this version")
        return 1
    session.warn(help.group_help(group))
    if close := help.similar(name, [*group.commands, *group.aliases]):
        session.warn(f"There is no command '{name}'; is '{close}' meant?")
    return 1


def _from_environment(group: Group, name: str, session: Session) -> list[str]:
    """Options that a user wants with every list: GNT_INSTANCE_LIST and the like."""
    if name != "list":
        return []
    given = session.environ.get(f"GNT_{group.name.upper()}_LIST", "")
    if not given:
        return []
    import shlex

    return shlex.split(given)


def _audit(group: Group, words: list[str], session: Session) -> None:
    """Add a line to the log of commands. A host without that directory is in no cluster and keeps no log."""
    import os
    from time import gmtime, strftime

    when = strftime("%Y-%m-%d %H:%M:%S", gmtime(session.now_ns() // 1_000_000_000))
    user = session.environ.get("SUDO_USER") or session.environ.get("LOGNAME") or str(os.getuid())
    line = f"{when} UTC {group.program} pid={os.getpid()} user={user} uid={os.getuid()} {[session.command, *words]}\n"
    try:
        handle = os.open(session.paths.log_commands, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    except (FileNotFoundError, PermissionError):
        return  # not a node, or not root: such a command is refused by what it asks for
    try:
        os.write(handle, line.encode(errors="replace"))
    except OSError as error:
        session.warn(f"Warning: cannot write to {session.paths.log_commands}: {error.strerror}")
    finally:
        os.close(handle)
