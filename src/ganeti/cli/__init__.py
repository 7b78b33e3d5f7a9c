"""Floor 6: the commands. One file per command: `cli/instance/add.py` is `gnt-instance add`.

On the path of ordinary commands nothing is imported that a start must not wait for: no argparse, re, typing or json.
"""
