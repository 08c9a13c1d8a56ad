//! The steps of `core::plan`, carried out and taken back. Each step is a point where the helper may be killed: the record written first
//! tells the next one what to look for.

use std::rc::Rc;

use lonewire_core::{
    launch::Stage,
    name::{Id, LinkName},
    plan::{Step, Undo},
    resolv,
    seal::{self, Expected, Violation},
    state::Reason,
    tunnel::{self, Phase, Run},
};

use super::{Engine, Error, prepare::Wanted, state::Kept};
use crate::{
    points,
    ports::{
        Addressing, Backend, Device, Instance as _, Links, Namespace, PortError, PortResult, Ports,
        RecordKind, Tun,
    },
};

/// A tunnel being made.
pub(super) struct Making<P: Ports> {
    pub run: Id,
    pub record: Run,
    pub kept: Rc<Kept>,
    pub device: Device,
    pub namespace: Option<Namespace>,
    pub instance: Option<P::Instance>,
}

/// Why a step did not work.
#[derive(Debug)]
pub(super) enum Broken {
    Port(PortError),
    Limit(Error),
    Unsealed(Vec<Violation>),
}

impl From<PortError> for Broken {
    fn from(error: PortError) -> Self {
        Self::Port(error)
    }
}

impl Broken {
    /// What the state `failed` says of it.
    pub fn reason(&self, step: Step) -> Reason {
        match (self, step) {
            (Self::Unsealed(_), _) => Reason::Unsealed,
            (Self::Port(PortError::Unsupported { .. }), _) => Reason::NotSupported,
            // There is no /dev/net/tun, or nothing behind it.
            (
                Self::Port(PortError::Warden {
                    stage: Stage::Tun,
                    errno: libc::ENOENT | libc::ENODEV | libc::ENXIO,
                }),
                _,
            ) => Reason::NotSupported,
            (_, Step::UserspaceLink) => Reason::NoDataPlane,
            _ => Reason::System,
        }
    }

    /// Whether another process holds the TUN.
    pub fn is_busy(&self) -> bool {
        matches!(
            self,
            Self::Port(PortError::Warden {
                stage: Stage::Tun,
                errno: libc::EBUSY
            })
        )
    }

    /// Whether the thing was there before, and so is not ours to take away.
    pub fn was_there(&self) -> bool {
        matches!(
            self,
            Self::Port(PortError::Os {
                errno: libc::EEXIST,
                ..
            }) | Self::Port(PortError::Warden {
                stage: Stage::Namespace,
                errno: libc::EEXIST
            })
        )
    }
}

impl<P: Ports> Making<P> {
    pub fn new(
        engine: &Engine<P>,
        kept: Rc<Kept>,
        wanted: Wanted,
        tunnel: (&Id, u32),
    ) -> PortResult<Self> {
        let record = Run {
            boot: engine.boot.clone(),
            phase: Phase::Halfway,
            uid: tunnel.1,
            tunnel: tunnel.0.clone(),
            link: LinkName::from_random(engine.ports.random()?),
            inode: 0,
            userspace: false,
            of: None,
            revision: kept.head.revision,
            mtu: wanted.addressing.mtu,
            addresses: wanted.addressing.addresses,
            routes: wanted.addressing.routes,
            dns: wanted.dns,
            endpoints: std::collections::BTreeMap::new(),
            search: kept.config.interface.search.clone(),
            plane: None,
            sysctls: Vec::new(),
        };
        let run = engine.new_id()?;
        Ok(Self {
            run,
            record,
            kept,
            device: wanted.device,
            namespace: None,
            instance: None,
        })
    }

    pub fn backend(&self) -> Backend {
        if self.record.userspace {
            Backend::Userspace
        } else {
            Backend::Kernel
        }
    }

    fn namespace(&self) -> PortResult<&Namespace> {
        self.namespace.as_ref().ok_or(PortError::NotFound {
            what: "the namespace",
        })
    }
}

impl<P: Ports> Engine<P> {
    pub(super) async fn step(&self, step: Step, making: &mut Making<P>) -> Result<(), Broken> {
        tracing::debug!(step = step.name(), link = %making.record.link, "step");
        match step {
            Step::Record => self.write_run(&making.run, &making.record).await?,
            Step::Namespace => {
                self.turn_at_warden().await.map_err(Broken::Limit)?;
                let (namespace, survey) = self.ports.create(&making.record.link).await?;
                making.record.inode = survey.inode;
                making.record.sysctls = survey.sysctls;
                making.namespace = Some(namespace);
                self.start_ahead().await;
            }
            Step::Dns => {
                let record = &making.record;
                let (text, hosts) = dns_files(record, &self.ports.host_name().await?);
                self.ports.write_dns(&record.link, &text, &hosts).await?;
            }
            Step::KernelLink => {
                let namespace = making.namespace()?;
                self.ports
                    .create_wireguard(namespace, &namespace.name)
                    .await?;
                making.record.userspace = false;
            }
            Step::UserspaceLink => {
                making.record.userspace = true;
                let tun = self.open_tun(&making.record.link).await?;
                let instance = self
                    .ports
                    .start(&making.record.link, making.record.mtu, tun)
                    .await?;
                let process = instance.process();
                making.record.plane = Some((process.pid, process.start));
                making.instance = Some(instance);
            }
            Step::Keys => {
                let namespace = making.namespace()?;
                let backend = making.backend();
                self.ports
                    .apply(namespace, &namespace.name, backend, &making.device)
                    .await?;
            }
            Step::Addressing => {
                let namespace = making.namespace()?;
                let addressing = addressing(&making.record);
                self.ports
                    .configure(namespace, &namespace.name, &addressing)
                    .await?;
            }
            Step::Seal => {
                self.check_seal(making.namespace()?, &making.record).await?;
                making.record.phase = Phase::Up;
                self.write_run(&making.run, &making.record).await?;
            }
        }
        Ok(())
    }

