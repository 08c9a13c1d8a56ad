//! How an app that runs in a tunnel reads.

use gettextrs::{gettext, ngettext};
use gtk::glib;
use lonewire_api::{AppInfo, AppState};

use super::{fill, time};

/// How far the stopping of an app has got.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "LonewireStopping")]
pub enum Stopping {
    /// Nobody asked.
    #[default]
    No,
    /// It was asked to end.
    Asked,
    /// It was asked and has not ended: it can be made to.
    Overdue,
}

/// The question before apps that run lose their network.
pub fn will_lose_network(count: u32) -> String {
    fill(
        &ngettext(
            "{count} App Will Lose Network",
            "{count} Apps Will Lose Network",
            count,
        ),
        &[("count", &count.to_string())],
    )
}

/// The line under an app's name: "3 processes · 5 min", "Stopping…".
pub fn status(info: &AppInfo, stopping: Stopping, now: u64) -> String {
    match stopping {
        Stopping::Asked => return gettext("Stopping…"),
        Stopping::Overdue => return gettext("Does not stop"),
        Stopping::No => {}
    }
    if info.state == AppState::Stopped {
        return gettext("Paused");
    }
    let length = time::length(info.since, now);
    let Some(count) = info.processes else {
        return length;
    };
    let processes = fill(
        &ngettext("{count} process", "{count} processes", count),
        &[("count", &count.to_string())],
    );
    // How many processes, then since when.
    fill(
        &gettext("{processes} · {length}"),
        &[("processes", &processes), ("length", &length)],
    )
}

/// What the button beside an app does.
pub fn stop(name: &str, stopping: Stopping) -> String {
    let text = match stopping {
        Stopping::No | Stopping::Asked => gettext("Stop {app}"),
        Stopping::Overdue => gettext("Force {app} to Stop"),
    };
    fill(&text, &[("app", name)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_tells_its_processes_and_how_long_it_runs() {
        let now = 1_700_000_000_000;
        for (processes, state, stopping, expected) in [
            (
                Some(1),
                AppState::Running,
                Stopping::No,
                "1 process · 5 min",
            ),
            (
                Some(3),
                AppState::Running,
                Stopping::No,
                "3 processes · 5 min",
            ),
            (None, AppState::Running, Stopping::No, "5 min"),
            (Some(3), AppState::Stopped, Stopping::No, "Paused"),
            (Some(3), AppState::Running, Stopping::Asked, "Stopping…"),
            (
                Some(3),
                AppState::Stopped,
                Stopping::Overdue,
                "Does not stop",
            ),
        ] {
            let info = AppInfo {
                state,
                processes,
                since: now - 300_000,
                ..AppInfo::default()
            };
            assert_eq!(status(&info, stopping, now), expected);
        }
    }

    #[test]
    fn the_button_names_the_app() {
        assert_eq!(stop("Firefox", Stopping::No), "Stop Firefox");
        assert_eq!(stop("Firefox", Stopping::Overdue), "Force Firefox to Stop");
    }
}
