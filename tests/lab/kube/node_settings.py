"""The settings files of a lab node: containerd, its network plugin, kubelet and kube-proxy.

Pure: text from values. What differs from a usual node is said where it stands.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from tests.lab.kube.control_plane import POD_CIDR

DNS_ADDRESS = "10.96.0.10"
PLUGINS = "/usr/lib/cni"  # where Debian puts the network plugins


@dataclass(frozen=True)
class NodeFacts:
    """What the settings of one node are made from."""

    name: str
    address: str
    pod_subnet: str
    control_group: str
    state: Path
    pki: Path


def containerd_settings(node: NodeFacts) -> str:
    """The containerd configuration (TOML)."""
    return f"""version = 2
root = "{node.state}/containerd"
state = "{node.state}/containerd-run"
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.devmapper"]
[grpc]
  address = "{node.state}/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "lab/pause:1"
  restrict_oom_score_adj = true  # test computers may lack CAP_SYS_RESOURCE
  disable_apparmor = true
  disable_hugetlb_controller = true
  tolerate_missing_hugetlb_controller = true
  netns_mounts_under_state_dir = true
  stream_server_address = "127.0.0.1"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{PLUGINS}"
    conf_dir = "{node.state}/cni"
"""


def network_settings(node: NodeFacts) -> str:
    """The network plugin's chain (CNI conflist): a bridge for the pods of this node, and host ports."""
    ipam = {
        "type": "host-local",
        "dataDir": f"{node.state}/ipam",
        "ranges": [[{"subnet": node.pod_subnet}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    bridge = {"type": "bridge", "bridge": "cni0", "isGateway": True, "hairpinMode": True, "ipam": ipam}
    ports = {"type": "portmap", "capabilities": {"portMappings": True}}
    return json.dumps({"cniVersion": "0.4.0", "name": "lab", "plugins": [bridge, ports]})


def kubelet_settings(node: NodeFacts) -> str:
    """The KubeletConfiguration (JSON is YAML)."""
    settings = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": node.address,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": f"{node.pki}/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": f"{node.pki}/{node.name}.crt",
        "tlsPrivateKeyFile": f"{node.pki}/{node.name}.key",
        "clusterDNS": [DNS_ADDRESS],
        "clusterDomain": "cluster.local",
        "resolvConf": f"{node.state}/resolv.conf",
        "containerRuntimeEndpoint": f"unix://{node.state}/containerd.sock",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{node.control_group}",
        "enforceNodeAllocatable": ["pods"],
        "failSwapOn": False,
        "failCgroupV1": False,
        "localStorageCapacityIsolation": False,
        "evictionHard": {"imagefs.available": "0%", "nodefs.available": "0%", "nodefs.inodesFree": "0%"},
        "imageGCHighThresholdPercent": 100,
        "maxOpenFiles": 20000,
        "oomScoreAdj": 0,
        "podLogsDir": f"{node.state}/pod-logs",
        "volumePluginDir": f"{node.state}/volume-plugins",
        "syncFrequency": "10s",
        "fileCheckFrequency": "10s",
        "nodeStatusUpdateFrequency": "5s",
        "shutdownGracePeriod": "0s",
    }
    return json.dumps(settings)


def proxy_settings(node: NodeFacts, kubeconfig: Path) -> str:
    """The KubeProxyConfiguration; connection tracking limits are left alone (not writable in a namespace)."""
    settings = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clusterCIDR": POD_CIDR,
        "clientConnection": {"kubeconfig": str(kubeconfig)},
        "hostnameOverride": node.name,
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
    }
    return json.dumps(settings)
