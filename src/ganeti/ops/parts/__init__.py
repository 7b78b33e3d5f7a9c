"""Pieces that several operations share: disks, NICs, guests, names."""
