//! Records every frame of an interface into a pcap file (tcpdump and Wireshark read it), and reads it back. Never filters.

use std::{
    fs::File,
    io::{IoSliceMut, Write as _},
    os::fd::AsRawFd as _,
    path::Path,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};

use crate::packet;

/// Link types in a pcap file: Ethernet, and of a TUN bare packets; the magic number is that of nanoseconds.
const ETHERNET: u32 = 1;
const PACKETS: u32 = 101;
const MAGIC: u32 = 0xa1b2_3c4d;
const SNAP: usize = 256 * 1024;

/// Written in place of a frame where some were lost: no frame has this length.
const LOST: u32 = u32::MAX;

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Captured {
    /// Since 1970, by the kernel's clock.
    pub time: Duration,
    pub bytes: Vec<u8>,
}

/// The role: records until it is killed; `packets` of a link without frames. Prints a line once it listens.
///
/// # Errors
/// The socket or the file fails.
pub fn record(interface: &str, packets: bool, file: &Path) -> Result<()> {
    let packet = packet::open(interface)?;
    let mut out = File::create_new(file).with_context(|| file.display().to_string())?;
    let mut header = Vec::new();
    let link = if packets { PACKETS } else { ETHERNET };
    for word in [MAGIC, 4 << 16 | 2, 0, 0, SNAP as u32, link] {
        header.extend(word.to_le_bytes());
    }
    out.write_all(&header)?;
    println!("listening");
    let mut buffer = vec![0; SNAP];
    let mut control = nix::cmsg_space!(nix::sys::time::TimeSpec);
    loop {
        let (length, time) = {
            let mut parts = [IoSliceMut::new(&mut buffer)];
            let got = recvmsg::<()>(
                packet.as_raw_fd(),
                &mut parts,
                Some(&mut control),
                MsgFlags::empty(),
            );
            let got = match got {
                // The interface went down; it may come up again.
                Err(nix::Error::ENETDOWN | nix::Error::EINTR) => continue,
                other => other?,
            };
            let time = got
                .cmsgs()?
                .find_map(|message| match message {
                    ControlMessageOwned::ScmTimestampns(time) => Some(time),
                    _ => None,
                })
                .context("a frame without a time")?;
            (got.bytes, time)
        };
        let lost = packet::dropped(&packet)?;
        let mut record = Vec::with_capacity(length + 32);
        if lost > 0 {
            for word in [0, 0, 0, LOST] {
                record.extend(word.to_le_bytes());
            }
        }
        for word in [
            time.tv_sec() as u32,
            time.tv_nsec() as u32,
            length as u32,
            length as u32,
        ] {
            record.extend(word.to_le_bytes());
        }
        record.extend(buffer.get(..length).unwrap_or_default());
        // One write a frame: whoever reads the file sees whole records, or the last one cut short.
        out.write_all(&record)?;
    }
}

/// Every whole frame of a file that came after `place`, which moves to the end of the last one; 0 is the beginning.
///
/// # Errors
/// Not such a file; or frames were lost, after which a clean result would prove nothing.
pub fn read_since(file: &Path, place: &mut usize) -> Result<Vec<Captured>> {
    let bytes = std::fs::read(file).with_context(|| file.display().to_string())?;
    let word = |at: usize| {
        bytes
            .get(at..at + 4)
            .and_then(|part| part.try_into().ok())
            .map(u32::from_le_bytes)
    };
    ensure!(word(0) == Some(MAGIC), "{} is no capture", file.display());
    let mut frames = Vec::new();
    let mut at = (*place).max(24);
    while let (Some(seconds), Some(nanos), Some(length), Some(original)) =
        (word(at), word(at + 4), word(at + 8), word(at + 12))
    {
        if original == LOST {
            bail!("{}: frames were lost", file.display());
        }
        let start = at + 16;
        let Some(part) = bytes.get(start..start + length as usize) else {
            break;
        };
        frames.push(Captured {
            time: Duration::new(seconds.into(), nanos),
            bytes: part.to_vec(),
        });
        at = start + length as usize;
    }
    *place = at;
    Ok(frames)
}
