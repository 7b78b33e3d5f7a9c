"""KVM: guests in QEMU processes, driven through QMP.

`params` what the master knows, `argv`, `devices` and `display` the command line (pure), `host` what the node
offers, `runtime` and `process` what is there, `monitor` QMP, `cgroups` limits, `driver` the port.
"""

from ganeti.drivers.hypervisor.kvm.driver import Driver
from ganeti.drivers.hypervisor.kvm.params import TRAITS, validate

__all__ = ["TRAITS", "Driver", "validate"]
