"""`--config-dir` at real processes: what they say at the start, what SIGHUP does, and how a bad file ends them."""

import json
import os
import signal
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

from tests.lab.process import Daemon, free_port, wait_until

LINKSPAN = Path(__file__).resolve().parents[3] / ".venv" / "bin" / "linkspan"
MANAGEMENT = "3f2f6a0e-8f9d-4c41-9d28-0b6f2ad4d9c1"


def get(url: str, token: str = "") -> tuple[int, str]:
    """Status and text of a GET; 0 while nobody answers."""
    request = urllib.request.Request(url, headers={"X-Consul-Token": token} if token else {})
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


def write(folder: Path, **values: object) -> None:
    (folder / "config.json").write_text(json.dumps(values))


def test_a_catalog_of_a_configuration_alone(tmp_path: Path) -> None:
    """Ports, data and the management token come from the file; SIGHUP names what takes a restart, and a bad file is survived."""
    folder, port = tmp_path / "config", free_port()
    folder.mkdir()
    common = {
        "ports": {"http": port, "mesh": 0, "dns": -1},
        "data_dir": str(tmp_path / "data"),
        "bind_addr": "127.0.0.1",
    }
    tokens = {"acl": {"tokens": {"initial_management": MANAGEMENT}}}
    write(folder, **common, **tokens, retry_join=["x"])
    url = f"http://127.0.0.1:{port}/v1"
    catalog = Daemon("linkspan catalog", [LINKSPAN, "catalog", "--config-dir", folder], tmp_path / "log")
    try:
        catalog.wait_until(lambda: get(f"{url}/agent/self", MANAGEMENT)[0] == 200, "the API", timeout_s=20)
        assert get(f"{url}/agent/self")[0] == 403
        assert "ignored: retry_join" in catalog.tail()
        write(folder, **common, node_name="other", **tokens)
        os.kill(catalog.pid, signal.SIGHUP)
        catalog.wait_until(lambda: "take a restart: node_name" in catalog.tail(), "the reload", timeout_s=10)
        write(folder, nonsense=1)
        os.kill(catalog.pid, signal.SIGHUP)
        catalog.wait_until(lambda: "nonsense: unknown setting" in catalog.tail(), "the refusal", timeout_s=10)
        assert get(f"{url}/agent/self", MANAGEMENT)[0] == 200
        assert MANAGEMENT not in catalog.tail(100_000)
    finally:
        catalog.stop()


def test_a_dev_process_registers_and_reloads_what_stands_in_the_file(tmp_path: Path) -> None:
    """At SIGHUP, and by itself within a few seconds."""
    folder, port = tmp_path / "config", free_port()
    folder.mkdir()
    common = {"ports": {"http": port, "mesh": 0, "dns": -1}, "client_addr": "0.0.0.0"}
    write(folder, **common, services=[{"name": "web", "port": 1}])
    url = f"http://127.0.0.1:{port}/v1"
    dev = Daemon("linkspan dev", [LINKSPAN, "dev", "--config-dir", folder], tmp_path / "log")
    try:
        dev.wait_until(lambda: "web" in get(f"{url}/catalog/services")[1], "the service", timeout_s=20)
        assert "this machine only: client_addr ignored" in dev.tail()
        write(folder, **common, services=[{"name": "api", "port": 2}])
        os.kill(dev.pid, signal.SIGHUP)
        wait_until(lambda: list(json.loads(get(f"{url}/agent/services")[1])) == ["api"], "the other one", timeout_s=10)
    finally:
        dev.stop()


def test_a_bad_file_ends_the_start_with_one_line(tmp_path: Path) -> None:
    """File, key, what to do; status 1, no traceback, nothing written."""
    write(tmp_path, ports={"htpp": 1})
    for command in ("dev", "catalog"):
        done = subprocess.run(
            [LINKSPAN, command, "--config-dir", tmp_path], capture_output=True, text=True, timeout=20, check=False
        )
        assert done.returncode == 1
        assert done.stderr.strip() == f"Error: {tmp_path}/config.json: ports.htpp: unknown setting: did you mean http?"
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]
