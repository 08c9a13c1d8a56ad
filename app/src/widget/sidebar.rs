//! The list of tunnels: a list view over a filtered, sorted model, so that a thousand cost what a screenful costs. What is selected stays so while a
//! search hides it.

use std::{
    cell::{OnceCell, RefCell},
    rc::Rc,
};

use adw::{prelude::*, subclass::prelude::*};
use gtk::{CompositeTemplate, gdk, gio, glib};

use super::tunnel_row::TunnelRow;
use crate::{
    model::{Model, Tunnel},
    present::state,
    shelf::Shelf,
};

mod imp {
    use std::sync::OnceLock;

    use gtk::glib::subclass::Signal;

    use super::*;

    #[derive(Default, CompositeTemplate)]
    #[template(resource = "/org/lonewire/Lonewire/widget/sidebar.ui")]
    pub struct Sidebar {
        #[template_child]
        pub bar: TemplateChild<gtk::SearchBar>,
        #[template_child]
        pub entry: TemplateChild<gtk::SearchEntry>,
        #[template_child]
        pub stack: TemplateChild<gtk::Stack>,
        #[template_child]
        pub list: TemplateChild<gtk::ListView>,
        pub tunnels: OnceCell<gio::ListStore>,
        pub selection: OnceCell<gtk::SingleSelection>,
        pub filter: OnceCell<gtk::CustomFilter>,
        pub sorter: OnceCell<gtk::CustomSorter>,
        pub menu: OnceCell<gtk::PopoverMenu>,
        /// Words that a tunnel must have, folded.
        pub words: Rc<RefCell<Vec<String>>>,
        /// What is selected, in the list or hidden by a search.
        pub current: RefCell<Option<Tunnel>>,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for Sidebar {
        const NAME: &'static str = "LonewireSidebar";
        type Type = super::Sidebar;
        type ParentType = adw::Bin;

        fn class_init(class: &mut Self::Class) {
            class.bind_template();
        }

        fn instance_init(object: &glib::subclass::InitializingObject<Self>) {
            object.init_template();
        }
    }

    impl ObjectImpl for Sidebar {
        fn constructed(&self) {
            self.parent_constructed();
            self.bar.connect_entry(&*self.entry);
            self.obj().listen();
        }

        fn dispose(&self) {
            if let Some(menu) = self.menu.get() {
                menu.unparent();
            }
        }

        fn signals() -> &'static [Signal] {
            static SIGNALS: OnceLock<Vec<Signal>> = OnceLock::new();
            // Another tunnel is selected, or none. A row was clicked, or Return pressed on it.
            SIGNALS.get_or_init(|| {
                vec![
                    Signal::builder("selected").build(),
                    Signal::builder("opened").build(),
                ]
            })
        }
    }

    impl WidgetImpl for Sidebar {}
    impl BinImpl for Sidebar {}
}

glib::wrapper! {
    pub struct Sidebar(ObjectSubclass<imp::Sidebar>)
        @extends adw::Bin, gtk::Widget,
        @implements gtk::Buildable, gtk::ConstraintTarget;
}

impl Sidebar {
    /// Lists the tunnels of a model in the order that the shelf keeps.
    pub fn set_model(&self, model: &Model, shelf: &Rc<Shelf>) {
        let imp = self.imp();
        let tunnels = model.tunnels();
        let filter = filter(&imp.words, shelf);
        let sorter = sorter(shelf);
        let filtered = gtk::FilterListModel::new(Some(tunnels.clone()), Some(filter.clone()));
        let sorted = gtk::SortListModel::new(Some(filtered), Some(sorter.clone()));
        let selection = gtk::SingleSelection::builder()
            .model(&sorted)
            .autoselect(false)
            .build();
        imp.list.set_factory(Some(&self.factory(shelf)));
        imp.list.set_model(Some(&selection));
        selection.connect_selected_item_notify(glib::clone!(
            #[weak(rename_to = sidebar)]
            self,
            move |selection| {
                if let Some(tunnel) = selection.selected_item().and_downcast::<Tunnel>() {
                    sidebar.set_current(Some(tunnel));
                }
            }
        ));
        let _ = imp.tunnels.set(tunnels.clone());
        let _ = imp.selection.set(selection);
        let _ = imp.filter.set(filter);
        let _ = imp.sorter.set(sorter);
        // After the models that are built on it have heard of it.
        tunnels.connect_items_changed(glib::clone!(
            #[weak(rename_to = sidebar)]
            self,
            move |_, _, _, _| sidebar.keep_selected()
        ));
        model.connect_order_notify(glib::clone!(
            #[weak(rename_to = sidebar)]
            self,
            move |_| sidebar.sort_again()
        ));
        self.keep_selected();
    }

