"""OS definitions: what installs a guest (spec: interfaces, section 1)."""
