//! When a desktop notification is due, and what it says about apps.

use gettextrs::{gettext, ngettext};
use lonewire_api::{TunnelInfo, TunnelState};

use super::fill;

/// What a change of a tunnel's state is for somebody who looks elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    Nothing,
    /// Apps lost their network, and nobody asked for that.
    Blocked,
    /// What was told of it is over.
    Over,
}

/// Whether apps of a tunnel are offline although it is on.
pub fn is_blocked(state: TunnelState) -> bool {
    matches!(state, TunnelState::Blocked | TunnelState::Failed)
}

/// A tunnel that nobody uses and that did not come up is told on its page, by whom it was asked for.
pub fn of_change(before: TunnelState, now: &TunnelInfo) -> Change {
    match now.state {
        _ if before == now.state => Change::Nothing,
        TunnelState::Protected | TunnelState::Off => Change::Over,
        state if is_blocked(state) && (before == TunnelState::Protected || now.apps > 0) => {
            Change::Blocked
        }
        _ => Change::Nothing,
    }
}

/// What a blocked tunnel means for its apps.
pub fn meaning(apps: u32) -> String {
    if apps == 0 {
        return gettext("No app runs in it.");
    }
    fill(
        &ngettext(
            "{count} app is offline and stays in the tunnel.",
            "{count} apps are offline and stay in the tunnel.",
            apps,
        ),
        &[("count", &apps.to_string())],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_loss_that_nobody_asked_for_is_told() {
        use TunnelState::{Blocked, Connecting, Failed, Off, Protected};
        for (before, state, apps, expected) in [
            (Protected, Blocked, 0, Change::Blocked),
            (Protected, Blocked, 2, Change::Blocked),
            (Connecting, Blocked, 1, Change::Blocked),
            (Connecting, Blocked, 0, Change::Nothing),
            (Blocked, Blocked, 2, Change::Nothing),
            (Blocked, Failed, 1, Change::Blocked),
            (Blocked, Connecting, 1, Change::Nothing),
            (Connecting, Protected, 1, Change::Over),
            (Blocked, Protected, 1, Change::Over),
            (Blocked, Off, 1, Change::Over),
            (Off, Connecting, 0, Change::Nothing),
            (Protected, Protected, 2, Change::Nothing),
        ] {
            let now = TunnelInfo {
                state,
                apps,
                ..TunnelInfo::default()
            };
            assert_eq!(of_change(before, &now), expected, "{before:?} {now:?}");
        }
    }

    #[test]
    fn apps_are_counted() {
        assert_eq!(meaning(1), "1 app is offline and stays in the tunnel.");
        assert_eq!(meaning(2), "2 apps are offline and stay in the tunnel.");
    }
}
