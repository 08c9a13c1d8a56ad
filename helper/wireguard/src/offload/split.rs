//! Making of one large segment the packets that go over the wire. Whatever does not add up gives no packet at all.

use super::{
    ECN, HEADER, NEEDS_CHECKSUM, NO_SEGMENTS, TCP_CHECKSUM, TCP_V4, TCP_V6, fold, pseudo, put, sum,
};

const FIN_PSH: u8 = 0x09;
const CWR: u8 = 0x80;

/// Splits what was read into packets, each given to `each` in the order in which it is to be sent. `None` for what makes no sense.
pub fn split(read: &mut [u8], each: &mut impl FnMut(&[u8], &[u8])) -> Option<()> {
    let (header, packet) = read.split_first_chunk_mut::<HEADER>()?;
    let number = |at: usize| usize::from(u16::from_ne_bytes([header[at], header[at + 1]]));
    let (flags, kind) = (header[0], header[1] & !ECN);
    let (segment, start, offset) = (number(4), number(6), number(8));
    if kind == NO_SEGMENTS {
        if flags & NEEDS_CHECKSUM != 0 {
            complete(packet, start, offset)?;
        }
        each(packet, &[]);
        return Some(());
    }
    let is_v6 = match (kind, packet.first()? >> 4) {
        (TCP_V4, 4) => false,
        (TCP_V6, 6) => true,
        _ => return None,
    };
    segments(packet, is_v6, start, segment, each)
}

/// Writes the checksum of which the kernel has left only the beginning in its place.
fn complete(packet: &mut [u8], start: usize, offset: usize) -> Option<()> {
    let at = start.checked_add(offset)?;
    let sum = fold(sum(packet.get(start..)?));
    // A sum of 0 means none in UDP; both are the same number.
    let value = if sum == 0xffff { sum } else { !sum };
    put(packet, at, value.to_ne_bytes())
}

