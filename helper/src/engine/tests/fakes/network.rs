//! Namespaces, links, WireGuard and its data plane.

use lonewire_core::{
    launch::{Stage, Survey},
    plan::{LAST_METRIC, SYSCTLS},
    seal::{self, Observed, RouteKind},
};

use super::*;

impl World {
    fn seen(&self, name: &LinkName) -> PortResult<Survey> {
        let namespaces = self.0.namespaces.borrow();
        let space = namespaces.get(name).ok_or(gone("namespace"))?;
        let sysctls = SYSCTLS
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()));
        Ok(Survey {
            inode: space.inode,
            sysctls: sysctls.collect(),
        })
    }
}

impl Namespaces for World {
    async fn create(&self, name: &LinkName) -> PortResult<(Namespace, Survey)> {
        let make = || {
            let inode = 4_026_532_000 + self.0.random.get();
            let space = Space {
                inode,
                ..Space::default()
            };
            let before = self.0.namespaces.borrow_mut().insert(name.clone(), space);
            assert!(before.is_none(), "made twice");
            let namespace = Namespace {
                name: name.clone(),
                inode,
                fd: null(),
            };
            Ok((namespace, self.seen(name)?))
        };
        self.point("create", make).await
    }

    async fn open(&self, name: &LinkName) -> PortResult<Namespace> {
        let namespaces = self.0.namespaces.borrow();
        let space = namespaces.get(name).ok_or(gone("namespace"))?;
        Ok(Namespace {
            name: name.clone(),
            inode: space.inode,
            fd: null(),
        })
    }

    async fn list(&self) -> PortResult<Vec<LinkName>> {
        Ok(self.0.namespaces.borrow().keys().cloned().collect())
    }

    async fn remove(&self, name: &LinkName) -> PortResult<()> {
        let unpin = || {
            if let Some(space) = self.0.namespaces.borrow_mut().remove(name) {
                // A data plane that has the TUN open keeps both, under no name.
                let stays = space.link.is_some_and(|wire| wire.userspace);
                assert!(!stays, "its link lives on");
            }
            Ok(())
        };
        self.point("remove", unpin).await
    }

    async fn survey(&self, name: &LinkName) -> PortResult<Survey> {
        self.point("survey", || self.seen(name)).await
    }

    async fn open_tun(&self, namespace: &LinkName, _link: &LinkName) -> PortResult<Tun> {
        let open = || {
            let mut namespaces = self.0.namespaces.borrow_mut();
            let space = namespaces.get_mut(namespace).ok_or(gone("namespace"))?;
            let mut planes = self.0.planes.borrow().clone();
            planes.retain(|_, plane| plane.link == *namespace && !plane.dead.get());
            if !planes.is_empty() {
                return Err(PortError::Warden {
                    stage: Stage::Tun,
                    errno: libc::EBUSY,
                });
            }
            space.link.get_or_insert_default().userspace = true;
            Ok(Tun {
                tun: null(),
                control: null(),
            })
        };
        self.point("open_tun", open).await
    }
}

impl World {
    fn end_planes_of(&self, link: &LinkName) {
        for plane in self
            .0
            .planes
            .borrow()
            .values()
            .filter(|plane| plane.link == *link)
        {
            plane.dead.set(true);
            plane.death.notify_waiters();
        }
    }

    fn on_link<T>(
        &self,
        namespace: &Namespace,
        act: impl FnOnce(&mut Wire) -> PortResult<T>,
    ) -> PortResult<T> {
        let mut namespaces = self.0.namespaces.borrow_mut();
        let space = namespaces
            .get_mut(&namespace.name)
            .ok_or(gone("namespace"))?;
        assert_eq!(space.inode, namespace.inode, "another namespace");
        act(space.link.as_mut().ok_or(PortError::Os {
            what: "link",
            errno: libc::ENODEV,
        })?)
    }
}

impl Links for World {
    async fn create_wireguard(&self, namespace: &Namespace, _link: &LinkName) -> PortResult<()> {
        let make = || {
            if !self.0.kernel.get() {
                return Err(PortError::Unsupported { what: "wireguard" });
            }
            let mut namespaces = self.0.namespaces.borrow_mut();
            let space = namespaces
                .get_mut(&namespace.name)
                .ok_or(gone("namespace"))?;
            assert!(space.link.is_none(), "EXCL");
            space.link = Some(Wire::default());
            Ok(())
        };
        self.point("create_wireguard", make).await
    }

