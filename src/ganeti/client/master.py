"""The master's local API as methods. Answers are plain JSON data as `contract.api` describes them.

Errors arrive as the classes of `base.errors`; why nobody answers is told by `client.errors`.
"""

from __future__ import annotations

from ganeti.client.http import Connection

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from ganeti.base.errors import GanetiError

    Op = dict[str, Any]
    Log = Callable[[float, str, str], None]

FINAL = ("canceled", "success", "error")
ANSWER_WITHIN_S = 180.0
LOOK_AGAIN_S = 30.0


class Master:
    """A client of the master daemon at a unix socket; `settings_path` tells why nobody is there."""

    def __init__(self, socket_path: str, settings_path: str) -> None:
        self._socket_path = socket_path
        self._settings_path = settings_path
        self._connection = Connection(socket_path)

    def close(self) -> None:
        """Hang up; a further call connects again."""
        self._connection.close()

    def ping(self) -> dict[str, Any]:
        """Who answers: version, cluster, master, pid."""
        return self._dict("GET", "/ping", None)

    def submit(self, jobs: Sequence[Sequence[Op]]) -> list[int | GanetiError]:
        """Hand in jobs. For each its id, or why it was not accepted."""
        self._connection.close()  # a submission must never be repeated: it does not start on a connection that may be stale
        answer = self._dict("POST", "/jobs", {"jobs": [list(ops) for ops in jobs]})
        accepted: list[int | GanetiError] = []
        for job in answer["jobs"]:
            if "id" in job:
                accepted.append(int(job["id"]))
            else:
                from ganeti.client.errors import from_answer

                accepted.append(from_answer(400, job))
        return accepted

    def submit_one(self, ops: Sequence[Op]) -> int:
        """Hand in one job and return its id; raises when it is not accepted."""
        [accepted] = self.submit([ops])
        if isinstance(accepted, int):
            return accepted
        raise accepted

    def job(self, job_id: int) -> dict[str, Any]:
        """A whole job (`JobDetails`)."""
        return self._dict("GET", f"/jobs/{job_id}", None)

    def news(self, job_id: int) -> Iterator[dict[str, Any]]:
        """What happens to a job (`JobNews`), from its first log line to its final state.

        Waits on the server's side; also yields when nothing happened for `LOOK_AGAIN_S`, with `changed` false.
        """
        status, serial = None, 0
        while True:
            known = {"status": status, "log_serial": serial, "timeout_s": LOOK_AGAIN_S}
            news = self._dict("POST", f"/jobs/{job_id}/wait", known)
            status = news["status"]
            serial = max([serial, *(entry[0] for entry in news["log"])])
            yield news
            if status in FINAL:
                return

    def follow(self, job_id: int, on_log: Log) -> dict[str, Any]:
        """Wait for the end of a job, giving each log line (time, kind, text) as it comes. Returns the last news."""
        news: dict[str, Any] = {}
        for news in self.news(job_id):
            for _, time_s, kind, text in news["log"]:
                on_log(time_s, kind, text)
        return news

    def cancel(self, job_id: int, *, kill: bool = False) -> tuple[bool, str]:
        """Ask for a job's end. Whether it will, and what the master says about it."""
        return self._deed(f"/jobs/{job_id}/cancel", {"kill": kill})

    def set_priority(self, job_id: int, priority: int) -> tuple[bool, str]:
        """Make the waiting operations of a job more or less urgent."""
        return self._deed(f"/jobs/{job_id}/priority", {"priority": priority})

    def archive(self, job_id: int) -> tuple[bool, str]:
        """Put a finished job away."""
        return self._deed(f"/jobs/{job_id}/archive", {})

    def autoarchive(self, age_s: int | None) -> tuple[int, int]:
        """Put away what finished that long ago (None: all). How many were, and how many were left unlooked at."""
        answer = self._dict("POST", "/jobs/autoarchive", {"age_s": age_s})
        return int(answer["archived"]), int(answer["left"])

    def query(
        self,
        what: str,
        fields: Sequence[str] | None,
        *,
        arguments: Sequence[str] = (),
        force_filter: bool = False,
        qfilter: list[Any] | None = None,
    ) -> dict[str, Any]:
        """A list (`QueryReply`)."""
        body = {
            "what": what,
            "fields": None if fields is None else list(fields),
            "arguments": list(arguments),
            "force_filter": force_filter,
            "qfilter": qfilter,
        }
        return self._dict("POST", "/query", body)

    def values(self, what: str, fields: Sequence[str], **selection: Any) -> list[list[Any]]:
        """Rows of bare values, None where there is none. For commands that look something up."""
        rows = self.query(what, fields, **selection)["rows"]
        return [[value if status == 0 else None for status, value in row] for row in rows]

    def query_fields(self, what: str, fields: Sequence[str] | None) -> list[dict[str, Any]]:
        """The columns there are (`FieldDef`)."""
        body = {"what": what, "fields": None if fields is None else list(fields)}
        return list(self._dict("POST", "/query-fields", body)["fields"])

    def info(self, kind: str, names: Sequence[str] = (), *, static: bool = False) -> Any:
        """Data for an info command: an object for the cluster, else a list of objects."""
        return self._ask("POST", f"/info/{kind}", {"names": list(names), "static": static})

    def tags(self, kind: str, name: str | None) -> list[str]:
        """The tags of one object; the cluster has no name here."""
        return list(self._dict("POST", "/tags", {"kind": kind, "name": name or ""})["tags"])

    def search_tags(self, pattern: str) -> list[tuple[str, str]]:
        """(path, tag) of all tags that fit a regular expression."""
        return [(path, tag) for path, tag in self._dict("POST", "/tags/search", {"pattern": pattern})["tags"]]

    def locks(self) -> list[dict[str, Any]]:
        """Who holds and who waits."""
        return list(self._dict("POST", "/locks", {})["locks"])

    def drained(self, drain: bool | None) -> bool:
        """Set (None: only ask) whether the queue takes no new jobs."""
        return bool(self._dict("POST", "/queue/drain", {"drain": drain})["drained"])

    def watcher_paused_until_s(self) -> float | None:
        """Until when the watcher rests; None: it does not."""
        until_s: float | None = self._dict("POST", "/watcher/pause", {})["until_s"]
        return until_s

    def pause_watcher(self, until_s: float | None) -> None:
        """Let the watcher rest until then, in seconds since the epoch; None: it goes on."""
        self._dict("POST", "/watcher/pause", {"until_s": until_s})

    def console(self, instance: str) -> dict[str, Any]:
        """How to reach a guest's console (`contract.guest.Console`)."""
        return self._dict("POST", "/console", {"instance": instance})

    def join_token(self, **wish: Any) -> dict[str, Any]:
        """A token with which a host can come in (`contract.join.TokenWish`): token, expires_s, address, port."""
        return self._dict("POST", "/join-token", wish)

    def shutdown(self) -> None:
        """End the daemon."""
        self._dict("POST", "/shutdown", {})

    def _deed(self, target: str, body: dict[str, Any]) -> tuple[bool, str]:
        answer = self._dict("POST", target, body)
        return bool(answer["ok"]), str(answer["message"])

    def _dict(self, method: str, target: str, body: object) -> dict[str, Any]:
        answer = self._ask(method, target, body)
        if not isinstance(answer, dict):
            from ganeti.client.errors import from_answer

            raise from_answer(200, answer)
        result: dict[str, Any] = answer
        return result

    def _ask(self, method: str, target: str, body: object) -> Any:
        try:
            status, answer = self._connection.request(method, target, body, timeout_s=ANSWER_WITHIN_S)
        except OSError as error:
            from ganeti.client.errors import unreachable

            raise unreachable(error, self._socket_path, self._settings_path) from error
        if status != 200:
            from ganeti.client.errors import from_answer

            raise from_answer(status, answer)
        return answer
