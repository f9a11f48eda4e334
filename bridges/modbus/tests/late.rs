//! Replies that come after their timeout: over RTU and TCP, through our port and through bare tokio-modbus.
//!
//! The same seeded script of a thousand requests and late replies runs over both; time is simulated.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test may fail, and its figures are to be read")]

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::DuplexStream;
use tokio::time::Instant;
use tokio_modbus::client::{Context, Reader};
use tokio_modbus::prelude::SlaveContext;
use tokio_modbus::slave::Slave;
use tokio_util::sync::CancellationToken;
use torg_modbus::port::{Ask, ByteStream, Connect, Frames, Lane, Line, LineSettings, Reply, Request, Table, Timing};
use torg_simulated::{Fault, Framing, Rack, Script, Seed, Simulation, Unit, serve};

const TIMEOUT: Duration = Duration::from_millis(200);
const REQUESTS: usize = 1_000;
const UNITS: u8 = 4;
const REGISTERS: u16 = 1_000;
const SEED: u64 = 20_261_123;

/// Every register of every unit holds another number, so a value under a wrong name is always seen.
fn value(unit: u8, table: Table, address: u16) -> u16 {
    u16::from(unit) * 10_000 + if table == Table::Holding { 5_000 } else { 0 } + address
}

fn rack() -> Rack {
    let bank = |unit, table| (0..REGISTERS).map(|address| value(unit, table, address)).collect::<Vec<_>>();
    (1..=UNITS).fold(Rack::new(), |rack, id| {
        let unit = Unit::new().words(torg_simulated::Table::Input, 0, &bank(id, Table::Input)).words(
            torg_simulated::Table::Holding,
            0,
            &bank(id, Table::Holding),
        );
        rack.with(id, unit)
    })
}

#[derive(Debug, Clone, Copy)]
struct Wanted {
    unit: u8,
    table: Table,
    address: u16,
    count: u16,
}

impl Wanted {
    /// All of one length, the hardest case: a late reply of the unit and function could be that of any request. (With other
    /// lengths tokio-modbus panics in debug builds.)
    fn random(seed: &mut Seed) -> Self {
        let unit = 1 + u8::try_from(seed.below(u64::from(UNITS))).unwrap();
        let table = if seed.chance(50) { Table::Input } else { Table::Holding };
        let count = 2;
        Self { unit, table, address: seed.below_u16(REGISTERS - count), count }
    }

    fn is(&self, words: &[u16]) -> bool {
        let right: Vec<u16> =
            (0..self.count).map(|offset| value(self.unit, self.table, self.address + offset)).collect();
        words == right
    }
}

/// For each request that reached a device: whether its reply was late.
type Log = Arc<Mutex<Vec<bool>>>;

/// What a late device does to its line.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Manner {
    /// It alone is late; others answer meanwhile.
    Alone,
    /// Everything behind it waits, as behind a busy gateway: replies that the script leaves alone become late too.
    HoldsUpTheLine,
}

/// A quarter of the replies comes up to three timeouts after the timeout.
fn late(manner: Manner, log: Log, on: Arc<Mutex<bool>>) -> Script {
    Script::seeded(SEED, move |seed, _| {
        let late = seed.chance(25) && *on.lock().unwrap();
        log.lock().unwrap().push(late);
        let by = TIMEOUT + Duration::from_micros(seed.below(3 * 200_000));
        late.then_some(if manner == Manner::Alone { Fault::Late(by) } else { Fault::Stall(by) })
    })
}

fn device(framing: Framing, script: &Script) -> DuplexStream {
    let (master, device) = tokio::io::duplex(8192);
    let simulation = Simulation::new(rack(), framing).scripted(script.clone());
    tokio::spawn(async move { serve(device, &simulation).await });
    master
}

#[derive(Debug)]
struct Pipe(Framing, Script);

#[async_trait]
impl Connect for Pipe {
    async fn connect(&self) -> io::Result<Box<dyn ByteStream>> {
        Ok(Box::new(device(self.0, &self.1)))
    }
}

#[derive(Debug, Default, PartialEq)]
struct Tally {
    right: usize,
    wrong: usize,
    errors: usize,
    /// Requests that failed although their own reply came in time.
    lost_in_time: usize,
    /// Requests among the last fifty, all with replies in time, that gave no right value; the first is not counted.
    lost_after: usize,
}

impl Tally {
    fn count(&mut self, wanted: &Wanted, words: Option<Vec<u16>>, late: Option<bool>, healthy: bool) {
        match words {
            Some(words) if wanted.is(&words) => self.right += 1,
            Some(_) => self.wrong += 1,
            None => {
                self.errors += 1;
                self.lost_in_time += usize::from(late == Some(false));
                self.lost_after += usize::from(healthy);
            }
        }
    }
}

