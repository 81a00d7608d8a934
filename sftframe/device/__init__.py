"""The machine: the device and the cores of a run, other processes on them, and the facts for the manifest."""

from sftframe.device.choice import available_devices, check_compiler, choose_device, pick_device
from sftframe.device.cores import allowed_cores, cgroup_cores, physical_cores
from sftframe.device.machine import Machine, describe_machine, peak_memory_bytes
from sftframe.device.neighbours import Clocks, ForeignLoad, crowding, read_clocks
from sftframe.device.process import ProcessSetup, keep_freed_memory, set_up_process, set_up_threads, wait_politely

__all__ = [
    "Clocks",
    "ForeignLoad",
    "Machine",
    "ProcessSetup",
    "allowed_cores",
    "available_devices",
    "cgroup_cores",
    "check_compiler",
    "choose_device",
    "crowding",
    "describe_machine",
    "keep_freed_memory",
    "peak_memory_bytes",
    "physical_cores",
    "pick_device",
    "read_clocks",
    "set_up_process",
    "set_up_threads",
    "wait_politely",
]
