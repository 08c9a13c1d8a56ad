//! How much goes through the tunnel: rates, totals and the last minute as a line.

use std::cell::Cell;

use adw::{prelude::*, subclass::prelude::*};
use gettextrs::gettext;
use gtk::{CompositeTemplate, glib};

use super::sparkline::Sparkline;
use crate::{
    a11y,
    model::{SAMPLES, Traffic},
    present::{fill, units},
};

/// Milliseconds between two changes of what is read out: not every second.
const QUIET: u64 = 10_000;

mod imp {
    use super::*;

    #[derive(Default, CompositeTemplate)]
    #[template(resource = "/org/lonewire/Lonewire/widget/traffic.ui")]
    pub struct TrafficGroup {
        #[template_child]
        pub down: TemplateChild<gtk::Inscription>,
        #[template_child]
        pub up: TemplateChild<gtk::Inscription>,
        #[template_child]
        pub totals: TemplateChild<gtk::Inscription>,
        #[template_child]
        pub line: TemplateChild<Sparkline>,
        pub told: Cell<u64>,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for TrafficGroup {
        const NAME: &'static str = "LonewireTraffic";
        type Type = super::TrafficGroup;
        type ParentType = adw::PreferencesGroup;

        fn class_init(class: &mut Self::Class) {
            Sparkline::ensure_type();
            class.bind_template();
        }

        fn instance_init(object: &glib::subclass::InitializingObject<Self>) {
            object.init_template();
        }
    }

    impl ObjectImpl for TrafficGroup {
        fn constructed(&self) {
            self.parent_constructed();
            // The toolkit turns an inscription's alignment around in some versions only.
            if gtk::Widget::default_direction() == gtk::TextDirection::Rtl {
                for place in [&self.down, &self.up, &self.totals] {
                    place.set_direction(gtk::TextDirection::Ltr);
                    place.set_xalign(1.0 - place.xalign());
                }
            }
        }
    }
    impl WidgetImpl for TrafficGroup {}
    impl PreferencesGroupImpl for TrafficGroup {}
}

glib::wrapper! {
    pub struct TrafficGroup(ObjectSubclass<imp::TrafficGroup>)
        @extends adw::PreferencesGroup, gtk::Widget,
        @implements gtk::Buildable, gtk::ConstraintTarget;
}

impl TrafficGroup {
    /// Shows what was seen, at a Unix time in milliseconds. `is_new`: it is another tunnel's.
    pub fn show_traffic(&self, traffic: &Traffic, now: u64, is_new: bool) {
        let imp = self.imp();
        let rate = traffic.now();
        let (rx, tx) = traffic.totals();
        set(
            &imp.down,
            &fill("↓ {rate}", &[("rate", &units::rate(rate.rx))]),
        );
        set(
            &imp.up,
            &fill("↑ {rate}", &[("rate", &units::rate(rate.tx))]),
        );
        let totals = [("received", units::bytes(rx)), ("sent", units::bytes(tx))];
        let totals: Vec<(&str, &str)> = totals
            .iter()
            .map(|(key, value)| (*key, value.as_str()))
            .collect();
        set(&imp.totals, &fill("{received} / {sent}", &totals));
        let mut values = vec![0; SAMPLES.saturating_sub(traffic.rates().len())];
        values.extend(traffic.rates().map(|rate| rate.rx.saturating_add(rate.tx)));
        imp.line.set_values(values);
        if is_new || now.saturating_sub(imp.told.get()) >= QUIET {
            imp.told.set(now);
            let label = |text: String, rate: u64| fill(&text, &[("rate", &units::rate(rate))]);
            a11y::set_label(
                &*imp.line,
                &label(
                    gettext("Traffic over the last minute, now {rate}"),
                    rate.rx + rate.tx,
                ),
            );
            a11y::set_label(&*imp.down, &label(gettext("Download {rate}"), rate.rx));
            a11y::set_label(&*imp.up, &label(gettext("Upload {rate}"), rate.tx));
            let text = fill(&gettext("{received} received, {sent} sent"), &totals);
            imp.totals.set_tooltip_text(Some(&text));
            a11y::set_label(&*imp.totals, &text);
        }
    }
}

/// What says the same is not drawn again. An inscription's place does not depend on its text: where only figures change, nothing is laid out anew.
fn set(place: &gtk::Inscription, text: &str) {
    if place.text().as_deref() != Some(text) {
        place.set_text(Some(text));
    }
}
