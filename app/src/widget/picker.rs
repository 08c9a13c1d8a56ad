//! The list of installed apps, of which one is run in a tunnel. What is chosen goes out as an action of the window that it is over.

use std::{
    cell::{OnceCell, RefCell},
    rc::Rc,
};

use adw::{prelude::*, subclass::prelude::*};
use gettextrs::gettext;
use gtk::{CompositeTemplate, gdk, gio, glib};

use super::picker_row::PickerRow;
use crate::{
    apps::{self, Installed, InstalledApp},
    model::Tunnel,
    present::fill,
};

mod imp {
    use super::*;

    #[derive(Default, CompositeTemplate)]
    #[template(resource = "/org/lonewire/Lonewire/widget/picker.ui")]
    pub struct Picker {
        #[template_child]
        pub title: TemplateChild<adw::WindowTitle>,
        #[template_child]
        pub search: TemplateChild<gtk::SearchEntry>,
        #[template_child]
        pub results: TemplateChild<gtk::ScrolledWindow>,
        #[template_child]
        pub nothing: TemplateChild<adw::StatusPage>,
        #[template_child]
        pub list: TemplateChild<gtk::ListView>,
        #[template_child]
        pub other: TemplateChild<gtk::Button>,
        /// The tunnel's id.
        pub tunnel: OnceCell<String>,
        pub installed: OnceCell<Installed>,
        /// Installed apps that fit.
        pub found: OnceCell<gtk::SortListModel>,
        pub selection: OnceCell<gtk::SingleSelection>,
        pub text: Rc<RefCell<String>>,
        /// First processes of the tunnel's apps.
        pub inside: RefCell<Vec<u32>>,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for Picker {
        const NAME: &'static str = "LonewirePicker";
        type Type = super::Picker;
        type ParentType = adw::Window;

        fn class_init(class: &mut Self::Class) {
            class.bind_template();
        }

        fn instance_init(object: &glib::subclass::InitializingObject<Self>) {
            object.init_template();
        }
    }

    impl ObjectImpl for Picker {}
    impl WidgetImpl for Picker {}
    impl WindowImpl for Picker {}
    impl AdwWindowImpl for Picker {}
}

glib::wrapper! {
    pub struct Picker(ObjectSubclass<imp::Picker>)
        @extends adw::Window, gtk::Window, gtk::Widget,
        @implements gtk::Buildable, gtk::ConstraintTarget, gtk::Native, gtk::Root, gtk::ShortcutManager;
}

impl Picker {
    /// For a tunnel; `inside`: the first processes of apps that are in it.
    pub fn new(parent: &impl IsA<gtk::Window>, tunnel: &Tunnel, inside: Vec<u32>) -> Self {
        let picker: Self = glib::Object::builder()
            .property("transient-for", parent)
            .build();
        let imp = picker.imp();
        let title = fill(
            &gettext("Run App in {tunnel}"),
            &[("tunnel", &tunnel.title())],
        );
        imp.title.set_title(&title);
        picker.set_title(Some(&title));
        let _ = imp.tunnel.set(tunnel.id());
        imp.inside.replace(inside);
        picker.fill();
        picker.listen();
        picker
    }

    fn fill(&self) {
        let imp = self.imp();
        let installed = Installed::new(glib::clone!(
            #[weak(rename_to = picker)]
            self,
            move || picker.mark_outside()
        ));
        let text = imp.text.clone();
        let filter = gtk::CustomFilter::new(move |item| {
            let app = item.downcast_ref::<InstalledApp>();
            app.is_some_and(|app| app.rank(&text.borrow()).is_some())
        });
        let text = imp.text.clone();
        let sorter = gtk::CustomSorter::new(move |a, b| {
            let apps = (a.downcast_ref(), b.downcast_ref());
            let (Some(a), Some(b)): (Option<&InstalledApp>, Option<&InstalledApp>) = apps else {
                return gtk::Ordering::Equal;
            };
            a.compare(b, &text.borrow()).into()
        });
        let filtered =
            gtk::FilterListModel::new(Some(installed.list.clone()), Some(filter.clone()));
        let found = gtk::SortListModel::new(Some(filtered), Some(sorter.clone()));
        let other = gio::ListStore::new::<InstalledApp>();
        other.append(&InstalledApp::other(
            &gettext("Other Command…"),
            &gettext("Run a program by its command"),
        ));
        let parts = gio::ListStore::new::<gio::ListModel>();
        parts.append(&found);
        parts.append(&other);
        let all = gtk::FlattenListModel::new(Some(parts));
        let selection = gtk::SingleSelection::new(Some(all));
        imp.list.set_factory(Some(&factory()));
        imp.list.set_model(Some(&selection));
        imp.search.connect_changed(glib::clone!(
            #[weak(rename_to = picker)]
            self,
            move |search| {
                let imp = picker.imp();
                imp.text.replace(search.text().into());
                filter.changed(gtk::FilterChange::Different);
                sorter.changed(gtk::SorterChange::Different);
                picker.select(0);
            }
        ));
        found.connect_items_changed(glib::clone!(
            #[weak(rename_to = picker)]
            self,
            move |_, _, _, _| picker.show_found()
        ));
        let _ = imp.installed.set(installed);
        let _ = imp.found.set(found);
        let _ = imp.selection.set(selection);
        self.show_found();
        self.mark_outside();
    }

