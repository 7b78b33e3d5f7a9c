"""Operations that several scenarios submit, as clients send them."""

from typing import Any

CREATE: dict[str, Any] = {
    "OP_ID": "OP_INSTANCE_CREATE",
    "instance_name": "web1.example.com",
    "disk_template": "file",
    "disks": [{"size": 1024}, {"size": 2048}],
    "nics": [{}],
    "os_type": "tiny",
    "start": True,
}
REMOVE: dict[str, Any] = {"OP_ID": "OP_INSTANCE_REMOVE", "instance_name": "web1.example.com"}
SHUTDOWN: dict[str, Any] = {"OP_ID": "OP_INSTANCE_SHUTDOWN", "instance_name": "web1.example.com"}
STARTUP: dict[str, Any] = {"OP_ID": "OP_INSTANCE_STARTUP", "instance_name": "web1.example.com"}