    async fn configure(
        &self,
        namespace: &Namespace,
        _link: &LinkName,
        addressing: &Addressing,
    ) -> PortResult<()> {
        let set = || {
            self.on_link(namespace, |wire| {
                wire.addressing = Some(addressing.clone());
                Ok(())
            })
        };
        self.point("configure", set).await
    }

    async fn end_connections(&self, namespace: &Namespace) -> PortResult<()> {
        let end = || {
            // By no tunnel that goes on.
            self.on_link(namespace, |wire| {
                let silent = wire.peers.is_empty() || !self.serves(&namespace.name, wire);
                assert!(silent, "packets may leave");
                Ok(())
            })?;
            self.0.ended.set(self.0.ended.get() + 1);
            Ok(())
        };
        self.point("end_connections", end).await
    }

    async fn delete(&self, namespace: &Namespace, _link: &LinkName) -> PortResult<()> {
        let delete = || {
            let mut namespaces = self.0.namespaces.borrow_mut();
            let space = namespaces
                .get_mut(&namespace.name)
                .ok_or(gone("namespace"))?;
            let enodev = PortError::Os {
                what: "RTM_DELLINK",
                errno: libc::ENODEV,
            };
            space.link.take().ok_or(enodev)?;
            self.end_planes_of(&namespace.name);
            Ok(())
        };
        self.point("delete_link", delete).await
    }

    async fn cut(&self, namespace: &Namespace, _link: &LinkName) -> PortResult<()> {
        let cut = || {
            let mut namespaces = self.0.namespaces.borrow_mut();
            let space = namespaces
                .get_mut(&namespace.name)
                .ok_or(gone("namespace"))?;
            let link = space.link.as_mut().ok_or(gone("link"))?;
            link.addressing = None;
            Ok(())
        };
        self.point("cut", cut).await
    }

    async fn host_addresses(&self) -> PortResult<Vec<ipnet::IpNet>> {
        Ok(vec!["192.168.1.7/24".parse().unwrap()])
    }

    async fn observe(&self, namespace: &Namespace) -> PortResult<Observed> {
        let look = || {
            let namespaces = self.0.namespaces.borrow();
            let space = namespaces.get(&namespace.name).ok_or(gone("namespace"))?;
            Ok(observed(&namespace.name, space))
        };
        self.point("observe", look).await
    }

    async fn path_mtu(&self, _to: IpAddr) -> PortResult<u32> {
        if self.0.uplink.get() {
            Ok(1500)
        } else {
            Err(PortError::Os {
                what: "path",
                errno: libc::ENETUNREACH,
            })
        }
    }

    async fn uplink_changed(&self) -> PortResult<()> {
        self.0.uplink_changes.notified().await;
        Ok(())
    }

    async fn nudge(&self, namespace: &Namespace, _to: IpAddr) -> PortResult<()> {
        self.0.nudges.set(self.0.nudges.get() + 1);
        self.on_link(namespace, |_| Ok(()))
    }
}

fn observed(name: &LinkName, space: &Space) -> Observed {
    let link = |index, name: &str, kind: &str, mtu| seal::Link {
        index,
        name: name.into(),
        kind: kind.into(),
        up: true,
        loopback: index == 1,
        mtu,
    };
    let mut seen = Observed {
        links: vec![link(1, "lo", "", 65536)],
        ..Observed::default()
    };
    if space.foreign {
        seen.links.push(link(3, "veth0", "veth", 1500));
    }
    let route = |net, kind, link, metric| seal::Route {
        table: 254,
        destination: net,
        kind,
        link,
        gateway: None,
        metric,
        by_kernel: false,
    };
    if let Some(Wire {
        addressing: Some(addressing),
        userspace,
        ..
    }) = &space.link
    {
        let kind = if *userspace { "tun" } else { "wireguard" };
        seen.links
            .push(link(2, name.as_str(), kind, addressing.mtu));
        let address = |net: &_| seal::Address { link: 2, net: *net };
        seen.addresses = addressing.addresses.iter().map(address).collect();
        let over = addressing
            .routes
            .iter()
            .map(|net| route(*net, RouteKind::Unicast, Some(2), 0));
        seen.routes.extend(over);
        for net in ["0.0.0.0/0", "::/0"] {
            let net = net.parse().unwrap();
            seen.routes
                .push(route(net, RouteKind::Unreachable, None, LAST_METRIC));
        }
    }
    seen
}