    fn listen(&self) {
        let imp = self.imp();
        imp.search.set_key_capture_widget(Some(self));
        imp.search.connect_stop_search(glib::clone!(
            #[weak(rename_to = picker)]
            self,
            move |_| picker.close()
        ));
        imp.search.connect_activate(glib::clone!(
            #[weak(rename_to = picker)]
            self,
            move |_| {
                let selected = picker.imp().selection.get();
                picker.choose(selected.map_or(0, gtk::SingleSelection::selected));
            }
        ));
        imp.list.connect_activate(glib::clone!(
            #[weak(rename_to = picker)]
            self,
            move |_, position| picker.choose(position)
        ));
        imp.other.connect_clicked(glib::clone!(
            #[weak(rename_to = picker)]
            self,
            move |_| picker.other_command()
        ));
        let keys = gtk::EventControllerKey::new();
        // Before the entry, which would leave for the next widget.
        keys.set_propagation_phase(gtk::PropagationPhase::Capture);
        keys.connect_key_pressed(glib::clone!(
            #[weak(rename_to = picker)]
            self,
            #[upgrade_or]
            glib::Propagation::Proceed,
            move |_, key, _, _| match key {
                gdk::Key::Down | gdk::Key::KP_Down => picker.step_into_list(),
                _ => glib::Propagation::Proceed,
            }
        ));
        imp.search.add_controller(keys);
    }

    /// From the entry to the row below the selected one.
    fn step_into_list(&self) -> glib::Propagation {
        let imp = self.imp();
        let Some(selection) = imp.selection.get() else {
            return glib::Propagation::Proceed;
        };
        let last = selection.n_items().saturating_sub(1);
        self.select(selection.selected().saturating_add(1).min(last));
        imp.list.grab_focus();
        glib::Propagation::Stop
    }

    fn select(&self, position: u32) {
        let imp = self.imp();
        if let Some(selection) = imp.selection.get() {
            selection.set_selected(position);
            // The list has no call for it before GTK 4.12.
            let _ = imp
                .list
                .activate_action("list.scroll-to-item", Some(&position.to_variant()));
        }
    }

    fn show_found(&self) {
        let imp = self.imp();
        let found = imp.found.get().map_or(0, ListModelExt::n_items);
        let nothing = found == 0 && !imp.text.borrow().is_empty();
        imp.nothing.set_visible(nothing);
        imp.results.set_visible(!nothing);
    }

    fn choose(&self, position: u32) {
        let imp = self.imp();
        let app = imp
            .selection
            .get()
            .and_then(|selection| selection.item(position))
            .and_downcast::<InstalledApp>();
        let Some(app) = app else { return };
        if app.is_other() {
            return self.other_command();
        }
        self.leave("win.run-installed", &(self.tunnel(), app.id()).to_variant());
    }

    fn other_command(&self) {
        let text = self.imp().text.borrow().clone();
        self.leave("win.run-other", &(self.tunnel(), text).to_variant());
    }

    fn tunnel(&self) -> String {
        self.imp().tunnel.get().cloned().unwrap_or_default()
    }

    fn leave(&self, action: &str, target: &glib::Variant) {
        let parent = self.transient_for();
        self.close();
        if let Some(parent) = parent {
            let _ = WidgetExt::activate_action(&parent, action, Some(target));
        }
    }

    /// Finds out which of them run already, without making anybody wait for it.
    fn mark_outside(&self) {
        let imp = self.imp();
        let Some(installed) = imp.installed.get() else {
            return;
        };
        let list = installed.list.clone();
        let all = || list.iter::<InstalledApp>().filter_map(Result::ok);
        let ids: Vec<String> = all().map(|app| app.id()).collect();
        let inside = imp.inside.borrow().clone();
        let list = list.clone();
        glib::spawn_future_local(async move {
            let look = gio::spawn_blocking(move || apps::outside(ids, &inside));
            let outside = look.await.unwrap_or_default();
            for app in list.iter::<InstalledApp>().filter_map(Result::ok) {
                app.set_outside(outside.contains(&app.id()));
            }
        });
    }
}

/// One click runs an app. The list's own `single-click-activate` also selects what the pointer lies on: Return would run that instead of what
/// was searched for.
fn click(item: &gtk::ListItem) -> gtk::GestureClick {
    let click = gtk::GestureClick::new();
    click.connect_released(glib::clone!(
        #[weak]
        item,
        move |click, _, _, _| {
            if let Some(row) = click.widget() {
                let position = item.position().to_variant();
                let _ = row.activate_action("list.activate-item", Some(&position));
            }
        }
    ));
    click
}

fn factory() -> gtk::SignalListItemFactory {
    let factory = gtk::SignalListItemFactory::new();
    factory.connect_setup(|_, item| {
        if let Some(item) = item.downcast_ref::<gtk::ListItem>() {
            let row = PickerRow::new();
            row.add_controller(click(item));
            item.set_child(Some(&row));
        }
    });
    factory.connect_bind(|_, item| {
        let Some(item) = item.downcast_ref::<gtk::ListItem>() else {
            return;
        };
        let row = item.child().and_downcast::<PickerRow>();
        let app = item.item().and_downcast::<InstalledApp>();
        if let (Some(row), Some(app)) = (row, app) {
            row.bind(item, &app);
        }
    });
    factory.connect_unbind(|_, item| {
        let row = item
            .downcast_ref::<gtk::ListItem>()
            .and_then(gtk::ListItem::child)
            .and_downcast::<PickerRow>();
        if let Some(row) = row {
            row.unbind();
        }
    });
    factory
}
