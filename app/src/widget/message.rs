//! Questions and longer messages over the window. Wraps AdwMessageDialog, which AdwAlertDialog replaces in newer libadwaita.

use std::{cell::RefCell, rc::Rc};

use adw::prelude::*;
use gettextrs::gettext;

use crate::model::Changes;

/// How the button that goes on looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Suggested,
    Destructive,
}

const YES: &str = "yes";
const NO: &str = "cancel";

/// A dialog with Cancel, which Escape means too, and a button that goes on, which calls `then`. For fields of its own: `set_extra_child`.
pub fn question(
    parent: &impl IsA<gtk::Window>,
    heading: &str,
    body: &str,
    (yes, kind): (&str, Kind),
    then: impl FnOnce() + 'static,
) -> adw::MessageDialog {
    let dialog = adw::MessageDialog::new(Some(parent), Some(heading), Some(body));
    dialog.add_responses(&[(NO, &gettext("_Cancel")), (YES, yes)]);
    dialog.set_close_response(NO);
    dialog.set_response_appearance(
        YES,
        match kind {
            Kind::Suggested => adw::ResponseAppearance::Suggested,
            Kind::Destructive => adw::ResponseAppearance::Destructive,
        },
    );
    // What can not be undone is not a stray Return away.
    dialog.set_default_response(Some(if kind == Kind::Suggested { YES } else { NO }));
    let then = RefCell::new(Some(then));
    dialog.connect_response(None, move |_, response| {
        if response == YES
            && let Some(then) = then.take()
        {
            then();
        }
    });
    dialog
}

/// Lets the button that goes on be used or not.
pub fn set_ready(dialog: &adw::MessageDialog, ready: bool) {
    dialog.set_response_enabled(YES, ready);
}

/// Something to read, with one button.
pub fn tell(parent: &impl IsA<gtk::Window>, heading: &str, body: &str) {
    let dialog = adw::MessageDialog::new(Some(parent), Some(heading), Some(body));
    dialog.add_response("close", &gettext("_Close"));
    dialog.set_close_response("close");
    dialog.set_default_response(Some("close"));
    dialog.present();
}

/// A question with several answers: their names, labels and looks. The first is the one that Escape means. The answer's name.
pub async fn choose(
    parent: &impl IsA<gtk::Window>,
    heading: &str,
    body: &str,
    answers: &[(&'static str, String, Option<Kind>)],
) -> String {
    let dialog = adw::MessageDialog::new(Some(parent), Some(heading), Some(body));
    for (name, label, kind) in answers {
        dialog.add_response(name, label);
        match kind {
            Some(Kind::Suggested) => {
                dialog.set_response_appearance(name, adw::ResponseAppearance::Suggested);
                dialog.set_default_response(Some(name));
            }
            Some(Kind::Destructive) => {
                dialog.set_response_appearance(name, adw::ResponseAppearance::Destructive);
            }
            None => {}
        }
    }
    if let Some((first, _, _)) = answers.first() {
        dialog.set_close_response(first);
    }
    let answer: Rc<RefCell<Option<String>>> = Rc::default();
    let given = answer.clone();
    let changes = Changes::new(&dialog, |dialog, changed| {
        dialog.connect_response(None, move |_, response| {
            given.replace(Some(response.to_owned()));
            changed();
        })
    });
    dialog.present();
    changes.until(|| answer.take()).await
}

/// A button that goes on, and what it does.
pub type Retry<'a> = (&'a str, Box<dyn Fn()>);

/// What was refused, with something below the text, and a way to go on where there is one.
pub fn refusal(
    parent: &impl IsA<gtk::Window>,
    heading: &str,
    body: &str,
    below: Option<&gtk::Widget>,
    retry: Option<Retry<'_>>,
) {
    let dialog = adw::MessageDialog::new(Some(parent), Some(heading), Some(body));
    dialog.add_response("close", &gettext("_Close"));
    dialog.set_close_response("close");
    dialog.set_extra_child(below);
    match retry {
        Some((label, then)) => {
            dialog.add_response(YES, label);
            dialog.set_response_appearance(YES, adw::ResponseAppearance::Suggested);
            dialog.set_default_response(Some(YES));
            dialog.connect_response(Some(YES), move |_, _| then());
        }
        None => dialog.set_default_response(Some("close")),
    }
    dialog.present();
}
