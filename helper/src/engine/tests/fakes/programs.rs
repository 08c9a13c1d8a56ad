//! Warden, keepers, users, names, time and files.

use std::time::Duration;

use lonewire_core::{
    check::{Line, Task},
    launch::{self, Exit, Launch, User},
};

use super::*;

impl Warden for World {
    type Keeper = Rc<Program>;
    type Ahead = Rc<()>;

    async fn start_ahead(&self) -> Option<Rc<()>> {
        let ahead = Rc::new(());
        self.0.ahead.borrow_mut().push(Rc::downgrade(&ahead));
        Some(ahead)
    }

    async fn launch(
        &self,
        _ahead: Option<Rc<()>>,
        request: Launch,
        files: LaunchFiles,
    ) -> PortResult<Rc<Program>> {
        let records = self
            .0
            .records
            .borrow()
            .contains_key(&(false, files.app.clone()));
        assert!(records, "a record stands before a program runs");
        while self.0.hold.get() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        if let Some(error) = self.0.refuse_launch.borrow_mut().take() {
            return Err(error);
        }
        let start = || {
            let mut apps = self.0.apps.borrow_mut();
            let pid = 5000 + i32::try_from(apps.len()).unwrap();
            let program = Rc::new(Program {
                process: ProcessId { pid, start: 9 },
                events: RefCell::default(),
                gone: Cell::new(false),
                news: Notify::new(),
                signals: RefCell::default(),
            });
            apps.insert(files.app.clone(), program.clone());
            self.0.launched.borrow_mut().push(request);
            Ok(program)
        };
        self.point("launch", start).await
    }

    async fn adopt(&self, app: &Id, keeper: ProcessId) -> PortResult<Rc<Program>> {
        let apps = self.0.apps.borrow();
        let found = apps.get(app).filter(|program| !program.gone.get());
        let program = found.cloned().ok_or(gone("keeper"))?;
        assert!(keeper == ProcessId::UNKNOWN || keeper == program.process);
        Ok(program)
    }

    async fn exit_record(&self, app: &Id) -> PortResult<Option<Exit>> {
        Ok(self.0.exits.borrow().get(app).copied())
    }

    async fn look_around(
        &self,
        request: Launch,
        app: &Id,
        task: &Task,
        cut: impl AsyncFnOnce() -> PortResult<()>,
    ) -> PortResult<Look> {
        let is_noted = self.0.records.borrow().contains_key(&(false, app.clone()));
        assert!(is_noted, "a record stands before a program runs");
        assert_eq!(request.namespace.as_str(), task.link);
        let run = || Ok(());
        self.point("look", run).await?;
        let mut look = self.0.look.borrow().clone();
        if task.drop {
            cut().await?;
            look.lines = vec![Line::new("drop", true, "cut the link", "nothing")];
        }
        Ok(look)
    }

    async fn forget(&self, app: &Id) -> PortResult<()> {
        self.0.exits.borrow_mut().remove(app);
        Ok(())
    }
}

impl Keeper for Rc<Program> {
    fn process(&self) -> ProcessId {
        self.process
    }

    fn app_pid(&self) -> i32 {
        self.process.pid + 10_000
    }

    async fn event(&self) -> Option<launch::Event> {
        loop {
            let next = self.events.borrow_mut().pop_front();
            if next.is_some() || self.gone.get() {
                return next;
            }
            self.news.notified().await;
        }
    }

    async fn signal(&self, signal: i32, all: bool) -> PortResult<()> {
        self.signals.borrow_mut().push((signal, all));
        Ok(())
    }

    async fn processes(&self) -> PortResult<(Vec<i32>, u32)> {
        Ok((vec![1, 2, 3], 0))
    }
}

impl Users for World {
    async fn by_uid(&self, uid: u32) -> PortResult<User> {
        assert!(!self.0.panics.get(), "as the test wants it");
        Ok(User {
            uid,
            gid: uid,
            groups: vec![uid],
            name: format!("user{uid}"),
            home: b"/home/user".into(),
            shell: b"/bin/sh".into(),
        })
    }

    async fn login_environment(&self, _user: &User) -> PortResult<Vec<Vec<u8>>> {
        Ok(vec![b"PATH=/usr/bin".into(), b"LONEWIRE_TUNNEL=old".into()])
    }
}

/// A name whose servers do not answer.
pub const SLOW: &str = "slow.example";

