//! Saved tunnels: import, create, rename, replace, duplicate, remove, options. What is saved is on disk before it is answered.

use std::rc::Rc;

use lonewire_core::{
    name::{BadName, Id, TunnelName},
    plan,
    secret::{PublicKey, Secret},
    tunnel::{self, Head},
    wgconf::{self, Config, Interface, Key, Keys, ParseError, Parsed},
};
use x25519_dalek::StaticSecret;
use zeroize::{Zeroize as _, Zeroizing};

use super::{
    Engine, Error,
    handle::{Configuration, ImportResult},
    state::{Kept, Tunnel},
    view::{Event, Imported, OptionsChange, TunnelOptions},
};
use crate::{
    auth::{Grant, ImportOwn, InstallAutostart, Own, Owner},
    points,
    ports::{Ports, Saved, Start},
};

impl<P: Ports> Engine<P> {
    pub(super) async fn import(
        &self,
        grant: Grant<ImportOwn>,
        configurations: Vec<Configuration>,
    ) -> ImportResult {
        let mut results = Vec::with_capacity(configurations.len());
        for (label, text) in configurations {
            results.push(self.import_one(grant.uid(), &label, &text).await);
        }
        Ok(results)
    }

    async fn import_one(&self, uid: u32, label: &str, text: &[u8]) -> Result<Imported, Error> {
        let parsed = wgconf::parse_new(text).map_err(first_error)?;
        let name = if label.is_empty() {
            None
        } else {
            Some(label_from(label)?)
        };
        let _catalogue = self.catalogue.lock().await;
        let name = match name {
            Some(name) => self.free_name(uid, name, None)?,
            None => {
                TunnelName::from_file_name("").made_unique(|fold| self.has_name(uid, fold, None))
            }
        };
        self.add(uid, name, parsed, None).await
    }

    pub(super) async fn create(
        &self,
        grant: Grant<ImportOwn>,
        name: &str,
    ) -> Result<Imported, Error> {
        let name = label_from(name)?;
        let mut bytes = self.ports.random::<32>()?;
        // As wg(8) writes keys: clamped (RFC 7748, section 5).
        bytes[0] &= 248;
        bytes[31] = (bytes[31] & 127) | 64;
        let private_key = Key::Given(Secret::new(bytes));
        bytes.zeroize();
        let interface = Interface {
            private_key,
            listen_port: None,
            addresses: Vec::new(),
            dns: Vec::new(),
            search: Vec::new(),
            mtu: None,
        };
        let config = Config {
            interface,
            peers: Vec::new(),
        };
        let _catalogue = self.catalogue.lock().await;
        let name = self.free_name(grant.uid(), name, None)?;
        self.add(
            grant.uid(),
            name,
            Parsed {
                config,
                ignored: Vec::new(),
            },
            None,
        )
        .await
    }

    pub(super) async fn duplicate(
        &self,
        grant: Grant<ImportOwn>,
        id: &Id,
        name: &str,
    ) -> Result<Id, Error> {
        let kept = self.find(grant.uid(), id)?.kept();
        let name = label_from(name)?;
        let parsed = Parsed {
            config: kept.config.clone(),
            ignored: Vec::new(),
        };
        let _catalogue = self.catalogue.lock().await;
        let name = self.free_name(grant.uid(), name, None)?;
        let options = TunnelOptions {
            // Of the two only one could come up, and that one at boot was authorised.
            start: None,
            ..kept.options()
        };
        let copy = self.add(grant.uid(), name, parsed, Some(options)).await?;
        Ok(copy.id)
    }

    /// Saves a new tunnel; the catalogue is held.
    async fn add(
        &self,
        uid: u32,
        name: TunnelName,
        parsed: Parsed,
        options: Option<TunnelOptions>,
    ) -> Result<Imported, Error> {
        let limit = self.quotas.tunnels;
        let own = self
            .tunnels
            .borrow()
            .values()
            .filter(|tunnel| tunnel.uid == uid)
            .count();
        if super::count(own) >= limit {
            return Err(Error::LimitsExceeded {
                what: "tunnels",
                limit,
            });
        }
        let ignored = ignored(&parsed);
        let head = Head {
            name,
            revision: 0,
            ignored,
            options,
        };
        let kept = read_kept(head, parsed.config).ok_or(Error::InvalidArgument {
            argument: "configuration",
            problem: "no private key",
        })?;
        let id = self.new_id()?;
        self.save(uid, &id, &kept.head, &kept.config).await?;
        let imported = imported(&id, &kept);
        let tunnel = Rc::new(Tunnel::new(id.clone(), uid, kept, self.ports.now()));
        self.tunnels.borrow_mut().insert(id.clone(), tunnel.clone());
        self.tell(Event::TunnelAdded(Owner::User(uid), id, self.info(&tunnel)));
        Ok(imported)
    }

