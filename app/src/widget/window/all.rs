//! Actions about all tunnels.

use gettextrs::gettext;
use gtk::prelude::*;

use super::{Window, action};
use crate::{
    model::Tunnel,
    present::app,
    widget::message::{self, Kind},
};

impl Window {
    pub(super) fn add_all_actions(&self) {
        self.add_action_entries([action::plain("turn-all-off", Self::turn_all_off)]);
    }

    fn turn_all_off(&self) {
        let (Some(helper), Some(model)) = (self.helper().cloned(), self.model()) else {
            return;
        };
        let tunnels = model.tunnels().iter::<Tunnel>().filter_map(Result::ok);
        let count: u32 = tunnels.map(|tunnel| tunnel.apps()).sum();
        let window = self.clone();
        let go = move || {
            let told = window.clone();
            window.attempt(async move {
                helper.turn_all_off().await?;
                told.toast(&gettext("All tunnels are off"));
                Ok(())
            });
        };
        if count == 0 {
            return go();
        }
        let heading = app::will_lose_network(count);
        let body = gettext(
            "Apps in tunnels stay open and are offline until their tunnel is on again. They never use another network.",
        );
        message::question(
            self,
            &heading,
            &body,
            (&gettext("_Turn All Off"), Kind::Destructive),
            go,
        )
        .present();
    }
}
