//! A configuration as a file, without secrets.

use std::{fs, io::Write as _, path::PathBuf};

use gtk::gio;
use lonewire_client::config::check;
use lonewire_core::wgconf::{self, Keys};

/// Why there is no file.
#[derive(Debug)]
pub enum WriteError {
    /// What the helper told can not be read by this version.
    NotUnderstood,
    System(std::io::Error),
}

/// A configuration as the helper tells it, written anew from what was parsed, so that there is no place for a secret key.
pub fn exported(name: &str, config: &str) -> Result<String, WriteError> {
    let parsed =
        check::replacing(name, config.as_bytes()).map_err(|_| WriteError::NotUnderstood)?;
    Ok(wgconf::to_text(&parsed.config, Keys::Omitted).to_string())
}

/// Writes a file, which the person chose and may have agreed to replace.
pub async fn write(path: PathBuf, text: String) -> Result<(), WriteError> {
    let written = gio::spawn_blocking(move || {
        let mut file = fs::File::create(path)?;
        file.write_all(text.as_bytes())
    });
    match written.await {
        Ok(result) => result.map_err(WriteError::System),
        Err(_) => Err(WriteError::NotUnderstood),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_export_has_no_secret_key() {
        let key = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=";
        let text = format!("[Interface]\nPrivateKey = {key}\nAddress = 10.0.0.2/32\n");
        let text = exported("a", &text).unwrap();
        assert!(
            text.contains("10.0.0.2/32") && !text.contains(key),
            "{text}"
        );
        assert!(exported("a", "[Interface\n").is_err());
    }
}
