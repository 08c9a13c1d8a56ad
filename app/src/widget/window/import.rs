//! Actions that bring configurations in: read, looked at, added, and taken back. Nothing is kept of what was not added.

use std::{cell::Cell, collections::BTreeMap};

use adw::prelude::*;
use gettextrs::{gettext, ngettext};
use gtk::{gio, glib};

use super::{Window, action};
use crate::{
    config::{self, Found, Refused},
    error::{Error, Result},
    helper::Named,
    model::Tunnel,
    present::{fill, problem},
    widget::{excerpt::Excerpt, many::Many, message, review::Review},
};

/// They need a service that answers; the window disables them where there is none.
pub(super) const ACTIONS: &[&str] = &["import", "import-picture", "paste", "new-tunnel"];

/// Refusals that are listed at most.
const LISTED: usize = 8;

/// Files that a chooser offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    All,
    Pictures,
}

impl Window {
    pub(super) fn add_import_actions(&self) {
        self.add_action_entries([
            action::plain("import", |window| window.choose(Kind::All)),
            action::plain("import-picture", |window| window.choose(Kind::Pictures)),
            action::plain("paste", Self::paste),
        ]);
    }

    fn choose(&self, kind: Kind) {
        let (title, filters) = match kind {
            Kind::All => (
                gettext("Import Configurations"),
                vec![configurations(), pictures(), everything()],
            ),
            Kind::Pictures => (gettext("Import QR Code Image"), vec![pictures()]),
        };
        let chooser = gtk::FileChooserNative::builder()
            .title(title)
            .transient_for(self)
            .modal(true)
            .action(gtk::FileChooserAction::Open)
            .select_multiple(true)
            .accept_label(gettext("_Import"))
            .cancel_label(gettext("_Cancel"))
            .build();
        for filter in filters {
            chooser.add_filter(&filter);
        }
        let window = self.clone();
        glib::spawn_future_local(async move {
            if chooser.run_future().await == gtk::ResponseType::Accept {
                let files: Vec<gio::File> = chooser
                    .files()
                    .iter::<gio::File>()
                    .filter_map(std::result::Result::ok)
                    .collect();
                window.open_files(&files);
            }
        });
    }

    /// Files that were chosen or dropped, or given on the command line.
    pub fn open_files(&self, files: &[gio::File]) {
        let (window, files) = (self.clone(), files.to_vec());
        glib::spawn_future_local(async move {
            let found = config::files(files).await;
            window.import_found(found);
        });
    }

    /// Shows what was found: one as it is, several in a list.
    pub(super) fn import_found(&self, mut found: Found) {
        match (found.drafts.len(), found.refused.len()) {
            (0, 0) => {}
            (1, 0) => {
                if let Some(draft) = found.drafts.pop() {
                    self.review(draft);
                }
            }
            (0, 1) => {
                if let Some(refused) = found.refused.pop() {
                    self.tell_refused(refused);
                }
            }
            _ => self.review_many(found),
        }
    }

    /// Names that are taken.
    pub(super) fn names(&self) -> Vec<String> {
        let tunnels = self.model().map(|model| model.tunnels().clone());
        tunnels
            .iter()
            .flat_map(|tunnels| tunnels.iter::<Tunnel>().filter_map(std::result::Result::ok))
            .map(|tunnel| tunnel.title())
            .collect()
    }

    pub(super) fn review(&self, draft: config::Draft) {
        let window = self.clone();
        Review::new(self, draft, self.names(), move |review| {
            let (window, review) = (window.clone(), review.clone());
            glib::spawn_future_local(async move {
                match window.add(&review).await {
                    Ok(()) => review.close(),
                    Err(error) => {
                        review.set_busy(false);
                        if let Error::Message(message) = error {
                            review.tell(&format!("{}. {}", message.title, message.body));
                        }
                    }
                }
            });
        })
        .present();
    }

    async fn add(&self, review: &Review) -> Result<()> {
        let (Some(helper), Some(draft), Some(name)) =
            (self.helper(), review.draft(), review.name())
        else {
            return Ok(());
        };
        let named = Named {
            name: &name,
            text: &draft.text,
        };
        let action = fill(&gettext("add “{name}”"), &[("name", &name)]);
        for result in helper.import(&[named]).await? {
            let imported = result.map_err(|error| Error::of_call(&action, &error))?;
            self.show_tunnel(&imported.id);
            self.offer_undo(
                &fill(&gettext("“{name}” added"), &[("name", &imported.name)]),
                vec![imported.id],
            );
        }
        Ok(())
    }

    /// Says that something was added, and takes it back if that was not wanted.
    pub(super) fn offer_undo(&self, text: &str, ids: Vec<String>) {
        let (window, added) = (self.downgrade(), ids.clone());
        let toast = self.toast_with(text, &gettext("_Undo"), move || {
            let Some(window) = window.upgrade() else {
                return;
            };
            let Some(helper) = window.helper().cloned() else {
                return;
            };
            let ids = added.clone();
            window.attempt(async move { helper.take_back(&ids).await });
        });
        self.dismiss_after(&toast, ids);
    }

