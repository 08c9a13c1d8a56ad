//! Units, bus policy and folders in `data/` against the names in the code.

use anyhow::Result;
use lonewire_api::names;
use lonewire_core::launch;
use roxmltree::{Document, ParsingOptions};

use super::repo;

/// Values of a setting in a unit or a D-Bus service file, in order.
fn values(text: &str, key: &str) -> Vec<String> {
    text.lines()
        .filter_map(|line| line.strip_prefix(key)?.strip_prefix('='))
        .map(str::to_owned)
        .collect()
}

fn unit(name: &str) -> Result<String> {
    repo::read(&format!("data/systemd/{name}"))
}

#[test]
fn the_bus_starts_the_helper_under_its_name() {
    let file = format!("data/dbus/{}.service", names::BUS_NAME);
    let text = repo::read(&file).unwrap();
    assert_eq!(values(&text, "Name"), [names::BUS_NAME]);
    assert_eq!(values(&text, "User"), ["root"]);
    assert_eq!(values(&text, "SystemdService"), ["lonewire-helper.service"]);
    assert_eq!(
        values(&unit("lonewire-helper.service").unwrap(), "BusName"),
        [names::BUS_NAME]
    );
}

#[test]
fn units_start_the_programs_where_they_lie() {
    for (name, program) in [
        ("lonewire-helper.service", "lonewire-helper"),
        ("lonewire-warden@.service", "lonewire-warden"),
        ("lonewire-wireguard@.service", "lonewire-wireguard"),
    ] {
        assert_eq!(
            values(&unit(name).unwrap(), "ExecStart"),
            [format!("{}/{program}", names::LIBEXEC_DIR)],
            "{name}"
        );
    }
}

#[test]
fn sockets_are_roots_and_where_the_helper_connects() {
    for (name, path) in [
        ("lonewire-warden.socket", names::WARDEN_SOCKET),
        ("lonewire-wireguard.socket", names::WIREGUARD_SOCKET),
    ] {
        let text = unit(name).unwrap();
        assert_eq!(values(&text, "ListenStream"), [path]);
        assert_eq!(values(&text, "SocketMode"), ["0600"]);
        assert_eq!(values(&text, "SocketUser"), ["root"]);
        assert_eq!(values(&text, "Accept"), ["yes"]);
        assert!(path.starts_with(&format!("{}/", names::RUNTIME_DIR)));
        assert!(
            repo::top()
                .join("data/systemd")
                .join(name.replace(".socket", "@.service"))
                .is_file()
        );
    }
}

#[test]
fn folders_are_the_helpers_and_roots_alone() {
    let helper = unit("lonewire-helper.service").unwrap();
    assert_eq!(
        values(&helper, "RuntimeDirectory"),
        [names::RUNTIME_DIR.strip_prefix("/run/").unwrap()]
    );
    assert_eq!(
        values(&helper, "StateDirectory"),
        [names::STATE_DIR.strip_prefix("/var/lib/").unwrap()]
    );
    assert_eq!(values(&helper, "RuntimeDirectoryMode"), ["0700"]);
    assert_eq!(values(&helper, "StateDirectoryMode"), ["0700"]);
    // Or everything that a restarted helper adopts would be gone.
    assert_eq!(values(&helper, "RuntimeDirectoryPreserve"), ["yes"]);
    let tmpfiles = repo::read("data/tmpfiles.d/lonewire.conf").unwrap();
    for folder in [
        names::STATE_DIR,
        names::RUNTIME_DIR,
        names::SHARED_TUNNELS_DIR,
        launch::CONTROL_DIR,
    ] {
        let line = format!("d {folder} 0700 root root -");
        assert!(tmpfiles.lines().any(|found| found == line), "{line}");
    }
    assert!(launch::DNS_DIR.starts_with(&format!("{}/", names::RUNTIME_DIR)));
    assert!(names::ADMIN_CONFIG.starts_with("/etc/lonewire/"));
}

#[test]
fn boot_and_login_start_the_helper_where_it_has_a_mark_and_wait_for_nothing() {
    for (name, glob) in [
        ("lonewire-boot.service", "*/*.boot"),
        ("lonewire-login@.service", "%i/*.login"),
    ] {
        let text = unit(name).unwrap();
        assert_eq!(
            values(&text, "ConditionPathExistsGlob"),
            [format!("{}/{glob}", names::STATE_DIR)]
        );
        // A dependency would be started whatever the condition says.
        assert!(values(&text, "Wants").is_empty() && values(&text, "Requires").is_empty());
        assert_eq!(values(&text, "Type"), ["oneshot"]);
        assert_eq!(
            values(&text, "ExecStart"),
            ["systemctl --no-block start lonewire-helper.service"]
        );
    }
    let boot = unit("lonewire-boot.service").unwrap();
    assert_eq!(values(&boot, "WantedBy"), ["multi-user.target"]);
    let login = unit("user@.service.d/lonewire.conf").unwrap();
    assert_eq!(values(&login, "Wants"), ["lonewire-login@%i.service"]);
    assert!(values(&login, "After").is_empty() && values(&login, "Requires").is_empty());
}

