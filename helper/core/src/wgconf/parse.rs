// SPDX-License-Identifier: MIT OR Apache-2.0
//! Text to configuration: goes on after an error, so that a person sees all of them. What a value means is `value`'s; keys go from
//! the text into a [`Secret`](crate::secret::Secret) and nowhere else.

use super::{
    Config, Ignored, Interface, Keys, MAX_ADDRESSES, MAX_ALLOWED_IPS, MAX_BYTES, MAX_DNS,
    MAX_ERRORS, MAX_PEERS, ParseError, Parsed, Reason,
    draft::{self, InterfaceDraft, PeerDraft, Place, good},
    error,
    item::{Item, is_comma_or_blank},
    line::{self, Line, Piece},
    setting::{self, Section, Setting},
    value::{self, Dns},
    write,
};

/// Reads a configuration that may replace a stored one: keys may be `(unchanged)`.
///
/// # Errors
/// Everything wrong, at most [`MAX_ERRORS`], in the order of the text; never empty.
pub fn parse(text: &[u8]) -> Result<Parsed, Vec<ParseError>> {
    read(text, Stored::Yes)
}

/// Reads a configuration that is new: there is no stored key that `(unchanged)` could mean.
///
/// # Errors
/// As [`parse`].
pub fn parse_new(text: &[u8]) -> Result<Parsed, Vec<ParseError>> {
    read(text, Stored::No)
}

/// Whether there is a stored configuration.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stored {
    Yes,
    No,
}

fn read(text: &[u8], stored: Stored) -> Result<Parsed, Vec<ParseError>> {
    if text.len() > MAX_BYTES {
        return Err(vec![whole(Reason::TooLarge)]);
    }
    let text = match std::str::from_utf8(text) {
        Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text),
        Err(error) => return Err(vec![not_utf8(text, error.valid_up_to())]),
    };
    let mut reader = Reader::new(stored);
    for (number, line) in (1..).zip(text.split('\n')) {
        if reader.errors.len() >= MAX_ERRORS {
            break;
        }
        reader.number = number;
        reader.line(line.strip_suffix('\r').unwrap_or(line));
    }
    reader.finish()
}

fn whole(reason: Reason) -> ParseError {
    ParseError {
        line: 1,
        column: 1,
        key: None,
        value: None,
        reason,
    }
}

fn not_utf8(text: &[u8], valid: usize) -> ParseError {
    // All of it is valid: nothing is lost here.
    let before = String::from_utf8_lossy(text.get(..valid).unwrap_or_default());
    let line = u32::try_from(before.matches('\n').count()).unwrap_or(u32::MAX);
    let last = before.rsplit('\n').next().unwrap_or_default();
    let column = Piece {
        text: "",
        at: last.len(),
    }
    .column(last);
    ParseError {
        line: line.saturating_add(1),
        column,
        ..whole(Reason::NotUtf8)
    }
}

/// Which section the next setting belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Within {
    /// None yet.
    Nothing,
    /// One that is wrong itself: its settings are passed over.
    Unknown,
    Known(Section),
}

struct Reader {
    stored: Stored,
    /// Of the line at hand.
    number: u32,
    within: Within,
    interface: InterfaceDraft,
    peers: Vec<PeerDraft>,
    ignored: Vec<Ignored>,
    errors: Vec<ParseError>,
}

impl Reader {
    fn new(stored: Stored) -> Self {
        Self {
            stored,
            number: 0,
            within: Within::Nothing,
            interface: InterfaceDraft::default(),
            peers: vec![],
            ignored: vec![],
            errors: vec![],
        }
    }

    fn line(&mut self, line: &str) {
        match line::read(line) {
            Ok(Line::Nothing) => {}
            Ok(Line::Section(name)) => self.section(name, self.place(name, line)),
            Ok(Line::Setting { key, value }) => self.setting(key, value, line),
            Err((reason, at)) => {
                let place = self.place(Piece { text: "", at }, line);
                self.refuse(place, None, None, reason);
            }
        }
    }

    fn place(&self, piece: Piece<'_>, line: &str) -> Place {
        Place {
            line: self.number,
            column: piece.column(line),
        }
    }

    fn refuse(&mut self, place: Place, key: Option<&str>, value: Option<String>, reason: Reason) {
        let Place { line, column } = place;
        self.errors.push(ParseError {
            line,
            column,
            key: key.map(str::to_owned),
            value,
            reason,
        });
    }

    fn section(&mut self, name: Piece<'_>, place: Place) {
        if name.text.eq_ignore_ascii_case("Interface") {
            self.within = Within::Known(Section::Interface);
            self.interface.place.get_or_insert(place);
        } else if name.text.eq_ignore_ascii_case("Peer") {
            self.within = Within::Known(Section::Peer);
            if self.peers.len() == MAX_PEERS {
                self.within = Within::Unknown;
                if !self
                    .errors
                    .iter()
                    .any(|error| error.reason == Reason::TooManyPeers)
                {
                    self.refuse(place, None, None, Reason::TooManyPeers);
                }
                return;
            }
            self.peers.push(PeerDraft {
                place,
                ..PeerDraft::default()
            });
        } else {
            self.within = Within::Unknown;
            self.refuse(
                place,
                None,
                error::shown_word(name.text),
                Reason::UnknownSection,
            );
        }
    }