    /// Takes a step back; what is not there is taken back already. Who has no namespace at hand has it opened by its name.
    pub(super) async fn undo(
        &self,
        undo: Undo,
        run: &Id,
        link: &LinkName,
        namespace: Option<&Namespace>,
    ) -> PortResult<()> {
        let result = match undo {
            Undo::RemoveRecord => self.ports.remove_record(RecordKind::Tunnel, run).await,
            Undo::RemoveNamespace => {
                self.turn_to_remove().await;
                self.ports.remove(link).await
            }
            Undo::RemoveDns => self.ports.remove_dns(link).await,
            Undo::DeleteLink => match namespace {
                Some(namespace) => Links::delete(&self.ports, namespace, link).await,
                None => match self.ports.open(link).await {
                    Ok(namespace) => Links::delete(&self.ports, &namespace, link).await,
                    Err(error) => Err(error),
                },
            },
        };
        match result {
            Err(
                PortError::NotFound { .. }
                | PortError::Os {
                    errno: libc::ENODEV | libc::ENOENT,
                    ..
                }
                // A name to which no namespace was ever bound.
                | PortError::Os {
                    what: "setns",
                    errno: libc::EINVAL,
                },
            ) => Ok(()),
            other => other,
        }
    }

    /// Takes back several in the order given; goes on after an error. True when all is gone. A record stays where something may have
    /// stayed with it.
    pub(super) async fn undo_all(
        &self,
        undos: &[Undo],
        run: &Id,
        link: &LinkName,
        namespace: Option<&Namespace>,
    ) -> bool {
        let mut clean = true;
        for &undo in undos {
            // A userspace link does not go with its namespace's name: without that nobody would find it again.
            if matches!(undo, Undo::RemoveRecord | Undo::RemoveNamespace) && !clean {
                break;
            }
            let undone = points::step(undo.name(), self.undo(undo, run, link, namespace)).await;
            if let Err(error) = undone {
                tracing::warn!(?undo, %link, %error, "not undone");
                clean = false;
            }
        }
        clean
    }

    /// # Errors
    /// What is there and should not be, or the other way round.
    pub(super) async fn check_seal(
        &self,
        namespace: &Namespace,
        record: &Run,
    ) -> Result<(), Broken> {
        let mut observed = self.ports.observe(namespace).await?;
        observed.sysctls.clone_from(&record.sysctls);
        seal::check(&observed, &expected(record)).map_err(Broken::Unsealed)
    }

    pub(super) async fn open_tun(&self, link: &LinkName) -> Result<Tun, Broken> {
        self.turn_at_warden().await.map_err(Broken::Limit)?;
        Ok(self.ports.open_tun(link, link).await?)
    }

    pub(super) async fn write_run(&self, run: &Id, record: &Run) -> PortResult<()> {
        let text = tunnel::write_record(record).map_err(unwritable)?;
        self.ports
            .write_record(RecordKind::Tunnel, run, &text)
            .await
    }

    pub(super) async fn write_app(&self, app: &Id, record: &tunnel::App) -> PortResult<()> {
        let text = tunnel::write_record(record).map_err(unwritable)?;
        self.ports.write_record(RecordKind::App, app, &text).await
    }
}

fn unwritable(_: tunnel::BadFile) -> PortError {
    PortError::Unsupported {
        what: "a record with such a number",
    }
}

/// `resolv.conf` and `hosts` of a namespace.
pub(super) fn dns_files(record: &Run, host_name: &str) -> (String, String) {
    let text = resolv::resolv_conf(&record.dns, &record.search);
    (text, resolv::hosts(host_name))
}

pub(super) fn addressing(record: &Run) -> Addressing {
    Addressing {
        mtu: record.mtu,
        addresses: record.addresses.clone(),
        routes: record.routes.clone(),
    }
}

pub(super) fn expected(record: &Run) -> Expected {
    Expected {
        link: record.link.to_string(),
        mtu: record.mtu,
        addresses: record.addresses.clone(),
        routes: record.routes.clone(),
    }
}
