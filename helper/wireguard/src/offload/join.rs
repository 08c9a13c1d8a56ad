//! Making of packets of one TCP stream that follow one another the large segment that the kernel takes in one write. What is joined here and
//! taken apart again is the same, bit by bit: nothing is joined that differs in more than what counts the packets, and no wrong checksum is
//! made right.

use super::{
    HEADER, NEEDS_CHECKSUM, PACKET, TCP, TCP_CHECKSUM, TCP_V4, TCP_V6, fold, pseudo, put, sum,
};

const ACK: u8 = 0x10;
const PSH: u8 = 0x08;
/// Flags and offset of an IPv4 packet that is no fragment and must not become one: its identification means nothing (RFC 6864).
const WHOLE: [u8; 2] = [0x40, 0];

/// A packet that carries data of a TCP stream and nothing else.
#[derive(Clone, Copy)]
struct Segment<'a> {
    is_v6: bool,
    /// IP's and TCP's.
    headers: &'a [u8],
    payload: &'a [u8],
}

impl<'a> Segment<'a> {
    fn of(packet: &'a [u8]) -> Option<Self> {
        let number = |at: usize| {
            Some(usize::from(u16::from_be_bytes([
                *packet.get(at)?,
                *packet.get(at + 1)?,
            ])))
        };
        // Packets with options of IP stay alone: 0x45 is a header without.
        let (is_v6, told, protocol, tcp) = match packet.first()? {
            0x45 if packet.get(6..8)? == WHOLE => (false, number(2)?, packet.get(9)?, 20),
            first if first >> 4 == 6 => (true, 40 + number(4)?, packet.get(6)?, 40),
            _ => return None,
        };
        // Length of the header in words of 32 bits, and four bits that are zero.
        let words = packet.get(tcp + 12)?;
        let length = tcp + usize::from(words >> 4) * 4;
        let is_plain = words & 0x0f == 0 && packet.get(tcp + 13)? & !PSH == ACK;
        let (headers, payload) = packet.split_at_checked(length)?;
        (told == packet.len()
            && *protocol == TCP
            && length >= tcp + 20
            && is_plain
            && !payload.is_empty())
        .then_some(Self {
            is_v6,
            headers,
            payload,
        })
    }

    fn tcp(&self) -> usize {
        if self.is_v6 { 40 } else { 20 }
    }

    fn addresses(&self) -> &'a [u8] {
        self.headers
            .get(if self.is_v6 { 8..40 } else { 12..20 })
            .unwrap_or_default()
    }

    fn number(&self) -> Option<u32> {
        let at = self.tcp() + 4;
        Some(u32::from_be_bytes(
            self.headers.get(at..at + 4)?.try_into().ok()?,
        ))
    }

    fn ends(&self) -> bool {
        self.headers
            .get(self.tcp() + 13)
            .is_some_and(|flags| flags & PSH != 0)
    }

    /// Whether all that they have in common is equal, and the stream goes on without a gap.
    fn follows(&self, last: &Self) -> bool {
        let tcp = self.tcp();
        let fixed: [std::ops::Range<usize>; 5] = [
            // Not the length; of IPv4 not the identification and the header's checksum.
            if self.is_v6 { 0..4 } else { 0..2 },
            if self.is_v6 { 6..8 } else { 6..10 },
            // Addresses and ports.
            if self.is_v6 { 8..44 } else { 12..24 },
            // Not the sequence number; acknowledgement and length.
            tcp + 8..tcp + 13,
            // Not the flags: PSH is told by `ends`. Not the checksum.
            tcp + 14..tcp + 16,
        ];
        let goes_on = || {
            let length = u32::try_from(last.payload.len()).ok()?;
            Some(self.number()? == last.number()?.wrapping_add(length))
        };
        self.is_v6 == last.is_v6
            && self.headers.len() == last.headers.len()
            && fixed.into_iter().all(|range| self.headers.get(range.clone()) == last.headers.get(range))
            // The urgent pointer and the options.
            && self.headers.get(tcp + 18..) == last.headers.get(tcp + 18..)
            && goes_on() == Some(true)
    }

    /// Whether its checksums are right.
    fn is_sound(&self) -> bool {
        let (ip, tcp) = self.headers.split_at(self.tcp());
        let length = u16::try_from(tcp.len() + self.payload.len()).unwrap_or_default();
        let whole = pseudo(self.addresses(), length) + sum(tcp) + sum(self.payload);
        (self.is_v6 || fold(sum(ip)) == 0xffff) && fold(whole) == 0xffff
    }
}

