"""The machine below, as `/v1/agent/host` shows it."""

from agents.vm.api.telemetry.machine import host_form, meminfo


def test_consuls_parts_are_there() -> None:
    """With numbers of this machine."""
    form = host_form()
    assert set(form) == {"Memory", "CPU", "Host", "Disk", "CollectionTime", "Errors"}
    assert form["Disk"]["total"] >= form["Disk"]["used"] > 0
    assert form["Host"]["os"] == "linux"
    assert form["Errors"] is None


def test_meminfo_is_read_in_bytes() -> None:
    """Lines that are none are left out."""
    assert meminfo("MemTotal:  2 kB\nHugePages: 3\nodd\nx: y\n") == {"MemTotal": 2048, "HugePages": 3}
