//! What the window shows instead of tunnels: there are none yet, or the service can not be reached.

use gettextrs::gettext;
use gtk::glib;

/// How it stands with the service.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "LonewireServiceState")]
pub enum ServiceState {
    /// Nothing has been heard yet.
    #[default]
    Loading,
    /// What is shown is what it told.
    Ready,
    /// It is not on the bus and was not started.
    Missing,
    /// It is on the bus and does not answer in time.
    NotAnswering,
    /// It is older than what this window needs.
    TooOld,
    /// There is no system bus.
    NoBus,
}

/// A page that stands alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    pub icon: &'static str,
    pub title: String,
    pub text: String,
}

/// The page for a service that is not ready; `None` where there is nothing to say.
pub fn page(state: ServiceState) -> Option<Page> {
    let stay = gettext("Apps that run in tunnels stay in them and are never exposed.");
    let (title, text) = match state {
        ServiceState::Ready | ServiceState::Loading => return None,
        ServiceState::Missing => (
            gettext("Service Not Available"),
            gettext(
                "The Lonewire service is not running on this computer. Install the package “lonewire”, or start the service.",
            ),
        ),
        ServiceState::NotAnswering => (
            gettext("Service Not Answering"),
            gettext(
                "The Lonewire service is there but does not answer. This page goes away when it does.",
            ),
        ),
        ServiceState::TooOld => (
            gettext("Service Too Old"),
            gettext(
                "The Lonewire service is older than this window. Update the package “lonewire”, then restart the service.",
            ),
        ),
        ServiceState::NoBus => (
            gettext("No System Bus"),
            gettext(
                "This session can not reach the D-Bus system bus, which the Lonewire service is on.",
            ),
        ),
    };
    Some(Page {
        icon: "lonewire-service-symbolic",
        title,
        text: format!("{text}\n\n{stay}"),
    })
}

/// What a person can run in a terminal to get on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// Of the button that copies it, with a mnemonic.
    pub label: String,
    pub line: String,
}

/// The command for a service that is not ready, on a system with this `/etc/os-release`; `None` where no command helps.
pub fn command(state: ServiceState, is_installed: bool, os_release: &str) -> Option<Command> {
    let unit = |verb: &str| format!("sudo systemctl {verb} lonewire-helper.service");
    let (label, line) = match (state, is_installed) {
        (ServiceState::Missing, true) => (gettext("_Copy Start Command"), unit("start")),
        (ServiceState::Missing, false) => (gettext("_Copy Install Command"), install(os_release)?),
        (ServiceState::NotAnswering | ServiceState::TooOld, _) => {
            (gettext("_Copy Restart Command"), unit("restart"))
        }
        (ServiceState::Ready | ServiceState::Loading | ServiceState::NoBus, _) => return None,
    };
    Some(Command { label, line })
}

/// How a distribution, or the one that it is made of, installs a package.
fn install(os_release: &str) -> Option<String> {
    let words = |key: &str| {
        os_release
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
            .map(|value| value.trim_matches(['"', '\'']))
            .unwrap_or_default()
            .split(' ')
    };
    words("ID").chain(words("ID_LIKE")).find_map(|id| {
        Some(match id {
            "debian" | "ubuntu" => "sudo apt install lonewire".to_owned(),
            "fedora" | "rhel" => "sudo dnf install lonewire".to_owned(),
            "suse" | "opensuse" => "sudo zypper install lonewire".to_owned(),
            "arch" => "sudo pacman -S lonewire".to_owned(),
            _ => return None,
        })
    })
}

/// The page of a list without a tunnel.
pub fn empty() -> Page {
    Page {
        icon: "lonewire-add-symbolic",
        title: gettext("Add a Tunnel"),
        text: gettext(
            "Import a WireGuard configuration from your VPN provider, then choose the apps that may only use it. You can also drop a file or a QR code image here.",
        ),
    }
}

/// Lowest version of the service whose API has all that this window asks for.
const NEEDED: [u32; 2] = [0, 1];

/// Whether the window can work with a version of the service, "0.1.0". One that can not be read is not refused: it is newer than this rule.
pub fn is_enough(version: &str) -> bool {
    let mut numbers = version.split('.').map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => [major, minor] >= NEEDED,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_in_which_nothing_can_be_done_says_what_to_do() {
        for state in [
            ServiceState::Missing,
            ServiceState::NotAnswering,
            ServiceState::TooOld,
            ServiceState::NoBus,
        ] {
            let page = page(state).unwrap();
            assert!(!page.title.is_empty() && page.text.contains("never exposed"));
        }
        assert_eq!(page(ServiceState::Ready), None);
    }

    #[test]
    fn the_command_is_the_one_that_helps() {
        let debian = "NAME=\"Debian\"\nID=debian\n";
        let line = |state, is_installed, text| {
            command(state, is_installed, text).map(|command| command.line)
        };
        let start = Some("sudo systemctl start lonewire-helper.service".to_owned());
        assert_eq!(line(ServiceState::Missing, true, debian), start);
        for (text, expected) in [
            (debian, Some("sudo apt install lonewire")),
            (
                "ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n",
                Some("sudo apt install lonewire"),
            ),
            (
                "ID=\"opensuse-leap\"\nID_LIKE=\"suse opensuse\"",
                Some("sudo zypper install lonewire"),
            ),
            ("ID=fedora", Some("sudo dnf install lonewire")),
            ("ID=other", None),
            ("", None),
        ] {
            assert_eq!(
                line(ServiceState::Missing, false, text).as_deref(),
                expected
            );
        }
        let restart = Some("sudo systemctl restart lonewire-helper.service".to_owned());
        assert_eq!(line(ServiceState::NotAnswering, false, ""), restart);
        assert_eq!(line(ServiceState::NoBus, true, debian), None);
        assert_eq!(line(ServiceState::Ready, true, debian), None);
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        for (version, expected) in [
            ("0.1.0", true),
            ("0.0.9", false),
            ("0.10.0", true),
            ("1.0.0", true),
            ("next", true),
        ] {
            assert_eq!(is_enough(version), expected, "{version}");
        }
    }
}
