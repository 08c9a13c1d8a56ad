//! The warden asked as the helper asks it, without a helper: requests, events, and a world in which it is alone.

use std::{
    fs::{self, File},
    io::{IoSlice, IoSliceMut, Read as _, Seek as _},
    mem::MaybeUninit,
    ops::{Deref, DerefMut},
    os::{
        fd::{AsFd as _, BorrowedFd, OwnedFd},
        unix::net::{UnixListener, UnixStream},
    },
    path::PathBuf,
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use lonewire_api::names;
use lonewire_core::{
    launch::{self, Event, Exit, Launch, REQUEST, Request, Survey, User},
    name::LinkName,
};
use rustix::{
    fs::{MemfdFlags, SealFlags},
    net::{
        AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
    },
};

use crate::{
    ALICE, Running, Spec, World,
    init::{ROLES, UNITS},
    programs,
    system::connector::Connector,
    world::{READY, until},
};

/// As long as any answer may take with hundreds of requests before it.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Where the warden's program lies in a world.
pub const PROGRAM: &str = "/usr/libexec/lonewire/lonewire-warden";

/// Sends a request as the helper does.
///
/// # Errors
/// Nobody listens.
pub fn ask(warden: &Connector, request: &Request, files: &[BorrowedFd<'_>]) -> Result<UnixStream> {
    let memfd =
        rustix::fs::memfd_create("request", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let text = launch::encode(request)?;
    ensure!(
        rustix::io::write(&memfd, &text)? == text.len(),
        "a short write"
    );
    rustix::fs::fcntl_add_seals(
        &memfd,
        SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE,
    )?;
    let connection = warden.connect()?;
    connection.set_read_timeout(Some(PATIENCE))?;
    let mut rights = vec![memfd.as_fd()];
    rights.extend(files);
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(8))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    ensure!(
        ancillary.push(SendAncillaryMessage::ScmRights(&rights)),
        "no room for descriptors"
    );
    // One that could not even begin has closed its end: its answer says so.
    match sendmsg(
        &connection,
        &[IoSlice::new(&[REQUEST])],
        &mut ancillary,
        SendFlags::NOSIGNAL,
    ) {
        Ok(_) | Err(rustix::io::Errno::PIPE) => Ok(connection),
        Err(error) => Err(error.into()),
    }
}

/// The next event and what came with it.
///
/// # Errors
/// The warden hung up.
pub fn event(mut connection: &UnixStream) -> Result<(Event, Vec<OwnedFd>)> {
    let mut head = [0; 4];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(8))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let got = recvmsg(
        connection,
        &mut [IoSliceMut::new(&mut head)],
        &mut ancillary,
        RecvFlags::CMSG_CLOEXEC,
    )?
    .bytes;
    ensure!(got == head.len(), "the warden hung up");
    let mut files = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            files.extend(rights);
        }
    }
    let mut body = vec![0; u32::from_le_bytes(head) as usize];
    connection.read_exact(&mut body)?;
    Ok((launch::decode(&body)?, files))
}

/// Reads on until the app has ended: how its first process did.
///
/// # Errors
/// It is told anything else but its end.
pub fn wait(connection: &UnixStream) -> Result<Exit> {
    let mut exit = None;
    loop {
        match event(connection)?.0 {
            Event::Exited(how) => exit = Some(how),
            Event::Ended => return exit.context("ended without an exit"),
            other => bail!("{other:?}"),
        }
    }
}

/// Two ends that keep messages apart, as `hold` and `tie` are.
///
/// # Errors
/// No descriptors left.
pub fn pair() -> Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )?)
}

/// The next message of a pair's other end; `None` at its end.
///
/// # Errors
/// None comes in time.
pub fn message(end: &OwnedFd) -> Result<Option<String>> {
    rustix::net::sockopt::set_socket_timeout(
        end,
        rustix::net::sockopt::Timeout::Recv,
        Some(READY),
    )?;
    let mut text = [0; 256];
    let (length, _) = rustix::net::recv(end, &mut text, RecvFlags::empty())?;
    let text = text.get(..length).filter(|text| !text.is_empty());
    Ok(text.map(|text| String::from_utf8_lossy(text).into_owned()))
}

/// What a launch goes with.
#[derive(Debug)]
pub struct Files<'a> {
    pub streams: [BorrowedFd<'a>; 3],
    pub hold: Option<BorrowedFd<'a>>,
    pub tie: Option<BorrowedFd<'a>>,
    pub record: BorrowedFd<'a>,
}

