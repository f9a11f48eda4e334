//! Every fault at once: damaged, cut, duplicated, merged, echoed, foreign, noisy, late and missing replies, over RTU and TCP.
//!
//! However the device behaves, a value is either right or an error. Time is simulated.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test may fail, and its figures are to be read")]

use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use torg_modbus::port::{Ask, ByteStream, Connect, Frames, Lane, Line, LineSettings, Reply, Request, Table, Timing};
use torg_simulated::{Fault, Framing, Rack, Script, Seed, Simulation, Unit, serve};

const TIMEOUT: Duration = Duration::from_millis(100);
const REQUESTS: usize = 20_000;
const UNITS: u8 = 5;
const SEED: u64 = 7;
const REGISTERS: u16 = 1_000;

fn value(unit: u8, address: u16) -> u16 {
    u16::from(unit) * 1_000 + address
}

fn random_fault(seed: &mut Seed, unit: u8) -> Option<Fault> {
    if seed.chance(70) {
        return None;
    }
    let bytes = usize::try_from(seed.below(16)).unwrap();
    Some(match seed.below(10) {
        0 => Fault::BitFlip(usize::try_from(seed.below(4096)).unwrap()),
        1 => Fault::Cut(1 + bytes),
        2 => Fault::Duplicate,
        3 => Fault::Echo,
        4 => Fault::Exception(6),
        5 => Fault::Late(TIMEOUT + Duration::from_micros(seed.below(300_000))),
        6 => Fault::Noise((0..=bytes).map(|_| u8::try_from(seed.below(256)).unwrap()).collect()),
        7 => Fault::Silence,
        8 => Fault::Merged,
        _ => Fault::WrongUnit(unit % UNITS + 1),
    })
}

#[derive(Debug)]
struct Pipe(Framing, Rack, Script);

#[async_trait]
impl Connect for Pipe {
    async fn connect(&self) -> io::Result<Box<dyn ByteStream>> {
        let (master, device) = tokio::io::duplex(8192);
        let simulation = Simulation::new(self.1.clone(), self.0).scripted(self.2.clone());
        tokio::spawn(async move { serve(device, &simulation).await });
        Ok(Box::new(master))
    }
}

/// Right values, errors, and wrong values.
async fn run(
    seed: u64,
    frames: Frames,
    fault: impl FnMut(&mut Seed, u8) -> Option<Fault> + Send + 'static,
) -> (usize, usize, usize) {
    let rack = (1..=UNITS).fold(Rack::new(), |rack, id| {
        let words: Vec<u16> = (0..REGISTERS).map(|address| value(id, address)).collect();
        rack.with(id, Unit::new().words(torg_simulated::Table::Input, 0, &words))
    });
    let framing = if frames == Frames::Tcp { Framing::Tcp } else { Framing::Rtu };
    let connect = Arc::new(Pipe(framing, rack, Script::seeded(seed, fault)));
    let timing = if frames == Frames::Tcp { Timing::tcp(TIMEOUT) } else { Timing::serial(38_400, TIMEOUT) };
    let settings = LineSettings {
        name: "faults".into(),
        frames,
        timing,
        connect_timeout: Duration::from_secs(1),
        connect_delay: Duration::ZERO,
    };
    let (line, owner) = Line::new(settings, connect, Arc::new(|_, _| {}));
    tokio::spawn(owner.run(CancellationToken::new()));
    let mut seed = Seed::new(seed ^ 11);
    let (mut right, mut errors, mut wrong) = (0, 0, 0);
    for _ in 0..REQUESTS {
        let unit = 1 + u8::try_from(seed.below(u64::from(UNITS))).unwrap();
        let (address, count) = (seed.below_u16(REGISTERS - 10), 1 + seed.below_u16(3));
        let request = Request::Read { table: Table::Input, address, count };
        let deadline = Instant::now() + Duration::from_secs(60);
        match line.ask(Ask { unit, request, lane: Lane::Readout, deadline, timeout: None }).await {
            Ok(Ok(Reply::Words(words))) => {
                let is_right = words.iter().copied().eq((address..address + count).map(|address| value(unit, address)));
                right += usize::from(is_right);
                wrong += usize::from(!is_right);
            }
            Ok(Ok(_)) => wrong += 1,
            _ => {
                errors += 1;
                // A suspended unit is refused at once; time has to pass for its next probe.
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }
    println!("{frames:?}: {REQUESTS} requests: {right} right, {errors} errors, {wrong} wrong");
    (right, errors, wrong)
}

#[tokio::test(start_paused = true)]
async fn no_fault_on_rtu_gives_a_wrong_value() {
    let (right, errors, wrong) = run(SEED, Frames::Rtu, random_fault).await;
    assert_eq!(wrong, 0);
    assert!(right > REQUESTS / 2 && errors > REQUESTS / 10, "{right} right, {errors} errors");
}

#[tokio::test(start_paused = true)]
async fn no_fault_on_tcp_gives_a_wrong_value() {
    // TCP carries bytes unchanged and in order, so a turned bit or noise is no fault of a line but of a device.
    let possible = |seed: &mut Seed, unit| random_fault(seed, unit).filter(|fault| !matches!(fault, Fault::BitFlip(_)));
    let (right, errors, wrong) = run(SEED, Frames::Tcp, possible).await;
    assert_eq!(wrong, 0);
    assert!(right > REQUESTS / 2 && errors > REQUESTS / 10, "{right} right, {errors} errors");
}
