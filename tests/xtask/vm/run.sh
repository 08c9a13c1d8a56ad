#!/bin/sh
# In the virtual machine, at each boot: the first installs the packages, as a person would, and has the suite's first tests run; the second the rest. What it says
# goes out on the second serial line. In /payload: packages, the suite and its list of tests.
exec >/dev/ttyS1 2>&1
export DEBIAN_FRONTEND=noninteractive HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8

boot=$(($(cat /var/lib/lonewire-suite 2>/dev/null || echo 0) + 1))
echo "$boot" >/var/lib/lonewire-suite
echo "boot $boot: $(uname -r), systemd $(systemctl --version | sed -n '1s/systemd \([0-9]*\).*/\1/p')"

if [ "$boot" = 1 ]; then
    if ! (apt-get --quiet=2 update && apt-get --quiet=2 --yes --no-install-recommends install /payload/new/lonewire_*.deb) >/var/log/install 2>&1; then
        cat /var/log/install
        systemctl poweroff
        exit
    fi
fi
if [ -e /payload/shell ]; then
    # As a login's: with the line as its terminal, for Ctrl-C and jobs.
    (cd /root && TERM=xterm setsid --ctty --wait bash -l </dev/ttyS1)
    systemctl poweroff
    exit
fi

case $boot in
1) tests=$(grep '^first::' /payload/tests) ;;
2) tests=$(grep '^second::' /payload/tests) ;;
*) tests= ;;
esac
if [ -n "$tests" ]; then
    # One at a time: they are about the one machine.
    /payload/vm --test-threads=1 --exact $tests
fi
# What a test left to look at.
if [ -d /var/lib/lonewire-pictures ]; then
    tar --create --file /dev/vdc --directory /var/lib/lonewire-pictures .
fi
if [ "$boot" = 1 ] && grep -q '^second::' /payload/tests; then
    systemctl reboot
    exit
fi
if grep -q '^leak::' /payload/tests; then
    sh /payload/leak/run
fi
systemctl poweroff