impl Resolver for World {
    async fn resolve(&self, host: &str, _port: u16) -> PortResult<Vec<SocketAddr>> {
        self.0.lookups.set(self.0.lookups.get() + 1);
        if host == SLOW {
            tokio::time::sleep(Duration::from_secs(20)).await;
        }
        self.0.names.borrow().get(host).cloned().ok_or(gone("name"))
    }
}

impl Clock for World {
    fn now(&self) -> u64 {
        BEGIN + u64::try_from(self.0.begin.elapsed().as_millis()).unwrap() - self.0.behind.get()
    }

    fn uptime(&self) -> Duration {
        self.0.begin.elapsed() + Duration::from_secs(1000)
    }

    async fn sleep(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }
}

impl Store for World {
    async fn load(&self) -> PortResult<Vec<Saved>> {
        Ok(self.0.saved.borrow().values().cloned().collect())
    }

    async fn save(&self, tunnel: &Saved) -> PortResult<()> {
        let save = || {
            self.0
                .saved
                .borrow_mut()
                .insert(tunnel.id.clone(), tunnel.clone());
            Ok(())
        };
        self.point("save", save).await
    }

    async fn delete(&self, uid: u32, id: &Id) -> PortResult<()> {
        let saved = self.0.saved.borrow_mut().remove(id);
        assert_eq!(saved.map(|saved| saved.uid), Some(uid));
        Ok(())
    }

    async fn log(&self, _uid: u32, id: &Id, entry: LogEntry) -> PortResult<()> {
        self.0.logs.borrow_mut().push((id.clone(), entry));
        Ok(())
    }

    async fn read_log(&self, _uid: u32, id: &Id) -> PortResult<Vec<LogEntry>> {
        let logs = self.0.logs.borrow();
        Ok(logs
            .iter()
            .filter(|(of, _)| of == id)
            .map(|(_, entry)| entry.clone())
            .collect())
    }

    async fn write_record(&self, kind: RecordKind, id: &Id, text: &str) -> PortResult<()> {
        let write = || {
            let key = (kind == RecordKind::Tunnel, id.clone());
            self.0.records.borrow_mut().insert(key, text.into());
            Ok(())
        };
        self.point("write_record", write).await
    }

    async fn read_records(&self, kind: RecordKind) -> PortResult<Vec<(Id, String)>> {
        let records = self.0.records.borrow();
        let own = records
            .iter()
            .filter(|((tunnel, _), _)| *tunnel == (kind == RecordKind::Tunnel));
        Ok(own
            .map(|((_, id), text)| (id.clone(), text.clone()))
            .collect())
    }

    async fn remove_record(&self, kind: RecordKind, id: &Id) -> PortResult<()> {
        let remove = || {
            self.0
                .records
                .borrow_mut()
                .remove(&(kind == RecordKind::Tunnel, id.clone()));
            Ok(())
        };
        self.point("remove_record", remove).await
    }

    async fn read_starts(&self) -> PortResult<Option<String>> {
        Ok(self.0.starts.borrow().clone())
    }

    async fn write_starts(&self, text: &str) -> PortResult<()> {
        self.0.starts.replace(Some(text.to_owned()));
        Ok(())
    }

    async fn write_dns(&self, namespace: &LinkName, resolv: &str, hosts: &str) -> PortResult<()> {
        let write = || {
            self.0
                .dns
                .borrow_mut()
                .insert(namespace.clone(), (resolv.into(), hosts.into()));
            Ok(())
        };
        self.point("write_dns", write).await
    }

    async fn read_dns(&self, namespace: &LinkName) -> PortResult<(String, String)> {
        let files = self.0.dns.borrow().get(namespace).cloned();
        files.ok_or(gone("resolver files"))
    }

    async fn remove_dns(&self, namespace: &LinkName) -> PortResult<()> {
        let remove = || {
            self.0.dns.borrow_mut().remove(namespace);
            Ok(())
        };
        self.point("remove_dns", remove).await
    }

    async fn boot_id(&self) -> PortResult<String> {
        Ok(self.0.boot.borrow().clone())
    }

    async fn host_name(&self) -> PortResult<String> {
        Ok("host".into())
    }

    async fn admin_config(&self) -> PortResult<String> {
        Ok(self.0.admin.borrow().clone())
    }

    fn random<const N: usize>(&self) -> PortResult<[u8; N]> {
        let number = self.0.random.get();
        self.0.random.set(number + 1);
        let mut bytes = [0x5a; N];
        bytes[..4].copy_from_slice(&u32::try_from(number).unwrap().to_be_bytes());
        Ok(bytes)
    }
}
