//! The widgets: one a pair of `.rs` and `.ui`. None of them speaks D-Bus or opens a file: intents go out as actions of the window, state
//! comes in by the objects of `model`.

mod app_row;
mod connection;
mod infobar;
mod leaflet;
mod message;
mod sidebar;
mod sparkline;
mod status;
mod traffic;
mod tunnel_page;
mod tunnel_row;
mod window;

pub use window::Window;
