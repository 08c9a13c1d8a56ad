//! A failure as a desktop notification: for a launcher, whose standard error nobody reads. It is told by the window's program, which can try
//! again when it is asked to; without that one, by the desktop's notification service alone.

use std::{collections::HashMap, time::Duration};

use lonewire_client::desktop::{entry, find};
use zbus::{Connection, Variant};

use crate::failure::Failure;

/// Of the window's program on the session bus.
const WINDOW: &str = "org.lonewire.Lonewire";
const WINDOW_PATH: &str = "/org/lonewire/Lonewire";
/// Of each call: a launcher that failed ends soon.
const PATIENCE: Duration = Duration::from_secs(5);

/// Tells that an installed app was not run in a tunnel, by its name or id if one was named. Where there is no desktop, nobody is told.
pub fn tell(tunnel: Option<&str>, app: &str, failure: &Failure) {
    let name = find::app(app)
        .ok()
        .and_then(|entry| entry.name(&entry::locale()));
    let title = format!("Could not run “{}”", name.as_deref().unwrap_or(app));
    let body = body(failure);
    let session = async {
        zbus::connection::Builder::session()
            .method_timeout(PATIENCE)
            .build()
            .await
    };
    let Ok(session) = zbus::block_on(session) else {
        return;
    };
    let told = by_window(&session, tunnel.unwrap_or_default(), app, &title, &body);
    if zbus::block_on(told).is_err() {
        let _ = zbus::block_on(by_desktop(&session, &title, &body));
    }
}

/// Whole sentences.
fn body(failure: &Failure) -> String {
    let mut message = failure.message.clone();
    if let Some(first) = message.get(..1) {
        message.replace_range(..1, &first.to_uppercase());
    }
    let hints: Vec<&str> = failure.hints.iter().map(String::as_str).collect();
    let body = format!("{message}. {}", hints.join(" "));
    lonewire_client::text::printable(body.trim_end())
}

async fn by_window(
    session: &Connection,
    tunnel: &str,
    app: &str,
    title: &str,
    body: &str,
) -> zbus::Result<()> {
    let parameter = vec![Variant::from((tunnel, app, title, body))];
    let platform: HashMap<&str, Variant<'_>> = HashMap::new();
    session
        .call_method(
            Some(WINDOW),
            WINDOW_PATH,
            Some("org.freedesktop.Application"),
            "ActivateAction",
            &("launch-failed", parameter, platform),
        )
        .await
        .map(drop)
}

async fn by_desktop(session: &Connection, title: &str, body: &str) -> zbus::Result<()> {
    // Critical: it stays until somebody has seen it.
    let hints = HashMap::from([
        ("urgency", Variant::from(2_u8)),
        ("desktop-entry", Variant::from(WINDOW)),
    ]);
    let none: [&str; 0] = [];
    let service = "org.freedesktop.Notifications";
    session
        .call_method(
            Some(service),
            "/org/freedesktop/Notifications",
            Some(service),
            "Notify",
            &(
                "Lonewire",
                0_u32,
                WINDOW,
                title,
                body,
                &none[..],
                hints,
                -1_i32,
            ),
        )
        .await
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Exit;

    #[test]
    fn a_body_is_made_of_sentences() {
        let failure =
            Failure::new(Exit::Own, "x", "the tunnel “a” is not protected").hint("Try: b");
        assert_eq!(body(&failure), "The tunnel “a” is not protected. Try: b");
        assert_eq!(body(&Failure::new(Exit::Own, "x", "é")), "é.");
    }
}
