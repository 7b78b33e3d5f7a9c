"""Network drivers: how guests are connected; one file for each NIC mode, every one with its `TRAITS` and `Driver`."""
