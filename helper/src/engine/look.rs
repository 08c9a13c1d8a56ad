//! The part of `Check` that is made from inside: a program of ours, started as any app, looks around and tells what it met. The drop test cuts a link: in a namespace made for
//! it by the same plan, or in the tunnel's own where that is wished.

use std::rc::Rc;

use lonewire_api::names::{BUS_NAME, PROGRAM, TUNNEL_VARIABLE};
use lonewire_core::{
    bus,
    check::{self, Line, Task},
    launch::{Launch, User},
    name::{Id, LinkName},
    tunnel::{self, Phase, Run},
};

use super::{
    Engine, Error,
    state::{Left, Up},
    steps::{self, Broken},
    view::CheckWish,
};
use crate::{
    auth::{Grant, Own},
    ports::{Backend, Links, Look, Namespace, PortError, PortResult, Ports},
};

/// For whom it is looked, and what the bus has.
pub(super) struct Watcher<'a> {
    pub grant: &'a Grant<Own>,
    pub tunnel: &'a Id,
    pub user: User,
    pub wish: &'a CheckWish,
}

/// Why a look did not come about.
type Looked<T> = Result<T, Broken>;

impl<P: Ports> Engine<P> {
    /// What is met in the tunnel's own namespace.
    pub(super) async fn look_around(&self, watcher: &Watcher<'_>, up: &Up<P>) -> Vec<Line> {
        let record = up.record.borrow().clone();
        let task = self.task(&record, false).await;
        let looked = match task {
            Ok(task) => {
                let look = self
                    .ask_inside(watcher, &up.namespace, &task, async || Ok(()))
                    .await;
                look.map(|look| (task, look))
            }
            Err(error) => Err(error.into()),
        };
        match looked {
            Ok((task, look)) => judged(&task, look),
            Err(why) => vec![Line::new(
                "inside",
                false,
                "look around from inside",
                told(&why),
            )],
        }
    }

    /// The drop test. `lock`ed for writing by the caller where the tunnel's own link is cut.
    pub(super) async fn drop_test(self: &Rc<Self>, watcher: &Watcher<'_>, up: &Up<P>) -> Line {
        let tested = if watcher.wish.drop {
            self.drop_own(watcher, up).await
        } else {
            self.drop_another(watcher, up).await
        };
        tested.unwrap_or_else(|why| Line::new("drop", false, "cut the link", told(&why)))
    }

    /// Cuts the tunnel's own link, and puts back what was there, whatever was met.
    async fn drop_own(&self, watcher: &Watcher<'_>, up: &Up<P>) -> Looked<Line> {
        let record = up.record.borrow().clone();
        let task = self.task(&record, true).await?;
        let cut = async || self.ports.cut(&up.namespace, up.link()).await;
        let look = self.ask_inside(watcher, &up.namespace, &task, cut).await;
        let addressing = steps::addressing(&record);
        let restored = async {
            let configured = self.ports.configure(&up.namespace, up.link(), &addressing);
            configured.await?;
            self.check_seal(&up.namespace, &record).await
        };
        let restored = restored.await;
        up.unsure.set(up.unsure.get() || restored.is_err());
        restored?;
        drop_line(look?, "the tunnel's own link")
    }

    /// In a namespace that the same plan makes, with the same addresses and routes and without peers: nothing can leave it at any time.
    async fn drop_another(self: &Rc<Self>, watcher: &Watcher<'_>, up: &Up<P>) -> Looked<Line> {
        let link = LinkName::from_random(self.ports.random()?);
        let run = self.new_id()?;
        let record = Run {
            phase: Phase::Halfway,
            link: link.clone(),
            plane: None,
            ..up.record.borrow().clone()
        };
        let line = self.rehearse(watcher, &run, record, up.backend).await;
        self.remove_left(Left { run, link }).await;
        line
    }

