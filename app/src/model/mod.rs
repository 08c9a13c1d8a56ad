//! What the window shows, as objects whose properties widgets bind to. Only `helper` fills them; nobody else sets a property of theirs
//! but [`Model::shown`].

mod app;
mod changes;
mod list;
mod starting;
mod traffic;
mod tunnel;

pub use app::App;
pub use changes::Changes;
pub use list::Model;
pub use starting::Starting;
pub use traffic::{SAMPLES, Traffic};
pub use tunnel::{Pending, Tunnel};
