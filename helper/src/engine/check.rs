//! `Check`: the namespace looked at from inside, now, and told probe by probe.

use std::rc::Rc;

use lonewire_core::{
    check::Line,
    name::Id,
    resolv,
    seal::{self, Probe as Part},
    state::State,
};

use super::{
    Engine, Error,
    look::Watcher,
    state::{Tunnel, Up},
    steps,
    view::{CheckWish, Probe},
};
use crate::{
    auth::{Grant, Own},
    ports::{Backend, PortResult, Ports},
};

/// The seal's parts: the API's words, and what is done.
const PARTS: [(Part, &str, &str); 4] = [
    (Part::Links, "links", "list the links by netlink"),
    (
        Part::Addresses,
        "addresses",
        "list the addresses by netlink",
    ),
    (
        Part::Routes,
        "routes",
        "list routes and rules of both families by netlink",
    ),
    (
        Part::Sysctls,
        "sysctls",
        "read the namespace's /proc/sys/net",
    ),
];

fn probe(line: Line) -> Probe {
    Probe {
        probe: line.probe,
        passed: line.passed,
        tried: line.tried,
        found: line.found,
    }
}

impl<P: Ports> Engine<P> {
    /// # Errors
    /// [`Error::NotProtected`] for a tunnel that is off: there is nothing to look at.
    pub(super) async fn check(
        self: &Rc<Self>,
        grant: &Grant<Own>,
        id: &Id,
        wish: &CheckWish,
    ) -> Result<Vec<Probe>, Error> {
        let tunnel = self.find(grant.uid(), id)?;
        self.turn_of(grant.uid()).await?;
        // One check of a tunnel at a time: each is a few programs and a namespace.
        let _one = tunnel.checking.lock().await;
        let mut probes;
        let watcher = {
            let _lock = tunnel.lock.read().await;
            let up = self.must_be_up(&tunnel)?;
            self.turn_at_warden().await?;
            probes = self.probe_from_here(&tunnel, &up).await;
            if grant.uid() == 0 {
                // Nothing is ever started as root.
                return Ok(probes);
            }
            let user = self.ports.by_uid(grant.uid()).await?;
            let watcher = Watcher {
                grant,
                tunnel: id,
                user,
                wish,
            };
            probes.extend(self.look_around(&watcher, &up).await.into_iter().map(probe));
            if !wish.drop {
                probes.push(probe(self.drop_test(&watcher, &up).await));
                return Ok(probes);
            }
            watcher
        };
        // Nothing is launched while the link is cut.
        let _lock = tunnel.lock.write().await;
        let up = self.must_be_up(&tunnel)?;
        probes.push(probe(self.drop_test(&watcher, &up).await));
        Ok(probes)
    }

    fn must_be_up(&self, tunnel: &Tunnel<P>) -> Result<Rc<Up<P>>, Error> {
        tunnel.up().ok_or_else(|| {
            let reason = tunnel.state().reason();
            let reason = reason.map_or("off", |reason| reason.code());
            Error::NotProtected { reason }
        })
    }

    async fn probe_from_here(&self, tunnel: &Tunnel<P>, up: &Up<P>) -> Vec<Probe> {
        let mut probes = match self.probe_seal(up).await {
            Ok(probes) => probes,
            Err(error) => PARTS
                .map(|(_, word, tried)| Probe {
                    probe: word.to_owned(),
                    passed: false,
                    tried: tried.to_owned(),
                    found: error.to_string(),
                })
                .into(),
        };
        let alive = up.backend == Backend::Kernel || up.instance.borrow().is_some();
        let backend = match up.backend {
            Backend::Kernel => "kernel",
            Backend::Userspace => "userspace",
        };
        let mut add = |probe: &str, passed, tried: &str, found: String| {
            probes.push(Probe {
                probe: probe.to_owned(),
                passed,
                tried: tried.to_owned(),
                found,
            });
        };
        let found = if alive { backend } else { "not running" };
        add(
            "data-plane",
            alive,
            "see who does the tunnel's WireGuard",
            found.to_owned(),
        );
        let protected = tunnel.state() == State::Protected;
        add(
            "handshake",
            protected,
            "read the time of the last handshake",
            self.age(up),
        );
        probes.push(self.probe_dns(up).await);
        probes
    }

    async fn probe_seal(&self, up: &Up<P>) -> PortResult<Vec<Probe>> {
        let mut observed = self.ports.observe(&up.namespace).await?;
        observed.sysctls = self.ports.survey(up.link()).await?.sysctls;
        let expected = steps::expected(&up.record.borrow());
        let violations = seal::check(&observed, &expected).err().unwrap_or_default();
        let probe = |(part, word, tried): (Part, &str, &str)| {
            let wrong: Vec<_> = violations
                .iter()
                .filter(|violation| violation.probe == part)
                .map(|violation| violation.found.as_str())
                .collect();
            let found = match part {
                _ if !wrong.is_empty() => wrong.join("; "),
                Part::Links => format!("lo, {}", expected.link),
                Part::Addresses => list(&expected.addresses),
                Part::Routes => format!("{}, else unreachable", list(&expected.routes)),
                Part::Sysctls => format!("{} as set", observed.sysctls.len()),
            };
            Probe {
                probe: word.to_owned(),
                passed: wrong.is_empty(),
                tried: tried.to_owned(),
                found,
            }
        };
        Ok(PARTS.map(probe).into())
    }

    /// The resolver files, which every program of the namespace reads, beside what the tunnel was brought up with. A configuration without DNS is as it was
    /// written: its warning says that no names resolve.
    async fn probe_dns(&self, up: &Up<P>) -> Probe {
        let files = self.ports.read_dns(&up.namespace.name).await;
        let record = up.record.borrow();
        let wrong = match files {
            Ok((text, hosts)) => resolv::deviation(&text, &hosts, &record.dns, &record.search),
            Err(error) => Some(error.to_string()),
        };
        let servers: Vec<_> = record.dns.iter().map(ToString::to_string).collect();
        Probe {
            probe: "dns".to_owned(),
            passed: wrong.is_none(),
            tried: "read the resolv.conf and hosts that apps get".to_owned(),
            found: match wrong {
                Some(wrong) => wrong,
                None if servers.is_empty() => "no server".to_owned(),
                None => servers.join(", "),
            },
        }
    }

    fn age(&self, up: &Up<P>) -> String {
        match up.handshake() {
            0 => "never".to_owned(),
            time => format!("{} s ago", self.ports.now().saturating_sub(time) / 1000),
        }
    }
}

fn list(networks: &[ipnet::IpNet]) -> String {
    let shown: Vec<_> = networks.iter().take(16).map(ToString::to_string).collect();
    let more = if networks.len() > shown.len() {
        ", …"
    } else {
        ""
    };
    format!("{}{more}", shown.join(", "))
}
