//! Warnings and what an import left out, in sentences.

/// A warning's code in words; one of a newer helper as it came.
pub fn warning(code: &str) -> String {
    match code {
        "no-peer" => "It has no peer yet, so nothing goes through it.",
        "no-dns" => "It names no DNS server, so its apps resolve no names.",
        "dns-outside-allowed-ips" => {
            "A DNS server is outside AllowedIPs, so its apps cannot ask it."
        }
        "many-dns" => "It names more than three DNS servers; apps ask the first three only.",
        "not-full-tunnel" => {
            "Its AllowedIPs leave addresses out; its apps cannot reach them at all."
        }
        "no-ipv6" => "It carries no IPv6, so its apps reach nothing over IPv6.",
        other => other,
    }
    .to_owned()
}

/// A setting that was left out.
pub fn ignored(line: u32, key: &str) -> String {
    let why = match key {
        "PreUp" | "PostUp" | "PreDown" | "PostDown" => {
            "Lonewire never runs commands of a configuration"
        }
        "Table" | "FwMark" => "its apps have a network of their own, which needs none",
        "SaveConfig" => "a saved configuration changes only when you change it",
        _ => "Lonewire does not use it",
    };
    format!("Line {line}: “{key}” was left out: {why}.")
}

#[cfg(test)]
mod tests {
    use lonewire_core::wgconf::Warning;

    use super::*;

    #[test]
    fn every_warning_has_words() {
        for code in Warning::ALL {
            assert!(warning(code.code()).ends_with('.'), "{code:?}");
        }
    }
}
