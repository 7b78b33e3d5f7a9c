"""A master daemon that only knows the local API: answers from a script, over a real unix socket.

Every body is decoded with the types of `contract.api`, so what the client sends is held to the contract.
"""

import json
import re
import socketserver
import threading
from http.server import BaseHTTPRequestHandler
from typing import Any

import msgspec

from ganeti.contract import api

Answer = tuple[int, Any]

BODIES: dict[str, Any] = {
    "/jobs": api.Submit,
    "/jobs/ID/wait": api.WaitFor,
    "/query": api.Query,
}


def refusal(code: str, message: str) -> Answer:
    status = {"unknown_entity": 404, "already_exists": 409}.get(code, 400)
    return status, {"error": {"class": "Refused", "code": code, "message": message, "facts": {}}}


class FakeMaster:
    """Listens at `path`. `answers`: route (ids as ID) to data, or to a function of the body that gives an `Answer`."""

    def __init__(self, path: str) -> None:
        self.requests: list[tuple[str, Any]] = []
        self.submitted: list[list[dict[str, Any]]] = []
        self.answers: dict[str, Any] = {}
        self.columns: dict[str, tuple[str, str]] = {}
        self.rows: list[list[Any]] = []
        self.endings: list[dict[str, Any]] = []
        """How the next jobs end; a job without one succeeds with null results."""
        self.drop_next_wait = 0
        master = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._reply(*master.answer(self.path, None))

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if master.drop_next_wait and self.path.endswith("/wait"):
                    master.drop_next_wait -= 1
                    self.close_connection = True
                    return
                self._reply(*master.answer(self.path, json.loads(body)))

            def _reply(self, status: int, data: Any) -> None:
                body = json.dumps(data).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                """The tests look at `requests` instead."""

            def address_string(self) -> str:
                return "unix"

        class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
            daemon_threads = True
            block_on_close = False
            request_queue_size = 64

        self._server = Server(path, Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    def __enter__(self) -> "FakeMaster":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, target: str, body: Any) -> Answer:
        route = re.sub(r"/\d+", "/ID", target)
        self.requests.append((target, body))
        if route in BODIES:
            msgspec.convert(body, BODIES[route])
        scripted = self.answers.get(route)
        if callable(scripted):
            answered: Answer = scripted(body)
            return answered
        if scripted is not None:
            return 200, scripted
        match route:
            case "/jobs":
                return 200, {"jobs": [self._accept(ops) for ops in body["jobs"]]}
            case "/jobs/ID/wait":
                return 200, self._news(int(target.split("/")[2]), body)
            case "/query":
                return 200, self._table(body)
            case _:
                return refusal("unknown_entity", f"no route {route}")

    def _accept(self, ops: list[dict[str, Any]]) -> dict[str, Any]:
        self.submitted.append(ops)
        return {"id": len(self.submitted)}

    def _news(self, job: int, known: dict[str, Any]) -> dict[str, Any]:
        ending = self.endings[job - 1] if job <= len(self.endings) else {}
        ops = self.submitted[job - 1] if job <= len(self.submitted) else [{}]
        status = ending.get("status", "success")
        log = [entry for entry in ending.get("log", []) if entry[0] > known["log_serial"]]
        return {
            "id": job,
            "status": status,
            "op_status": ending.get("op_status", [status] * len(ops)),
            "op_result": ending.get("op_result", [None] * len(ops)),
            "log": log,
            "changed": True,
        }

    def _table(self, query: dict[str, Any]) -> dict[str, Any]:
        fields = []
        for name in query["fields"]:
            title, kind = self.columns.get(name, (name, "unknown"))
            fields.append({"name": name, "title": title, "kind": kind, "doc": f"about {name}"})
        places = list(self.columns)
        rows = [
            [row[places.index(name)] if name in self.columns else [1, None] for name in query["fields"]]
            for row in self.rows
        ]
        return {"fields": fields, "rows": rows, "revision": 1}
