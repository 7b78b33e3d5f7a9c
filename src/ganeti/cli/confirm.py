"""Questions before deeds that cannot be taken back. Without a terminal the answer is no."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ganeti.cli.session import Session

SHOWN_AT_ONCE = 20


def agrees(session: Session, question: str, *, details: str = "") -> bool:
    """Ask yes or no on the terminal; `?` shows the details."""
    choices = "y/[n]/?" if details else "y/[n]"
    while True:
        answer = ask(session, f"{question}\n{choices}: ")
        if answer is None:
            session.warn("There is no terminal to ask, so nothing was done; --help shows the option that says yes")
            return False
        match answer.strip().lower():
            case "y" | "yes":
                return True
            case "" | "n" | "no":
                return False
            case "?" if details:
                session.say(details)
            case _:
                session.say("Please answer y or n" + (", or ? for more" if details else ""))


def ask(session: Session, prompt: str) -> str | None:
    """One line from the terminal; None where there is no terminal, or nobody there."""
    session.show()
    try:
        terminal = session.open_terminal()
    except OSError:
        return None
    with terminal:
        terminal.write(prompt)
        terminal.flush()
        line = terminal.readline()
    return line.rstrip("\n") if line else None


def agrees_to_all(session: Session, names: Sequence[str], what: str, deed: str) -> bool:
    """Ask once for several objects, naming them; a long list only on demand."""
    shown = "\n".join(f"  {name}" for name in names)
    if len(names) <= SHOWN_AT_ONCE:
        session.say(shown)
    return agrees(session, f"Go on with the {deed} of {len(names)} {what}?", details=shown)
