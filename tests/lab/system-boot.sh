#!/bin/bash
# Boots the machine's own systemd as process 1 of new namespaces, over an overlay of / whose upper side is a tmpfs.
# Nothing of the machine changes. Run by system.rs as: system-boot.sh FOLDER [PACKAGES] (an empty folder to mount on, and one with Debian packages to lay over it),
# in fresh mount, pid, uts, ipc, net and cgroup namespaces. Standard input: what to install, a line a file: mode, source, destination, with tabs between.
set -eu
R=$1

mount -t tmpfs -o mode=0755 lonewire-system /mnt
mkdir /mnt/upper /mnt/work
mount -t overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work lonewire-system "$R"
mount -t proc proc "$R/proc"
mount -t sysfs sysfs "$R/sys"
mount -t cgroup2 cgroup2 "$R/sys/fs/cgroup"
mount -t tmpfs -o mode=0755 run "$R/run"
mount -t tmpfs -o mode=1777 tmp "$R/tmp"
# The machine's journal and other logs are not this system's.
mount -t tmpfs -o mode=0755 log "$R/var/log"
mount -t tmpfs -o mode=0755 dev "$R/dev"
for name in null zero full random urandom tty; do
    mknod -m 0666 "$R/dev/$name" c $(stat -c '0x%t 0x%T' "/dev/$name")
done
mkdir "$R/dev/pts" "$R/dev/shm" "$R/dev/net"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts "$R/dev/pts"
mount -t tmpfs -o mode=1777 shm "$R/dev/shm"
ln -s pts/ptmx "$R/dev/ptmx"
ln -s /proc/self/fd "$R/dev/fd"
mknod -m 0666 "$R/dev/net/tun" c 10 200

if [ -n "${2:-}" ]; then
    for package in "$2"/*.deb; do
        # Where /lib leads to /usr/lib it stays so.
        dpkg-deb --fsys-tarfile "$package" | tar -x --keep-directory-symlink -C "$R"
    done
fi

# What the machine itself has of Lonewire is not part of the test.
rm -rf "$R/var/lib/lonewire" "$R/etc/lonewire"
while IFS=$'\t' read -r mode source destination; do
    install -D -m "$mode" "$source" "$R$destination"
done

# What would touch the kernel of all, or only waits for hardware or a console; and the machine's own timers.
units=$R/etc/systemd/system
mkdir -p "$units"
for name in systemd-udevd.service systemd-udev-trigger.service systemd-udev-settle.service systemd-udevd-control.socket \
    systemd-udevd-kernel.socket systemd-sysctl.service systemd-modules-load.service systemd-timesyncd.service systemd-networkd.service \
    systemd-networkd.socket networking.service systemd-remount-fs.service getty.target timers.target paths.target; do
    ln -sf /dev/null "$units/$name"
done
# The least that a session needs, instead of everything that the machine has enabled.
cat > "$units/lonewire-test.target" <<'UNIT'
[Unit]
Requires=basic.target
Wants=dbus.service systemd-logind.service systemd-user-sessions.service
After=basic.target dbus.service systemd-logind.service systemd-user-sessions.service
AllowIsolate=yes
UNIT
# The bus raises its limit to 65,536 descriptors, which systemd allows on a machine of its own; here the test's limit holds.
mkdir -p "$units/dbus.service.d" "$R/etc/systemd/journald.conf.d"
printf '[Service]\nLimitNOFILE=%s\n' "$(ulimit -Hn)" > "$units/dbus.service.d/lonewire-test.conf"
# No limit on messages: tests read them all.
printf '[Journal]\nStorage=volatile\nRateLimitBurst=0\nForwardToWall=no\n' > "$R/etc/systemd/journald.conf.d/lonewire-test.conf"

# What a package's scripts do. A system without files of Lonewire gets packages.
if [ -e "$R/usr/lib/systemd/system/lonewire-warden.socket" ]; then
    systemd-sysusers --root="$R"
    systemctl --root="$R" --quiet enable lonewire-warden.socket lonewire-wireguard.socket lonewire-boot.service
fi

cd "$R"
mkdir -p .old
pivot_root . .old
umount -l /.old
rmdir /.old
# Sysctls of the machine cannot be changed; those of a network namespace can, by who is in it.
mount --bind /proc/sys/net /mnt
mount --bind /proc/sys /proc/sys
mount -o remount,bind,ro /proc/sys
mount --bind /mnt /proc/sys/net
umount /mnt
# As systemd itself has it: what is mounted later is seen in units with private mounts.
mount --make-rshared /
exec env -i container=lonewire PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    /lib/systemd/systemd --system --unit=lonewire-test.target --log-target=console --log-level=notice --show-status=0