async fn ours(manner: Manner, frames: Frames, framing: Framing) -> Tally {
    let (log, on) = (Log::default(), Arc::new(Mutex::new(true)));
    let connect = Arc::new(Pipe(framing, late(manner, Arc::clone(&log), Arc::clone(&on))));
    let timing = if frames == Frames::Tcp { Timing::tcp(TIMEOUT) } else { Timing::serial(19_200, TIMEOUT) };
    let settings = LineSettings {
        name: "late".into(),
        frames,
        timing,
        connect_timeout: Duration::from_secs(1),
        connect_delay: Duration::ZERO,
    };
    let (line, owner) = Line::new(settings, connect, Arc::new(|_, _| {}));
    tokio::spawn(owner.run(CancellationToken::new()));
    let (mut seed, mut tally) = (Seed::new(SEED), Tally::default());
    for number in 0..REQUESTS + 51 {
        *on.lock().unwrap() = number < REQUESTS;
        let wanted = Wanted::random(&mut seed);
        let Wanted { unit, table, address, count } = wanted;
        let request = Request::Read { table, address, count };
        let deadline = Instant::now() + Duration::from_secs(60);
        let answer = line.ask(Ask { unit, request, lane: Lane::Readout, deadline, timeout: None }).await;
        let words = match answer {
            Ok(Ok(Reply::Words(words))) => Some(words),
            _ => None,
        };
        let late = log.lock().unwrap().drain(..).next_back();
        tally.count(&wanted, words, late, number > REQUESTS);
    }
    tally
}

async fn bare(manner: Manner, framing: Framing) -> Tally {
    let (log, on) = (Log::default(), Arc::new(Mutex::new(true)));
    let stream = device(framing, &late(manner, Arc::clone(&log), Arc::clone(&on)));
    let mut context: Context = match framing {
        Framing::Tcp => tokio_modbus::client::tcp::attach(stream),
        _ => tokio_modbus::client::rtu::attach(stream),
    };
    let (mut seed, mut tally) = (Seed::new(SEED), Tally::default());
    for number in 0..REQUESTS + 51 {
        *on.lock().unwrap() = number < REQUESTS;
        let wanted = Wanted::random(&mut seed);
        context.set_slave(Slave(wanted.unit));
        let read = async {
            match wanted.table {
                Table::Input => context.read_input_registers(wanted.address, wanted.count).await,
                _ => context.read_holding_registers(wanted.address, wanted.count).await,
            }
        };
        let answer = tokio::time::timeout(TIMEOUT, read).await;
        let words = answer.ok().and_then(Result::ok).and_then(Result::ok);
        let late = log.lock().unwrap().drain(..).next_back();
        tally.count(&wanted, words, late, number > REQUESTS);
    }
    tally
}

/// Runs the script over both and checks ours. Gives what became of tokio-modbus.
async fn compare(manner: Manner, frames: Frames) -> Tally {
    let framing = if frames == Frames::Tcp { Framing::Tcp } else { Framing::Rtu };
    let (ours, bare) = (ours(manner, frames, framing).await, bare(manner, framing).await);
    println!("{frames:?}, {manner:?}: ours         {ours:?}");
    println!("{frames:?}, {manner:?}: tokio-modbus {bare:?}");
    assert_eq!(ours.wrong, 0, "a value under a wrong name");
    assert_eq!(ours.lost_after, 0, "not recovered after the last late reply");
    assert!(manner == Manner::HoldsUpTheLine || ours.lost_in_time == 0, "a reply in time was lost");
    assert!(ours.errors > 100, "the script made no trouble");
    bare
}

#[tokio::test(start_paused = true)]
async fn late_replies_on_rtu_never_give_a_wrong_value() {
    let bare = compare(Manner::Alone, Frames::Rtu).await;
    assert!(bare.wrong > 0, "the script would not show the fault it is for");
}

#[tokio::test(start_paused = true)]
async fn a_line_held_up_by_late_replies_on_rtu_never_gives_a_wrong_value() {
    let bare = compare(Manner::HoldsUpTheLine, Frames::Rtu).await;
    assert!(bare.wrong > 0, "the script would not show the fault it is for");
}

#[tokio::test(start_paused = true)]
async fn late_replies_on_tcp_never_give_a_wrong_value() {
    compare(Manner::Alone, Frames::Tcp).await;
}

#[tokio::test(start_paused = true)]
async fn a_line_held_up_by_late_replies_on_tcp_never_gives_a_wrong_value() {
    compare(Manner::HoldsUpTheLine, Frames::Tcp).await;
}