/// What came of a launch.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It ran: how it ended, and what it wrote to its standard output and error.
    Ran(Exit, String),
    /// It did not: where, and errno(3).
    Refused(launch::Stage, i32),
    /// The warden ended without an answer: before it had looked at the request.
    HungUp,
}

/// A namespace that holds a TUN, a user with a process of hers, and a warden to ask: what a launch needs.
#[derive(Debug)]
pub struct Stage {
    /// Rules of the proxy before the system bus: none, unless a test sets some.
    pub bus: Vec<String>,
    pub warden: Connector,
    pub namespace: LinkName,
    pub inode: u64,
    pub user: User,
    /// As the warden numbers it.
    pub caller: i32,
    /// Where a restarted helper would connect.
    pub keeper: UnixListener,
    runtime: PathBuf,
}

impl Stage {
    /// Also gives the TUN and its control socket. It is persistent: nobody has to hold it. `runtime` is the helper's `/run/lonewire`, as this process reaches it.
    ///
    /// # Errors
    /// The warden does not do as it is asked.
    pub fn set(
        warden: Connector,
        runtime: PathBuf,
        user: User,
        caller: i32,
    ) -> Result<(Self, Vec<OwnedFd>)> {
        let namespace = LinkName::from_random([1, 2, 3, 4, 5, 6]);
        let create = Request::Create {
            namespace: namespace.clone(),
        };
        let (Event::Namespace(Survey { inode, .. }), _) = event(&ask(&warden, &create, &[])?)?
        else {
            bail!("no namespace")
        };
        let open = Request::OpenTun {
            namespace: namespace.clone(),
            link: namespace.clone(),
        };
        let (Event::Tun, tun) = event(&ask(&warden, &open, &[])?)? else {
            bail!("no TUN")
        };
        let stage = Self {
            bus: Vec::new(),
            warden,
            namespace,
            inode,
            user,
            caller,
            keeper: UnixListener::bind(runtime.join("keeper.sock"))?,
            runtime,
        };
        stage.write_dns()?;
        Ok((stage, tun))
    }

    /// The resolver files, as the helper writes them.
    ///
    /// # Errors
    /// They cannot be written.
    pub fn write_dns(&self) -> Result<()> {
        let folder = self.dns();
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("resolv.conf"), "nameserver 10.77.0.1\n")?;
        Ok(fs::write(folder.join("hosts"), "127.0.0.1 localhost\n")?)
    }

    /// Their folder, as this process reaches it.
    pub fn dns(&self) -> PathBuf {
        self.runtime.join("dns").join(self.namespace.as_str())
    }

    /// A request to start a program, as the helper makes it.
    pub fn request(&self, argv: &[&str]) -> Launch {
        let argv: Vec<Vec<u8>> = argv.iter().map(|word| word.as_bytes().to_vec()).collect();
        Launch {
            namespace: self.namespace.clone(),
            link: self.namespace.clone(),
            namespace_inode: self.inode,
            caller_pid: self.caller,
            user: self.user.clone(),
            program: argv.first().cloned().unwrap_or_default(),
            argv,
            environment: vec![b"PATH=/usr/bin:/bin".to_vec()],
            cwd: b"/".to_vec(),
            umask: 0o022,
            pty: false,
            allow_new_privileges: false,
            hold: false,
            tie: false,
            bus: self.bus.clone(),
        }
    }

    /// Sends a launch.
    ///
    /// # Errors
    /// Nobody listens.
    pub fn send(
        &self,
        warden: &Connector,
        request: Launch,
        files: &Files<'_>,
    ) -> Result<UnixStream> {
        let request = Launch {
            hold: files.hold.is_some(),
            tie: files.tie.is_some(),
            ..request
        };
        let mut all = files.streams.to_vec();
        all.extend([files.record, self.keeper.as_fd()]);
        all.extend(files.hold.iter().chain(&files.tie));
        ask(warden, &Request::Launch(Box::new(request)), &all)
    }
}

/// A world with no more of the product than a warden, and the stage for it.
#[derive(Debug)]
pub struct Alone {
    pub world: World,
    stage: Stage,
    _sleeper: Running,
}

impl Deref for Alone {
    type Target = Stage;

    fn deref(&self) -> &Stage {
        &self.stage
    }
}

impl DerefMut for Alone {
    fn deref_mut(&mut self) -> &mut Stage {
        &mut self.stage
    }
}

