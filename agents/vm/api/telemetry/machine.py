"""`/v1/agent/host`: the machine this agent runs on, in Consul's shape; what cannot be read is left out and named."""

import os
import platform
import shutil
import time
from pathlib import Path
from typing import Any

_KIB = 1024


def host_form() -> dict[str, Any]:
    """Processors, memory, disk and system. Reads /proc: call it in a thread."""
    errors: list[str] = []
    return {
        "Memory": _memory(errors),
        "CPU": [{"cpu": number} for number in range(os.cpu_count() or 0)],
        "Host": _system(errors),
        "Disk": _disk(),
        "CollectionTime": time.time_ns(),
        "Errors": errors or None,
    }


def _memory(errors: list[str]) -> dict[str, Any]:
    try:
        text = Path("/proc/meminfo").read_text(encoding="ascii")
    except OSError as error:
        errors.append(f"memory: {error.strerror}")
        return {}
    found = meminfo(text)
    total, available = found.get("MemTotal", 0), found.get("MemAvailable", 0)
    used = total - available
    percent = used / total * 100 if total else 0.0
    return {
        "total": total,
        "available": available,
        "used": used,
        "usedPercent": percent,
        "free": found.get("MemFree", 0),
    }


def meminfo(text: str) -> dict[str, int]:
    """Bytes by name, from the lines of /proc/meminfo. Pure."""
    found = {}
    for line in text.splitlines():
        name, _, rest = line.partition(":")
        parts = rest.split()
        if parts and parts[0].isdigit():
            found[name] = int(parts[0]) * (_KIB if parts[1:] == ["kB"] else 1)
    return found


def _system(errors: list[str]) -> dict[str, Any]:
    system = platform.uname()
    form: dict[str, Any] = {
        "hostname": system.node,
        "os": system.system.lower(),
        "kernelVersion": system.release,
        "kernelArch": system.machine,
    }
    try:
        up_s = float(Path("/proc/uptime").read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError) as error:
        errors.append(f"uptime: {error}")
        return form
    return form | {"uptime": int(up_s), "bootTime": int(time.time() - up_s)}


def _disk() -> dict[str, Any]:
    usage = shutil.disk_usage("/")
    return {
        "path": "/",
        "total": usage.total,
        "free": usage.free,
        "used": usage.used,
        "usedPercent": usage.used / usage.total * 100 if usage.total else 0.0,
    }
