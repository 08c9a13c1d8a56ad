//! `Check`: the namespace looked at from inside, now, and told probe by probe.

use lonewire_core::{
    name::Id,
    resolv,
    seal::{self, Probe as Part},
    state::State,
};

use super::{Engine, Error, state::Up, steps, view::Probe};
use crate::{
    auth::{Grant, Own},
    ports::{Backend, PortResult, Ports},
};

/// The seal's parts, in the API's words.
const PARTS: [(Part, &str); 4] = [
    (Part::Links, "links"),
    (Part::Addresses, "addresses"),
    (Part::Routes, "routes"),
    (Part::Sysctls, "sysctls"),
];

impl<P: Ports> Engine<P> {
    /// # Errors
    /// [`Error::NotProtected`] for a tunnel that is off: there is nothing to look at.
    pub(super) async fn check(&self, grant: &Grant<Own>, id: &Id) -> Result<Vec<Probe>, Error> {
        let tunnel = self.find(grant.uid(), id)?;
        self.turn_of(grant.uid()).await?;
        let _lock = tunnel.lock.read().await;
        let Some(up) = tunnel.up() else {
            let reason = tunnel
                .state()
                .reason()
                .map_or("off", |reason| reason.code());
            return Err(Error::NotProtected { reason });
        };
        self.turn_at_warden().await?;
        let mut probes = match self.probe_seal(&up).await {
            Ok(probes) => probes,
            Err(error) => PARTS
                .map(|(_, word)| Probe {
                    probe: word,
                    passed: false,
                    found: error.to_string(),
                })
                .into(),
        };
        let alive = up.backend == Backend::Kernel || up.instance.borrow().is_some();
        let backend = match up.backend {
            Backend::Kernel => "kernel",
            Backend::Userspace => "userspace",
        };
        let found = if alive {
            backend.to_owned()
        } else {
            "not running".to_owned()
        };
        probes.push(Probe {
            probe: "data-plane",
            passed: alive,
            found,
        });
        let protected = tunnel.state() == State::Protected;
        probes.push(Probe {
            probe: "handshake",
            passed: protected,
            found: self.age(&up),
        });
        probes.push(self.probe_dns(&up).await);
        Ok(probes)
    }

    async fn probe_seal(&self, up: &Up<P>) -> PortResult<Vec<Probe>> {
        let mut observed = self.ports.observe(&up.namespace).await?;
        observed.sysctls = self.ports.survey(up.link()).await?.sysctls;
        let expected = steps::expected(&up.record.borrow());
        let violations = seal::check(&observed, &expected).err().unwrap_or_default();
        let probe = |(part, word)| {
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
                probe: word,
                passed: wrong.is_empty(),
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
            probe: "dns",
            passed: wrong.is_none(),
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
