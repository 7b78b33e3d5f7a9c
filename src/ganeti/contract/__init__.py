"""Floor 2: what crosses a boundary, as types only: node calls, driver ports, operations, the store, the local API."""
