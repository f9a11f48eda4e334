//! One exchange on a TCP connection: which of the frames that come is the answer.
//!
//! Source: Modbus Messaging on TCP/IP V1.0b, 3.1. Pure. The transaction id tells a late reply from the one that is
//! waited for; a late one is dropped and counted, and the connection stays.
//!
//! # Why
//!
//! The transaction id makes a late reply harmless, yet a unit that did not answer is not asked again before it did or can not
//! any more, as on a serial line: a slow gateway would only grow a queue of requests nobody waits for, and whether a
//! unit is silent or just slow is known only then.

use tokio::time::Instant;

use super::{Answer, LineError, Outcome, Request, Then};

/// Header without the unit id.
const HEADER: usize = 6;
/// Longest value of the length field: unit id and a PDU of 253 bytes.
const LENGTH_MAX: usize = 254;

/// The frame of a request.
pub(super) fn wrap(transaction: u16, unit: u8, request: &Request, out: &mut Vec<u8>) {
    out.extend_from_slice(&transaction.to_be_bytes());
    out.extend_from_slice(&[0, 0, 0, 0, unit, request.function()]);
    request.encode(out);
    let length = u16::try_from(out.len().saturating_sub(HEADER)).unwrap_or(u16::MAX);
    if let Some(field) = out.get_mut(4..HEADER) {
        field.copy_from_slice(&length.to_be_bytes());
    }
}

/// One request under way on a connection.
#[derive(Debug)]
pub(super) struct Exchange<'a> {
    transaction: u16,
    unit: u8,
    request: &'a Request,
    asked: Instant,
    deadline: Instant,
    input: &'a mut Vec<u8>,
    late: Vec<u8>,
    result: Option<(Result<Answer, LineError>, Then)>,
}

impl<'a> Exchange<'a> {
    /// The request has just been written. `input` keeps a half frame from one exchange to the next.
    pub(super) fn new(
        (transaction, unit, request): (u16, u8, &'a Request),
        input: &'a mut Vec<u8>,
        asked: Instant,
        deadline: Instant,
    ) -> Self {
        Self { transaction, unit, request, asked, deadline, input, late: Vec::new(), result: None }
    }

    /// Takes bytes.
    pub(super) fn receive(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
        let mut taken = 0_usize;
        while let Some((length, found)) = frame(self.input.get(taken..).unwrap_or_default()) {
            match found {
                Some((transaction, unit, pdu)) if transaction == self.transaction && self.result.is_none() => {
                    self.result = Some(if unit != self.unit {
                        (Err(LineError::DeviceWrongUnit { asked: self.unit, found: unit }), Then::Continue)
                    } else {
                        let answer = self.request.decode(pdu).map_err(|_| LineError::DeviceUnfit);
                        (answer, Then::Continue)
                    });
                }
                Some((_, unit, _)) => self.late.push(unit),
                // Not a header: the stream is out of step and cannot be mended.
                None => {
                    self.result = Some((Err(LineError::DeviceDamaged), Then::Reconnect));
                    break;
                }
            }
            taken = taken.saturating_add(length);
        }
        self.input.drain(..taken.min(self.input.len()));
        // Nothing but whole late frames can come with the answer to the only request under way. A rest means that the frame's length
        // was a lie and that it took bytes of another one.
        if matches!(self.result, Some((Ok(_), _))) && !self.input.is_empty() {
            self.result = Some((Err(LineError::DeviceDamaged), Then::Reconnect));
        }
    }

    /// When patience ends.
    pub(super) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// The outcome, once there is one.
    pub(super) fn outcome(&mut self, now: Instant) -> Option<Outcome> {
        let (result, then) = match self.result.take() {
            Some(found) => found,
            None if now < self.deadline => return None,
            None => (Err(LineError::DeviceSilent { waited: now.duration_since(self.asked) }), Then::Hold),
        };
        Some(Outcome { result, then, late: std::mem::take(&mut self.late), echo: false })
    }
}

type Frame<'f> = Option<(u16, u8, &'f [u8])>;

/// The length of the first frame with its transaction, unit and PDU. No frame inside: what is there is no header.
fn frame(input: &[u8]) -> Option<(usize, Frame<'_>)> {
    let [t0, t1, p0, p1, l0, l1, rest @ ..] = input else { return None };
    let length = usize::from(u16::from_be_bytes([*l0, *l1]));
    if [*p0, *p1] != [0, 0] || !(2..=LENGTH_MAX).contains(&length) {
        return Some((input.len(), None));
    }
    let [unit, pdu @ ..] = rest.get(..length)? else { return None };
    Some((length.saturating_add(HEADER), Some((u16::from_be_bytes([*t0, *t1]), *unit, pdu))))
}

