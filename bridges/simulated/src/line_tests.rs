use super::*;
use crate::{Table, Unit, crc};

const READ: [u8; 5] = [4, 0, 0, 0, 2];

fn rack() -> Rack {
    let unit = |first| Unit::new().words(Table::Input, 0, &[first, 2]);
    Rack::new().with(7, unit(1)).with(8, unit(100))
}

/// Runs a line in the background and gives the master's end.
fn line(simulation: Simulation) -> tokio::io::DuplexStream {
    let (master, device) = tokio::io::duplex(4096);
    tokio::spawn(async move { serve(device, &simulation).await });
    master
}

fn frame(framing: Framing, unit: u8) -> Vec<u8> {
    framing.wrap(unit, 0x0102, &READ)
}

/// All bytes that come until the line has been silent for ten seconds of simulated time, with the time of the last one.
async fn listen(master: &mut tokio::io::DuplexStream) -> (Vec<u8>, Duration) {
    let started = Instant::now();
    let (mut all, mut last, mut chunk) = (Vec::new(), Duration::ZERO, [0; 256]);
    while let Ok(Ok(count)) = tokio::time::timeout(Duration::from_secs(10), master.read(&mut chunk)).await {
        all.extend_from_slice(&chunk[..count]);
        last = started.elapsed();
    }
    (all, last)
}

async fn asked(simulation: Simulation, units: &[u8]) -> (Vec<u8>, Duration) {
    let framing = simulation.framing;
    let mut master = line(simulation);
    for unit in units {
        master.write_all(&frame(framing, *unit)).await.unwrap();
        tokio::task::yield_now().await;
    }
    listen(&mut master).await
}

fn right(framing: Framing, unit: u8) -> Vec<u8> {
    let first = if unit == 7 { 1 } else { 100 };
    framing.wrap(unit, 0x0102, &[4, 4, 0, first, 0, 2])
}

fn faulty(fault: Fault) -> Simulation {
    Simulation::new(rack(), Framing::Rtu).scripted(Script::list([Some(fault)]))
}

#[tokio::test(start_paused = true)]
async fn answers_in_each_framing() {
    for framing in [Framing::Rtu, Framing::RtuOverTcp, Framing::Tcp] {
        let (bytes, _) = asked(Simulation::new(rack(), framing), &[7, 8]).await;
        assert_eq!(bytes, [right(framing, 7), right(framing, 8)].concat());
    }
}

#[tokio::test(start_paused = true)]
async fn an_absent_unit_is_silent() {
    assert_eq!(asked(Simulation::new(rack(), Framing::Rtu), &[9]).await.0, []);
}

#[tokio::test(start_paused = true)]
async fn a_line_of_9600_baud_takes_its_time() {
    let simulation = Simulation::new(rack(), Framing::Rtu).timed(Timing::serial(9600, Duration::from_millis(20)));
    let (_, took) = asked(simulation, &[7]).await;
    // 8 characters of request, 20 ms, 9 characters of reply: 17 * 11 / 9600 s + 20 ms = 39.5 ms.
    assert!((39..=41).contains(&took.as_millis()), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_flipped_bit_breaks_the_checksum() {
    let (bytes, _) = asked(faulty(Fault::BitFlip(27)), &[7]).await;
    assert_eq!(bytes.len(), 9);
    assert!(!crc::intact(&bytes));
}

#[tokio::test(start_paused = true)]
async fn a_cut_reply_misses_at_least_its_last_byte() {
    assert_eq!(asked(faulty(Fault::Cut(4)), &[7]).await.0, right(Framing::Rtu, 7)[..4]);
    assert_eq!(asked(faulty(Fault::Cut(99)), &[7]).await.0.len(), 8);
}

#[tokio::test(start_paused = true)]
async fn duplicate_echo_noise_and_merge_add_their_bytes() {
    let whole = right(Framing::Rtu, 7);
    assert_eq!(asked(faulty(Fault::Duplicate), &[7]).await.0, [whole.clone(), whole.clone()].concat());
    assert_eq!(asked(faulty(Fault::Echo), &[7]).await.0, [frame(Framing::Rtu, 7), whole.clone()].concat());
    assert_eq!(asked(faulty(Fault::Noise(vec![0])), &[7]).await.0, [vec![0], whole.clone()].concat());
    assert_eq!(asked(faulty(Fault::Merged), &[7, 8]).await.0, [whole, right(Framing::Rtu, 8)].concat());
}

#[tokio::test(start_paused = true)]
async fn exceptions_and_wrong_units_are_well_formed_frames() {
    assert_eq!(asked(faulty(Fault::Exception(6)), &[7]).await.0, Framing::Rtu.wrap(7, 0, &[0x84, 6]));
    let (bytes, _) = asked(faulty(Fault::WrongUnit(9)), &[7]).await;
    assert_eq!((bytes[0], crc::intact(&bytes)), (9, true));
}

#[tokio::test(start_paused = true)]
async fn a_late_reply_lets_others_pass_and_a_stall_does_not() {
    let second = Duration::from_secs(1);
    let (bytes, took) = asked(faulty(Fault::Late(second)), &[7, 8]).await;
    assert_eq!(bytes, [right(Framing::Rtu, 8), right(Framing::Rtu, 7)].concat());
    assert_eq!(took, second);
    let (bytes, _) = asked(faulty(Fault::Stall(second)), &[7, 8]).await;
    assert_eq!(bytes, [right(Framing::Rtu, 7), right(Framing::Rtu, 8)].concat());
}

#[tokio::test(start_paused = true)]
async fn a_broken_request_is_not_answered_and_the_next_one_is() {
    let mut master = line(Simulation::new(rack(), Framing::Rtu));
    let mut broken = frame(Framing::Rtu, 7);
    broken[2] ^= 4;
    master.write_all(&broken).await.unwrap();
    assert_eq!(listen(&mut master).await.0, []);
    master.write_all(&frame(Framing::Rtu, 7)).await.unwrap();
    assert_eq!(listen(&mut master).await.0, right(Framing::Rtu, 7));
}
