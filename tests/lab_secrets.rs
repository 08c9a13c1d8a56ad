//! Ring lab: private and preshared keys stay where they belong.

use anyhow::Result;
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD},
};
use lab::{keys::Pair, secret::Secrets};

/// What is looked for below would be found.
#[test]
fn a_key_is_found_in_every_form_and_nothing_else_is() -> Result<()> {
    let (one, other) = (Pair::new()?, Pair::new()?);
    let secrets = Secrets::new(&[("private", &one.private)])?;
    let raw = STANDARD.decode(&one.private)?;
    let list = |separator: &str, form: &dyn Fn(&u8) -> String| {
        raw.iter().map(form).collect::<Vec<_>>().join(separator)
    };
    let hex = |byte: &u8| format!("{byte:02x}");
    let mut forms: Vec<Vec<u8>> = [
        STANDARD.encode(&raw),
        STANDARD_NO_PAD.encode(&raw),
        URL_SAFE.encode(&raw),
        URL_SAFE_NO_PAD.encode(&raw),
        // In the middle of something that was encoded as a whole.
        STANDARD.encode([b"x", raw.as_slice(), b"xyz"].concat()),
        STANDARD.encode([b"xy", raw.as_slice(), b"z"].concat()),
        list("", &hex),
        list("", &hex).to_uppercase(),
        list(" ", &hex),
        list(":", &|byte| format!("{byte:02X}")),
        list(", ", &|byte| format!("0x{byte:02x}")),
        format!("{raw:?}"),
        format!("{raw:#?}"),
        list(",", &u8::to_string),
        list(" ", &u8::to_string),
        list("", &|byte| format!("BYTE {byte};\n")),
        // A piece of it.
        one.private[..24].into(),
        one.private[20..].into(),
        format!("{:?}", &raw[16..]),
    ]
    .map(String::into_bytes)
    .into();
    forms.push(raw.clone());
    forms.push(raw[..16].to_vec());
    for form in forms {
        let text = [b"before ", form.as_slice(), b" after"].concat();
        let found = secrets.find(&text).unwrap_or_default();
        assert!(
            found.starts_with("private key"),
            "{}",
            String::from_utf8_lossy(&form)
        );
    }
    for innocent in [
        &other.private,
        &other.public,
        &one.public,
        &one.private[..10].to_owned(),
    ] {
        assert_eq!(secrets.find(innocent.as_bytes()), None);
    }
    Ok(())
}