    fn listen(&self) {
        let imp = self.imp();
        imp.list.connect_activate(glib::clone!(
            #[weak(rename_to = sidebar)]
            self,
            move |_, _| sidebar.emit_by_name::<()>("opened", &[])
        ));
        imp.entry.connect_changed(glib::clone!(
            #[weak(rename_to = sidebar)]
            self,
            move |entry| sidebar.search_for(&entry.text())
        ));
        imp.entry.connect_activate(glib::clone!(
            #[weak(rename_to = sidebar)]
            self,
            move |_| sidebar.take_first()
        ));
        let keys = gtk::ShortcutController::new();
        let trigger = gtk::ShortcutTrigger::parse_string("<Shift>F10|Menu");
        let popup = gtk::CallbackAction::new(glib::clone!(
            #[weak(rename_to = sidebar)]
            self,
            #[upgrade_or]
            glib::Propagation::Proceed,
            move |_, _| sidebar.pop_up_at_focus()
        ));
        keys.add_shortcut(gtk::Shortcut::new(trigger, Some(popup)));
        imp.list.add_controller(keys);
    }

    fn factory(&self, shelf: &Rc<Shelf>) -> gtk::SignalListItemFactory {
        let factory = gtk::SignalListItemFactory::new();
        let sidebar = self.downgrade();
        factory.connect_setup(move |_, item| {
            if let (Some(item), Some(sidebar)) =
                (item.downcast_ref::<gtk::ListItem>(), sidebar.upgrade())
            {
                item.set_child(Some(&sidebar.row()));
            }
        });
        let shelf = shelf.clone();
        factory.connect_bind(move |_, item| {
            let Some(item) = item.downcast_ref::<gtk::ListItem>() else {
                return;
            };
            let row = item.child().and_downcast::<TunnelRow>();
            let tunnel = item.item().and_downcast::<Tunnel>();
            if let (Some(row), Some(tunnel)) = (row, tunnel) {
                row.bind(item, &tunnel, &shelf);
            }
        });
        factory.connect_unbind(|_, item| {
            let row = item
                .downcast_ref::<gtk::ListItem>()
                .and_then(gtk::ListItem::child)
                .and_downcast::<TunnelRow>();
            if let Some(row) = row {
                row.unbind();
            }
        });
        factory
    }

    fn row(&self) -> TunnelRow {
        let row = TunnelRow::new();
        // A click on the row that is selected already opens it too. Whoever opens it may hide the list: that comes after the list's own share of the click.
        let click = gtk::GestureClick::new();
        click.connect_released(glib::clone!(
            #[weak(rename_to = sidebar)]
            self,
            #[weak]
            row,
            move |_, _, _, _| {
                let Some(tunnel) = row.tunnel() else { return };
                glib::idle_add_local_once(move || {
                    sidebar.select(&tunnel.id());
                    sidebar.emit_by_name::<()>("opened", &[]);
                });
            }
        ));
        row.add_controller(click);
        let second = gtk::GestureClick::builder()
            .button(gdk::BUTTON_SECONDARY)
            .build();
        second.connect_pressed(glib::clone!(
            #[weak(rename_to = sidebar)]
            self,
            #[weak]
            row,
            move |_, _, x, y| sidebar.pop_up(&row, x, y)
        ));
        row.add_controller(second);
        let long = gtk::GestureLongPress::builder().touch_only(true).build();
        long.connect_pressed(glib::clone!(
            #[weak(rename_to = sidebar)]
            self,
            #[weak]
            row,
            move |_, x, y| sidebar.pop_up(&row, x, y)
        ));
        row.add_controller(long);
        row
    }

