// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is kept of a tunnel: the saved file (label, options, configuration with its keys) and the run-time records by which a restarted
//! helper finds again what runs. Records hold no secret; the saved file's text is wiped when it goes.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
};

use ipnet::IpNet;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use zeroize::Zeroizing;

use crate::{
    launch::Exit,
    name::{Id, LinkName, TunnelName},
};

/// Between the head of a saved file and its configuration. The head is TOML and never holds a line like it.
const DIVIDER: &str = "\n# configuration\n";

/// Head of a saved file. `O` are the options, whose shape is the engine's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head<O> {
    pub name: TunnelName,
    /// Grows by one with each replacement of the configuration: a record tells by it which one is up.
    #[serde(default)]
    pub revision: u64,
    /// What the import left out: line and key.
    #[serde(default)]
    pub ignored: Vec<(u32, String)>,
    #[serde(default = "Option::default")]
    pub options: Option<O>,
}

/// Why a saved file or a record cannot be read. Never tells what stands in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadFile {
    #[error("not as it is written")]
    Shape,
}

/// Text of a saved file: the head, then the configuration as it is.
///
/// # Errors
/// Options that TOML cannot express.
pub fn write<O: Serialize>(head: &Head<O>, config: &str) -> Result<Zeroizing<String>, BadFile> {
    let head = toml::to_string(head).map_err(|_| BadFile::Shape)?;
    let head = head.trim_end();
    // In one piece: a string that grew would leave copies of the keys behind.
    let length = head.len() + DIVIDER.len() + config.len();
    let mut text = Zeroizing::new(String::with_capacity(length));
    text.push_str(head);
    text.push_str(DIVIDER);
    text.push_str(config);
    Ok(text)
}

/// Head and configuration of a saved file.
///
/// # Errors
/// A text that [`write`] does not write.
pub fn read<O: DeserializeOwned>(text: &str) -> Result<(Head<O>, &str), BadFile> {
    let (head, config) = text.split_once(DIVIDER).ok_or(BadFile::Shape)?;
    Ok((toml::from_str(head).map_err(|_| BadFile::Shape)?, config))
}

/// What a tunnel's namespace is at when the record is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Being made, or being taken down: what is found is removed.
    Halfway,
    /// All of the plan stands.
    Up,
    /// On its way to the configuration that the record tells: what is found is made so.
    Switching,
    /// The link is gone; kept for the apps in it.
    Left,
}

/// A process, as in `/proc/<pid>/stat`: pid and start time.
pub type Process = (i32, u64);

/// A namespace of a tunnel, written before it is made and removed after it is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Of another boot it is of no use.
    pub boot: String,
    pub phase: Phase,
    pub uid: u32,
    pub tunnel: Id,
    /// Of the link and of the namespace.
    pub link: LinkName,
    /// Of the namespace; 0 before it is known.
    pub inode: u64,
    pub userspace: bool,
    /// Whose configuration is up, where it is not the tunnel's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<Id>,
    /// Of the configuration that was up.
    pub revision: u64,
    pub mtu: u32,
    pub addresses: Vec<IpNet>,
    pub routes: Vec<IpNet>,
    pub dns: Vec<IpAddr>,
    /// While switching: where the peers are reached, by public key, so that nobody has to ask for it again.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub endpoints: BTreeMap<String, SocketAddr>,
    /// Search domains.
    #[serde(default)]
    pub search: Vec<String>,
    /// The instance of userspace WireGuard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plane: Option<Process>,
    /// What the warden saw in the namespace that it had made.
    #[serde(default)]
    pub sysctls: Vec<(String, String)>,
}

/// An app, written before it is launched and removed when it is forgotten.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct App {
    pub boot: String,
    pub uid: u32,
    pub tunnel: Id,
    /// The namespace it is in.
    pub link: LinkName,
    pub program: Vec<u8>,
    pub name: String,
    /// Unix time, milliseconds.
    pub since: u64,
    /// `None` while it is being launched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keeper: Option<Process>,
    #[serde(default)]
    pub pid: u32,
    /// Unix time, milliseconds, once it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<u64>,
    /// As [`Exit::to_record`] writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<String>,
}

