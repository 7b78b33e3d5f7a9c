"""The options of an instance policy, and the policy they describe. Pure."""

from __future__ import annotations

from ganeti.cli.declare import Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ganeti.cli.declare import Options

OPTIONS = (
    Option(
        "--ipolicy-bounds-specs",
        "what an instance may be: least and most for every key; several pairs parted by //",
        kind="bounds",
    ),
    Option("--ipolicy-disk-templates", "disk templates that instances may have", kind="list"),
    Option("--ipolicy-vcpu-ratio", "most virtual processors for each real one", kind="ratio", metavar="RATIO"),
    Option("--ipolicy-spindle-ratio", "most instances for each spindle", kind="ratio", metavar="RATIO"),
)
STD_SPECS = Option("--ipolicy-std-specs", "the instance that capacity is counted in, all keys", kind="keyval")
SIZES = ("memory-size", "disk-size")


def chosen(options: Options) -> dict[str, Any]:
    """The part of a policy that was given. Raises `Refused` for a value that is no number."""
    policy: dict[str, Any] = {}
    if options["ipolicy_bounds_specs"]:
        policy["minmax"] = [
            {bound: spec(values) for bound, values in pair.items()} for pair in options["ipolicy_bounds_specs"]
        ]
    if options.get("ipolicy_std_specs"):
        policy["std"] = spec(options["ipolicy_std_specs"])
    templates = options["ipolicy_disk_templates"]
    if templates:
        policy["disk-templates"] = "default" if templates == ["default"] else templates
    for name in ("vcpu-ratio", "spindle-ratio"):
        value = options[f"ipolicy_{name.replace('-', '_')}"]
        if value is not None:
            policy[name] = value
    return policy


def spec(values: dict[str, Any]) -> dict[str, Any]:
    """Numbers of one specification; sizes in MiB."""
    from ganeti.base.errors import WRONG_INPUT, Refused
    from ganeti.cli.parse import size_mib

    result: dict[str, Any] = {}
    for key, text in values.items():
        if text == "default":
            result[key] = text
        elif key in SIZES and isinstance(text, str):
            result[key] = size_mib(text)
        elif isinstance(text, str) and text.isascii() and text.isdigit():
            result[key] = int(text)
        else:
            raise Refused(WRONG_INPUT, f"instance policy: {key} is a whole number; not '{text}'", key=key)
    return result


def command_words(shown: dict[str, Any]) -> list[str]:
    """The options that make a policy anew, from the policy as `gnt-cluster info` shows it."""
    pairs = []
    for entry in shown["bounds specs"]:
        pair = {name.partition("/")[0]: values for name, values in entry.items()}
        pairs.append(f"min:{_keyval(pair['min'])};max:{_keyval(pair['max'])}")
    return [
        "--ipolicy-std-specs",
        _keyval(shown["std"]),
        "--ipolicy-bounds-specs",
        "//".join(pairs),
        "--ipolicy-disk-templates",
        shown["allowed disk templates"].replace(" ", ""),
        "--ipolicy-vcpu-ratio",
        str(shown["vcpu-ratio"]),
        "--ipolicy-spindle-ratio",
        str(shown["spindle-ratio"]),
    ]


def option_words(stored: dict[str, Any] | None) -> list[str]:
    """The options that make a policy anew, from its stored form; what it does not set is left out."""
    words: list[str] = []
    stored = stored or {}
    if "minmax" in stored:
        pairs = [f"min:{_keyval(pair['min'])};max:{_keyval(pair['max'])}" for pair in stored["minmax"]]
        words += ["--ipolicy-bounds-specs", "//".join(pairs)]
    if "disk-templates" in stored:
        words += ["--ipolicy-disk-templates", ",".join(stored["disk-templates"])]
    for name in ("vcpu-ratio", "spindle-ratio"):
        if name in stored:
            words += [f"--ipolicy-{name}", str(stored[name])]
    return words


def _keyval(values: dict[str, Any]) -> str:
    return ",".join(f"{key}={values[key]}" for key in sorted(values))
