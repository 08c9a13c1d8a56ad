//! What a TUN with `IFF_VNET_HDR` puts before each packet (struct virtio_net_hdr of linux/virtio_net.h): one large segment stands for many packets
//! of a TCP stream, both ways. Pure: bytes in, bytes out.

mod join;
mod split;

pub use join::{head, together};
pub use split::split;

/// Bytes before each packet, in both directions.
pub const HEADER: usize = 10;
/// The largest size of a packet that IP knows.
const PACKET: usize = 65_535;
/// A packet of the largest size, and the header.
pub const LARGEST: usize = HEADER + PACKET;

const NEEDS_CHECKSUM: u8 = 1;
const NO_SEGMENTS: u8 = 0;
const TCP_V4: u8 = 1;
const TCP_V6: u8 = 4;
/// Comes with the two above: congestion is told by the segment.
const ECN: u8 = 0x80;

/// The protocol's number (RFC 9293).
const TCP: u8 = 6;
/// Where TCP's header has its checksum.
const TCP_CHECKSUM: usize = 16;

fn put<const N: usize>(bytes: &mut [u8], at: usize, value: [u8; N]) -> Option<()> {
    bytes
        .get_mut(at..at.checked_add(N)?)?
        .copy_from_slice(&value);
    Some(())
}

/// The sum over the pseudo-header of a TCP segment of that many bytes.
fn pseudo(addresses: &[u8], length: u16) -> u64 {
    sum(addresses)
        + u64::from(u16::from_ne_bytes(length.to_be_bytes()))
        + u64::from(u16::from_ne_bytes([0, TCP]))
}

/// The Internet checksum's sum (RFC 1071), not yet folded, in the machine's order of bytes: it does not matter which. Of several pieces all but the
/// last are of even length.
fn sum(bytes: &[u8]) -> u64 {
    let mut words = bytes.chunks_exact(4);
    let mut sum: u64 = words
        .by_ref()
        .map(|word| u64::from(u32::from_ne_bytes([word[0], word[1], word[2], word[3]])))
        .sum();
    let mut rest = [0; 4];
    for (to, from) in rest.iter_mut().zip(words.remainder()) {
        *to = *from;
    }
    sum += u64::from(u32::from_ne_bytes(rest));
    sum
}

fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    // It has no more than 16 bits now.
    u16::try_from(sum).unwrap_or(u16::MAX)
}
