use std::time::Duration;

use proptest::prelude::*;
use torg_simulated::Framing;

use super::super::{Exception, Reply, Table};
use super::*;

const READ: Request = Request::Read { table: Table::Input, address: 0, count: 1 };
const GAP: Duration = Duration::from_millis(5);
const TIMEOUT: Duration = Duration::from_millis(500);

fn frame(unit: u8, pdu: &[u8]) -> Vec<u8> {
    Framing::Rtu.wrap(unit, 0, pdu)
}

fn reply(value: u8) -> Vec<u8> {
    frame(7, &[4, 2, 0, value])
}

fn words(value: u16) -> Result<Answer, LineError> {
    Ok(Ok(Reply::Words(vec![value])))
}

/// Feeds the chunks one millisecond apart and gives the outcome at the end of the exchange's own patience.
fn exchange(request: &Request, echo: bool, owing: &[u8], chunks: &[&[u8]]) -> Outcome {
    let sent = frame(7, &request.pdu());
    let timing = Timing { echo, ..Timing::serial(9600, TIMEOUT) };
    let now = Instant::now();
    let mut overdue = Overdue::default();
    for unit in owing {
        overdue.hold(*unit, now + TIMEOUT);
    }
    let mut exchange = Exchange::new((7, request, &sent), &timing, &overdue, now, now + TIMEOUT);
    for (chunk, at) in chunks.iter().zip(1..) {
        exchange.receive(now + Duration::from_millis(at), chunk);
        assert!(exchange.wake(now + Duration::from_millis(at)).is_none(), "no outcome before the line is silent");
    }
    let end = exchange.deadline();
    exchange.wake(end).unwrap()
}

fn result(chunks: &[&[u8]]) -> Result<Answer, LineError> {
    exchange(&READ, false, &[], chunks).result
}

#[test]
fn takes_the_answer_after_the_gap() {
    assert_eq!(result(&[&reply(5)]), words(5));
}

#[test]
fn silence_is_told_with_the_time_waited_and_the_unit_is_held() {
    let outcome = exchange(&READ, false, &[], &[]);
    assert_eq!(outcome.result, Err(LineError::DeviceSilent { waited: TIMEOUT }));
    assert_eq!(outcome.then, Then::Hold);
}

#[test]
fn an_exception_is_an_answer() {
    assert_eq!(result(&[&frame(7, &[0x84, 2])]), Ok(Err(Exception(2))));
}

#[test]
fn a_wrong_checksum_is_told_apart_from_silence_and_needs_no_hold() {
    let mut damaged = reply(5);
    damaged[4] ^= 0x10;
    let outcome = exchange(&READ, false, &[], &[&damaged]);
    assert_eq!((outcome.result, outcome.then), (Err(LineError::DeviceDamaged), Then::Continue));
}

#[test]
fn a_cut_answer_tells_how_much_came() {
    let outcome = exchange(&READ, false, &[], &[&reply(5)[..4]]);
    assert_eq!(outcome.result, Err(LineError::DeviceCut { received: 4, expected: 7 }));
    assert_eq!(outcome.then, Then::Hold);
}

#[test]
fn another_unit_is_named() {
    let outcome = exchange(&READ, false, &[], &[&frame(9, &[4, 2, 0, 5])]);
    assert_eq!(outcome.result, Err(LineError::DeviceWrongUnit { asked: 7, found: 9 }));
}

#[test]
fn a_late_answer_of_another_unit_is_dropped_and_the_right_one_taken() {
    let outcome = exchange(&READ, false, &[9], &[&frame(9, &[4, 2, 0, 99]), &reply(5)]);
    assert_eq!((outcome.result, outcome.late), (words(5), vec![9]));
}

#[test]
fn another_length_or_function_is_unfit() {
    assert_eq!(result(&[&frame(7, &[4, 4, 0, 1, 0, 2])]), Err(LineError::DeviceUnfit));
    assert_eq!(result(&[&frame(7, &[3, 2, 0, 1])]), Err(LineError::DeviceUnfit));
}

#[test]
fn the_same_answer_twice_is_one_answer() {
    assert_eq!(result(&[&[reply(5), reply(5)].concat()]), words(5));
}

#[test]
fn two_different_answers_are_none() {
    assert_eq!(result(&[&[reply(4), reply(5)].concat()]), Err(LineError::DeviceAmbiguous));
    assert_eq!(result(&[&frame(7, &[3, 2, 0, 1]), &reply(5)]), Err(LineError::DeviceAmbiguous));
}

