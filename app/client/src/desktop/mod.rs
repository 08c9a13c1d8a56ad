//! Installed desktop apps without a toolkit: finding an app's entry, reading it, and making the command line that it stands for (Desktop Entry Specification 1.5).
//! Its own reader: the library there is for this expands `Exec` by other rules. `DBusActivatable` is never followed: the process would be somebody else's child.

pub mod entry;
pub mod exec;
pub mod find;

pub use entry::Entry;
pub use exec::Target;
