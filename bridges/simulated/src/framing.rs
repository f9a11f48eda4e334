//! How requests are cut out of the byte stream and replies are wrapped, on the device's side.
//!
//! Sources: Modbus Messaging on TCP/IP V1.0b, 3.1 (MBAP); Modbus over Serial Line V1.02, 2.5.1 (RTU).

use crate::crc;

/// How a PDU travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// Unit id, PDU, checksum: serial lines and pseudo terminals.
    Rtu,
    /// The same frames inside a TCP connection (a transparent serial server).
    RtuOverTcp,
    /// MBAP header with a transaction id, then the PDU.
    Tcp,
}

/// One request as the device sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Unit id the request is for.
    pub unit: u8,
    /// Transaction id; 0 in RTU.
    pub transaction: u16,
    /// Function code and data.
    pub pdu: Vec<u8>,
    /// Length of the whole frame.
    pub length: usize,
}

/// What the bytes received so far hold.
#[derive(Debug, PartialEq, Eq)]
pub enum Cut {
    /// A request; its bytes are to be removed.
    Complete(Asked),
    /// No request can begin here: drop everything (RTU: until the next silence).
    Garbage,
    /// Not all of it is here yet.
    Incomplete,
}

impl Framing {
    /// True for both RTU forms.
    pub fn is_rtu(self) -> bool {
        matches!(self, Self::Rtu | Self::RtuOverTcp)
    }

    /// Looks for one request at the beginning of `bytes`.
    pub fn cut(self, bytes: &[u8]) -> Cut {
        if self.is_rtu() { cut_rtu(bytes) } else { cut_mbap(bytes) }
    }

    /// The frame of a reply.
    pub fn wrap(self, unit: u8, transaction: u16, pdu: &[u8]) -> Vec<u8> {
        if self.is_rtu() {
            let mut frame = vec![unit];
            frame.extend_from_slice(pdu);
            crc::seal(&mut frame);
            return frame;
        }
        let [t0, t1] = transaction.to_be_bytes();
        let [l0, l1] = u16::try_from(pdu.len().saturating_add(1)).unwrap_or(u16::MAX).to_be_bytes();
        let mut frame = vec![t0, t1, 0, 0, l0, l1, unit];
        frame.extend_from_slice(pdu);
        frame
    }
}

fn cut_rtu(bytes: &[u8]) -> Cut {
    let counted = |header: usize| {
        bytes.get(header.saturating_sub(1)).map(|count| header.saturating_add(usize::from(*count)).saturating_add(2))
    };
    let length = match bytes {
        [_, 1..=6, ..] => Some(8),
        [_, 7 | 11 | 12 | 17, ..] => Some(4),
        [_, 15 | 16, ..] => counted(7),
        [_, 22, ..] => Some(10),
        [_, 23, ..] => counted(11),
        [_, 43, ..] => Some(7),
        [] | [_] => None,
        _ => return Cut::Garbage,
    };
    let Some((length, frame)) = length.and_then(|length| Some((length, bytes.get(..length)?))) else {
        return Cut::Incomplete;
    };
    match frame {
        [unit, pdu @ .., _, _] if crc::intact(frame) => {
            Cut::Complete(Asked { unit: *unit, transaction: 0, pdu: pdu.to_vec(), length })
        }
        _ => Cut::Garbage,
    }
}

fn cut_mbap(bytes: &[u8]) -> Cut {
    let [t0, t1, p0, p1, l0, l1, rest @ ..] = bytes else { return Cut::Incomplete };
    let body = usize::from(u16::from_be_bytes([*l0, *l1]));
    if [*p0, *p1] != [0, 0] || !(2..=254).contains(&body) {
        return Cut::Garbage;
    }
    match rest.get(..body) {
        Some([unit, pdu @ ..]) => Cut::Complete(Asked {
            unit: *unit,
            transaction: u16::from_be_bytes([*t0, *t1]),
            pdu: pdu.to_vec(),
            length: body.saturating_add(6),
        }),
        _ => Cut::Incomplete,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_an_rtu_read_only_when_complete() {
        let frame = Framing::Rtu.wrap(7, 0, &[4, 0, 0, 0, 2]);
        for end in 0..frame.len() {
            assert_eq!(Framing::Rtu.cut(&frame[..end]), Cut::Incomplete);
        }
        let Cut::Complete(asked) = Framing::Rtu.cut(&frame) else { panic!("not complete") };
        assert_eq!((asked.unit, asked.pdu.as_slice(), asked.length), (7, [4, 0, 0, 0, 2].as_slice(), 8));
    }

    #[test]
    fn a_wrong_checksum_is_garbage() {
        let mut frame = Framing::Rtu.wrap(7, 0, &[4, 0, 0, 0, 2]);
        frame[3] ^= 1;
        assert_eq!(Framing::Rtu.cut(&frame), Cut::Garbage);
    }

    #[test]
    fn cuts_a_tcp_write_by_its_length() {
        let frame = Framing::Tcp.wrap(1, 0xBEEF, &[16, 0, 0, 0, 1, 2, 0, 5]);
        let Cut::Complete(asked) = Framing::Tcp.cut(&frame) else { panic!("not complete") };
        assert_eq!((asked.transaction, asked.length), (0xBEEF, 15));
        assert_eq!(Framing::Tcp.cut(&frame[..14]), Cut::Incomplete);
    }

    #[test]
    fn a_foreign_protocol_id_is_garbage() {
        assert_eq!(Framing::Tcp.cut(&[0, 1, 0, 9, 0, 2, 1, 3]), Cut::Garbage);
    }
}
