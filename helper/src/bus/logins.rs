//! Who is logged in, as logind says. It is asked anew at each of its signals, whose content is not looked at; where it is not there or does not
//! answer, nobody is told anything. Nothing is ever started or changed by this.

use std::{collections::HashMap, time::Duration};

use futures_util::{FutureExt as _, StreamExt as _};
use zbus::{Connection, OwnedObjectPath};

use super::host::{LOGIND, LOGIND_MANAGER as MANAGER, Silent, ask, changes, property};
use crate::engine::{
    Handle,
    view::{Presence, Presences},
};

const LOGIND_PATH: &str = "/org/freedesktop/login1";
const SESSION: &str = "org.freedesktop.login1.Session";
const USER: &str = "org.freedesktop.login1.User";

/// Several signals at once are one.
const SETTLE: Duration = Duration::from_millis(50);
/// It is there and did not answer: it is asked again.
const AGAIN: Duration = Duration::from_secs(5);

/// Of `ListSessions`: id, uid, name of the user, seat, path.
type Sessions = Vec<(String, u32, String, String, OwnedObjectPath)>;
/// Of `ListUsers`: uid, name, path.
type Users = Vec<(u32, String, OwnedObjectPath)>;

/// Tells the engine until the bus is gone. `questions` are asked on a connection that no flood of signals keeps from its answers.
///
/// # Errors
/// A signal cannot be waited for.
pub async fn watch(
    signals: &Connection,
    questions: &Connection,
    engine: &Handle,
) -> zbus::Result<()> {
    let (mut changes, mut owners) = changes(signals, LOGIND, LOGIND_PATH, MANAGER).await?;
    let mut classes = HashMap::new();
    loop {
        let seen = presences(questions, &mut classes).await;
        let again = matches!(seen, Err(Silent::Late));
        if let Ok(seen) = seen {
            engine.logins(seen).await;
        }
        let signal = tokio::select! {
            signal = changes.next() => signal,
            signal = owners.next() => signal,
            () = tokio::time::sleep(AGAIN), if again => continue,
        };
        let Some(_) = signal.transpose()? else {
            return Ok(());
        };
        tokio::time::sleep(SETTLE).await;
        while let Some(Some(_)) = changes.next().now_or_never() {}
    }
}

/// Who has a session, and who of the others lingers. `classes` of sessions are asked for once.
async fn presences(
    bus: &Connection,
    classes: &mut HashMap<String, String>,
) -> Result<Presences, Silent> {
    let sessions: Sessions = ask(bus, LOGIND, LOGIND_PATH, MANAGER, "ListSessions", &()).await?;
    classes.retain(|known, _| sessions.iter().any(|(id, ..)| id == known));
    let mut logged_in = Vec::new();
    for (id, uid, _, _, path) in sessions {
        let class = match classes.get(&id) {
            Some(class) => class.clone(),
            None => match property::<String>(bus, LOGIND, &path, SESSION, "Class").await {
                Ok(class) => class,
                Err(Silent::Gone) => continue,
                Err(Silent::Late) => return Err(Silent::Late),
            },
        };
        if is_login(&class) {
            logged_in.push(uid);
        }
        // One that is not complete becomes another.
        if class != INCOMPLETE {
            classes.insert(id, class);
        }
    }
    let mut seen = Presences::new();
    let users: Users = ask(bus, LOGIND, LOGIND_PATH, MANAGER, "ListUsers", &()).await?;
    for (uid, _, path) in users {
        let presence = if logged_in.contains(&uid) {
            let since = property::<u64>(bus, LOGIND, &path, USER, "Timestamp").await;
            // 0 would be nobody's.
            since.map(|since| {
                Some(Presence::LoggedIn {
                    since: since.max(1),
                })
            })
        } else {
            let lingers = property::<bool>(bus, LOGIND, &path, USER, "Linger").await;
            lingers.map(|lingers| lingers.then_some(Presence::Lingers))
        };
        match presence {
            Ok(presence) => seen.extend(presence.map(|presence| (uid, presence))),
            Err(Silent::Gone) => {}
            Err(Silent::Late) => return Err(Silent::Late),
        }
    }
    Ok(seen)
}

const INCOMPLETE: &str = "user-incomplete";

/// Whether a session of that class is a person's: not one of cron, of a service manager, or of who only offers to log in.
fn is_login(class: &str) -> bool {
    class.starts_with("user") && class != INCOMPLETE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_person_logs_in() {
        for class in ["user", "user-early", "user-light"] {
            assert!(is_login(class), "{class}");
        }
        for class in [
            "greeter",
            "lock-screen",
            "background",
            "manager",
            INCOMPLETE,
            "",
        ] {
            assert!(!is_login(class), "{class}");
        }
    }
}