impl Alone {
    /// # Errors
    /// Not root, programs not built, or the warden does not do as it is asked.
    pub fn new() -> Result<Self> {
        let spec = Spec {
            servers: 0,
            ..Spec::networks()
        };
        let mut world = World::with_programs(spec, &programs::built()?)?;
        let warden = wrapped(&mut world, "warden", &[])?;
        let (sleeper, caller) = caller(&world, "sleep", &["sleep", "600"])?;
        let groups = ALICE.groups.iter().map(|(_, group)| *group);
        let user = User {
            uid: ALICE.uid,
            gid: ALICE.gid,
            groups: groups.chain([ALICE.gid]).collect(),
            name: ALICE.name.into(),
            home: ALICE.home.into(),
            shell: ALICE.shell.into(),
        };
        let (stage, _) = Stage::set(warden, world.path("/run/lonewire"), user, caller)?;
        Ok(Self {
            world,
            stage,
            _sleeper: sleeper,
        })
    }

    /// Launches, and waits for the end.
    ///
    /// # Errors
    /// The warden does not answer as it should.
    pub fn run(&self, warden: &Connector, request: Launch) -> Result<Outcome> {
        let (null, mut out, record) = (
            File::open("/dev/null")?,
            tempfile::tempfile()?,
            tempfile::tempfile()?,
        );
        let files = Files {
            streams: [null.as_fd(), out.as_fd(), out.as_fd()],
            hold: None,
            tie: None,
            record: record.as_fd(),
        };
        let connection = self.send(warden, request, &files)?;
        match event(&connection) {
            Ok((Event::Failed { stage, errno }, _)) => Ok(Outcome::Refused(stage, errno)),
            Ok((Event::Started { .. }, _)) => {
                let exit = wait(&connection)?;
                let mut text = String::new();
                out.rewind()?;
                out.read_to_string(&mut text)?;
                Ok(Outcome::Ran(exit, text))
            }
            Ok((other, _)) => bail!("{other:?}"),
            // Silence is no end.
            Err(error) if error.downcast_ref() == Some(&rustix::io::Errno::AGAIN) => Err(error),
            Err(_) => Ok(Outcome::HungUp),
        }
    }

    /// The output of a program that has to end well.
    ///
    /// # Errors
    /// It does not.
    pub fn output(&self, request: Launch) -> Result<String> {
        match self.run(&self.warden, request)? {
            Outcome::Ran(Exit::Code(0), text) => Ok(text.trim().to_owned()),
            other => bail!("{other:?}: {}", self.world.log("warden")),
        }
    }
}

/// A process of the user's, once it has this name, and its number in the world.
///
/// # Errors
/// It does not start.
pub fn caller(world: &World, name: &str, line: &[&str]) -> Result<(Running, i32)> {
    let sleeper = world.spawn_as(&ALICE, line)?;
    let status = format!("/proc/{}/status", sleeper.pid);
    let mut number = 0;
    until(READY, "a process of the user's", || {
        let status = fs::read(&status)?;
        let status = String::from_utf8_lossy(&status);
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
        let pids = field("NSpid:").and_then(|pids| pids.split_whitespace().last());
        number = pids.context("no pid")?.parse()?;
        Ok(field("Name:").is_some_and(|found| found.trim() == name))
    })?;
    Ok((sleeper, number))
}

/// A socket whose wardens are started by other words: `strace`, `nice`…
///
/// # Errors
/// It cannot listen.
pub fn wrapped(world: &mut World, name: &str, by: &[&str]) -> Result<Connector> {
    let socket = match name {
        "warden" => names::WARDEN_SOCKET.to_owned(),
        _ => format!("/run/lonewire/{name}.sock"),
    };
    let unit = format!("{UNITS}/lonewire-warden@.service");
    let mut line = vec!["activate", &socket, &unit];
    if !by.is_empty() {
        // Another program than the unit's has its connection as standard input.
        line.extend(["--", "sh", "-c", "exec \"$@\" 3<&0 < /dev/null", "sh"]);
        line.extend(by);
        line.push(PROGRAM);
    }
    world.role(name, "host", &line)?;
    Connector::with(world.command("host", None, &[ROLES, "role", "connect", &socket])?)
}

/// A command among the mounts of a process, as root in a world.
pub fn beside(pid: i32, line: &[&str]) -> Command {
    let mut command = Command::new("nsenter");
    let target = pid.to_string();
    command.args(["--target", &target, "--mount", "--pid", "--net", "--"]);
    command
        .env_clear()
        .env("PATH", crate::world::PATH)
        .args(line);
    command
}