    /// Takes a toast away once the tunnels that it is about have come and gone.
    fn dismiss_after(&self, toast: &adw::Toast, ids: Vec<String>) {
        let Some(model) = self.model() else { return };
        let (tunnels, seen) = (model.tunnels().clone(), Cell::new(false));
        let (model, weak) = (model.downgrade(), toast.downgrade());
        let look = move || {
            let (Some(model), Some(toast)) = (model.upgrade(), weak.upgrade()) else {
                return;
            };
            let is_there = ids.iter().any(|id| model.tunnel(id).is_some());
            if seen.replace(is_there) && !is_there {
                toast.dismiss();
            }
        };
        look();
        let handler = tunnels.connect_items_changed(move |_, _, _, _| look());
        let handler = Cell::new(Some(handler));
        toast.connect_dismissed(move |_| {
            if let Some(handler) = handler.take() {
                tunnels.disconnect(handler);
            }
        });
    }

    fn review_many(&self, found: Found) {
        let window = self.clone();
        Many::new(self, found, self.names(), move |many| {
            let (window, many) = (window.clone(), many.clone());
            glib::spawn_future_local(async move {
                many.tell(&gettext("Adding…"));
                let result = window.add_many(&many).await;
                many.set_busy(false);
                match result {
                    Ok(()) | Err(Error::UserCanceled) => many.close(),
                    Err(Error::Message(message)) => {
                        many.tell(&format!("{}. {}", message.title, message.body));
                    }
                }
            });
        })
        .present();
    }

    async fn add_many(&self, many: &Many) -> Result<()> {
        let Some(helper) = self.helper() else {
            return Ok(());
        };
        let drafts = many.drafts();
        let named: Vec<Named<'_>> = drafts
            .iter()
            .map(|draft| Named {
                name: &draft.name,
                text: &draft.text,
            })
            .collect();
        let results = helper.import(&named).await?;
        let mut refused = many.refused();
        let mut added = Vec::new();
        let mut archives: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for (draft, result) in drafts.iter().zip(results) {
            match result {
                Ok(imported) => {
                    if !draft.archive.is_empty() {
                        let archive = archives.entry(draft.archive.as_str()).or_default();
                        archive.push(imported.id.clone());
                    }
                    added.push(imported.id);
                }
                Err(error) => {
                    let action = fill(&gettext("add “{name}”"), &[("name", &draft.name)]);
                    if let Error::Message(message) = Error::of_call(&action, &error) {
                        refused.push((draft.origin.clone(), message.body));
                    }
                }
            }
        }
        for (archive, ids) in archives {
            self.shelf()
                .came_from(ids.iter().map(String::as_str), archive);
        }
        self.sort_again();
        if let Some(first) = added.first() {
            self.show_tunnel(first);
        }
        self.tell_added(added, refused);
        Ok(())
    }

    fn tell_added(&self, added: Vec<String>, refused: Vec<(String, String)>) {
        let count = added.len().try_into().unwrap_or(u32::MAX);
        if refused.is_empty() {
            let text = ngettext("{count} tunnel added", "{count} tunnels added", count);
            return self.offer_undo(&fill(&text, &[("count", &count.to_string())]), added);
        }
        let total = (added.len() + refused.len()).to_string();
        let text = fill(
            &gettext("Added {count} of {total}"),
            &[("count", &count.to_string()), ("total", &total)],
        );
        let window = self.downgrade();
        let heading = text.clone();
        self.toast_with(&text, &gettext("_Details"), move || {
            if let Some(window) = window.upgrade() {
                message::tell(&window, &heading, &listed(&refused));
            }
        });
    }

    /// Says why something is no configuration, and shows where.
    pub(super) fn tell_refused(&self, refused: Refused) {
        let heading = if refused.origin.is_empty() {
            gettext("Could Not Import the Configuration")
        } else {
            fill(
                &gettext("Could Not Import “{name}”"),
                &[("name", &refused.origin)],
            )
        };
        let body = format!(
            "{}\n{}",
            problem::refusal(&refused.error),
            gettext("Nothing was changed.")
        );
        let text = refused.text.as_deref();
        let below = text
            .zip(refused.error.line())
            .map(|(text, line)| Excerpt::new(&problem::excerpt(text, line)));
        let below = below.as_ref().map(|one| one.upcast_ref());
        if refused.text.is_none() {
            return message::refusal(self, &heading, &body, below, None);
        }
        let window = self.clone();
        let label = gettext("_Edit and Retry");
        let retry = Box::new(move || window.edit_refused(&refused));
        message::refusal(self, &heading, &body, below, Some((&label, retry)));
    }
}

/// The first of them, and how many more there are.
fn listed(refused: &[(String, String)]) -> String {
    let mut lines: Vec<String> = refused
        .iter()
        .take(LISTED)
        .map(|(origin, why)| format!("{origin}: {why}"))
        .collect();
    let more = refused.len().saturating_sub(LISTED);
    if more > 0 {
        let more = more.try_into().unwrap_or(u32::MAX);
        lines.push(fill(
            &ngettext("…and {count} more", "…and {count} more", more),
            &[("count", &more.to_string())],
        ));
    }
    lines.join("\n\n")
}

fn configurations() -> gtk::FileFilter {
    let filter = gtk::FileFilter::new();
    filter.set_name(Some(&gettext("Configurations and archives")));
    for suffix in ["conf", "zip", "txt", "png", "jpg", "jpeg"] {
        filter.add_suffix(suffix);
    }
    filter
}

fn pictures() -> gtk::FileFilter {
    let filter = gtk::FileFilter::new();
    filter.set_name(Some(&gettext("Images of QR codes")));
    filter.add_mime_type("image/png");
    filter.add_mime_type("image/jpeg");
    filter
}

fn everything() -> gtk::FileFilter {
    let filter = gtk::FileFilter::new();
    filter.set_name(Some(&gettext("All files")));
    filter.add_pattern("*");
    filter
}
