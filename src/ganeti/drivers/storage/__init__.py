"""Storage drivers: one file a disk template, each with `TRAITS`, `ADDRESSING` (pure) and `Driver` (on nodes)."""