#[test]
fn the_data_plane_runs_as_its_own_user_without_privilege() {
    let text = unit("lonewire-wireguard@.service").unwrap();
    assert_eq!(values(&text, "User"), [names::WIREGUARD_USER]);
    assert_eq!(values(&text, "CapabilityBoundingSet"), [""]);
    assert_eq!(values(&text, "NoNewPrivileges"), ["yes"]);
    let users = repo::read("data/sysusers.d/lonewire.conf").unwrap();
    assert!(
        users
            .lines()
            .any(|line| line.starts_with(&format!("u {} ", names::WIREGUARD_USER)))
    );
}

#[test]
fn the_helper_has_two_capabilities_and_the_warden_no_wall_an_app_would_inherit() {
    let helper = unit("lonewire-helper.service").unwrap();
    assert_eq!(
        values(&helper, "CapabilityBoundingSet"),
        ["CAP_NET_ADMIN CAP_SYS_ADMIN"]
    );
    for (key, value) in [
        ("NoNewPrivileges", "yes"),
        ("ProtectSystem", "strict"),
        ("ProtectHome", "yes"),
        ("ProtectProc", "invisible"),
        ("RestrictNamespaces", "net"),
        ("MemoryDenyWriteExecute", "yes"),
        ("LimitCORE", "0"),
        ("MemorySwapMax", "0"),
        ("KillMode", "process"),
    ] {
        assert_eq!(values(&helper, key), [value], "{key}");
    }
    // SECURITY fact 2: a namespace pinned below any of these is of no use, and T42: a browser could not live with the rest.
    let warden = unit("lonewire-warden@.service").unwrap();
    for start in [
        "Private",
        "Protect",
        "Restrict",
        "ReadOnly",
        "ReadWrite",
        "Inaccessible",
        "Bind",
        "TemporaryFileSystem",
        "Mount",
        "Root",
        "SystemCall",
        "NoNewPrivileges",
        "Capability",
        "MemoryDeny",
        "LockPersonality",
        "NetworkNamespace",
        "IPCNamespace",
        "User",
        "DynamicUser",
    ] {
        assert!(
            !warden.lines().any(|line| line.starts_with(start)),
            "{start}"
        );
    }
}

#[test]
fn the_bus_lets_root_own_the_name_and_callers_reach_the_contract_only() {
    let text = repo::read(&format!("data/dbus/{}.conf", names::BUS_NAME)).unwrap();
    let document = Document::parse_with_options(
        &text,
        ParsingOptions {
            allow_dtd: true,
            ..ParsingOptions::default()
        },
    )
    .unwrap();
    let mut sends = vec![];
    let mut owns = vec![];
    for rule in document
        .descendants()
        .filter(|node| node.has_tag_name("allow") || node.has_tag_name("deny"))
    {
        let policy = rule.parent_element().unwrap();
        let who = (policy.attribute("context"), policy.attribute("user"));
        match (
            rule.attribute("own"),
            rule.attribute("send_destination"),
            rule.attribute("send_interface"),
        ) {
            (Some(name), None, None) if rule.attributes().len() == 1 => {
                assert_eq!(name, names::BUS_NAME);
                owns.push((rule.tag_name().name(), who));
            }
            (None, Some(name), Some(interface)) if rule.attributes().len() == 2 => {
                assert_eq!(
                    (name, rule.tag_name().name(), who),
                    (names::BUS_NAME, "allow", (Some("default"), None))
                );
                sends.push(interface);
            }
            _ => panic!("a rule of another kind: {rule:?}"),
        }
    }
    assert_eq!(
        owns,
        [
            ("deny", (Some("default"), None)),
            ("allow", (None, Some("root")))
        ]
    );
    assert_eq!(
        sends,
        [
            names::SERVICE_INTERFACE,
            names::TUNNELS_INTERFACE,
            names::APPS_INTERFACE,
            "org.freedesktop.DBus.Properties",
            "org.freedesktop.DBus.Introspectable",
            "org.freedesktop.DBus.Peer",
        ]
    );
}