    async fn rehearse(
        &self,
        watcher: &Watcher<'_>,
        run: &Id,
        mut record: Run,
        backend: Backend,
    ) -> Looked<Line> {
        self.write_run(run, &record).await?;
        self.turn_at_warden().await.map_err(Broken::Limit)?;
        let (namespace, survey) = self.ports.create(&record.link).await?;
        record.inode = survey.inode;
        record.sysctls = survey.sysctls;
        let (text, hosts) = steps::dns_files(&record, &self.ports.host_name().await?);
        self.ports.write_dns(&record.link, &text, &hosts).await?;
        // Held open: without a reader a TUN has no carrier.
        let _tun = match backend {
            Backend::Kernel => {
                self.ports
                    .create_wireguard(&namespace, &record.link)
                    .await?;
                None
            }
            Backend::Userspace => Some(self.open_tun(&record.link).await?),
        };
        let addressing = steps::addressing(&record);
        self.ports
            .configure(&namespace, &record.link, &addressing)
            .await?;
        self.check_seal(&namespace, &record).await?;
        let task = self.task(&record, true).await?;
        let cut = async || Links::delete(&self.ports, &namespace, &record.link).await;
        let look = self.ask_inside(watcher, &namespace, &task, cut).await?;
        drop_line(look, "the link of a namespace made alike")
    }

    async fn task(&self, record: &Run, drop: bool) -> PortResult<Task> {
        Ok(Task {
            link: record.link.to_string(),
            addresses: record.addresses.clone(),
            routes: record.routes.clone(),
            dns: record.dns.clone(),
            host: self.ports.host_addresses().await?,
            doors: Vec::new(),
            drop,
        })
    }

    /// Starts the program, with a record as for any app.
    async fn ask_inside(
        &self,
        watcher: &Watcher<'_>,
        namespace: &Namespace,
        task: &Task,
        cut: impl AsyncFnOnce() -> PortResult<()>,
    ) -> Looked<Look> {
        self.turn_at_warden().await.map_err(Broken::Limit)?;
        let app = self.new_id()?;
        let record = tunnel::App {
            boot: self.boot.clone(),
            uid: watcher.grant.uid(),
            tunnel: watcher.tunnel.clone(),
            link: namespace.name.clone(),
            program: PROGRAM.into(),
            name: "lonewire check".to_owned(),
            since: self.ports.now(),
            keeper: None,
            pid: 0,
            ended: None,
            exit: None,
        };
        self.write_app(&app, &record).await?;
        let names = watcher.wish.bus_names.iter().map(String::as_str);
        let request = Launch {
            namespace: namespace.name.clone(),
            link: namespace.name.clone(),
            namespace_inode: namespace.inode,
            caller_pid: watcher.grant.caller().pid,
            user: watcher.user.clone(),
            program: PROGRAM.into(),
            argv: vec![PROGRAM.into(), check::ARGUMENT.into()],
            environment: vec![format!("{TUNNEL_VARIABLE}={}", watcher.tunnel).into_bytes()],
            cwd: b"/".into(),
            umask: 0o077,
            pty: false,
            allow_new_privileges: false,
            hold: false,
            tie: false,
            bus: bus::rules(BUS_NAME, names),
        };
        let look = self.ports.look_around(request, &app, task, cut).await;
        self.forget_files(&app).await;
        Ok(look?)
    }
}

/// The program's account, and who came to the host's doors meanwhile.
fn judged(task: &Task, look: Look) -> Vec<Line> {
    let mut lines = look.lines;
    let arrivals = task.doors(&[], &look.arrived);
    if let Some(line) = lines.iter_mut().find(|line| line.probe == arrivals.probe)
        && !arrivals.passed
    {
        line.passed = false;
        line.found = arrivals.found;
    }
    lines
}

fn drop_line(look: Look, which: &str) -> Looked<Line> {
    let nothing = || Broken::Port(PortError::NotFound { what: "an answer" });
    let mut line = look.lines.into_iter().next().ok_or_else(nothing)?;
    line.tried = line.tried.replace("the link", which);
    Ok(line)
}

fn told(why: &Broken) -> String {
    match why {
        Broken::Port(error) => error.to_string(),
        Broken::Limit(error) => error.to_string(),
        Broken::Unsealed(found) => Error::Unsealed(
            found
                .iter()
                .map(|violation| violation.found.clone())
                .collect(),
        )
        .to_string(),
    }
}
