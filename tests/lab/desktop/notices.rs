//! The desktop's notification service, as the Desktop Notifications Specification has it: it keeps what is to be read.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context as _, Result};
use zbus::{Connection, OwnedVariant};

/// A notification that is there to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    number: u32,
    pub title: String,
    pub body: String,
    /// Key and label of each action, one after the other.
    pub actions: Vec<String>,
}

/// What is there, the oldest first. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Notices(Arc<Mutex<Shelf>>);

#[derive(Debug, Default)]
struct Shelf {
    last: u32,
    list: Vec<Notice>,
}

impl Notices {
    /// Begins to be the service.
    pub(super) fn serve(&self, session: &Connection) -> Result<()> {
        zbus::block_on(async {
            let path = "/org/freedesktop/Notifications";
            session
                .object_server()
                .at(path, Service(self.clone()))
                .await?;
            session.request_name("org.freedesktop.Notifications").await
        })?;
        Ok(())
    }

    /// All that are there.
    pub fn all(&self) -> Vec<Notice> {
        self.shelf(|shelf| shelf.list.clone())
    }

    /// Clicks one: the button with this label, or the notification itself. It is gone then, as on a desktop.
    ///
    /// # Errors
    /// It has no such button, or the bus refuses it.
    pub fn click(&self, session: &Connection, notice: &Notice, label: Option<&str>) -> Result<()> {
        let key = match label {
            None => "default",
            Some(label) => {
                let mut pairs = notice.actions.chunks(2);
                let pair = pairs.find(|pair| pair.get(1).is_some_and(|one| one == label));
                pair.and_then(|pair| pair.first())
                    .with_context(|| format!("no {label} on {notice:?}"))?
            }
        };
        self.shelf(|shelf| shelf.list.retain(|one| one.number != notice.number));
        let path = "/org/freedesktop/Notifications";
        zbus::block_on(session.emit_signal(
            None::<&str>,
            path,
            "org.freedesktop.Notifications",
            "ActionInvoked",
            &(notice.number, key),
        ))?;
        Ok(())
    }

    fn shelf<T>(&self, f: impl FnOnce(&mut Shelf) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

struct Service(Notices);

#[zbus::interface(name = "org.freedesktop.Notifications")]
impl Service {
    #[expect(clippy::too_many_arguments, reason = "the specification's")]
    fn notify(
        &self,
        _app: String,
        replaces: u32,
        _icon: String,
        title: String,
        body: String,
        actions: Vec<String>,
        _hints: HashMap<String, OwnedVariant>,
        _timeout: i32,
    ) -> u32 {
        self.0.shelf(|shelf| {
            shelf.list.retain(|notice| notice.number != replaces);
            let number = if replaces == 0 {
                shelf.last += 1;
                shelf.last
            } else {
                replaces
            };
            shelf.list.push(Notice {
                number,
                title,
                body,
                actions,
            });
            number
        })
    }

    fn close_notification(&self, number: u32) {
        self.0
            .shelf(|shelf| shelf.list.retain(|notice| notice.number != number));
    }

    fn get_capabilities(&self) -> Vec<String> {
        vec!["actions".into(), "body".into()]
    }

    #[zbus(out_args("name", "vendor", "version", "spec_version"))]
    fn get_server_information(&self) -> (String, String, String, String) {
        let word = |word: &str| word.to_owned();
        (word("lab"), word("lab"), word("1"), word("1.2"))
    }
}
