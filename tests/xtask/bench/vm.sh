#!/bin/sh
# In the virtual machine: installs the package and what the others need, and measures. What it says goes out on the second serial line.
exec >/dev/ttyS1 2>&1
export DEBIAN_FRONTEND=noninteractive HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8

if apt-get --quiet=2 update >/var/log/install 2>&1 &&
    apt-get --quiet=2 --yes --no-install-recommends install /payload/new/lonewire_*.deb iperf3 nftables sudo >>/var/log/install 2>&1; then
    /payload/xtask bench-in-vm --pairs "$(cat /payload/pairs)"
else
    cat /var/log/install
fi
systemctl poweroff
