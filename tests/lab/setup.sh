#!/bin/bash
# Installs the Debian packages that the root tests need, daemons not started. Idempotent; quick when all is there.
set -euo pipefail

packages=(
  bind9-dnsutils busybox-static bzip2 ca-certificates conntrack containerd containernetworking-plugins curl debootstrap
  gcc iproute2 iptables libc6-dev nftables procps runc socat systemd-container tcpdump util-linux
)

missing=()
for package in "${packages[@]}"; do
  [ "$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
done
[ "${#missing[@]}" -gt 0 ] || exit 0

[ "$(id -u)" = 0 ] || { echo "the lab needs these packages, and only root may install them: ${missing[*]}" >&2; exit 1; }
echo "installing ${missing[*]}"
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then # no package shall start its daemon here
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
  trap 'rm -f "$policy"' EXIT
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
