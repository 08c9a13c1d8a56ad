//! Ring system: the warden's socket and units as shipped, asked as the helper asks: hundreds of apps at once, launches in a row, no unit
//! left behind.

use std::{
    fs,
    io::{IoSlice, Read as _, Seek as _, pipe},
    mem::MaybeUninit,
    os::{
        fd::{AsFd as _, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use lab::{
    system::{
        Place, Session, System,
        connector::Connector,
        poll,
        vpn::{NAME, Vpn},
    },
    warden::{Files, PATIENCE, Stage, ask, event, pair, wait},
};
use lonewire_api::names;
use lonewire_core::{
    bus, dataplane,
    launch::{Event, Exit, Request, User},
};
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

/// A system with the stage for a launch by one of its users.
struct Scene<'a> {
    system: &'a System,
    stage: Stage,
    /// The TUN and its control socket.
    tun: Vec<OwnedFd>,
}

impl<'a> Scene<'a> {
    fn set(system: &'a System, session: &Session<'_>) -> Result<Self> {
        let user = User {
            uid: session.uid.parse()?,
            gid: session.check(&["id", "-g"])?.parse()?,
            groups: vec![session.check(&["id", "-g"])?.parse()?],
            name: session.user.clone(),
            home: format!("/home/{}", session.user).into(),
            shell: b"/bin/bash".to_vec(),
        };
        let caller = system
            .check(&["pgrep", "-o", "-u", &session.user])?
            .parse()?;
        let warden = Connector::start(system, names::WARDEN_SOCKET)?;
        let runtime = system.root().join("run/lonewire");
        let (stage, tun) = Stage::set(warden, runtime, user, caller)?;
        Ok(Self { system, stage, tun })
    }

    /// Launches a program, and gives the connection to its keeper once it runs.
    fn launch(&self, argv: &[&str], stdin: BorrowedFd<'_>) -> Result<UnixStream> {
        let null = fs::OpenOptions::new().write(true).open("/dev/null")?;
        let connection = self.request(argv, stdin, null.as_fd(), None)?;
        self.started(&connection)?;
        Ok(connection)
    }

    /// Waits until the program runs.
    fn started(&self, connection: &UnixStream) -> Result<()> {
        match event(connection).with_context(|| self.system.last_words())? {
            (Event::Started { .. }, _) => Ok(()),
            (other, _) => bail!("{other:?}"),
        }
    }

    fn request(
        &self,
        argv: &[&str],
        stdin: BorrowedFd<'_>,
        stdout: BorrowedFd<'_>,
        hold: Option<BorrowedFd<'_>>,
    ) -> Result<UnixStream> {
        let record = tempfile::tempfile()?;
        let files = Files {
            streams: [stdin, stdout, stdout],
            hold,
            tie: None,
            record: record.as_fd(),
        };
        let request = self.stage.request(argv);
        self.stage.send(&self.stage.warden, request, &files)
    }

    fn finish(&self) -> Result<()> {
        for unit in ["lonewire-warden.socket", "lonewire-wireguard.socket"] {
            assert_eq!(
                self.system.property(unit, "ActiveState")?,
                "active",
                "{unit}"
            );
        }
        poll(Duration::from_secs(10), || {
            (units(self.system).ok()? == 0).then_some(())
        })
        .context("units stay")?;
        let remove = Request::Remove {
            namespace: self.stage.namespace.clone(),
        };
        ensure!(
            matches!(
                event(&ask(&self.stage.warden, &remove, &[])?)?,
                (Event::Done, _)
            ),
            "not removed"
        );
        Ok(())
    }
}

/// How many instances of the warden systemd knows.
fn units(system: &System) -> Result<usize> {
    let units = [
        "systemctl",
        "--no-legend",
        "--plain",
        "--all",
        "list-units",
        "lonewire-warden@*",
    ];
    Ok(system.check(&units)?.lines().count())
}

#[test]
fn two_hundred_apps_live_at_once_each_with_a_unit_of_its_own() -> Result<()> {
    const APPS: usize = 200;
    let system = System::boot()?;
    system.add_user("anna", 61001, &[])?;
    let anna = system.login("anna", Place::Seat)?;
    let scene = Scene::set(&system, &anna).with_context(|| system.last_words())?;
    let (reader, writer) = pipe()?;
    let apps: Vec<UnixStream> = std::thread::scope(|scope| {
        // Each reads from a pipe that stays empty until its end.
        let launch = || scene.launch(&["/bin/cat"], reader.as_fd());
        let threads: Vec<_> = (0..APPS).map(|_| scope.spawn(launch)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().map_err(|_| anyhow::anyhow!("a panic"))?)
            .collect::<Result<_>>()
    })?;
    assert_eq!(units(&system)?, APPS);
    assert_eq!(
        system.check(&["pgrep", "-c", "-u", "anna", "-x", "cat"])?,
        APPS.to_string()
    );
    drop(writer);
    for app in &apps {
        assert_eq!(wait(app).context("the end")?, Exit::Code(0));
    }
    scene.finish()
}

#[test]
fn a_thousand_launches_in_a_row_are_all_done() -> Result<()> {
    const LAUNCHES: usize = 1000;
    let system = System::boot()?;
    system.add_user("anna", 61001, &[])?;
    let anna = system.login("anna", Place::Seat)?;
    let scene = Scene::set(&system, &anna).with_context(|| system.last_words())?;
    let null = fs::File::open("/dev/null")?;
    let next = AtomicUsize::new(0);
    let began = Instant::now();
    std::thread::scope(|scope| {
        let work = || -> Result<()> {
            while next.fetch_add(1, Ordering::Relaxed) < LAUNCHES {
                let app = scene.launch(&["/bin/true"], null.as_fd())?;
                ensure!(wait(&app)? == Exit::Code(0), "true was not true");
            }
            Ok(())
        };
        let threads: Vec<_> = (0..16).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().map_err(|_| anyhow::anyhow!("a panic"))?)
    })?;
    let took = began.elapsed();
    println!("{LAUNCHES} launches in {:.1} s", took.as_secs_f32());
    assert!(took < Duration::from_secs(20), "{took:?}");
    scene.finish()
}

#[test]
fn a_held_program_goes_into_a_scope_of_its_user_who_is_active_there() -> Result<()> {
    let system = System::boot()?;
    system.add_user("anna", 61001, &[])?;
    let anna = system.login("anna", Place::Seat)?;
    let mut scene = Scene::set(&system, &anna).with_context(|| system.last_words())?;
    scene.stage.bus = bus::rules(names::BUS_NAME, ["org.freedesktop.PolicyKit1"]);
    let null = fs::File::open("/dev/null")?;
    let look = "grep ^0:: /proc/self/cgroup; pkcheck --action-id org.lonewire.helper1.connect-own --process $$; echo $?";
    let argv = ["/bin/sh", "-c", look];

    // Left where it is, a program is in the warden's unit, and polkit takes its user for one without a session.
    let mut out = tempfile::tempfile()?;
    let app = scene.request(&argv, null.as_fd(), out.as_fd(), None)?;
    scene.started(&app)?;
    assert_eq!(wait(&app)?, Exit::Code(0));
    let mut text = String::new();
    out.rewind()?;
    out.read_to_string(&mut text)?;
    assert!(
        text.starts_with("0::/lonewire.slice/lonewire-warden@") && text.ends_with("\n2\n"),
        "{text}"
    );

    // Held, its user has his service manager take it.
    let mut out = tempfile::tempfile()?;
    let (ours, theirs) = pair()?;
    let app = scene.request(&argv, null.as_fd(), out.as_fd(), Some(theirs.as_fd()))?;
    drop(theirs);
    let mut held = [0; 64];
    let (length, _) = rustix::net::recv(&ours, &mut held, RecvFlags::empty())?;
    let held = std::str::from_utf8(held.get(..length).unwrap_or_default())?;
    let pids = held.strip_prefix("held ").context("no pid")?;
    let (pid, proxy) = pids.split_once(' ').context("no proxy")?;
    let manager = [
        "busctl",
        "--user",
        "call",
        "org.freedesktop.systemd1",
        "/org/freedesktop/systemd1",
        "org.freedesktop.systemd1.Manager",
    ];
    let start = [
        "StartTransientUnit",
        "ssa(sv)a(sa(sv))",
        "app-probe-1.scope",
        "fail",
        "2",
        "PIDs",
        "au",
        "2",
        pid,
        proxy,
        "Slice",
        "s",
        "app.slice",
        "0",
    ];
    anna.check(&[&manager[..], &start].concat())?;
    let scope = "/sys/fs/cgroup/user.slice/user-61001.slice/user@61001.service/app.slice/app-probe-1.scope/cgroup.procs";
    let there = || {
        system.check(&["cat", scope]).ok().filter(|there| {
            [pid, proxy]
                .iter()
                .all(|pid| there.lines().any(|line| line == *pid))
        })
    };
    poll(Duration::from_secs(3), there).context("it is not in its scope")?;
    drop(ours);
    scene.started(&app)?;
    assert_eq!(wait(&app)?, Exit::Code(0));
    let mut text = String::new();
    out.rewind()?;
    out.read_to_string(&mut text)?;
    assert!(
        text.contains("/app.slice/app-probe-1.scope") && text.ends_with("\n0\n"),
        "{text}"
    );
    scene.finish()
}

#[test]
fn the_shipped_data_plane_carries_a_programs_packets() -> Result<()> {
    let system = System::boot()?;
    let vpn = Vpn::start(&system, 1)?;
    system.add_user("anna", 61001, &[])?;
    let anna = system.login("anna", Place::Seat)?;
    let scene = Scene::set(&system, &anna).with_context(|| system.last_words())?;

    // The helper's part of the work, by hand.
    let link = scene.stage.namespace.as_str();
    let plane = Connector::start(&system, names::WIREGUARD_SOCKET)?.connect()?;
    plane.set_read_timeout(Some(PATIENCE))?;
    let order = dataplane::frame(&dataplane::Order::Serve {
        link: scene.stage.namespace.clone(),
        mtu: 1420,
    })?;
    let rights: Vec<_> = scene.tun.iter().map(|file| file.as_fd()).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    ensure!(
        ancillary.push(SendAncillaryMessage::ScmRights(&rights)),
        "no room"
    );
    sendmsg(
        &plane,
        &[IoSlice::new(&order)],
        &mut ancillary,
        SendFlags::NOSIGNAL,
    )?;
    let mut length = [0];
    (&plane)
        .read_exact(&mut length)
        .with_context(|| system.last_words())?;
    let mut body = vec![0; length[0].into()];
    (&plane).read_exact(&mut body)?;
    let serving: dataplane::Serving = dataplane::unframe(&body)?;
    let file = system.root().join("run/client.conf");
    let config = vpn.config(0)?;
    let plain: Vec<_> = config
        .lines()
        .filter(|line| !line.starts_with("Address") && !line.starts_with("DNS"))
        .collect();
    fs::write(&file, plain.join("\n"))?;
    let script = format!(
        "wg setconf {link} /run/client.conf
         ip -n {link} addr add {}/32 dev {link}; ip -n {link} link set {link} mtu 1420 up; ip -n {link} route add default dev {link}",
        vpn.address(0)?
    );
    system.check(&["sh", "-euc", &script])?;

    // A program that only knows a name gets an answer through the tunnel; the server saw the tunnel's address.
    let null = fs::File::open("/dev/null")?;
    let fetch = || -> Result<String> {
        let mut out = tempfile::tempfile()?;
        let url = format!("http://{NAME}/");
        let app = scene.request(
            &["/usr/bin/curl", "-sS", "--max-time", "4", &url],
            null.as_fd(),
            out.as_fd(),
            None,
        )?;
        scene.started(&app)?;
        let exit = wait(&app)?;
        let mut text = String::new();
        out.rewind()?;
        out.read_to_string(&mut text)?;
        ensure!(exit == Exit::Code(0), "{exit:?}: {text}");
        Ok(text)
    };
    let seen = fetch()?;
    assert!(seen.contains(vpn.address(0)?), "{seen}");

    let status = system.check(&["cat", &format!("/proc/{}/status", serving.pid)])?;
    let user = system.check(&["id", "-u", names::WIREGUARD_USER])?;
    for line in [
        format!("Uid:\t{user}\t{user}\t{user}\t{user}"),
        "CapEff:\t0000000000000000".into(),
        "NoNewPrivs:\t1".into(),
        "Seccomp:\t2".into(),
    ] {
        assert!(status.contains(&line), "{line} in {status}");
    }
    // Killed, nothing gets out any more, and link, address and route stay.
    system.check(&["kill", "-KILL", &serving.pid.to_string()])?;
    ensure!((&plane).read(&mut [0])? == 0, "its death is not heard");
    assert!(fetch().is_err());
    let route = system.check(&["ip", "-n", link, "route"])?;
    assert!(route.contains("default dev"), "{route}");
    scene.finish()
}
