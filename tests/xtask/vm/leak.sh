# In the virtual machine, once the suite is through: the leak matrix, in worlds made there.
if ! apt-get --quiet=2 --yes --no-install-recommends install $(cat /payload/leak/packages) >/var/log/worlds 2>&1; then
    cat /var/log/worlds
    exit
fi
# Where the project is looked for.
cd /payload/leak/project
LONEWIRE_PROGRAMS=/payload/leak/programs /payload/xtask leak-in-vm $(cat /payload/leak/arguments) $(grep '^leak::' /payload/tests)