    fn setting(&mut self, key: Piece<'_>, value: Piece<'_>, line: &str) {
        let key_place = self.place(key, line);
        let section = match self.within {
            Within::Known(section) => section,
            Within::Unknown => return,
            Within::Nothing => {
                // Told once, for all that comes before the first section.
                self.within = Within::Unknown;
                return self.refuse(key_place, None, None, Reason::OutsideSection);
            }
        };
        let Some((name, setting, home)) = setting::find(key.text) else {
            let shown = error::shown_word(key.text).filter(|_| !value.text.is_empty());
            return self.refuse(key_place, shown.as_deref(), None, Reason::UnknownKey);
        };
        if setting == Setting::Amnezia {
            return self.refuse(key_place, Some(name), None, Reason::AmneziaWg);
        }
        if home != Some(section) {
            return self.refuse(key_place, Some(name), None, Reason::WrongSection);
        }
        let mut item = Item {
            number: self.number,
            line,
            name,
            key: key_place,
            value,
            may_keep: self.stored == Stored::Yes,
            errors: &mut self.errors,
        };
        let interface = &mut self.interface;
        match (setting, self.peers.last_mut()) {
            (Setting::Ignored, _) => self.ignored.push(Ignored {
                line: self.number,
                key: name,
            }),
            (Setting::PrivateKey, _) => item.private(&mut interface.private_key),
            (Setting::ListenPort, _) => item.once(&mut interface.listen_port, value::listen_port),
            (Setting::Mtu, _) => item.once(&mut interface.mtu, value::mtu),
            (Setting::Address, _) => {
                let add = |address| interface.addresses.add(address, MAX_ADDRESSES);
                item.list(
                    is_comma_or_blank,
                    value::address,
                    add,
                    Reason::TooManyAddresses,
                );
            }
            (Setting::Dns, _) => {
                let add = |dns| match dns {
                    Dns::Server(server) => interface.dns.add(server, MAX_DNS),
                    Dns::Search(domain) => interface.search.add(domain, MAX_DNS),
                };
                item.list(is_comma_or_blank, value::dns, add, Reason::TooManyDns);
            }
            (Setting::PublicKey, Some(peer)) => item.public(&mut peer.public_key),
            (Setting::PresharedKey, Some(peer)) => item.preshared(&mut peer.preshared_key),
            (Setting::Endpoint, Some(peer)) => item.once(&mut peer.endpoint, value::endpoint),
            (Setting::Keepalive, Some(peer)) => item.once(&mut peer.keepalive, value::keepalive),
            (Setting::AllowedIps, Some(peer)) => {
                let add = |range| peer.allowed_ips.add(range, MAX_ALLOWED_IPS);
                item.list(
                    |c| c == ',',
                    value::address_range,
                    add,
                    Reason::TooManyAllowedIps,
                );
            }
            // A section of this kind was begun, and AmneziaWG is done with above.
            (_, None) | (Setting::Amnezia, _) => {}
        }
    }

    fn finish(mut self) -> Result<Parsed, Vec<ParseError>> {
        // Reading stopped here: what the rest would have brought is not known to be missing.
        if self.errors.len() >= MAX_ERRORS {
            return Err(self.sorted_errors());
        }
        let mut interface = std::mem::take(&mut self.interface);
        match interface.place {
            None => self.errors.push(whole(Reason::NoInterface)),
            Some(place) if interface.private_key.is_none() => {
                self.refuse(place, None, None, Reason::MissingPrivateKey)
            }
            Some(_) => {}
        }
        let peers = draft::merge(std::mem::take(&mut self.peers), |place, key, reason| {
            self.refuse(place, key, None, reason);
        });
        let mtu = interface.mtu.take();
        let config = good(interface.private_key).map(|private_key| Config {
            interface: Interface {
                private_key,
                listen_port: good(interface.listen_port).flatten(),
                addresses: interface.addresses.into_vec(),
                dns: interface.dns.into_vec(),
                search: interface.search.into_vec(),
                mtu: mtu.and_then(|(_, value)| value),
            },
            peers,
        });
        if let (Some(config), Some((place, Some(value)))) = (&config, mtu)
            && value < 1280
            && config.mentions_ipv6()
        {
            self.refuse(
                place,
                Some("MTU"),
                Some(value.to_string()),
                Reason::MtuTooSmallForIpv6,
            );
        }
        // What is kept is the canonical text: it must be readable too.
        if config
            .as_ref()
            .is_some_and(|config| write::text_length(config, Keys::Included) > MAX_BYTES)
        {
            self.errors.push(whole(Reason::TooLarge));
        }
        match config {
            Some(config) if self.errors.is_empty() => Ok(Parsed {
                config,
                ignored: self.ignored,
            }),
            _ => Err(self.sorted_errors()),
        }
    }

    fn sorted_errors(mut self) -> Vec<ParseError> {
        self.errors.sort_by_key(|error| (error.line, error.column));
        self.errors.truncate(MAX_ERRORS);
        self.errors
    }
}