/// What has come up by itself in this boot: it does so once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Starts {
    /// Of another boot it is of no use.
    pub boot: String,
    /// Users that are there, and since when (the login manager's clock); 0 for one who lingers and is not logged in.
    pub logins: Vec<(u32, u64)>,
}

impl App {
    pub fn exit(&self) -> Option<Exit> {
        self.exit.as_deref().and_then(Exit::from_record)
    }
}

/// Text of a record.
///
/// # Errors
/// Never for [`Run`] and [`App`] as the engine makes them (numbers up to 2^63).
pub fn write_record<T: Serialize>(record: &T) -> Result<String, BadFile> {
    toml::to_string(record).map_err(|_| BadFile::Shape)
}

/// A record from its text.
///
/// # Errors
/// Another shape, of another version or torn.
pub fn read_record<T: DeserializeOwned>(text: &str) -> Result<T, BadFile> {
    toml::from_str(text).map_err(|_| BadFile::Shape)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
    struct Options {
        mtu: Option<u32>,
    }

    fn head(name: &str) -> Head<Options> {
        Head {
            name: TunnelName::new(name).unwrap(),
            revision: 3,
            ignored: vec![(7, "PostUp".into())],
            options: Some(Options { mtu: Some(1400) }),
        }
    }

    #[test]
    fn a_saved_file_comes_back_as_it_was() {
        for name in [
            "home",
            "Zürich \"1\" '''",
            "# configuration",
            "[a]\\n = 東京",
        ] {
            for config in [
                "",
                "[Interface]\n",
                "\n# configuration\n\n# configuration\n",
            ] {
                let text = write(&head(name), config).unwrap();
                let (there, kept) = read::<Options>(&text).unwrap();
                assert_eq!((there, kept), (head(name), config));
            }
        }
    }

    #[test]
    fn a_torn_file_is_refused() {
        let text = write(&head("home"), "[Interface]\n").unwrap();
        let end = text.find(DIVIDER).unwrap() + DIVIDER.len();
        for length in 0..end {
            assert!(read::<Options>(&text[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn records_come_back_as_they_were() {
        let id = Id::from_random([7; 16]);
        let link = LinkName::from_random([9; 6]);
        let run = Run {
            boot: "b".into(),
            phase: Phase::Left,
            uid: 4_000_000_000,
            tunnel: id.clone(),
            link: link.clone(),
            inode: 4_026_532_000,
            userspace: true,
            of: Some(Id::from_random([8; 16])),
            revision: 1,
            mtu: 1420,
            addresses: vec!["10.0.0.2/32".parse().unwrap()],
            routes: vec!["::/0".parse().unwrap()],
            dns: vec!["10.0.0.1".parse().unwrap()],
            endpoints: BTreeMap::from([("k=".into(), "192.0.2.1:1".parse().unwrap())]),
            search: vec!["corp.example".into()],
            plane: Some((12, 3456)),
            sysctls: vec![("ipv4/ip_forward".into(), "0".into())],
        };
        assert_eq!(read_record::<Run>(&write_record(&run).unwrap()), Ok(run));
        let app = App {
            boot: "b".into(),
            uid: 1000,
            tunnel: id,
            link,
            program: vec![b'/', 0xff, b'x'],
            name: "x".into(),
            since: 1_800_000_000_000,
            keeper: None,
            pid: 0,
            ended: Some(5),
            exit: Some(Exit::Signal(9).to_record()),
        };
        let starts = Starts {
            boot: "b".into(),
            logins: vec![(1000, 1_790_000_000_123_456), (4_000_000_000, 0)],
        };
        let text = write_record(&starts).unwrap();
        assert_eq!(read_record::<Starts>(&text), Ok(starts));
        let back = read_record::<App>(&write_record(&app).unwrap()).unwrap();
        assert_eq!(back.exit(), Some(Exit::Signal(9)));
        assert_eq!(back, app);
    }
}
