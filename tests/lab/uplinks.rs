//! What crosses the uplinks of a world: captured on both ends of each, and judged, once at the end or again and again while a test goes on.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{Read as _, Seek as _, SeekFrom},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use anyhow::{Context as _, Result};
use memchr::memmem;
use serde_json::Value;

use crate::{
    Marker, World, addr,
    capture::{self, Captured},
    frame::{Frame, Mac, Payload},
    init::LAB,
    net,
    oracle::{Oracle, Report},
    probe::Probe,
    world::{READY, until},
};

/// Who beside the host attacks it, where a test lets him: nothing else of a world has these addresses.
pub const ATTACKER_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 30);
pub const ATTACKER_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0xbad);
pub const ATTACKING_ROUTER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0xbad);

/// How far the captures have been judged.
#[derive(Debug, Default)]
pub struct Watch(BTreeMap<(usize, &'static str), usize>);

const ENDS: [&str; 2] = ["host", "router"];

fn capture_file(end: &str, index: usize) -> String {
    format!("{LAB}/{end}-{index}.pcap")
}

impl World {
    /// Starts the captures.
    pub(crate) fn watch_uplinks(&mut self) -> Result<()> {
        for index in 0..self.spec.uplinks.len() {
            for end in ENDS {
                let name = format!("capture-{end}-{index}");
                let line = ["capture", &net::wire(index), &capture_file(end, index)];
                self.role(&name, end, &line)?;
            }
        }
        Ok(())
    }

    /// Starts captures of what comes out of the tunnels at the servers, and of the host's `lo`.
    pub(crate) fn watch_inside(&mut self) -> Result<()> {
        for index in 0..self.spec.servers {
            let name = net::server(index);
            let file = inside_file(&name);
            let line = ["capture", &name, &file, "--packets"];
            self.role(&format!("capture-{name}"), &name, &line)?;
        }
        self.role("capture-lo", "host", &["capture", "lo", &inside_file("lo")])
    }

    /// What came out of the tunnels at a server (`vpn0`), or crossed the host's `lo`, since the place.
    ///
    /// # Errors
    /// Frames were lost, or nobody records them.
    pub fn inside_since(&self, name: &str, place: &mut usize) -> Result<Vec<Captured>> {
        capture::read_since(&self.path(&inside_file(name)), place)
    }

    /// Every frame of both ends of every uplink since the last look, by where it was seen.
    ///
    /// # Errors
    /// Frames were lost.
    pub fn frames_since(&self, watch: &mut Watch) -> Result<Vec<(String, Vec<Captured>)>> {
        let mut all = Vec::new();
        for index in 0..self.spec.uplinks.len() {
            for end in ENDS {
                let place = watch.0.entry((index, end)).or_default();
                let frames = capture::read_since(&self.path(&capture_file(end, index)), place)?;
                all.push((format!("uplink {index} at the {end}"), frames));
            }
        }
        Ok(all)
    }

    /// Judges every frame on both ends of every uplink since the world began. Sends a control first.
    ///
    /// # Errors
    /// The control is not seen, or frames were lost.
    pub fn uplinks_report(&mut self, markers: &[Marker]) -> Result<Report> {
        self.control()?;
        self.report_since(&mut Watch::default(), markers)
    }

    /// Datagrams at the host's end of uplink `index` in the order in which they crossed it: from, to, and the first byte, which for WireGuard is the kind.
    ///
    /// # Errors
    /// Frames were lost.
    pub fn datagrams(&self, index: usize) -> Result<Vec<(SocketAddr, SocketAddr, u8)>> {
        let frames = capture::read_since(&self.path(&capture_file("host", index)), &mut 0)?;
        let of = |bytes: &[u8]| match Frame::parse(bytes)?.payload {
            Payload::Udp {
                source,
                destination,
                body,
            } => Some((source, destination, *body.first()?)),
            _ => None,
        };
        Ok(frames.iter().filter_map(|frame| of(&frame.bytes)).collect())
    }

    /// Judges what came on both ends of every uplink since the last look. Everything sent before the last [`World::control`] or
    /// [`World::control_by`] is among it.
    ///
    /// # Errors
    /// Frames were lost.
    pub fn report_since(&self, watch: &mut Watch, markers: &[Marker]) -> Result<Report> {
        let oracle = self.oracle(markers)?;
        let mut report = Report::default();
        for (name, frames) in self.frames_since(watch)? {
            oracle.judge(&name, &frames, &mut report);
        }
        Ok(report)
    }

    /// Sends a datagram in the clear from the host to the internet and waits until both ends of the first uplink have captured it: so the captures
    /// work, and hold everything that was sent before.
    ///
    /// # Errors
    /// It is not seen in time: nothing that the captures say proves anything.
    pub fn control(&mut self) -> Result<()> {
        let text = Marker::new()?.hex();
        // By bash itself: no program beside it is needed.
        let script = format!("printf %s {text} > /dev/udp/{}/9", self.spec.web());
        self.seen(text.into_bytes(), |world| {
            world.run_in("host", &["bash", "-c", &script])?.ok()?;
            Ok(())
        })
    }

    /// The same by a probe beside all tunnels, as those inside do it.
    ///
    /// # Errors
    /// As [`World::control`].
    pub fn control_by(&mut self, probe: &mut Probe) -> Result<()> {
        let marker = Marker::new()?;
        let line = format!("udp {}:9 {}", self.spec.web(), marker.hex());
        self.seen(marker.bytes().to_vec(), |_| probe.ask(&line).map(drop))
    }

    /// Waits until what was sent, to a socket that does not answer, is in the captures of both ends.
    pub(crate) fn seen(
        &mut self,
        what: Vec<u8>,
        send: impl FnOnce(&Self) -> Result<()>,
    ) -> Result<()> {
        let mut files = Vec::new();
        for end in ENDS {
            let mut file = File::open(self.path(&capture_file(end, 0)))?;
            file.seek(SeekFrom::End(0))?;
            files.push(file);
        }
        self.controls.push(what.clone());
        send(self).context("send a control")?;
        for mut file in files {
            let mut bytes = Vec::new();
            until(READY, "the control in a capture", || {
                file.read_to_end(&mut bytes)?;
                Ok(memmem::find(&bytes, &what).is_some())
            })?;
        }
        Ok(())
    }

    /// The judge for this world as it is now.
    ///
    /// # Errors
    /// The links cannot be listed.
    pub fn oracle(&self, markers: &[Marker]) -> Result<Oracle> {
        let (mut host, mut routers): (Vec<IpAddr>, Vec<IpAddr>) = (Vec::new(), Vec::new());
        for index in 0..self.spec.uplinks.len() {
            host.extend([
                IpAddr::from(addr::host_v4(index)),
                addr::host_v6(index).into(),
            ]);
            routers.extend([
                IpAddr::from(addr::router_v4(index)),
                addr::router_v6(index).into(),
            ]);
        }
        host.extend(&self.moved.host);
        let endpoints = (0..self.spec.servers).map(|index| self.spec.endpoint(index));
        Ok(Oracle {
            host,
            routers,
            host_macs: self.macs("host")?,
            router_macs: self.macs("router")?,
            attackers: vec![
                ATTACKER_V4.into(),
                ATTACKER_V6.into(),
                ATTACKING_ROUTER.into(),
            ],
            endpoints: endpoints
                .chain(self.moved.endpoints.iter().copied())
                .collect(),
            markers: markers.to_vec(),
            controls: self.controls.clone(),
        })
    }

    /// Hardware addresses of a network's links.
    fn macs(&self, network: &str) -> Result<Vec<Mac>> {
        let text = self.run_in(network, &["ip", "-j", "link"])?.ok()?.stdout;
        let links: Value = serde_json::from_str(&text)?;
        let links = links.as_array().into_iter().flatten();
        Ok(links
            .filter_map(|link| mac(link.get("address")?.as_str()?))
            .collect())
    }

    /// The hardware address of a link.
    ///
    /// # Errors
    /// No such link.
    pub fn mac(&self, network: &str, link: &str) -> Result<Mac> {
        let line = ["ip", "-j", "link", "show", "dev", link];
        let text = self.run_in(network, &line)?.ok()?.stdout;
        let found: Value = serde_json::from_str(&text)?;
        let address = found.pointer("/0/address").and_then(Value::as_str);
        address.and_then(mac).with_context(|| text.clone())
    }
}

fn mac(text: &str) -> Option<Mac> {
    let bytes: Vec<u8> = text
        .split(':')
        .map(|part| u8::from_str_radix(part, 16).ok())
        .collect::<Option<_>>()?;
    bytes.try_into().ok()
}

fn inside_file(name: &str) -> String {
    format!("{LAB}/inside-{name}.pcap")
}
