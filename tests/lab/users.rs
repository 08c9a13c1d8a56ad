//! The people of a world. Their entries are added to the world's own `/etc/passwd` and `/etc/group`.

/// A user of the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Person {
    pub name: &'static str,
    pub uid: u32,
    pub gid: u32,
    /// Supplementary groups by name and number.
    pub groups: &'static [(&'static str, u32)],
    pub home: &'static str,
    pub shell: &'static str,
}

/// May do everything that is one's own.
pub const ALICE: Person = Person {
    name: "alice",
    uid: 61001,
    gid: 61001,
    groups: &[
        ("lab-plugdev", 61101),
        ("lab-audio", 61102),
        ("lab-wheel", 61103),
    ],
    home: "/home/alice",
    shell: "/bin/bash",
};

/// The same for herself, and another person to alice.
pub const BOB: Person = Person {
    name: "bob",
    uid: 61002,
    gid: 61002,
    groups: &[
        ("lab-plugdev", 61101),
        ("lab-video", 61104),
        ("lab-games", 61105),
    ],
    home: "/home/bob",
    shell: "/bin/sh",
};

/// A service's user, whom no polkit rule grants anything.
pub const NOBODY: Person = Person {
    name: "lab-service",
    uid: 61003,
    gid: 61003,
    groups: &[],
    home: "/nonexistent",
    shell: "/usr/sbin/nologin",
};

pub const ALL: &[Person] = &[ALICE, BOB, NOBODY];

/// Runs the data plane: `sysusers.d` makes it on a real machine.
pub const DATA_PLANE: Person = Person {
    name: lonewire_api::names::WIREGUARD_USER,
    uid: 61010,
    gid: 61010,
    groups: &[],
    home: "/nonexistent",
    shell: "/usr/sbin/nologin",
};