#[test]
fn an_answer_with_a_damaged_one_behind_it_is_none() {
    let mut damaged = reply(5);
    damaged[4] ^= 0x10;
    assert_eq!(result(&[&[reply(4), damaged].concat()]), Err(LineError::DeviceAmbiguous));
    assert_eq!(result(&[&[reply(4), vec![7]].concat()]), Err(LineError::DeviceAmbiguous));
}

#[test]
fn an_answer_with_that_of_another_unit_behind_it_is_none() {
    let other = frame(9, &[4, 2, 0, 99]);
    assert_eq!(result(&[&[reply(4), other].concat()]), Err(LineError::DeviceAmbiguous));
}

#[test]
fn a_late_answer_of_another_unit_right_behind_makes_a_read_be_done_again() {
    let outcome = exchange(&READ, false, &[9], &[&[reply(4), frame(9, &[4, 2, 0, 99])].concat()]);
    assert_eq!((outcome.result, outcome.then), (Err(LineError::DeviceAmbiguous), Then::Again));
}

#[test]
fn the_spike_of_a_driver_behind_an_answer_does_no_harm() {
    assert_eq!(result(&[&[reply(5), vec![0]].concat()]), words(5));
    assert_eq!(result(&[&[reply(5), vec![0xFF, 0xFF]].concat()]), words(5));
    assert_eq!(result(&[&[reply(5), vec![0, 0, 0]].concat()]), Err(LineError::DeviceAmbiguous));
}

#[test]
fn noise_before_an_answer_is_skipped() {
    assert_eq!(result(&[&[0], &reply(5)]), words(5));
    assert_eq!(result(&[&[0xFF, 0, 7], &reply(5)]), words(5));
}

#[test]
fn an_echo_before_the_answer_is_skipped_and_learnt() {
    let sent = frame(7, &READ.pdu());
    let outcome = exchange(&READ, false, &[], &[&sent, &reply(5)]);
    assert_eq!((outcome.result, outcome.echo), (words(5), true));
}

#[test]
fn on_a_line_with_echo_the_echo_of_a_write_is_not_its_confirmation() {
    let write = Request::WriteRegister { address: 1, value: 2 };
    let sent = frame(7, &write.pdu());
    assert!(matches!(exchange(&write, true, &[], &[&sent]).result, Err(LineError::DeviceSilent { .. })));
    assert_eq!(exchange(&write, true, &[], &[&sent, &sent]).result, Ok(Ok(Reply::Written)));
}

#[test]
fn stray_frames_settle_what_is_owed() {
    let now = Instant::now();
    let mut overdue = Overdue::default();
    overdue.hold(7, now + GAP);
    let mut input = reply(5);
    assert_eq!(overdue.stray(&mut input), [7]);
    assert_eq!((input.len(), overdue.until(7, now)), (0, None));
}

#[test]
fn a_unit_is_held_up_to_the_end_of_its_time_and_not_longer() {
    let now = Instant::now();
    let mut overdue = Overdue::default();
    overdue.hold(7, now + GAP);
    assert_eq!(overdue.until(7, now + GAP - Duration::from_nanos(1)), Some(now + GAP));
    assert_eq!(overdue.until(7, now + GAP), None);
}

proptest! {
    #[test]
    fn any_split_gives_the_same_answer(first in 0_usize..8, second in 0_usize..8) {
        let bytes = reply(5);
        let (a, b) = (first.min(second).min(bytes.len()), first.max(second).min(bytes.len()));
        prop_assert_eq!(result(&[&bytes[..a], &bytes[a..b], &bytes[b..]]), words(5));
    }

    #[test]
    fn no_bytes_make_it_panic_or_wait_for_ever(bytes in proptest::collection::vec(any::<u8>(), 0..1500)) {
        let timing = Timing::serial(9600, TIMEOUT);
        let (now, sent, overdue) = (Instant::now(), frame(7, &READ.pdu()), Overdue::default());
        let mut exchange = Exchange::new((7, &READ, &sent), &timing, &overdue, now, now + TIMEOUT);
        exchange.receive(now, &bytes);
        prop_assert!(exchange.wake(now + TIMEOUT + OVERRUN).is_some());
    }

    #[test]
    fn a_turned_bit_never_gives_a_value(bit in 0_usize..56) {
        let mut bytes = reply(5);
        bytes[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(result(&[&bytes]).is_err());
    }
}
