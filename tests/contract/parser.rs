//! The configuration parser under bad input of full size: it answers, in time, and without a word of what could be a key.
//! Time is the thread's own on the processor: the machine may be busy with other tests.

use std::{fmt::Write as _, time::Duration};

use lonewire_core::wgconf::{self, Keys, MAX_BYTES, MAX_ERRORS, ParseError, Parsed};
use proptest::{prelude::*, test_runner::TestRunner};
use rustix::time::{ClockId, clock_gettime};

/// SECURITY T20. Held in a build without optimisation, too.
const LIMIT: Duration = Duration::from_millis(50);

const PRIVATE: &str = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=";

fn timed(text: &[u8]) -> (Result<Parsed, Vec<ParseError>>, Duration) {
    let now = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        Duration::new(
            time.tv_sec.unsigned_abs(),
            u32::try_from(time.tv_nsec).unwrap_or_default(),
        )
    };
    let start = now();
    let answer = wgconf::parse(text);
    (answer, now().saturating_sub(start))
}

fn check(name: &str, text: &[u8]) {
    let (answer, time) = timed(text);
    assert!(time < LIMIT, "{name}: {time:?}");
    match answer {
        Ok(parsed) => {
            let written = wgconf::to_text(&parsed.config, Keys::Included);
            assert!(written.len() <= MAX_BYTES, "{name}");
            assert_eq!(
                wgconf::parse(written.as_bytes()).map(|again| again.config),
                Ok(parsed.config),
                "{name}"
            );
        }
        Err(errors) => {
            assert!(
                (1..=MAX_ERRORS).contains(&errors.len()),
                "{name}: {}",
                errors.len()
            );
            for error in errors {
                let told = format!("{error} {error:?}");
                assert!(told.len() < 2000, "{name}: {told}");
                assert!(!told.contains(&PRIVATE[..12]), "{name}");
                assert!(!error.to_string().contains(char::is_control), "{name}");
            }
        }
    }
}

fn filled(piece: impl Fn(usize) -> String) -> Vec<u8> {
    let mut text = format!("[Interface]\nPrivateKey = {PRIVATE}\n");
    for number in 0.. {
        let piece = piece(number);
        if text.len() + piece.len() > MAX_BYTES {
            break;
        }
        text.push_str(&piece);
    }
    text.into_bytes()
}

/// Lines of nearly the greatest length, made of numbered pieces.
fn long_lines(key: &str, piece: impl Fn(usize) -> String) -> Vec<u8> {
    filled(|line| {
        let mut text = format!("{key}=");
        for number in line * 2000.. {
            let piece = piece(number);
            if text.len() + piece.len() > 4000 {
                break;
            }
            let _ = write!(text, "{piece}");
        }
        text + "\n"
    })
}