/// Drops whole frames that came while nothing was asked. Returns their units.
pub(super) fn stray(input: &mut Vec<u8>) -> Vec<u8> {
    let mut units = Vec::new();
    while let Some((length, found)) = frame(input) {
        units.extend(found.map(|(_, unit, _)| unit));
        input.drain(..length.min(input.len()));
    }
    units
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use torg_simulated::Framing;

    use super::super::{Exception, Reply, Table};
    use super::*;

    const READ: Request = Request::Read { table: Table::Holding, address: 1, count: 1 };

    fn with<R>(act: impl FnOnce(&mut Exchange<'_>, Instant) -> R) -> R {
        let (mut input, now) = (Vec::new(), Instant::now());
        act(&mut Exchange::new((9, 7, &READ), &mut input, now, now + Duration::from_secs(1)), now)
    }

    fn reply(transaction: u16, unit: u8, value: u8) -> Vec<u8> {
        Framing::Tcp.wrap(unit, transaction, &[3, 2, 0, value])
    }

    fn result_of(bytes: &[u8]) -> Option<Result<Answer, LineError>> {
        with(|exchange, now| {
            exchange.receive(bytes);
            exchange.outcome(now).map(|outcome| outcome.result)
        })
    }

    #[test]
    fn a_request_has_a_length_of_unit_and_pdu() {
        let mut frame = Vec::new();
        wrap(0x1501, 0xFF, &Request::Read { table: Table::Holding, address: 4, count: 1 }, &mut frame);
        assert_eq!(frame, [0x15, 0x01, 0, 0, 0, 6, 0xFF, 3, 0, 4, 0, 1]);
    }

    #[test]
    fn takes_the_reply_with_its_transaction_and_drops_a_late_one() {
        let bytes = [reply(8, 7, 100), reply(9, 7, 1)].concat();
        assert_eq!(result_of(&bytes), Some(Ok(Ok(Reply::Words(vec![1])))));
    }

    #[test]
    fn a_late_reply_alone_is_no_answer() {
        assert_eq!(result_of(&reply(8, 7, 100)), None);
    }

    #[test]
    fn another_unit_or_function_is_an_error_of_its_own() {
        assert_eq!(result_of(&reply(9, 8, 1)), Some(Err(LineError::DeviceWrongUnit { asked: 7, found: 8 })));
        assert_eq!(result_of(&Framing::Tcp.wrap(7, 9, &[4, 2, 0, 1])), Some(Err(LineError::DeviceUnfit)));
        assert_eq!(result_of(&Framing::Tcp.wrap(7, 9, &[0x83, 2])), Some(Ok(Err(Exception(2)))));
    }

    #[test]
    fn what_is_no_header_asks_for_a_new_connection() {
        with(|exchange, now| {
            exchange.receive(b"HTTP/1.1 400 Bad Request\r\n");
            assert_eq!(exchange.outcome(now).unwrap().then, Then::Reconnect);
        });
    }

    #[test]
    fn a_frame_completed_with_the_bytes_of_another_is_no_answer() {
        let bytes = [&reply(9, 7, 1)[..9], &reply(8, 7, 100)].concat();
        assert_eq!(result_of(&bytes), Some(Err(LineError::DeviceDamaged)));
    }

    #[test]
    fn silence_is_told_at_the_deadline_and_not_before() {
        with(|exchange, now| {
            let end = exchange.deadline();
            assert!(exchange.outcome(end - Duration::from_millis(1)).is_none());
            let waited = end.duration_since(now);
            assert_eq!(exchange.outcome(end).unwrap().result, Err(LineError::DeviceSilent { waited }));
        });
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_answer(cut in 0_usize..24) {
            let bytes = [reply(8, 7, 100), reply(9, 7, 1)].concat();
            let (head, tail) = bytes.split_at(cut.min(bytes.len()));
            let result = with(|exchange, now| {
                exchange.receive(head);
                exchange.receive(tail);
                exchange.outcome(now).map(|outcome| outcome.result)
            });
            prop_assert_eq!(result, Some(Ok(Ok(Reply::Words(vec![1])))));
        }

        #[test]
        fn no_bytes_make_it_panic_or_wait_for_ever(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            with(|exchange, _| {
                exchange.receive(&bytes);
                let end = exchange.deadline();
                assert!(exchange.outcome(end).is_some());
            });
        }
    }
}
