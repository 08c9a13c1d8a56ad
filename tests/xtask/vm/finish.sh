set -eu
export DEBIAN_FRONTEND=noninteractive
mount -t proc proc /proc
# Its initial file system is made once, and holds the least that finds the disk: an emulated processor takes long to unpack a large one.
mkdir -p /etc/initramfs-tools/conf.d /srv/packages/partial
echo MODULES=list > /etc/initramfs-tools/conf.d/lonewire
printf '%s\n' virtio_pci virtio_blk ext4 > /etc/initramfs-tools/modules
apt-get --quiet=2 --yes --no-install-recommends -o Dpkg::Options::=--force-confold install linux-image-amd64
apt-get --quiet=2 --yes --no-install-recommends -o Dpkg::Options::=--force-confold install $DESKTOP
apt-get --quiet=2 --yes --no-install-recommends --download-only -o Dir::Cache::archives=/srv/packages/ install $OFFERED
rm -rf /srv/packages/partial /srv/packages/lock /var/cache/apt/archives/*.deb
echo 'deb [trusted=yes] file:/srv/packages ./' > /etc/apt/sources.list
rm -f /etc/apt/sources.list.d/*
# What is thrown away need not be safe from a loss of power.
echo force-unsafe-io > /etc/dpkg/dpkg.cfg.d/lonewire
echo lonewire > /etc/hostname
echo '127.0.0.1 localhost lonewire' > /etc/hosts
echo 'This machine is thrown away.' > /etc/lonewire-throw-away
mkdir -p /var/log/journal /payload
# A file, as many machines have it: what replaces it must not show inside.
echo 'nameserver 127.0.0.53' > /etc/resolv.conf
# As the package's documentation has it; avahi's own module is there by its package.
sed -i 's/^hosts:.*/hosts: files mdns4_minimal [NOTFOUND=return] resolve [!UNAVAIL=return] dns/' /etc/nsswitch.conf
for unit in serial-getty@ttyS0.service serial-getty@ttyS1.service timers.target systemd-networkd-wait-online.service; do
    ln -sf /dev/null /etc/systemd/system/$unit
done
cat > /etc/systemd/system/lonewire-suite.service <<'UNIT'
[Unit]
After=multi-user.target dbus.service
[Service]
Type=oneshot
ExecStartPre=/bin/mount -o ro /dev/vdb /payload
ExecStart=/bin/sh /payload/run
[Install]
WantedBy=multi-user.target
UNIT
systemctl --quiet enable lonewire-suite.service systemd-resolved.service
