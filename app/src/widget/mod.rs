//! The widgets: one a pair of `.rs` and `.ui`. None of them speaks D-Bus or opens a file: intents go out as actions of the window, state
//! comes in by the objects of `model`.

mod app_row;
mod check_dialog;
mod connection;
mod editor;
mod excerpt;
mod gutter;
mod history_dialog;
mod infobar;
mod leaflet;
mod many;
mod message;
mod options_dialog;
mod picker;
mod picker_row;
mod preferences;
mod review;
mod shortcuts;
mod sidebar;
mod sparkline;
mod status;
mod traffic;
mod tunnel_page;
mod tunnel_row;
mod window;

pub use window::Window;