/// RFC 9293 and RFC 791: each segment is a packet of its own, with the headers of the first.
fn segments(
    packet: &[u8],
    is_v6: bool,
    tcp: usize,
    size: usize,
    each: &mut impl FnMut(&[u8], &[u8]),
) -> Option<()> {
    let length = tcp + usize::from(packet.get(tcp + 12)? >> 4) * 4;
    let least_ip = if is_v6 { 40 } else { 20 };
    if tcp < least_ip || length < tcp + 20 || size == 0 {
        return None;
    }
    let mut headers = [0_u8; 256];
    let headers = headers.get_mut(..length)?;
    let (first, payload) = packet.split_at_checked(length)?;
    let addresses = if is_v6 {
        first.get(8..40)?
    } else {
        first.get(12..20)?
    };
    let first_id = u16::from_be_bytes([first[4], first[5]]);
    let first_number = u32::from_be_bytes(first.get(tcp + 4..tcp + 8)?.try_into().ok()?);
    let last = payload.chunks(size).count().checked_sub(1)?;
    for (index, chunk) in payload.chunks(size).enumerate() {
        headers.copy_from_slice(first);
        let whole = u16::try_from(length + chunk.len()).ok()?;
        if is_v6 {
            put(headers, 4, (whole - 40).to_be_bytes())?;
        } else {
            put(headers, 2, whole.to_be_bytes())?;
            let id = first_id.wrapping_add(u16::try_from(index).ok()?);
            put(headers, 4, id.to_be_bytes())?;
            put(headers, 10, [0, 0])?;
            let check = !fold(sum(headers.get(..tcp)?));
            put(headers, 10, check.to_ne_bytes())?;
        }
        let number = first_number.wrapping_add(u32::try_from(index * size).ok()?);
        put(headers, tcp + 4, number.to_be_bytes())?;
        let flags = headers.get_mut(tcp + 13)?;
        if index != last {
            *flags &= !FIN_PSH;
        }
        if index != 0 {
            *flags &= !CWR;
        }
        put(headers, tcp + TCP_CHECKSUM, [0, 0])?;
        let tail = u16::try_from(length - tcp + chunk.len()).ok()?;
        let whole = pseudo(addresses, tail) + sum(headers.get(tcp..)?) + sum(chunk);
        put(headers, tcp + TCP_CHECKSUM, (!fold(whole)).to_ne_bytes())?;
        each(headers, chunk);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(kind: u8, segment: u16, start: u16, packet: &[u8]) -> Vec<u8> {
        let mut bytes = vec![NEEDS_CHECKSUM, kind, 0, 0];
        for number in [segment, start, 16] {
            bytes.extend(number.to_ne_bytes());
        }
        bytes.extend(packet);
        bytes
    }

    fn tcp(flags: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0x12, 0x34, 0, 80];
        bytes.extend(0xffff_ff00_u32.to_be_bytes());
        bytes.extend(7_u32.to_be_bytes());
        // 24 bytes: an option of four.
        bytes.extend([0x60, flags, 1, 0, 0, 0, 0, 0, 1, 1, 1, 0]);
        bytes.extend(payload);
        bytes
    }

    fn v4(flags: u8, payload: &[u8]) -> Vec<u8> {
        let segment = tcp(flags, payload);
        let mut bytes = vec![0x45, 0];
        bytes.extend(u16::try_from(20 + segment.len()).unwrap().to_be_bytes());
        bytes.extend([0xff, 0xff, 0x40, 0, 64, 6, 0, 0, 10, 66, 0, 2, 10, 66, 0, 1]);
        bytes.extend(segment);
        bytes
    }

    fn v6(flags: u8, payload: &[u8]) -> Vec<u8> {
        let segment = tcp(flags, payload);
        let mut bytes = vec![0x60, 0, 0, 0];
        bytes.extend(u16::try_from(segment.len()).unwrap().to_be_bytes());
        bytes.extend([6, 64]);
        bytes.extend([0xfd; 32]);
        bytes.extend(segment);
        bytes
    }

    fn all(mut read: Vec<u8>) -> Option<Vec<Vec<u8>>> {
        let mut packets = Vec::new();
        split(&mut read, &mut |head, tail| {
            packets.push([head, tail].concat())
        })?;
        Some(packets)
    }

    /// Sum over pseudo-header and segment of a packet whose checksum is right is all ones.
    fn tcp_is_right(packet: &[u8], is_v6: bool) -> bool {
        let (addresses, segment) = if is_v6 {
            (&packet[8..40], &packet[40..])
        } else {
            (&packet[12..20], &packet[20..])
        };
        let length = u32::try_from(segment.len()).unwrap();
        let pseudo = [addresses, &length.to_be_bytes(), &[0, 0, 0, 6]].concat();
        fold(sum(&pseudo) + sum(segment)) == 0xffff
    }

    #[test]
    fn a_large_segment_becomes_packets_that_a_receiver_puts_together_again() {
        let payload: Vec<u8> = (0..3001_u32).map(|i| i.to_le_bytes()[0]).collect();
        for is_v6 in [false, true] {
            let (kind, start) = if is_v6 { (TCP_V6, 40) } else { (TCP_V4, 20) };
            let packet = if is_v6 {
                v6(0x99, &payload)
            } else {
                v4(0x99, &payload)
            };
            let packets = all(read(kind | ECN, 1000, start, &packet)).unwrap();
            let start = usize::from(start);
            assert_eq!(packets.len(), 4);
            let mut together: Vec<u8> = Vec::new();
            for (index, packet) in packets.iter().enumerate() {
                assert!(tcp_is_right(packet, is_v6), "{index}");
                let told = if is_v6 {
                    40 + u16::from_be_bytes([packet[4], packet[5]])
                } else {
                    assert_eq!(fold(sum(&packet[..20])), 0xffff, "{index}");
                    let id = u16::from_be_bytes([packet[4], packet[5]]);
                    assert_eq!(id, 0xffff_u16.wrapping_add(u16::try_from(index).unwrap()));
                    u16::from_be_bytes([packet[2], packet[3]])
                };
                assert_eq!(usize::from(told), packet.len());
                let number = u32::from_be_bytes(packet[start + 4..start + 8].try_into().unwrap());
                assert_eq!(
                    number,
                    0xffff_ff00_u32.wrapping_add(u32::try_from(index * 1000).unwrap())
                );
                // ACK stays; CWR is the first one's, FIN and PSH the last one's.
                let flags = [0x90, 0x10, 0x10, 0x19][index];
                assert_eq!(packet[start + 13], flags, "{index}");
                together.extend(&packet[start + 24..]);
            }
            assert_eq!(together, payload);
        }
    }

    #[test]
    fn a_packet_of_its_own_gets_its_checksum() {
        let mut packet = v4(0x18, b"odd");
        // What the kernel leaves: the sum of the pseudo-header.
        let pseudo = [&packet[12..20], &[0, 6, 0, 27]].concat();
        packet[36..38].copy_from_slice(&fold(sum(&pseudo)).to_ne_bytes());
        let packets = all(read(NO_SEGMENTS, 0, 20, &packet)).unwrap();
        assert_eq!(packets.len(), 1);
        assert!(tcp_is_right(&packets[0], false));
    }

    #[test]
    fn one_without_the_flag_stays_as_it_is() {
        let packet = v4(0x18, b"x");
        let mut bytes = vec![0; HEADER];
        bytes.extend(&packet);
        assert_eq!(all(bytes), Some(vec![packet]));
    }

    #[test]
    fn what_does_not_add_up_gives_nothing() {
        let packet = v4(0x18, &[0; 100]);
        for bad in [
            vec![0; HEADER - 1],
            read(TCP_V4, 0, 20, &packet),
            read(TCP_V6, 50, 20, &packet),
            read(3, 50, 20, &packet),
            read(TCP_V4, 50, 19, &packet),
            read(TCP_V4, 50, 140, &packet),
            read(TCP_V4, 50, 20, &packet[..30]),
            read(TCP_V4, 50, 20, &packet[..44]),
            read(NO_SEGMENTS, 0, u16::MAX, &packet),
            read(TCP_V4, 50, 20, &[]),
        ] {
            assert_eq!(all(bad.clone()), None, "{bad:?}");
        }
    }
}
