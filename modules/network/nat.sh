#!/bin/bash
# Makes this instance forward HTTPS to the internet. Cloud-init runs it once, at the first start; what it sets up is in
# files, for the later ones. If it fails, it switches the instance off, and the Auto Scaling group launches another one.
set -euo pipefail

switch_off_after_failure() {
  local status=$?
  if [ "$status" -ne 0 ]; then
    echo "nat: cannot forward (status $status), switching off to be replaced" >&2
    shutdown --poweroff now
  fi
}
trap switch_off_after_failure EXIT

# Runs a command until it succeeds: eight times within eleven minutes.
retry() {
  local delay=5
  for _ in 1 2 3 4 5 6 7; do
    "$@" && return
    echo "nat: failed, again in $delay s: $*" >&2
    sleep "$delay"
    delay=$((delay * 2))
  done
  "$@"
}

# Half a gigabyte of memory is too little for dnf.
add_swap() {
  if [ ! -e /swapfile ]; then
    dd if=/dev/zero of=/swapfile bs=1M count=1024 status=none
    chmod 600 /swapfile
    mkswap /swapfile
    swapon /swapfile
  fi
}

echo 'net.ipv4.ip_forward = 1' > /etc/sysctl.d/90-nat.conf
sysctl --load /etc/sysctl.d/90-nat.conf

if ! command -v nft > /dev/null; then
  add_swap
  # At the first start another dnf may hold the lock, and the address may take a moment to work.
  retry dnf install --assumeyes --disablerepo='*' --enablerepo=amazonlinux nftables
fi

cat > /etc/sysconfig/nftables.conf << 'RULES'
flush ruleset
table ip nat {
  chain postrouting {
    type nat hook postrouting priority 100;
    masquerade
  }
}
RULES
systemctl enable nftables
systemctl restart nftables
nft list chain ip nat postrouting | grep --quiet masquerade
