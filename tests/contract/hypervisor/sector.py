"""A guest in 79 bytes, for tests of hypervisors: a boot sector that boots in a blink and knows the power button.

It writes "hello" to the serial port, then waits: the power button or a `q` on the serial port powers off by ACPI,
an `r` resets the machine.
"""

from __future__ import annotations

from pathlib import Path

_CODE = bytes.fromhex(
    "31c08ed8fb"  # ax = ds = 0; interrupts on: the timer of the BIOS wakes us 18 times a second
    "baf803be477cac84c07403eeebf8"  # write the text at 0x7c47 to port 0x3f8 (serial) up to the 0
    "ba0206b80001ef"  # port 0x602 = 0x0100: the power button may say that it was pressed
    "f4"  # again: sleep until the next tick
    "ba0006edf6c401751a"  # port 0x600 bit 8: the button was pressed, go to off
    "bafd03eca80174ee"  # nothing has come in at the serial port: again
    "baf803ec3c71740a"  # `q`: go to off
    "3c7275e2"  # anything else but `r`: again
    "b0fee664ebdc"  # `r`: reset through the keyboard controller
    "ba0406b80020efebf7"  # off: port 0x604 = 0x2000 is ACPI's soft-off
    "68656c6c6f0a00"  # "hello\n"
)


def write_disk(path: Path) -> Path:
    """Make a disk image of 1 MiB that boots this guest."""
    path.write_bytes(_CODE.ljust(510, b"\0") + b"\x55\xaa" + bytes(2**20 - 512))
    return path
