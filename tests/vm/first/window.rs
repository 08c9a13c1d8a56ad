//! The window once, where nothing is made for a test but the screen: from its entry in the menu to a browser in the tunnel, with a picture.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use lab::{
    desktop::{
        State, Tree,
        access::{self, Node},
        picture,
    },
    system::{poll, vpn::NAME},
};
use zbus::{Connection, connection};

use crate::Scene;

/// A browser that makes a profile, in emulation.
const SLOW: Duration = Duration::from_mins(5);
/// A program that is busy with its start answers late.
const CALL: Duration = Duration::from_secs(30);
/// Goes out of the machine: `cargo xtask vm` says where to.
const PICTURES: &str = "/var/lib/lonewire-pictures";
const ENTRY: &str = "/usr/share/applications/org.lonewire.Lonewire.desktop";
/// Nothing draws here but the processor, which is emulated: GTK's way through GL would take it minutes.
const ENVIRONMENT: [&str; 3] = ["DISPLAY=:9", "GSK_RENDERER=cairo", "GTK_A11Y=atspi"];
/// As an administrator sets it up: the page to begin with, and nothing asked.
const POLICY: &str = r#"{ "policies": { "Homepage": { "URL": "PAGE", "StartPage": "homepage" },
    "OverrideFirstRunPage": "", "DontCheckDefaultBrowser": true, "DisableTelemetry": true } }"#;

/// A screen in anna's session, and what the accessibility bus tells of it.
struct Screen<'a> {
    scene: &'a Scene,
    bus: Connection,
}

impl<'a> Screen<'a> {
    fn start(scene: &'a Scene) -> Result<Self> {
        let service = |name: &str, line: &[&str]| {
            let unit = ["systemd-run", "--user", "--quiet", "--collect", "--unit"];
            let whole = [&unit[..], &[name, "env"], &ENVIRONMENT, line].concat();
            scene.anna.check(&whole).map(drop)
        };
        let screen = [
            "Xvfb",
            ":9",
            "-screen",
            "0",
            "1280x800x24",
            "-nolisten",
            "tcp",
            "-noreset",
        ];
        service("screen", &screen)?;
        poll(SLOW, || {
            Path::new("/tmp/.X11-unix/X9").exists().then_some(())
        })
        .context("no screen")?;
        service("manager", &["openbox"])?;
        // As every desktop does, for what its bus starts.
        let line = ["dbus-update-activation-environment", "--systemd"];
        scene.anna.check(&[&line[..], &ENVIRONMENT].concat())?;
        let ask = ["busctl", "--user", "call", "org.a11y.Bus", "/org/a11y/bus"];
        let said = scene
            .anna
            .check(&[&ask[..], &["org.a11y.Bus", "GetAddress"]].concat())?;
        let address = said.split('"').nth(1).context("no accessibility bus")?;
        let bus = connection::Builder::address(address).method_timeout(CALL);
        let bus = zbus::block_on(bus.build()).with_context(|| address.to_owned())?;
        Ok(Self { scene, bus })
    }

    /// A command on it.
    fn command(&self, line: &[&str]) -> Command {
        let whole = [&["env"], &ENVIRONMENT[..], line].concat();
        self.scene.anna.command(&whole)
    }

    fn run(&self, line: &[&str]) -> Result<String> {
        let whole = [&["env"], &ENVIRONMENT[..], line].concat();
        self.scene.anna.check(&whole)
    }

    fn picture(&self, name: &str) -> Result<()> {
        let target = Path::new(PICTURES).join(format!("{name}.png"));
        picture::take(&target, Duration::from_secs(30), |line| self.command(line))
    }
}

impl Drop for Screen<'_> {
    /// All that is on it goes with it.
    fn drop(&mut self) {
        let line = ["systemctl", "--user", "stop", "screen", "manager"];
        let _ = self.scene.anna.run(&line);
    }
}

/// A program with a window on it.
struct Window<'a> {
    screen: &'a Screen<'a>,
    program: String,
}

impl<'a> Window<'a> {
    /// Does what opens it, and waits for the program that shows a node: others of the desktop's come and go meanwhile.
    fn open(
        screen: &'a Screen<'a>,
        (role, name): (&str, &str),
        opens: impl FnOnce() -> Result<()>,
    ) -> Result<Self> {
        let before = access::programs(&screen.bus)?;
        opens()?;
        let shows = |program: &String| {
            let tree = Tree::of(&screen.bus, program);
            tree.is_ok_and(|tree| tree.find(role, name).is_some())
        };
        let there = || {
            let now = access::programs(&screen.bus).ok()?;
            let mut new = now.into_iter().filter(|name| !before.contains(name));
            new.find(shows)
        };
        let program = poll(SLOW, there).with_context(|| {
            let picture = screen.picture("failed");
            let words = screen.scene.system.last_words();
            format!("nobody shows a {role} “{name}”; picture: {picture:?}; {words}")
        })?;
        Ok(Self { screen, program })
    }

