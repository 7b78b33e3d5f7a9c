"""Floor 3: what really touches hypervisors, disks, networks and OS scripts of a host. One file or package a driver."""
