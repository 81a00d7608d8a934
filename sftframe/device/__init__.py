"""The machine: the device and the cores of a run, other processes on them, and the facts for the manifest."""

from sftframe.device.accelerator import (
    available_devices,
    check_compiler,
    choose_device,
    describe_machine,
    peak_memory_bytes,
)
from sftframe.device.cpu import (
    ForeignLoad,
    ProcessSetup,
    allowed_cores,
    cgroup_cores,
    crowding,
    limit_spinning,
    physical_cores,
    read_text,
    set_up_process,
    set_up_threads,
)

__all__ = [
    "ForeignLoad",
    "ProcessSetup",
    "allowed_cores",
    "available_devices",
    "cgroup_cores",
    "check_compiler",
    "choose_device",
    "crowding",
    "describe_machine",
    "limit_spinning",
    "peak_memory_bytes",
    "physical_cores",
    "read_text",
    "set_up_process",
    "set_up_threads",
]
