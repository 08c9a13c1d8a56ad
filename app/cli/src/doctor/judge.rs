//! What facts mean: each becomes a check with what mends it.

use lonewire_api::{TunnelInfo, TunnelState};

use super::{Check, Helper, Status, system::System};
use crate::{
    helper_error::{quoted, reason_words, snake},
    time, words,
};

/// The helper's version beside ours.
pub fn of_version(version: &str) -> Check {
    let ours = env!("CARGO_PKG_VERSION");
    if version == ours {
        return Check::ok("helper", format!("The helper answers, version {version}."));
    }
    Check::bad(
        "helper",
        Status::Warn,
        format!("The helper is of version {version}, this command of {ours}."),
        "Restart the helper after an update: systemctl restart lonewire-helper (tunnels and apps live on)",
    )
}

/// What the machine has. Without an answer of the helper nothing is said of what only it knows.
pub fn of_system(system: &System, helper: Option<&Helper>) -> Vec<Check> {
    let mut checks = Vec::new();
    if let Some(helper) = helper {
        checks.push(if helper.polkit {
            Check::ok("polkit", "polkit is there to ask for permission.")
        } else {
            Check::bad(
                "polkit",
                Status::Fail,
                "polkit is not there to ask for permission, so nothing may be imported or brought up.",
                "Install it: package polkitd, or polkit",
            )
        });
    }
    checks.push(if system.actions {
        Check::ok("polkit_actions", "polkit knows Lonewire's actions.")
    } else {
        Check::bad(
            "polkit_actions",
            Status::Fail,
            "polkit does not know Lonewire's actions.",
            format!("Install Lonewire again: {} is missing", System::ACTIONS),
        )
    });
    checks.push(if system.desktop || system.text_agent {
        Check::ok("polkit_agent", "You can be asked for a password.")
    } else {
        Check::bad(
            "polkit_agent",
            Status::Warn,
            "Without a desktop you cannot be asked for a password.",
            "Install pkttyagent: package polkitd, or polkit",
        )
    });
    if let Some(helper) = helper {
        checks.extend(of_wireguard(&helper.features, system));
    }
    checks.push(if system.bus_proxy {
        Check::ok(
            "bus_proxy",
            "Apps get a system bus without the services that lead past the tunnel.",
        )
    } else {
        Check::bad(
            "bus_proxy",
            Status::Warn,
            "xdg-dbus-proxy is missing, so apps in a tunnel have no system bus at all.",
            "Install it: package xdg-dbus-proxy",
        )
    });
    checks.push(if system.user_manager {
        Check::ok("user_manager", "Your service manager runs.")
    } else {
        Check::bad(
            "user_manager",
            Status::Warn,
            "You have no service manager of your own, so apps are not grouped by it and portals may not know them.",
            "Log in by way of PAM (not su), or let it run always: loginctl enable-linger",
        )
    });
    checks.push(of_resolv_conf(system.resolv_conf.as_deref()));
    checks.push(of_clock(system.now));
    checks
}

fn of_wireguard(features: &[String], system: &System) -> Vec<Check> {
    let has = |feature: &str| features.iter().any(|known| known == feature);
    let kernel = has("kernel-wireguard") && system.wireguard;
    let userspace = has("userspace-wireguard");
    let mut checks = vec![match (kernel, userspace) {
        (true, _) => Check::ok("wireguard", "The kernel has WireGuard."),
        (false, true) => Check::bad(
            "wireguard",
            Status::Warn,
            "The kernel has no WireGuard; a process does it, more slowly.",
            "Where the kernel has the module: modprobe wireguard",
        ),
        (false, false) => Check::bad(
            "wireguard",
            Status::Fail,
            "There is no WireGuard: neither the kernel's nor a process can do it.",
            "Load the module: modprobe wireguard; or for a process: modprobe tun, and systemctl start lonewire-wireguard.socket",
        ),
    }];
    checks.push(match (system.tun, kernel) {
        (true, _) => Check::ok("tun", "/dev/net/tun is there."),
        (false, true) => Check::ok("tun", "/dev/net/tun is missing, and not needed."),
        (false, false) => Check::bad(
            "tun",
            Status::Fail,
            "/dev/net/tun is missing.",
            "Load the module: modprobe tun",
        ),
    });
    checks
}

/// Who writes the machine's `resolv.conf`. Apps in tunnels get their own; this tells how the server's name is looked up.
fn of_resolv_conf(link: Option<&str>) -> Check {
    let code = "resolv_conf";
    match link {
        None => Check::bad(
            code,
            Status::Warn,
            "/etc/resolv.conf is missing, so names of servers may not resolve.",
            "Configure DNS for this machine, or use addresses as endpoints",
        ),
        Some("") => Check::ok(code, "/etc/resolv.conf is a file."),
        Some(link) if link.contains("systemd/resolve") => {
            Check::ok(code, "/etc/resolv.conf is systemd-resolved's.")
        }
        Some(link) => Check::ok(code, format!("/etc/resolv.conf is {link}.")),
    }
}

/// A server takes handshakes only in the order of time: a clock that was set back is refused until it has caught up.
fn of_clock(now: u64) -> Check {
    // 2026-01-01, before the first release.
    if now >= 1_767_225_600_000 {
        return Check::ok("clock", format!("The clock says {}.", time::local(now)));
    }
    Check::bad(
        "clock",
        Status::Fail,
        format!(
            "The clock says {}; servers refuse handshakes of the past.",
            time::local(now)
        ),
        "Set it: timedatectl set-ntp true",
    )
}

