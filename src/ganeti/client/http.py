"""The little of HTTP/1.1 that the local API needs: one request after another over a unix socket, bodies in JSON."""

from __future__ import annotations

from _socket import AF_UNIX, SOCK_STREAM, socket

from ganeti.client import fastjson

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LONGEST_HEAD_BYTES = 64 * 1024


class Broken(OSError):
    """The other side hung up or spoke no HTTP."""


class Connection:
    """A connection that opens when it is needed and stays open. Raises the `OSError` family, `Broken` among it."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._socket: socket | None = None
        self._rest = b""

    def request(self, method: str, target: str, body: object, *, timeout_s: float) -> tuple[int, Any]:
        """Send one request and return status and decoded body. `body` None sends none.

        `timeout_s` limits each wait for the other side, not the whole.
        """
        data = b"" if body is None else fastjson.dumps(body).encode()
        head = f"{method} {target} HTTP/1.1\r\nHost: ganeti\r\nContent-Length: {len(data)}\r\n"
        if body is not None:
            head += "Content-Type: application/json\r\n"
        try:
            connected = self._connected(timeout_s)
            connected.sendall(head.encode() + b"\r\n" + data)
            return self._answer(connected)
        except BaseException:
            self.close()  # whatever is still under way must not be taken for the answer to the next request
            raise

    def close(self) -> None:
        """Hang up; the next request connects anew."""
        if self._socket is not None:
            self._socket.close()
        self._socket = None
        self._rest = b""

    def _connected(self, timeout_s: float) -> socket:
        if self._socket is None:
            self._socket = socket(AF_UNIX, SOCK_STREAM)
            self._socket.settimeout(timeout_s)
            self._socket.connect(self._path)
        self._socket.settimeout(timeout_s)
        return self._socket

    def _answer(self, connected: socket) -> tuple[int, Any]:
        data = self._rest
        while (end := data.find(b"\r\n\r\n")) < 0:
            data += self._more(connected)
            if len(data) > LONGEST_HEAD_BYTES and b"\r\n\r\n" not in data:
                raise Broken("the answer's head has no end")
        status, headers = _parse_head(data[:end])
        body, rest = data[end + 4 :], b""
        if headers.get("transfer-encoding", "identity").lower() == "chunked":
            body, rest = self._chunked(connected, body)
        elif "content-length" in headers:
            length = int(headers["content-length"])
            parts, have = [body], len(body)
            while have < length:
                parts.append(self._more(connected))
                have += len(parts[-1])
            whole = b"".join(parts)
            body, rest = whole[:length], whole[length:]
        elif status not in (204, 304):
            raise Broken("the answer does not say how long it is")
        self._rest = rest
        if headers.get("connection", "").lower() == "close":
            self.close()
        try:
            return status, fastjson.loads(body) if body else None
        except ValueError as error:
            raise Broken(f"the answer is no JSON: {error}") from error

    def _chunked(self, connected: socket, data: bytes) -> tuple[bytes, bytes]:
        body = b""
        while True:
            while b"\r\n" not in data:
                data += self._more(connected)
            line, data = data.split(b"\r\n", 1)
            size = int(line.split(b";", 1)[0], 16)
            while len(data) < size + 2:
                data += self._more(connected)
            body, data = body + data[:size], data[size + 2 :]
            if size == 0:
                return body, data

    def _more(self, connected: socket) -> bytes:
        data = connected.recv(1 << 20)
        if not data:
            raise Broken("the other side hung up")
        return data


def _parse_head(head: bytes) -> tuple[int, dict[str, str]]:
    first, *lines = head.decode("latin-1").split("\r\n")
    words = first.split(" ", 2)
    if len(words) < 2 or not words[0].startswith("HTTP/1.") or not words[1].isdigit():
        raise Broken("the answer is no HTTP")
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    return int(words[1]), headers