    pub(super) async fn rename(&self, grant: Grant<Own>, id: &Id, name: &str) -> Result<(), Error> {
        let tunnel = self.find(grant.uid(), id)?;
        let name = label_from(name)?;
        let _catalogue = self.catalogue.lock().await;
        let name = self.free_name(grant.uid(), name, Some(id))?;
        let kept = tunnel.kept();
        let head = Head {
            name,
            ..kept.head.clone()
        };
        self.change(&tunnel, head, kept.config.clone()).await
    }

    pub(super) async fn replace(
        &self,
        grant: Grant<ImportOwn>,
        id: &Id,
        text: &Zeroizing<Vec<u8>>,
    ) -> Result<Imported, Error> {
        let tunnel = self.find(grant.uid(), id)?;
        let parsed = wgconf::parse(text).map_err(first_error)?;
        let _catalogue = self.catalogue.lock().await;
        let kept = tunnel.kept();
        let ignored = ignored(&parsed);
        let config = wgconf::keep_keys(parsed.config, &kept.config).map_err(|nothing| {
            Error::InvalidConfiguration {
                line: 1,
                column: 1,
                key: nothing.key().to_owned(),
                value: String::new(),
                reason: nothing.code(),
            }
        })?;
        let revision = kept.head.revision.wrapping_add(1);
        self.change(
            &tunnel,
            Head {
                revision,
                ignored,
                ..kept.head.clone()
            },
            config,
        )
        .await?;
        Ok(imported(id, &tunnel.kept()))
    }

    pub(super) async fn set_options(
        &self,
        grant: Grant<ImportOwn>,
        autostart: Option<Grant<InstallAutostart>>,
        id: &Id,
        change: OptionsChange,
    ) -> Result<(), Error> {
        let tunnel = self.find(grant.uid(), id)?;
        let _catalogue = self.catalogue.lock().await;
        let kept = tunnel.kept();
        let before = kept.options().start;
        let options = changed(kept.options(), change);
        let is_new = options.start == Some(Start::Boot) && before != Some(Start::Boot);
        if is_new && autostart.is_none_or(|autostart| autostart.uid() != grant.uid()) {
            return Err(Error::NotAuthorised);
        }
        check_options(&options, &kept.config)?;
        let head = Head {
            options: Some(options),
            ..kept.head.clone()
        };
        self.change(&tunnel, head, kept.config.clone()).await
    }

    pub(super) async fn remove(&self, grant: Grant<ImportOwn>, id: &Id) -> Result<(), Error> {
        let tunnel = self.find(grant.uid(), id)?;
        // Whoever connects it at this moment comes first or finds it gone.
        let _lock = tunnel.lock.write().await;
        let _catalogue = self.catalogue.lock().await;
        if self.find(grant.uid(), id).is_err() {
            return Err(Error::NotFound);
        }
        let is_used = |other: &Rc<Tunnel<P>>| {
            other
                .up()
                .is_some_and(|up| up.record.borrow().of.as_ref() == Some(id))
        };
        if tunnel.up().is_some() || self.tunnels.borrow().values().any(is_used) {
            return Err(Error::Busy);
        }
        crate::ports::Store::delete(&self.ports, tunnel.uid, id).await?;
        self.tunnels.borrow_mut().remove(id);
        self.tell(Event::TunnelRemoved(Owner::User(tunnel.uid), id.clone()));
        Ok(())
    }

    /// Saves another head or configuration of a tunnel; the catalogue is held.
    async fn change(
        &self,
        tunnel: &Tunnel<P>,
        head: Head<TunnelOptions>,
        config: Config,
    ) -> Result<(), Error> {
        // Removed while this waited for the catalogue.
        self.find(tunnel.uid, &tunnel.id)?;
        let kept = read_kept(head, config).ok_or(Error::InvalidArgument {
            argument: "configuration",
            problem: "no private key",
        })?;
        self.save(tunnel.uid, &tunnel.id, &kept.head, &kept.config)
            .await?;
        *tunnel.kept.borrow_mut() = Rc::new(kept);
        self.tell_tunnel(tunnel);
        Ok(())
    }

