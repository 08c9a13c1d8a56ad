// SPDX-License-Identifier: MIT OR Apache-2.0
//! A configuration as text, in one canonical form that reads back as the same configuration.

use std::fmt::{self, Write};

use zeroize::Zeroizing;

use super::{Config, Key, Keys, value::UNCHANGED};

/// A list goes on in a new line after this many bytes: well within what a line may have.
const LIST_WIDTH: usize = 1000;

/// The text, with the keys as `keys` says. With [`Keys::Omitted`] it does not read back: it has no private key.
pub fn to_text(config: &Config, keys: Keys) -> Zeroizing<String> {
    // Written twice, first to measure: a string that grew would leave pieces of keys behind in memory.
    let mut text = Zeroizing::new(String::with_capacity(text_length(config, keys)));
    // A string takes everything.
    let _ = write(config, keys, &mut *text);
    text
}

/// Bytes of the text.
pub(super) fn text_length(config: &Config, keys: Keys) -> usize {
    let mut length = Length(0);
    let _ = write(config, keys, &mut length);
    length.0
}

struct Length(usize);

impl Write for Length {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 += text.len();
        Ok(())
    }
}

fn write(config: &Config, keys: Keys, out: &mut dyn Write) -> fmt::Result {
    let interface = &config.interface;
    out.write_str("[Interface]\n")?;
    write_key(out, "PrivateKey", &interface.private_key, keys)?;
    if let Some(port) = interface.listen_port {
        writeln!(out, "ListenPort = {port}")?;
    }
    write_list(out, "Address", &interface.addresses)?;
    write_list(out, "DNS", &interface.dns)?;
    write_list(out, "DNS", &interface.search)?;
    if let Some(mtu) = interface.mtu {
        writeln!(out, "MTU = {mtu}")?;
    }
    for peer in &config.peers {
        writeln!(out, "\n[Peer]\nPublicKey = {}", peer.public_key)?;
        if let Some(key) = &peer.preshared_key {
            write_key(out, "PresharedKey", key, keys)?;
        }
        if let Some(endpoint) = &peer.endpoint {
            writeln!(out, "Endpoint = {endpoint}")?;
        }
        write_list(out, "AllowedIPs", &peer.allowed_ips)?;
        match peer.keepalive {
            Some(0) => out.write_str("PersistentKeepalive = off\n")?,
            Some(seconds) => writeln!(out, "PersistentKeepalive = {seconds}")?,
            None => {}
        }
    }
    Ok(())
}

fn write_key(out: &mut dyn Write, name: &str, key: &Key, keys: Keys) -> fmt::Result {
    match (keys, key) {
        (Keys::Included, Key::Given(secret)) => {
            write!(out, "{name} = ")?;
            out.write_str(&secret.to_base64())?;
            out.write_str("\n")
        }
        (Keys::Included | Keys::Unchanged, _) => writeln!(out, "{name} = {UNCHANGED}"),
        (Keys::Omitted, _) => writeln!(out, "# {name} is kept on its own machine"),
    }
}

fn write_list(out: &mut dyn Write, name: &str, items: &[impl fmt::Display]) -> fmt::Result {
    let mut width = 0;
    for item in items {
        let item = item.to_string();
        if width == 0 {
            write!(out, "{name} = {item}")?;
        } else if width + item.len() > LIST_WIDTH {
            write!(out, "\n{name} = {item}")?;
            width = 0;
        } else {
            write!(out, ", {item}")?;
        }
        width += item.len() + 2;
    }
    if items.is_empty() {
        Ok(())
    } else {
        out.write_str("\n")
    }
}
