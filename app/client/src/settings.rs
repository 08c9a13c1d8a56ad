//! The user's settings: `$XDG_CONFIG_HOME/lonewire/config.toml`, shared with the window. Unknown keys are kept.

use std::{
    env, fs,
    io::{self, ErrorKind, Write as _},
    path::PathBuf,
};

use toml::{Table, Value};

use crate::text::cause;

const DEFAULT: &str = "default-tunnel";
const NOTIFY_BLOCKED: &str = "notify-when-blocked";
const CHECK_AFTER_CONNECT: &str = "check-after-connect";

/// Why settings cannot be read or kept. What it displays is plain English.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{} cannot be read: {}", path.display(), cause(error))]
    Unreadable { path: PathBuf, error: io::Error },
    #[error("{} is not valid TOML", path.display())]
    NotToml {
        path: PathBuf,
        #[source]
        error: Box<toml::de::Error>,
    },
    #[error("the settings cannot be saved: neither XDG_CONFIG_HOME nor HOME is set")]
    NoHome,
    #[error("{} cannot be written: {}", path.display(), cause(error))]
    Unwritable { path: PathBuf, error: io::Error },
}

/// The settings as they were read.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Settings {
    table: Table,
}

impl Settings {
    /// Reads the file; a missing one is empty.
    ///
    /// # Errors
    /// It cannot be read, or is no TOML.
    pub fn load() -> Result<Self, Error> {
        let Some(path) = path() else {
            return Ok(Self::default());
        };
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(Error::Unreadable { path, error }),
        };
        match text.parse() {
            Ok(table) => Ok(Self { table }),
            Err(error) => Err(Error::NotToml {
                path,
                error: Box::new(error),
            }),
        }
    }

    /// Id of the default tunnel.
    pub fn default_tunnel(&self) -> Option<&str> {
        self.table.get(DEFAULT)?.as_str()
    }

    /// Sets the default tunnel by its id, or takes the setting away.
    pub fn set_default_tunnel(&mut self, id: Option<&str>) {
        match id {
            Some(id) => self
                .table
                .insert(DEFAULT.to_owned(), Value::String(id.to_owned())),
            None => self.table.remove(DEFAULT),
        };
    }

    /// Whether the window notifies the person of a tunnel that is blocked; it does, unless they said no.
    pub fn notify_blocked(&self) -> bool {
        self.flag(NOTIFY_BLOCKED, true)
    }

    pub fn set_notify_blocked(&mut self, on: bool) {
        self.set_flag(NOTIFY_BLOCKED, on, true);
    }

    /// Whether the window checks a tunnel that it turned on.
    pub fn check_after_connect(&self) -> bool {
        self.flag(CHECK_AFTER_CONNECT, false)
    }

    pub fn set_check_after_connect(&mut self, on: bool) {
        self.set_flag(CHECK_AFTER_CONNECT, on, false);
    }

    fn flag(&self, key: &str, default: bool) -> bool {
        self.table
            .get(key)
            .and_then(Value::as_bool)
            .unwrap_or(default)
    }

    /// What is as by default is not written.
    fn set_flag(&mut self, key: &str, on: bool, default: bool) {
        if on == default {
            self.table.remove(key);
        } else {
            self.table.insert(key.to_owned(), Value::Boolean(on));
        }
    }

    /// Writes the file: all of it or nothing.
    ///
    /// # Errors
    /// There is no home, or it cannot be written.
    pub fn save(&self) -> Result<(), Error> {
        let path = path().ok_or(Error::NoHome)?;
        let write = || -> std::io::Result<()> {
            let folder = path.parent().ok_or(ErrorKind::InvalidInput)?;
            fs::create_dir_all(folder)?;
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            file.write_all(self.table.to_string().as_bytes())?;
            file.as_file().sync_all()?;
            file.persist(&path).map_err(|error| error.error)?;
            Ok(())
        };
        write().map_err(|error| Error::Unwritable { path, error })
    }
}

/// Where the settings are; a relative `XDG_CONFIG_HOME` counts as none (XDG Base Directory).
fn path() -> Option<PathBuf> {
    let folder = env::var_os("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| {
            let home = PathBuf::from(env::var_os("HOME")?);
            home.is_absolute().then(|| home.join(".config"))
        })?;
    Some(folder.join("lonewire/config.toml"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_default_keeps_what_others_wrote() {
        let mut settings = Settings {
            table: "[window]\nwidth = 900\n".parse().unwrap(),
        };
        settings.set_default_tunnel(Some("0f"));
        let again = Settings {
            table: settings.table.to_string().parse().unwrap(),
        };
        assert_eq!(again.default_tunnel(), Some("0f"));
        assert!(again.table.contains_key("window"));
        settings.set_default_tunnel(None);
        assert_eq!(settings.default_tunnel(), None);
    }

    #[test]
    fn what_was_chosen_is_kept_and_what_is_default_is_not_written() {
        let mut settings = Settings::default();
        assert!(settings.notify_blocked() && !settings.check_after_connect());
        settings.set_notify_blocked(false);
        settings.set_check_after_connect(true);
        let again = Settings {
            table: settings.table.to_string().parse().unwrap(),
        };
        assert!(!again.notify_blocked() && again.check_after_connect());
        settings.set_notify_blocked(true);
        settings.set_check_after_connect(false);
        assert_eq!(settings, Settings::default());
    }
}
