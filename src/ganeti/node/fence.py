"""The fence against old masters: a node obeys the highest epoch it has seen, and remembers it over a crash."""

from __future__ import annotations

from ganeti.base.errors import WRONG_STATE, Failed, Refused
from ganeti.base.files import Files


class Fence:
    """The newest master epoch this node obeyed, kept in the file `path` as a decimal number.

    `Failed` when the file is there and is not a number: guessing would let an old master in.
    """

    def __init__(self, *, files: Files, path: str) -> None:
        self._files = files
        self._path = path
        self._epoch = self._load()

    @property
    def epoch(self) -> int:
        """The newest epoch obeyed; 0 before the first call."""
        return self._epoch

    def admit(self, epoch: int) -> None:
        """Let a call of that epoch pass. A higher one is on disk before this returns.

        `Refused` (wrong_state) for a lower one.
        """
        if epoch < self._epoch:
            raise Refused(
                WRONG_STATE,
                f"this call is of master epoch {epoch}, but a newer master with epoch {self._epoch} was here: "
                "the caller is no longer the master",
                epoch=epoch,
                newest_epoch=self._epoch,
            )
        if epoch > self._epoch:
            self._files.write(self._path, f"{epoch}\n".encode())
            self._epoch = epoch

    def _load(self) -> int:
        try:
            text = self._files.read(self._path)
        except FileNotFoundError:
            return 0
        try:
            return int(text)
        except ValueError:
            raise Failed(
                f"{self._path} should hold the newest master epoch as a number and does not; "
                "write the master's epoch into it",
                path=self._path,
            ) from None
