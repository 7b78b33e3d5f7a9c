"""Hypervisor drivers: one file or package each, every one with its `TRAITS` and `Driver`."""