    /// What a row offers besides being opened.
    pub fn set_menu(&self, menu: &gio::MenuModel) {
        let popover = gtk::PopoverMenu::from_model(Some(menu));
        popover.set_has_arrow(false);
        popover.set_halign(gtk::Align::Start);
        popover.set_parent(self);
        let _ = self.imp().menu.set(popover);
    }

    fn pop_up(&self, row: &TunnelRow, x: f64, y: f64) {
        if let Some(tunnel) = row.tunnel() {
            self.select(&tunnel.id());
            if let Some((x, y)) = row.translate_coordinates(self, x, y) {
                self.show_menu(x, y);
            }
        }
    }

    fn pop_up_at_focus(&self) -> glib::Propagation {
        let Some(bounds) = self
            .imp()
            .list
            .focus_child()
            .and_then(|row| row.compute_bounds(self))
        else {
            return glib::Propagation::Proceed;
        };
        let (x, y) = (bounds.center().x(), bounds.center().y());
        self.show_menu(f64::from(x), f64::from(y));
        glib::Propagation::Stop
    }

    fn show_menu(&self, x: f64, y: f64) {
        if let Some(menu) = self.imp().menu.get() {
            #[expect(clippy::cast_possible_truncation, reason = "pixels")]
            menu.set_pointing_to(Some(&gdk::Rectangle::new(x as i32, y as i32, 1, 1)));
            menu.popup();
        }
    }

    /// Begins a search, or ends it where the focus is in it.
    pub fn toggle_search(&self) {
        let imp = self.imp();
        let is_typing = imp
            .entry
            .focus_child()
            .is_some_and(|child| child.has_focus());
        if imp.bar.is_search_mode() && is_typing {
            return imp.bar.set_search_mode(false);
        }
        imp.bar.set_search_mode(true);
        imp.entry.grab_focus();
    }

    fn search_for(&self, text: &str) {
        let imp = self.imp();
        let words: Vec<String> = text
            .to_lowercase()
            .split_whitespace()
            .map(str::to_owned)
            .collect();
        let before = imp.words.replace(words.clone());
        if before == words {
            return;
        }
        // Typing on leaves fewer: those that are out need no other look.
        let change = if narrows(&before, &words) {
            gtk::FilterChange::MoreStrict
        } else if narrows(&words, &before) {
            gtk::FilterChange::LessStrict
        } else {
            gtk::FilterChange::Different
        };
        if let Some(filter) = imp.filter.get() {
            filter.changed(change);
        }
        self.keep_selected();
    }

    /// Return in a search: what it found first.
    fn take_first(&self) {
        let imp = self.imp();
        let Some(selection) = imp.selection.get() else {
            return;
        };
        if selection.n_items() == 0 {
            return;
        }
        if selection.selected() == gtk::INVALID_LIST_POSITION {
            selection.set_selected(0);
        }
        imp.list.grab_focus();
        self.emit_by_name::<()>("opened", &[]);
    }

    /// The order may be another one.
    pub fn sort_again(&self) {
        if let Some(sorter) = self.imp().sorter.get() {
            sorter.changed(gtk::SorterChange::Different);
        }
    }

    /// All rows that can be seen are told anew.
    pub fn show_again(&self) {
        if let Some(selection) = self.imp().selection.get() {
            for tunnel in selection.iter::<glib::Object>().filter_map(Result::ok) {
                if let Some(tunnel) = tunnel.downcast_ref::<Tunnel>() {
                    tunnel.touch();
                }
            }
        }
    }

    /// Selects again what a search had hidden; another one where it is gone.
    fn keep_selected(&self) {
        let imp = self.imp();
        let (Some(tunnels), Some(selection)) = (imp.tunnels.get(), imp.selection.get()) else {
            return;
        };
        let is_empty = selection.n_items() == 0 && tunnels.n_items() > 0;
        imp.stack
            .set_visible_child_name(if is_empty { "nothing" } else { "list" });
        let current = self
            .selected()
            .filter(|tunnel| tunnels.find(tunnel).is_some());
        if selection.selected() != gtk::INVALID_LIST_POSITION && current.is_some() {
            return;
        }
        match current {
            Some(tunnel) => {
                self.select_in(selection, &tunnel.id());
            }
            None if selection.n_items() > 0 => selection.set_selected(0),
            None => self.set_current(None),
        }
    }

