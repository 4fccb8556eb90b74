"""The lab itself: what the system tests stand on is tried before they do."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.capture import capture, tls_fault
from tests.lab.hosts.machine import machine
from tests.lab.hosts.networks import Leg, Network, network
from tests.lab.kube.cluster import Cluster, cluster
from tests.lab.kube.control_plane import control_plane
from tests.lab.kube.images import linkspan_image
from tests.lab.namespaces import control_group_roots, sweep
from tests.lab.process import Daemon, run, wait_until
from tests.lab.release import release

NOTIFY_UNIT = """[Service]
Type=notify
ExecStart=/usr/bin/python3 -c "import os, socket, time; s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); \
s.sendto(b'READY=1\\\\nSTATUS=fine', os.environ['NOTIFY_SOCKET']); time.sleep(1000)"
DynamicUser=yes
LoadCredential=secret:/etc/secret
ProtectSystem=strict
"""

SERVED_POD = """
apiVersion: v1
kind: Pod
metadata: {name: served, labels: {app: served}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
    - name: app
      image: lab/busybox:1
      command: [sh, -c, "mkdir /tmp/w; echo hello >/tmp/w/index.html; exec httpd -f -p 80 -h /tmp/w"]
      readinessProbe: {httpGet: {path: /, port: 80}, periodSeconds: 1}
    - name: linkspan
      image: linkspan:lab
      imagePullPolicy: Never
      command: [/opt/linkspan/bin/python3, -c, "import time; time.sleep(1000)"]
      securityContext:
        {runAsNonRoot: true, readOnlyRootFilesystem: true, allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
---
apiVersion: v1
kind: Service
metadata: {name: served}
spec: {selector: {app: served}, ports: [{port: 80}]}
"""


@contextlib.contextmanager
def two_networks() -> Iterator[tuple[Network, Network]]:
    with network("paris") as paris, network("outside") as outside:
        yield paris, outside


def leftovers() -> set[str]:
    """What a lab could leave behind: directories, mounts, control groups, processes."""
    groups = [str(path) for root in control_group_roots() for path in root.glob("lab-*")]
    mounts = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if "/tmp/lab-" in line]
    processes = [line for line in run(["ps", "-eo", "pid,args"]).stdout.splitlines() if "/tmp/lab-" in line]
    return {*(str(path) for path in Path("/tmp").glob("lab-*")), *groups, *mounts, *processes}


@pytest.mark.slow
def test_control_plane_needs_no_root_and_survives_a_crash_of_its_api_server() -> None:
    """A control plane on loopback answers, and keeps its objects when the API server is killed."""
    with control_plane() as plane:
        plane.kubectl("create", "namespace", "kept")
        plane.kill_api_server()
        plane.start_api_server()
        assert "kept" in plane.kubectl("get", "namespaces", "-o", "name")


@pytest.mark.root
def test_machine_boots_and_runs_a_notifying_unit_with_a_credential() -> None:
    """A machine is systemd as process 1: units notify, get credentials and users of their own."""
    with two_networks() as (paris, _), machine("vm", [Leg(paris, "lan0", "10.1.0.2/24")]) as vm:
        vm.write("/etc/secret", "s3cret", mode=0o600)
        vm.write("/etc/systemd/system/probe.service", NOTIFY_UNIT)
        vm.run(["systemctl", "daemon-reload"])
        vm.run(["systemctl", "start", "probe"])
        shown = vm.run(["systemctl", "show", "probe", "-p", "ActiveState,StatusText,MainPID"]).stdout
        assert "ActiveState=active" in shown
        assert "StatusText=fine" in shown
        assert vm.run(["cat", "/run/credentials/probe.service/secret"]).stdout == "s3cret"
        assert vm.run(["ps", "-o", "comm=", "-p", "1"]).stdout.strip() == "systemd"


@pytest.mark.root
def test_power_cut_is_silent_and_keeps_the_disk() -> None:
    """After a power cut no packet comes any more (no FIN, no RST), and the next boot finds the same disk."""
    with two_networks() as (paris, _):
        legs = [[Leg(paris, "lan0", f"10.1.0.{host}/24")] for host in (2, 3)]
        with machine("one", legs[0]) as one, machine("two", legs[1]) as two:
            two.write("/root/kept", "yes")
            serve = ["systemd-run", "--unit=serve", "python3", "-m", "http.server", "80"]
            two.run(serve)
            call = ["curl", "-s", "-o", "/dev/null", "-m", "1", "-w", "%{http_code}", "http://10.1.0.3/"]
            wait_until(lambda: one.run(call, check=False).stdout == "200", "the server", timeout_s=10)
            with capture(paris) as tape:
                two.power_cut()
                assert one.run(call, check=False).returncode == 28  # curl: timed out, nobody said anything
                sent = [stream for stream in tape.traffic().streams if stream.source.startswith("10.1.0.3")]
            assert sent == []
            two.boot()
            assert two.run(["cat", "/root/kept"]).stdout == "yes"


@pytest.mark.root
def test_networks_have_no_route_between_them() -> None:
    """A host with a leg on both networks does not forward: neither side reaches the other even if it tries to."""
    with two_networks() as (paris, outside):
        inner = Leg(paris, "lan0", "10.1.0.3/24", gateway="10.1.0.2")
        both = [Leg(paris, "lan0", "10.1.0.2/24"), Leg(outside, "out0", "192.0.2.2/24")]
        with (
            machine("gateway", both) as gateway,
            machine("app", [inner]) as app,
            machine("far", [Leg(outside, "out0", "192.0.2.3/24", gateway="192.0.2.2")]) as far,
        ):
            far.run(["systemd-run", "python3", "-m", "http.server", "80"])
            call = ["curl", "-s", "-m", "1", "-o", "/dev/null", "http://192.0.2.3/"]
            wait_until(lambda: not gateway.run(call, check=False).returncode, "the gateway's own leg", timeout_s=10)
            assert app.run(call, check=False).returncode == 28
            app.run(["systemd-run", "python3", "-m", "http.server", "80"])
            assert far.run([*call[:-1], "http://10.1.0.3/"], check=False).returncode == 28


@pytest.mark.root
def test_capture_tells_plain_bytes_from_tls() -> None:
    """The judge of captures accepts a TLS connection and names a plain one."""
    with two_networks() as (paris, _):
        legs = [[Leg(paris, "lan0", f"10.1.0.{host}/24")] for host in (2, 3)]
        with machine("one", legs[0]) as one, machine("two", legs[1]) as two:
            two.run(["systemd-run", "python3", "-m", "http.server", "80"])
            hello = ["curl", "-s", "-m", "3", "http://10.1.0.3/"]
            wait_until(lambda: not one.run(hello, check=False).returncode, "the server", timeout_s=10)
            with capture(paris) as tape:
                one.run(hello)
                findings = tape.traffic().findings()
    assert len(findings) == 2
    assert all("no TLS record at byte 0" in finding for finding in findings)
    assert any("GET / HTTP/1.1" in finding for finding in findings)


@pytest.mark.root
def test_machine_carries_the_release() -> None:
    """The release laid over a machine runs there: own interpreter home, every dependency importable."""
    with machine("vm", [], layers=[release()]) as vm:
        code = "import trio, cryptography, msgspec, httptools, consul, mesh.cli, sys; print(sys.prefix)"
        assert vm.run(["/opt/linkspan/bin/python3", "-c", code]).stdout.strip() == "/opt/linkspan"


@pytest.fixture(scope="module")
def east() -> Iterator[Cluster]:
    with network("outside") as outside:
        legs = [Leg(outside, "out0", "192.0.2.10/24")]
        with cluster(outside=legs, images=[linkspan_image()]) as running:
            yield running


@pytest.mark.root
def test_cluster_runs_a_pod_that_its_service_name_reaches(east: Cluster) -> None:
    """A pod becomes Ready on a real kubelet, DNS names its Service, and the Linkspan image runs as nobody."""
    east.apply(SERVED_POD)
    east.wait_ready("default", "pod/served")
    fetch = ("wget", "-qO-", "http://served.default.svc.cluster.local/")
    assert east.exec("default", "served", *fetch, container="app") == "hello\n"
    code = "import os, kubernetes, trio, cryptography, consul, mesh.cli; print(os.getuid())"
    told = east.exec("default", "served", "/opt/linkspan/bin/python3", "-c", code, container="linkspan")
    assert told == "65532\n"
    assert json.loads(east.helm("list", "-o", "json")) == []


@pytest.mark.root
def test_pods_and_the_outside_link_do_not_reach_each_other(east: Cluster) -> None:
    """The node's second leg carries nothing to or from pods, even for a neighbour that routes through the node."""
    east.apply(SERVED_POD)
    east.wait_ready("default", "pod/served")
    pod = east.kubectl("get", "pod", "served", "-o", "jsonpath={.status.podIP}")
    call = ["curl", "-s", "-m", "1", "-o", "/dev/null", f"http://{pod}/"]
    assert east.on_plane(*call).returncode == 0
    outside = east.nodes[0].legs[1].network
    with machine("far", [Leg(outside, "out0", "192.0.2.3/24", gateway="192.0.2.10")]) as far:
        assert far.run(call, check=False).returncode == 28
        far.run(["systemd-run", "python3", "-m", "http.server", "80"])
        from_node = ["curl", "-s", "-m", "1", "-o", "/dev/null", "http://192.0.2.3/"]
        node = east.nodes[0].ground
        assert node is not None
        wait_until(lambda: not node.run(*from_node, check=False).returncode, "the node's own leg", timeout_s=10)
        fetch = ("exec", "served", "-c", "app", "--", "timeout", "2", "wget", "-qO-", "http://192.0.2.3/")
        assert east.try_kubectl(*fetch).returncode != 0


@pytest.mark.root
def test_nothing_is_left_behind() -> None:
    """What one lab started is gone when its block ends, also when the block raises."""
    before = leftovers()
    with contextlib.suppress(ZeroDivisionError), cluster():
        assert leftovers() - before
        raise ZeroDivisionError
    assert leftovers() - before == set()


@pytest.mark.root
def test_killed_run_leaves_no_process_and_the_next_one_sweeps() -> None:
    """When a test run is killed outright, its processes and mounts go with it; the next run removes its directories."""
    before = leftovers()
    script = "import signal\nfrom tests.lab.hosts.machine import machine\nwith machine('vm', []): print(flush=True); signal.pause()\n"
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as run_of_its_own:
        assert run_of_its_own.stdout is not None
        assert run_of_its_own.stdout.readline() == b"\n"
        assert any("systemd-nspawn" in line for line in leftovers() - before)
        run_of_its_own.kill()
    wait_until(lambda: not any(" " in line for line in leftovers() - before), "its processes to end", timeout_s=10)
    assert leftovers() - before
    sweep()
    assert leftovers() - before == set()


def test_tls_fault_accepts_records_only() -> None:
    """A sequence of records passes, also when the end is cut; a plain byte anywhere does not."""
    record = b"\x16\x03\x01\x00\x02ab" + b"\x17\x03\x03\x00\x01x"
    assert tls_fault(record) is None
    assert tls_fault(record[:-1]) is None
    assert tls_fault(record + b"\x17\x03") is None
    assert tls_fault(b"GET / HTTP/1.1\r\n\r\n") is not None
    assert tls_fault(record + b"GET ") is not None
    assert tls_fault(b"\x17\x03\x03\xff\xff") is not None


def test_daemon_that_dies_tells_its_log(tmp_path: Path) -> None:
    """Waiting for something that a dead daemon should have brought ends at once and shows what it printed."""
    daemon = Daemon("broken", ["sh", "-c", "echo out of luck; exit 3"], tmp_path / "log")
    with pytest.raises(Exception, match="status 3: out of luck"):
        daemon.wait_until(lambda: False, "luck", timeout_s=10)