/// How many of the first packets can go in one write.
pub fn together<P: AsRef<[u8]>>(packets: &[P]) -> usize {
    let mut segments = packets
        .iter()
        .map_while(|packet| Segment::of(packet.as_ref()));
    let Some(first) = segments.next() else {
        return packets.len().min(1);
    };
    let (mut count, mut last, mut bytes) = (1, first, first.headers.len() + first.payload.len());
    for next in segments {
        bytes += next.payload.len();
        let fits = bytes <= PACKET && next.payload.len() <= first.payload.len();
        let is_open = !last.ends() && last.payload.len() == first.payload.len();
        if !(fits && is_open && next.follows(&last) && next.is_sound())
            || (count == 1 && !first.is_sound())
        {
            break;
        }
        count += 1;
        last = next;
    }
    count
}

/// Writes into `head` what goes before the packets of one write, and tells how many bytes of each it stands for. Several are packets that
/// `together` counted.
pub fn head<P: AsRef<[u8]>>(packets: &[P], head: &mut Vec<u8>) -> usize {
    head.clear();
    joined(packets, head).unwrap_or_else(|| {
        // All zeros: a packet that is complete.
        head.clear();
        head.resize(HEADER, 0);
        0
    })
}

fn joined<P: AsRef<[u8]>>(packets: &[P], head: &mut Vec<u8>) -> Option<usize> {
    let [first, .., last] = packets else {
        return None;
    };
    let first = Segment::of(first.as_ref())?;
    let (tcp, length) = (first.tcp(), first.headers.len());
    let payload: usize = packets
        .iter()
        .map(|packet| packet.as_ref().len() - length)
        .sum();
    head.extend([NEEDS_CHECKSUM, if first.is_v6 { TCP_V6 } else { TCP_V4 }]);
    for number in [length, first.payload.len(), tcp, TCP_CHECKSUM] {
        head.extend(u16::try_from(number).ok()?.to_ne_bytes());
    }
    head.extend(first.headers);
    let headers = head.get_mut(HEADER..)?;
    let whole = u16::try_from(length + payload).ok()?;
    if first.is_v6 {
        put(headers, 4, (whole - 40).to_be_bytes())?;
    } else {
        put(headers, 2, whole.to_be_bytes())?;
        put(headers, 10, [0, 0])?;
        let check = !fold(sum(headers.get(..tcp)?));
        put(headers, 10, check.to_ne_bytes())?;
    }
    *headers.get_mut(tcp + 13)? = *last.as_ref().get(tcp + 13)?;
    // The kernel finishes what begins with the sum of the pseudo-header.
    let tail = whole - u16::try_from(tcp).ok()?;
    put(
        headers,
        tcp + TCP_CHECKSUM,
        fold(pseudo(first.addresses(), tail)).to_ne_bytes(),
    )?;
    Some(length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::offload::split;
    use proptest::prelude::*;

    /// A packet with right checksums.
    fn packet(is_v6: bool, number: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
        let mut segment = vec![0x12, 0x34, 0, 80];
        segment.extend(number.to_be_bytes());
        segment.extend(7_u32.to_be_bytes());
        // 32 bytes: time stamps.
        segment.extend([
            0x80, flags, 1, 0, 0, 0, 0, 0, 1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2,
        ]);
        segment.extend(payload);
        let length = u16::try_from(segment.len()).unwrap();
        let mut bytes = if is_v6 {
            [
                &[0x60, 0, 0, 0],
                &length.to_be_bytes()[..],
                &[6, 64],
                &[0xfd; 32],
            ]
            .concat()
        } else {
            let length = (length + 20).to_be_bytes();
            let id = number.to_be_bytes();
            let rest = [
                id[2], id[3], 0x40, 0, 64, 6, 0, 0, 10, 66, 0, 2, 10, 66, 0, 1,
            ];
            [&[0x45, 0], &length[..], &rest].concat()
        };
        bytes.extend(segment);
        right(&mut bytes);
        bytes
    }

    /// Makes the checksums right.
    fn right(packet: &mut [u8]) {
        let is_v6 = packet[0] >> 4 == 6;
        let (tcp, addresses) = if is_v6 { (40, 8..40) } else { (20, 12..20) };
        if !is_v6 {
            packet[10..12].fill(0);
            let check = !fold(sum(&packet[..20]));
            packet[10..12].copy_from_slice(&check.to_ne_bytes());
        }
        packet[tcp + 16..tcp + 18].fill(0);
        let length = u16::try_from(packet.len() - tcp).unwrap();
        let check = !fold(pseudo(&packet[addresses], length) + sum(&packet[tcp..]));
        packet[tcp + 16..tcp + 18].copy_from_slice(&check.to_ne_bytes());
    }

    /// What the kernel is given for these packets.
    fn written(packets: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let skip = head(packets, &mut bytes);
        for packet in packets {
            bytes.extend(&packet[skip..]);
        }
        bytes
    }

    /// Packets of a stream whose identifications count, as a kernel's do.
    fn stream(is_v6: bool, start: u32, sizes: &[usize]) -> Vec<Vec<u8>> {
        let mut number = start;
        let mut packets = Vec::new();
        for (index, size) in sizes.iter().enumerate() {
            let payload: Vec<u8> = (0..*size).map(|at| (at + index).to_le_bytes()[0]).collect();
            let mut bytes = packet(is_v6, number, ACK, &payload);
            if !is_v6 {
                let id = u16::try_from(index).unwrap().wrapping_add(0xfffe);
                bytes[4..6].copy_from_slice(&id.to_be_bytes());
                right(&mut bytes);
            }
            packets.push(bytes);
            number = number.wrapping_add(u32::try_from(*size).unwrap());
        }
        packets
    }

    proptest! {
        /// However a stream was cut: what is joined and taken apart again is what it was.
        #[test]
        fn joined_and_taken_apart_again_it_is_the_same(
            is_v6: bool, start: u32, pushed in 0..40_usize,
            sizes in prop::collection::vec(prop_oneof![4 => Just(1368_usize), 1 => 1..1400_usize], 1..64),
        ) {
            let mut packets = stream(is_v6, start, &sizes);
            if let Some(packet) = packets.get_mut(pushed) {
                let tcp = if is_v6 { 40 } else { 20 };
                packet[tcp + 13] |= PSH;
                right(packet);
            }
            let mut rest = packets.as_slice();
            while !rest.is_empty() {
                let count = together(rest);
                prop_assert!(count >= 1);
                let (now, later) = rest.split_at(count);
                let mut again = Vec::new();
                split(&mut written(now), &mut |head, tail| again.push([head, tail].concat())).unwrap();
                prop_assert_eq!(again, now);
                rest = later;
            }
        }
    }

    #[test]
    fn packets_of_one_size_and_a_smaller_last_one_go_in_one_write() {
        for is_v6 in [false, true] {
            assert_eq!(together(&stream(is_v6, 9, &[1000; 30])), 30);
            assert_eq!(together(&stream(is_v6, 9, &[1000, 1000, 7, 1000])), 3);
            assert_eq!(together(&stream(is_v6, 9, &[7, 1000])), 1);
            // No more than IP can tell the length of.
            assert_eq!(together(&stream(is_v6, 9, &[1300; 64])), 50);
            let mut pushed = stream(is_v6, 9, &[1000; 3]);
            pushed[1][if is_v6 { 53 } else { 33 }] |= PSH;
            right(&mut pushed[1]);
            assert_eq!(together(&pushed), 2);
        }
        assert_eq!(together::<Vec<u8>>(&[]), 0);
        assert_eq!(together(&[vec![]]), 1);
    }

    #[test]
    fn a_bit_that_was_turned_on_the_way_is_not_made_right() {
        for is_v6 in [false, true] {
            let packets = stream(is_v6, 9, &[100; 2]);
            for which in [0, 1] {
                for bit in 0..packets[which].len() * 8 {
                    let mut packets = packets.clone();
                    packets[which][bit / 8] ^= 1 << (bit % 8);
                    // Nothing but the lower layer guards IPv6's header, and what differs there is seen.
                    assert_eq!(together(&packets), 1, "{is_v6} {which} {bit}");
                }
            }
        }
    }

    #[test]
    fn whatever_differs_in_a_header_keeps_packets_apart() {
        for is_v6 in [false, true] {
            let packets = stream(is_v6, 9, &[100; 2]);
            let tcp = if is_v6 { 40 } else { 20 };
            for bit in 0..(tcp + 32) * 8 {
                let mut packets = packets.clone();
                packets[1][bit / 8] ^= 1 << (bit % 8);
                right(&mut packets[1]);
                let checksum = [tcp + 16, tcp + 17].contains(&(bit / 8))
                    || (!is_v6 && [10, 11].contains(&(bit / 8)));
                let identification = !is_v6 && [4, 5].contains(&(bit / 8));
                let is_push = bit / 8 == tcp + 13 && 1 << (bit % 8) == PSH;
                let same = checksum || identification || is_push;
                assert_eq!(
                    together(&packets),
                    if same { 2 } else { 1 },
                    "{is_v6} {bit}"
                );
            }
        }
    }
}