    fn set_current(&self, tunnel: Option<Tunnel>) {
        if self.imp().current.replace(tunnel.clone()) != tunnel {
            self.emit_by_name::<()>("selected", &[]);
        }
    }

    /// What actions without a target are about.
    pub fn selected(&self) -> Option<Tunnel> {
        self.imp().current.borrow().clone()
    }

    /// Selects a tunnel by its id, and ends a search that hides it. `false`: there is no such tunnel.
    pub fn select(&self, id: &str) -> bool {
        let imp = self.imp();
        let Some(selection) = imp.selection.get() else {
            return false;
        };
        if self.select_in(selection, id) {
            return true;
        }
        if imp.words.borrow().is_empty() {
            return false;
        }
        imp.bar.set_search_mode(false);
        self.select_in(selection, id)
    }

    fn select_in(&self, selection: &gtk::SingleSelection, id: &str) -> bool {
        let position = selection
            .iter::<glib::Object>()
            .filter_map(Result::ok)
            .position(|item| {
                item.downcast_ref::<Tunnel>()
                    .is_some_and(|tunnel| tunnel.id() == id)
            });
        let Some(position) = position.and_then(|position| u32::try_from(position).ok()) else {
            return false;
        };
        selection.set_selected(position);
        true
    }

    /// Another tunnel is selected, or none.
    pub fn connect_selected(&self, f: impl Fn(&Self) + 'static) {
        self.connect_closure(
            "selected",
            false,
            glib::closure_local!(move |sidebar: &Self| f(sidebar)),
        );
    }

    /// The person wants to see the tunnel that is selected.
    pub fn connect_opened(&self, f: impl Fn(&Self) + 'static) {
        self.connect_closure(
            "opened",
            false,
            glib::closure_local!(move |sidebar: &Self| f(sidebar)),
        );
    }
}

/// Whether all that has the words of `after` has those of `before`.
fn narrows(before: &[String], after: &[String]) -> bool {
    before
        .iter()
        .all(|old| after.iter().any(|new| new.contains(old.as_str())))
}

/// By name, and by the archive that a tunnel came from.
fn filter(words: &Rc<RefCell<Vec<String>>>, shelf: &Rc<Shelf>) -> gtk::CustomFilter {
    let (words, shelf) = (words.clone(), shelf.clone());
    gtk::CustomFilter::new(move |item| {
        let words = words.borrow();
        words.is_empty()
            || item.downcast_ref::<Tunnel>().is_some_and(|tunnel| {
                let title = tunnel.folded();
                words.iter().all(|word| {
                    title.contains(word)
                        || shelf.archive(&tunnel.id()).to_lowercase().contains(word)
                })
            })
    })
}

fn sorter(shelf: &Rc<Shelf>) -> gtk::CustomSorter {
    let shelf = shelf.clone();
    gtk::CustomSorter::new(move |one, other| {
        let (Some(one), Some(other)) =
            (one.downcast_ref::<Tunnel>(), other.downcast_ref::<Tunnel>())
        else {
            return gtk::Ordering::Equal;
        };
        let rank = |tunnel: &Tunnel| state::rank(tunnel.state(), tunnel.apps());
        shelf
            .compare((&one.id(), rank(one)), (&other.id(), rank(other)))
            .then_with(|| one.folded().cmp(&other.folded()))
            .into()
    })
}

#[cfg(test)]
mod tests {
    use super::narrows;

    #[test]
    fn typing_on_narrows_and_another_word_does_not() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        for (before, after, expected) in [
            ("s", "sw", true),
            ("sw", "s", false),
            ("sw", "sw 1", true),
            ("sw 1", "sw", false),
            ("sw", "de", false),
        ] {
            assert_eq!(narrows(&words(before), &words(after)), expected);
        }
        assert!(narrows(&[], &words("a")));
    }
}
