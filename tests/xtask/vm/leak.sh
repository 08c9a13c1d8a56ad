# In the virtual machine, once the suite is through: the leak matrix, in worlds made there.
if ! apt-get --quiet=2 --yes --no-install-recommends install $(cat /payload/leak/packages) >/var/log/worlds 2>&1; then
    cat /var/log/worlds
    exit
fi
# Modules that an app's sockets and the worlds' rules load bring settings of their own: there before, so that a test finds the machine as it was.
modprobe --all sctp nf_conntrack nf_nat nf_flow_table
# Worlds show the machine's /var and /etc: without what a package that was removed keeps.
rm -rf /var/lib/lonewire /etc/lonewire
# Where the project is looked for.
cd /payload/leak/project
LONEWIRE_PROGRAMS=/payload/leak/programs /payload/xtask leak-in-vm $(cat /payload/leak/arguments) $(grep '^leak::' /payload/tests)