#[test]
fn the_worst_texts_of_full_size_are_answered_in_time() {
    let key = |number: usize| {
        let mut bytes = [7; 32];
        bytes[..8].copy_from_slice(&number.to_le_bytes());
        base64::Engine::encode(&base64::engine::general_purpose::STANDARD, bytes)
    };
    let texts: Vec<(&str, Vec<u8>)> = vec![
        ("nothing", vec![]),
        ("zeros", vec![0; MAX_BYTES]),
        ("ones", vec![0xff; MAX_BYTES]),
        ("line ends", vec![b'\n'; MAX_BYTES]),
        ("carriage returns", vec![b'\r'; MAX_BYTES]),
        ("spaces", vec![b' '; MAX_BYTES]),
        ("one line", filled(|_| "x".into())),
        ("equals", filled(|_| "=\n".into())),
        ("brackets", filled(|_| "[\n".into())),
        ("comments", filled(|_| "#\n".into())),
        ("interfaces", filled(|_| "[Interface]\n".into())),
        ("peers", filled(|_| "[Peer]\n".into())),
        (
            "peers with keys",
            filled(|n| format!("[Peer]\nPublicKey={}\n", key(n + 1))),
        ),
        (
            "one peer again and again",
            filled(|_| format!("[Peer]\nPublicKey={}\nAllowedIPs=1::\n", key(1))),
        ),
        (
            "keys again and again",
            filled(|_| format!("PrivateKey={PRIVATE}\n")),
        ),
        ("hooks", filled(|_| "PostUp=x\n".into())),
        ("AmneziaWG", filled(|_| "Jc=1\n".into())),
        ("commas", long_lines("DNS", |_| ",".into())),
        ("search domains", long_lines("DNS", |n| format!("a{n:x},"))),
        (
            "servers",
            long_lines("DNS", |n| format!("10.0.{}.{},", n / 256 % 256, n % 256)),
        ),
        (
            "addresses",
            long_lines("Address", |n| {
                format!("10.0.{}.{},", n / 256 % 256, n % 256)
            }),
        ),
        (
            "ranges outside a peer",
            long_lines("AllowedIPs", |n| format!("{:x}::,", n % 65536)),
        ),
        ("bad ranges", {
            let mut text = filled(|_| "[Peer]\n".into());
            text.truncate(80);
            text.extend(long_lines("AllowedIPs", |_| "x,".into()));
            text.truncate(MAX_BYTES);
            text
        }),
        ("ranges", {
            let body = long_lines("AllowedIPs", |n| format!("{:x}::,", n % 65536));
            let mut text = format!("[Peer]\nPublicKey={}\n", key(1)).into_bytes();
            text.extend(
                body.strip_prefix(format!("[Interface]\nPrivateKey = {PRIVATE}\n").as_bytes())
                    .unwrap(),
            );
            text.truncate(MAX_BYTES);
            text
        }),
        (
            "64 full peers",
            filled(|n| {
                let ranges: String = (0..230).map(|i| format!("{i:x}::,")).collect();
                format!("[Peer]\nPublicKey={}\nAllowedIPs={ranges}\n", key(n + 1))
            }),
        ),
        (
            "one peer in full sections",
            filled(|n| {
                let ranges: String = (0..250).map(|i| format!("{n:x}:{i:x}::,")).collect();
                format!("[Peer]\nPublicKey={}\nAllowedIPs={ranges}\n", key(1))
            }),
        ),
        ("one byte too many", vec![b'\n'; MAX_BYTES + 1]),
        ("very much too many", vec![b'a'; 64 * MAX_BYTES]),
    ];
    for (name, text) in texts {
        check(name, &text);
    }
}

#[test]
fn broken_copies_of_a_good_text_are_answered_in_time() {
    let good = filled(|n| {
        format!(
            "[Peer]\nPublicKey = {PRIVATE}\nPresharedKey = {PRIVATE}\nEndpoint = vpn{n}.example:51820\nAllowedIPs = 10.{}.0.0/16, fd00:{n:x}::/32\nPersistentKeepalive = 25\n",
            n % 256
        )
    });
    // Cut out a piece, put in others: what breaks parsers.
    let edits = proptest::collection::vec(
        (
            any::<prop::sample::Index>(),
            0_usize..40,
            prop_oneof![
                any::<[u8; 2]>().prop_map(Vec::from),
                "[\\[\\]=,#\\n:/]{0,4}".prop_map(String::into_bytes)
            ],
        ),
        1..30,
    );
    let mut runner = TestRunner::new(ProptestConfig {
        cases: 200,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    runner
        .run(&edits, |edits| {
            let mut text = good.clone();
            for (place, length, piece) in edits {
                let start = place.index(text.len());
                let end = (start + length).min(text.len());
                text.splice(start..end, piece);
            }
            check("a broken copy", &text);
            Ok(())
        })
        .unwrap();
}

#[test]
fn any_bytes_are_answered_in_time() {
    let mut runner = TestRunner::new(ProptestConfig {
        cases: 60,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let strategy = (
        proptest::collection::vec(any::<u8>(), 64),
        any::<prop::sample::Index>(),
    );
    runner
        .run(&strategy, |(pattern, length)| {
            let length = length.index(MAX_BYTES + 2);
            let bytes: Vec<u8> = pattern.iter().copied().cycle().take(length).collect();
            check("any bytes", &bytes);
            let printable: Vec<u8> = bytes
                .iter()
                .map(|byte| b"\n =[]#,./:aAkKIP019+"[usize::from(byte % 20)])
                .collect();
            check("any printable bytes", &printable);
            Ok(())
        })
        .unwrap();
}
