"""The master's local API: HTTP/1.1 with JSON over a unix socket, for root only. What the gnt-* commands speak.

Clients use the standard library alone (start-up must feel instant), so these types document and decode on the
server's side. Every error is `{"error": {"class", "code", "message", "facts"}}` with an HTTP status: refused 400
(unknown_entity 404, already_exists and resource_not_unique 409), unavailable 503, failed 500, bug 500.

| request | body | answer |
|---|---|---|
| GET /ping | - | `{"version", "cluster", "master", "pid"}` |
| POST /jobs | `Submit` | `{"jobs": [{"id": 7} or {"error": {...}}, ...]}`: each job is accepted or not |
| GET /jobs/ID | - | a whole job: `JobDetails` |
| POST /jobs/ID/wait | `WaitFor` | `JobNews`, at once when there is news, else when the time is over |
| POST /jobs/ID/cancel | `{"kill": false}` | `{"ok": bool, "message": str}` |
| POST /jobs/ID/priority | `{"priority": 10}` | `{"ok": bool, "message": str}` |
| POST /jobs/ID/archive | `{}` | `{"ok": bool, "message": str}` |
| POST /jobs/autoarchive | `{"age_s": 3600 or null for all}` | `{"archived": n, "left": n}` |
| POST /query | `Query` | `QueryReply` |
| POST /query-fields | `{"what": "instance", "fields": [..] or null}` | `{"fields": [FieldDef, ...]}` |
| POST /info/KIND | `{"names": [..], "static": bool}` | data for `gnt-KIND info`, see below; KIND: cluster, node, group, instance, os |
| POST /tags | `{"kind": "instance", "name": "web1"}` | `{"tags": [...]}` |
| POST /tags/search | `{"pattern": "..."}` | `{"tags": [["/instances/web1", "tag"], ...]}` |
| POST /locks | `{}` | `{"locks": [{"name","mode","owner":[..],"pending":[[mode,[jobs]],..]}]}` |
| POST /queue/drain | `{"drain": bool or null to only ask}` | `{"drained": bool}` |
| POST /watcher/pause | `{}` to only ask, `{"until_s": seconds since the epoch, or null to go on}` | `{"until_s": float or null}` |
| POST /console | `{"instance": "web1"}` | `contract.guest.Console` |
| POST /join-token | `contract.join.TokenWish` | `{"token": str, "expires_s": float, "address": str, "port": n}` |
| POST /shutdown | `{}` | the daemon ends after answering |

`/info/KIND` answers data that is ready to print, in the words and the order of the samples: `master.queries.info` says
how. cluster: one object; node, group, instance: a list of objects in the order of names; os: a list of objects
`{name valid status hidden blacklisted variants api_versions parameters trusted nodes}`. No names: all; an unknown name is
an error.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

What = Literal["instance", "node", "group", "job", "os", "lock", "cluster", "network", "export", "filter", "extstorage"]

NORMAL, UNKNOWN_FIELD, NO_DATA, UNAVAILABLE, OFFLINE = range(5)
"""The status of a value in a query's row (spec: cli, "Field result status")."""


class Submit(msgspec.Struct, frozen=True, kw_only=True):
    """Jobs to accept: each a list of operations as JSON objects with OP_ID."""

    jobs: list[list[dict[str, Any]]]


class WaitFor(msgspec.Struct, frozen=True, kw_only=True):
    """What the client knows already, so that only news is sent."""

    status: str | None = None
    log_serial: int = 0
    timeout_s: float = 30.0


class JobNews(msgspec.Struct, frozen=True, kw_only=True):
    """State of a job now, and the log entries after the known serial: [serial, time, kind, text]."""

    id: int
    status: str
    op_status: list[str]
    op_result: list[Any]
    log: list[tuple[int, float, str, str]]
    changed: bool


class JobDetails(msgspec.Struct, frozen=True, kw_only=True):
    """A job as `gnt-job info` shows it."""

    id: int
    status: str
    received_ts: float
    start_ts: float | None
    end_ts: float | None
    archived: bool
    summary: list[str]
    ops: list[dict[str, Any]]
    """Each: input, status, result, log, start, exec, end, priority."""


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """A list query. `names` selects by name (unknown: an error), or `filter_text` is an argument as typed.

    With `force_filter` a lone argument is a filter even if it looks like a name (option -F). `qfilter` is the
    JSON form. `fields` None or `+a,b` style handling is the client's: here they are final; None means default.
    """

    what: What
    fields: list[str] | None = None
    arguments: list[str] = []
    force_filter: bool = False
    qfilter: list[Any] | None = None


class FieldDef(msgspec.Struct, frozen=True, kw_only=True):
    """A column. `kind`: text, bool, number, float, unit (MiB), timestamp, other, unknown."""

    name: str
    title: str
    kind: str
    doc: str


class QueryReply(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of [status, value] pairs, in the order of `fields`. `default_fields` is what None stood for."""

    fields: list[FieldDef]
    rows: list[list[tuple[int, Any]]]
    revision: int = 0