    /// Waits for a node that can be used.
    fn find(&self, role: &str, name: &str) -> Result<(Tree, Node)> {
        let mut last = Tree::default();
        let there = || {
            last = Tree::of(&self.screen.bus, &self.program).ok()?;
            let mut nodes = last.all(role, name);
            nodes.find(|node| node.is(State::Sensitive)).cloned()
        };
        match poll(SLOW, there) {
            Some(node) => Ok((last, node)),
            None => {
                let picture = self.screen.picture("failed");
                bail!("no {role} “{name}”; picture: {picture:?}\n{last}")
            }
        }
    }

    fn click(&self, role: &str, name: &str) -> Result<()> {
        let (tree, node) = self.find(role, name)?;
        ensure!(
            access::click(&self.screen.bus, &tree, &node)?,
            "{node} does nothing"
        );
        Ok(())
    }

    /// Clicks with the mouse: for what has no action.
    fn point(&self, role: &str, name: &str) -> Result<()> {
        let (_, node) = self.find(role, name)?;
        let (left, top, width, height) = access::extents(&self.screen.bus, &node.place)?;
        let (x, y) = (left + width / 2, top + height / 2);
        let window = self.screen.run(&["xdotool", "getactivewindow"])?;
        let (x, y) = (x.to_string(), y.to_string());
        let to = ["xdotool", "mousemove", "--window", &window, &x, &y];
        self.screen.run(&[&to[..], &["click", "1"]].concat())?;
        Ok(())
    }
}

#[test]
fn from_the_menu_to_a_browser_in_the_tunnel() -> Result<()> {
    let scene = Scene::get()?;
    scene.install("/payload/new/lonewire-gtk_*.deb")?;
    scene.down()?;
    let page = format!("http://{NAME}/browser");
    fs::create_dir_all("/etc/firefox/policies")?;
    fs::write(
        "/etc/firefox/policies/policies.json",
        POLICY.replace("PAGE", &page),
    )?;

    let screen = Screen::start(scene)?;
    let window = Window::open(&screen, ("list item", "demo, Off"), || {
        // It writes to where this does, for as long as it is there.
        let mut menu = screen.command(&["gio", "launch", ENTRY]);
        menu.stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        ensure!(menu.status()?.success(), "{ENTRY}");
        Ok(())
    })?;
    window.click("check box", "Tunnel")?;
    window.find("list item", "demo, Protected")?;
    screen.picture("protected")?;
    window.click("button", "*Run App…")?;
    window.point("list item", "Firefox ESR*")?;
    window.find("list item", "demo, Protected · 1 app")?;
    window.find("button", "Stop Firefox ESR")?;

    // It got its page, which is only there, from where only the tunnel leads; what it asks for next, once it shows the page, is an icon.
    let address = scene.vpn.address(0)?;
    let log = || fs::read_to_string("/run/vpn-web.log").unwrap_or_default();
    for path in ["browser", "favicon.ico"] {
        let wanted = format!("{NAME}/{path}");
        let is_it = |line: &str| line.contains(&wanted) && line.contains(address);
        let got = || log().lines().any(is_it).then_some(());
        poll(SLOW, got).with_context(log)?;
    }
    screen.picture("firefox")?;

    let tunnel = fs::metadata(Path::new("/run/netns").join(scene.link()?))?.ino();
    let pids = scene.sh("pgrep -u anna -f /usr/lib/firefox-esr/")?;
    let mut inside = 0;
    for pid in pids.lines() {
        let of = fs::metadata(format!("/proc/{pid}/ns/net"))?.ino();
        inside += usize::from(of == tunnel);
        // Processes of its sandbox have networks of their own, without any link.
        let links = fs::read_to_string(format!("/proc/{pid}/net/dev"))?;
        ensure!(of == tunnel || links.lines().count() == 3, "{pid}: {links}");
    }
    ensure!(inside > 0, "no browser: {pids}");
    window.click("button", "Stop Firefox ESR")?;
    drop(screen);
    // The rest is about the other package alone.
    scene.sh("apt-get --quiet=2 --yes remove lonewire-gtk")?;
    scene.down()
}
