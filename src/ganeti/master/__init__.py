"""Floor 5, the master: jobs, the picture of the cluster and its one way to change, calls to nodes, the local API."""
