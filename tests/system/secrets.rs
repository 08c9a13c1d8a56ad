//! Ring system: private keys stay where they belong, with everything logged that can be.

use anyhow::Result;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use lab::system::{Place, System, vpn::Vpn};

#[test]
fn the_journal_holds_no_key_even_when_everything_is_logged() -> Result<()> {
    let system = System::boot()?;
    let drop_in = system
        .root()
        .join("etc/systemd/system/lonewire-helper.service.d");
    std::fs::create_dir_all(&drop_in)?;
    std::fs::write(
        drop_in.join("log.conf"),
        "[Service]\nEnvironment=RUST_LOG=trace\n",
    )?;
    system.check(&["systemctl", "daemon-reload"])?;
    let vpn = Vpn::start(&system, 1)?;
    system.add_user("anna", 61001, &[])?;
    let anna = system.login("anna", Place::Seat)?;
    vpn.import(&anna, 0, "demo")?;
    anna.check(&["lonewire", "up", "demo"])?;
    anna.check(&["lonewire", "run", "-t", "demo", "--", "true"])?;
    anna.check(&["lonewire", "show", "demo"])?;
    // A configuration that is refused: its error may quote no key either.
    let broken = vpn.config(0)?.replace("PrivateKey = ", "PrivateKey = !");
    let path = anna.write("broken.conf", &broken)?;
    let refused = anna.run(&["lonewire", "import", &path])?;
    assert!(!refused.status.success());
    anna.check(&["lonewire", "down", "demo"])?;
    // As it is stored: shown to people, what is not text is left out.
    let line = ["journalctl", "--no-pager", "--boot", "--output=export"];
    let journal = system.run(&line)?.stdout;
    let has = |text: &[u8], part: &[u8]| text.windows(part.len()).any(|found| found == part);
    assert!(
        has(&journal, b"who it is for is known"),
        "the helper did not log all that it can"
    );
    let told = [journal, refused.stdout, refused.stderr].concat();
    for secret in vpn.secrets() {
        let raw = STANDARD.decode(secret)?;
        let hex: String = raw.iter().map(|byte| format!("{byte:02x}")).collect();
        let list = raw.iter().map(u8::to_string).collect::<Vec<_>>().join(", ");
        for form in [secret.as_bytes(), hex.as_bytes(), list.as_bytes(), &raw] {
            assert!(!has(&told, form), "a key was logged");
        }
    }
    Ok(())
}
