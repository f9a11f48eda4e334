//! Silent units on a 9600-baud RTU line: the others keep their rate. Simulated timing, character by character.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::panic,
    reason = "a test may fail, and its figures are to be read"
)]

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use torg_modbus::port::{Ask, ByteStream, Connect, Frames, Lane, Line, LineError, LineSettings, Request, Table};
use torg_simulated::{Framing, Rack, Simulation, Unit, serve};

const SPAN: Duration = Duration::from_secs(120);
const REGISTERS: u16 = 20;

#[derive(Debug)]
struct Bus(Rack);

#[async_trait]
impl Connect for Bus {
    async fn connect(&self) -> io::Result<Box<dyn ByteStream>> {
        let (master, device) = tokio::io::duplex(4096);
        let timing = torg_simulated::Timing::serial(9600, Duration::from_millis(20));
        let simulation = Simulation::new(self.0.clone(), Framing::Rtu).timed(timing);
        tokio::spawn(async move { serve(device, &simulation).await });
        Ok(Box::new(master))
    }
}

/// Answers per unit in [`SPAN`], when each of `units` is read as fast as the line goes and those in `silent` are unplugged.
async fn rates(units: u8, silent: &[u8]) -> Vec<u64> {
    let meter = || Unit::new().words(torg_simulated::Table::Input, 0, &[7; 20]);
    let rack = (1..=units).fold(Rack::new(), |rack, id| rack.with(id, meter()));
    for unit in silent {
        rack.unplug(*unit);
    }
    let settings = LineSettings {
        name: "bus".into(),
        frames: Frames::Rtu,
        timing: torg_modbus::port::Timing::serial(9600, Duration::from_millis(500)),
        connect_timeout: Duration::from_secs(1),
        connect_delay: Duration::ZERO,
    };
    let (line, owner) = Line::new(settings, Arc::new(Bus(rack)), Arc::new(|_, _| {}));
    let stop = CancellationToken::new();
    let owner = tokio::spawn(owner.run(stop.clone()));
    let counts: Vec<Arc<AtomicU64>> = (0..units).map(|_| Arc::default()).collect();
    let readers: Vec<_> = (1..=units)
        .zip(&counts)
        .map(|(unit, count)| tokio::spawn(reader(line.clone(), unit, Arc::clone(count))))
        .collect();
    tokio::time::sleep(SPAN).await;
    for reader in readers {
        reader.abort();
    }
    stop.cancel();
    owner.await.unwrap();
    counts.iter().map(|count| count.load(Ordering::Relaxed)).collect()
}

async fn reader(line: Line, unit: u8, count: Arc<AtomicU64>) {
    loop {
        let request = Request::Read { table: Table::Input, address: 0, count: REGISTERS };
        let deadline = Instant::now() + Duration::from_secs(60);
        match line.ask(Ask { unit, request, lane: Lane::Poll, deadline, timeout: None }).await {
            Ok(Ok(_)) => count.fetch_add(1, Ordering::Relaxed),
            Err(LineError::DeviceSuspended { .. } | LineError::DeviceSilent { .. }) => {
                tokio::time::sleep(Duration::from_millis(500)).await;
                continue;
            }
            other => panic!("unit {unit}: {other:?}"),
        };
    }
}

async fn share_kept(units: u8, silent: &[u8]) -> u64 {
    let (healthy, hurt) = (rates(units, &[]).await, rates(units, silent).await);
    println!("{units} units healthy: {healthy:?} answers in {SPAN:?}");
    println!("{units} units, silent {silent:?}: {hurt:?}");
    let shares = (1..=units).filter(|unit| !silent.contains(unit)).map(|unit| {
        let at = usize::from(unit) - 1;
        hurt[at] * 100 / healthy[at]
    });
    let least = shares.min().unwrap();
    println!("the others keep at least {least} % of their rate");
    least
}

#[tokio::test(start_paused = true)]
async fn one_silent_unit_of_eight_leaves_the_others_ninety_percent_of_their_rate() {
    assert!(share_kept(8, &[5]).await >= 90);
}

#[tokio::test(start_paused = true)]
async fn four_silent_units_of_sixteen_leave_the_others_ninety_percent_of_their_rate() {
    assert!(share_kept(16, &[2, 3, 9, 16]).await >= 90);
}