impl WireGuard for World {
    async fn works(&self, backend: Backend) -> bool {
        backend == Backend::Userspace || self.0.kernel.get()
    }

    async fn apply(
        &self,
        namespace: &Namespace,
        _link: &LinkName,
        _backend: Backend,
        device: &Device,
    ) -> PortResult<()> {
        let now = self.uptime();
        let set = || {
            self.on_link(namespace, |wire| {
                if !self.serves(&namespace.name, wire) {
                    return Err(gone("data plane"));
                }
                wire.peers = device.peers.iter().map(fresh).collect();
                wire.device = Some(device.clone());
                wire.looked = now;
                Ok(())
            })
        };
        self.point("apply", set).await
    }

    async fn status(
        &self,
        namespace: &Namespace,
        _link: &LinkName,
        _backend: Backend,
    ) -> PortResult<Vec<PeerStatus>> {
        self.0.looks.set(self.0.looks.get() + 1);
        let (now, unix, alive, traffic) = (
            self.uptime(),
            self.now(),
            self.0.alive.get(),
            self.0.traffic.get(),
        );
        self.on_link(namespace, |wire| {
            if !self.serves(&namespace.name, wire) {
                return Err(gone("data plane"));
            }
            let elapsed = now - wire.looked;
            wire.looked = now;
            for peer in &mut wire.peers {
                // Nobody knows where it is.
                let alive = alive && peer.endpoint.is_some();
                let bytes = traffic * u64::try_from(elapsed.as_millis()).unwrap() / 1000;
                peer.tx += bytes;
                if unix - peer.handshake >= 120_000 {
                    peer.tx += 148;
                    if alive {
                        peer.handshake = unix;
                        peer.rx += 92;
                    }
                }
                peer.rx += if alive { bytes } else { 0 };
            }
            Ok(wire.peers.clone())
        })
    }

    async fn renew(
        &self,
        namespace: &Namespace,
        _link: &LinkName,
        _backend: Backend,
        peer: &Peer,
    ) -> PortResult<()> {
        self.0.renewals.set(self.0.renewals.get() + 1);
        self.on_link(namespace, |wire| {
            let own = wire
                .peers
                .iter_mut()
                .find(|own| own.public_key == peer.public_key);
            *own.unwrap() = fresh(peer);
            Ok(())
        })
    }
}

fn fresh(peer: &Peer) -> PeerStatus {
    PeerStatus {
        public_key: peer.public_key,
        endpoint: peer.endpoint,
        handshake: 0,
        rx: 0,
        tx: 0,
    }
}

impl DataPlane for World {
    type Instance = Rc<Plane>;

    async fn start(&self, link: &LinkName, mtu: u32, _tun: Tun) -> PortResult<Rc<Plane>> {
        let start = || {
            let mut planes = self.0.planes.borrow_mut();
            let pid = 1000 + i32::try_from(planes.len()).unwrap();
            let process = ProcessId { pid, start: 7 };
            let (dead, death) = (Cell::new(false), Notify::new());
            let plane = Rc::new(Plane {
                link: link.clone(),
                process,
                mtu: Cell::new(mtu),
                dead,
                death,
            });
            planes.insert(pid, plane.clone());
            // A new process knows no keys and no peers.
            if let Some(wire) = self
                .0
                .namespaces
                .borrow_mut()
                .get_mut(link)
                .and_then(|space| space.link.as_mut())
            {
                wire.peers.clear();
                wire.device = None;
            }
            Ok(plane)
        };
        self.point("start", start).await
    }

    async fn adopt(&self, link: &LinkName, process: ProcessId) -> PortResult<Rc<Plane>> {
        let planes = self.0.planes.borrow();
        let is_it = |plane: &&Rc<Plane>| !plane.dead.get() && plane.link == *link;
        let found = planes.get(&process.pid).filter(is_it);
        found.cloned().ok_or(gone("data plane"))
    }
}

impl Instance for Rc<Plane> {
    fn process(&self) -> ProcessId {
        self.process
    }

    async fn set_mtu(&self, mtu: u32) -> PortResult<()> {
        self.mtu.set(mtu);
        Ok(())
    }

    async fn died(&self) {
        let death = self.death.notified();
        if !self.dead.get() {
            death.await;
        }
    }
}