    async fn save(
        &self,
        uid: u32,
        id: &Id,
        head: &Head<TunnelOptions>,
        config: &Config,
    ) -> Result<(), Error> {
        let text = wgconf::to_text(config, Keys::Included);
        let content = tunnel::write(head, &text).map_err(|_| Error::InvalidArgument {
            argument: "options",
            problem: "cannot be saved",
        })?;
        let saved = Saved {
            uid,
            id: id.clone(),
            start: head.options.as_ref().and_then(|options| options.start),
            content,
        };
        points::step(plan::SAVE, self.ports.save(&saved)).await?;
        Ok(())
    }

    fn free_name(
        &self,
        uid: u32,
        name: TunnelName,
        except: Option<&Id>,
    ) -> Result<TunnelName, Error> {
        if self.has_name(uid, &name.fold(), except) {
            Err(Error::NameInUse)
        } else {
            Ok(name)
        }
    }

    fn has_name(&self, uid: u32, fold: &str, except: Option<&Id>) -> bool {
        self.tunnels.borrow().values().any(|tunnel| {
            tunnel.uid == uid && Some(&tunnel.id) != except && tunnel.kept.borrow().fold == fold
        })
    }
}

/// What is known of a saved file; `None` without a private key.
pub(super) fn read_kept(head: Head<TunnelOptions>, config: Config) -> Option<Kept> {
    let Key::Given(private_key) = &config.interface.private_key else {
        return None;
    };
    let public_key = public_key(private_key);
    let warnings = wgconf::warnings(&config)
        .into_iter()
        .map(|warning| warning.code())
        .collect();
    Some(Kept {
        fold: head.name.fold(),
        head,
        config,
        public_key,
        warnings,
    })
}

fn public_key(private_key: &Secret<32>) -> PublicKey {
    // Wiped when dropped.
    let secret = StaticSecret::from(*private_key.expose());
    PublicKey(x25519_dalek::PublicKey::from(&secret).to_bytes())
}

fn ignored(parsed: &Parsed) -> Vec<(u32, String)> {
    parsed
        .ignored
        .iter()
        .map(|ignored| (ignored.line, ignored.key.to_owned()))
        .collect()
}

fn imported(id: &Id, kept: &Kept) -> Imported {
    Imported {
        id: id.clone(),
        name: kept.head.name.to_string(),
        public_key: kept.public_key.to_string(),
        warnings: kept.warnings.clone(),
        ignored: kept.head.ignored.clone(),
    }
}

fn label_from(text: &str) -> Result<TunnelName, Error> {
    TunnelName::new(text).map_err(|bad| Error::InvalidArgument {
        argument: "name",
        problem: match bad {
            BadName::Empty => "empty",
            BadName::TooLong => "too long",
            _ => "a character that a name cannot have",
        },
    })
}

fn first_error(errors: Vec<ParseError>) -> Error {
    let Some(error) = errors.into_iter().next() else {
        return Error::InvalidArgument {
            argument: "configuration",
            problem: "unreadable",
        };
    };
    Error::InvalidConfiguration {
        line: error.line,
        column: error.column,
        reason: error.code(),
        key: error.key.unwrap_or_default(),
        value: error.value.unwrap_or_default(),
    }
}

fn changed(options: TunnelOptions, change: OptionsChange) -> TunnelOptions {
    TunnelOptions {
        mtu: change.mtu.unwrap_or(options.mtu),
        keepalive: change.keepalive.unwrap_or(options.keepalive),
        backend: change.backend.unwrap_or(options.backend),
        dns: change.dns.unwrap_or(options.dns),
        down_with_last_app: change
            .down_with_last_app
            .unwrap_or(options.down_with_last_app),
        start: change.start.unwrap_or(options.start),
    }
}

fn check_options(options: &TunnelOptions, config: &Config) -> Result<(), Error> {
    let refuse = |argument, problem| Err(Error::InvalidArgument { argument, problem });
    let has_v6 = config
        .interface
        .addresses
        .iter()
        .any(|net| net.addr().is_ipv6());
    let least = if has_v6 { 1280 } else { 576 };
    if options
        .mtu
        .is_some_and(|mtu| !(least..=65_535).contains(&mtu))
    {
        return refuse("mtu", "out of range");
    }
    if options
        .keepalive
        .is_some_and(|keepalive| keepalive > 65_535)
    {
        return refuse("keepalive", "out of range");
    }
    if options.dns.as_ref().is_some_and(|dns| dns.len() > 8) {
        return refuse("dns", "more than 8 servers");
    }
    Ok(())
}