/// A tunnel's state where it is bad, and its warnings; one line where there is nothing to say.
pub fn of_tunnel(tunnel: &TunnelInfo) -> Vec<Check> {
    let name = &tunnel.name;
    let mut checks = Vec::new();
    let because = tunnel
        .reason
        .as_deref()
        .map_or_else(String::new, |reason| format!(": {}", reason_words(reason)));
    match tunnel.state {
        TunnelState::Failed => checks.push(Check::bad(
            "tunnel_state",
            Status::Fail,
            format!("“{name}” failed{because}."),
            format!("Try again: lonewire up {}", quoted(name)),
        )),
        TunnelState::Blocked => checks.push(Check::bad(
            "tunnel_state",
            Status::Warn,
            format!("“{name}” is blocked{because}. Its apps are offline."),
            format!("See since when: lonewire log {}", quoted(name)),
        )),
        _ => {}
    }
    for code in &tunnel.warnings {
        checks.push(Check::bad(
            "tunnel_warning",
            Status::Warn,
            format!("“{name}”: {} [{}]", words::warning(code), snake(code)),
            format!("Change it: lonewire edit {}", quoted(name)),
        ));
    }
    if checks.is_empty() {
        checks.push(Check::ok("tunnel", format!("“{name}” is in order.")));
    }
    checks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole() -> (System, Helper) {
        let system = System {
            actions: true,
            desktop: false,
            text_agent: true,
            wireguard: true,
            tun: true,
            bus_proxy: true,
            user_manager: true,
            resolv_conf: Some("../run/systemd/resolve/stub-resolv.conf".to_owned()),
            now: 1_790_000_000_000,
        };
        let helper = Helper {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            features: vec!["kernel-wireguard".to_owned()],
            polkit: true,
            ..Helper::default()
        };
        (system, helper)
    }

    /// Codes of the checks that are not well, with their status.
    fn bad(checks: &[Check]) -> Vec<(&'static str, &'static str)> {
        for check in checks {
            assert_eq!(check.fix.is_none(), check.status == Status::Ok, "{check:?}");
        }
        checks
            .iter()
            .filter(|check| check.status != Status::Ok)
            .map(|check| (check.code, check.status.as_str()))
            .collect()
    }

    #[test]
    fn a_machine_with_everything_is_well() {
        let (system, helper) = whole();
        assert_eq!(bad(&of_system(&system, Some(&helper))), []);
        assert_eq!(bad(&[of_version(&helper.version)]), []);
    }

    #[test]
    fn everything_that_is_missing_is_told() {
        let system = System {
            actions: false,
            desktop: false,
            text_agent: false,
            wireguard: false,
            tun: false,
            bus_proxy: false,
            user_manager: false,
            resolv_conf: None,
            now: 0,
        };
        assert_eq!(
            bad(&of_system(&system, Some(&Helper::default()))),
            [
                ("polkit", "fail"),
                ("polkit_actions", "fail"),
                ("polkit_agent", "warn"),
                ("wireguard", "fail"),
                ("tun", "fail"),
                ("bus_proxy", "warn"),
                ("user_manager", "warn"),
                ("resolv_conf", "warn"),
                ("clock", "fail"),
            ]
        );
        assert_eq!(bad(&[of_version("0.0.0-other")]), [("helper", "warn")]);
    }

    #[test]
    fn without_a_helper_nothing_is_said_of_what_only_it_knows() {
        let checks = of_system(&whole().0, None);
        assert!(
            checks
                .iter()
                .all(|check| !["polkit", "wireguard", "tun"].contains(&check.code))
        );
    }

    #[test]
    fn a_process_does_where_the_kernel_has_no_wireguard() {
        let (machine, _) = whole();
        let userspace = ["userspace-wireguard".to_owned()];
        assert_eq!(
            bad(&of_wireguard(&userspace, &machine)),
            [("wireguard", "warn")]
        );
        let both = ["kernel-wireguard", "userspace-wireguard"].map(str::to_owned);
        let without_tun = System {
            tun: false,
            ..machine.clone()
        };
        assert_eq!(bad(&of_wireguard(&both, &without_tun)), []);
        // The helper could not see whether there is a module.
        let without_module = System {
            wireguard: false,
            ..machine
        };
        assert_eq!(
            bad(&of_wireguard(&both, &without_module)),
            [("wireguard", "warn")]
        );
    }

    #[test]
    fn a_tunnel_tells_its_state_and_every_warning() {
        let mut tunnel = TunnelInfo {
            name: "my home".to_owned(),
            ..TunnelInfo::default()
        };
        assert_eq!(bad(&of_tunnel(&tunnel)), []);
        tunnel.state = TunnelState::Failed;
        tunnel.reason = Some("unresolvable".to_owned());
        tunnel.warnings = vec!["no-dns".to_owned(), "no-ipv6".to_owned()];
        let checks = of_tunnel(&tunnel);
        assert_eq!(
            bad(&checks),
            [
                ("tunnel_state", "fail"),
                ("tunnel_warning", "warn"),
                ("tunnel_warning", "warn")
            ]
        );
        assert_eq!(
            checks[0].found,
            "“my home” failed: the name of its server does not resolve."
        );
        assert_eq!(
            checks[0].fix.as_deref(),
            Some("Try again: lonewire up 'my home'")
        );
        assert!(checks[1].found.ends_with(". [no_dns]"));
    }
}
