use std::collections::VecDeque;
use std::io;
use std::sync::Mutex;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use futures_util::FutureExt;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use torg_simulated::{Fault, Framing, Rack, Script, Simulation, Unit, serve};

use super::super::reconnect::PAUSE_MIN;
use super::super::{ByteStream, Exception, Reply, Table};
use super::*;

const TIMEOUT: Duration = Duration::from_millis(100);

/// Opens a new in-memory line to the same devices each time; after `opens` connections there is none.
#[derive(Debug)]
struct Pipes {
    rack: Rack,
    framing: Framing,
    script: Script,
    refusals: Mutex<VecDeque<bool>>,
    devices: Mutex<Vec<tokio::task::AbortHandle>>,
}

#[async_trait]
impl Connect for Pipes {
    async fn connect(&self) -> io::Result<Box<dyn ByteStream>> {
        if self.refusals.lock().unwrap().pop_front() == Some(true) {
            return Err(io::Error::other("no such adapter"));
        }
        let (master, device) = tokio::io::duplex(4096);
        let simulation = Simulation::new(self.rack.clone(), self.framing).scripted(self.script.clone());
        let device = tokio::spawn(async move { serve(device, &simulation).await });
        self.devices.lock().unwrap().push(device.abort_handle());
        Ok(Box::new(master))
    }
}

struct World {
    line: Line,
    pipes: Arc<Pipes>,
    stop: CancellationToken,
    owner: tokio::task::JoinHandle<()>,
}

fn world_with(frames: Frames, script: Script, refusals: &[bool]) -> World {
    let unit = |first| {
        Unit::new().words(torg_simulated::Table::Input, 0, &[first, first + 1]).words(
            torg_simulated::Table::Holding,
            0,
            &[0],
        )
    };
    let pipes = Arc::new(Pipes {
        rack: Rack::new().with(7, unit(70)).with(8, unit(80)),
        framing: if frames == Frames::Tcp { Framing::Tcp } else { Framing::Rtu },
        script,
        refusals: Mutex::new(refusals.iter().copied().collect()),
        devices: Mutex::default(),
    });
    let settings = LineSettings {
        name: "test".into(),
        frames,
        timing: if frames == Frames::Tcp { Timing::tcp(TIMEOUT) } else { Timing::serial(9600, TIMEOUT) },
        connect_timeout: Duration::from_secs(3),
        connect_delay: Duration::ZERO,
    };
    let (line, owner) = Line::new(settings, Arc::clone(&pipes) as Arc<dyn Connect>, Arc::new(|_, _| {}));
    let stop = CancellationToken::new();
    let owner = tokio::spawn(owner.run(stop.clone()));
    World { line, pipes, stop, owner }
}

fn world(frames: Frames, faults: impl IntoIterator<Item = Option<Fault>>) -> World {
    world_with(frames, Script::list(faults), &[])
}

fn ask(unit: u8, request: Request, lane: Lane) -> Ask {
    Ask { unit, request, lane, deadline: Instant::now() + Duration::from_secs(60), timeout: None }
}

fn read(unit: u8) -> Ask {
    ask(unit, Request::Read { table: Table::Input, address: 0, count: 1 }, Lane::Readout)
}

fn write(unit: u8, value: u16) -> Ask {
    ask(unit, Request::WriteRegister { address: 0, value }, Lane::Control)
}

fn value(value: u16) -> Result<Answer, LineError> {
    Ok(Ok(Reply::Words(vec![value])))
}

fn requests(world: &World, unit: u8) -> u64 {
    world.pipes.rack.on(unit, |unit| unit.requests()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn reads_and_writes_in_both_framings() {
    for frames in [Frames::Rtu, Frames::Tcp] {
        let world = world(frames, []);
        assert_eq!(world.line.ask(read(7)).await, value(70));
        assert_eq!(world.line.ask(write(8, 5)).await, Ok(Ok(Reply::Written)));
        let holding = Request::Read { table: Table::Holding, address: 0, count: 1 };
        assert_eq!(world.line.ask(ask(8, holding, Lane::Readout)).await, value(5));
    }
}

#[tokio::test(start_paused = true)]
async fn each_fault_gives_its_own_error_and_the_next_request_is_right() {
    for frames in [Frames::Rtu, Frames::Tcp] {
        let silent = LineError::DeviceSilent { waited: TIMEOUT };
        let cases = [
            (Fault::Silence, Err(silent)),
            (Fault::Exception(6), Ok(Err(Exception(6)))),
            (Fault::WrongUnit(9), Err(LineError::DeviceWrongUnit { asked: 7, found: 9 })),
            (Fault::Duplicate, value(70)),
        ];
        for (fault, expected) in cases {
            let world = world(frames, [Some(fault.clone())]);
            let found = world.line.ask(read(7)).await;
            match (&found, &expected) {
                // On a serial line the reply's own time on the wire is waited for as well.
                (Err(LineError::DeviceSilent { waited }), Err(LineError::DeviceSilent { .. })) => {
                    assert!(*waited >= TIMEOUT);
                }
                _ => assert_eq!(found, expected, "{fault:?}"),
            }
            assert_eq!(world.line.ask(read(7)).await, value(70), "after {fault:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_damaged_a_cut_and_a_noisy_serial_answer() {
    let world = world(
        Frames::Rtu,
        [Some(Fault::BitFlip(33)), Some(Fault::Cut(5)), Some(Fault::Noise(vec![0])), Some(Fault::Echo)],
    );
    assert_eq!(world.line.ask(read(7)).await, Err(LineError::DeviceDamaged));
    assert_eq!(world.line.ask(read(7)).await, Err(LineError::DeviceCut { received: 5, expected: 7 }));
    assert_eq!(world.line.ask(read(7)).await, value(70));
    assert_eq!(world.line.ask(read(7)).await, value(70));
}

#[tokio::test(start_paused = true)]
async fn a_late_answer_holds_only_its_own_unit() {
    let world = world(Frames::Rtu, [Some(Fault::Late(TIMEOUT * 3))]);
    let start = Instant::now();
    assert!(world.line.ask(read(7)).await.is_err());
    assert_eq!(world.line.ask(read(8)).await, value(80));
    assert!(start.elapsed() < TIMEOUT * 2, "the other unit did not wait: {:?}", start.elapsed());
    assert_eq!(world.line.ask(read(7)).await, value(70));
    assert!(start.elapsed() >= TIMEOUT * 3, "the late unit was asked only after its late answer");
    assert_eq!(world.line.counters().late.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn an_answer_under_the_address_of_a_late_unit_does_not_settle_what_that_unit_owes() {
    let world = world(Frames::Rtu, [Some(Fault::Late(TIMEOUT * 3)), Some(Fault::WrongUnit(7))]);
    let start = Instant::now();
    assert!(world.line.ask(read(7)).await.is_err());
    assert!(world.line.ask(read(8)).await.is_err());
    assert_eq!(world.line.ask(read(7)).await, value(70));
    assert!(start.elapsed() >= TIMEOUT * 3, "unit 7 was asked before its late answer");
}

#[tokio::test(start_paused = true)]
async fn a_dropped_caller_never_stops_the_exchange_on_the_wire() {
    let world = world(Frames::Tcp, [Some(Fault::Late(TIMEOUT / 2))]);
    let impatient = timeout(TIMEOUT / 10, world.line.ask(write(7, 9))).await;
    assert!(impatient.is_err());
    let holding = Request::Read { table: Table::Holding, address: 0, count: 1 };
    assert_eq!(world.line.ask(ask(7, holding, Lane::Readout)).await, value(9));
    assert_eq!(world.line.counters().late.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_refuses_at_once_and_one_place_less_does_not() {
    let world = world(Frames::Tcp, [Some(Fault::Late(TIMEOUT / 2))]);
    let mut waiting: Vec<_> = (0..ASKED_MAX).map(|_| Box::pin(world.line.ask(read(7)))).collect();
    for asked in &mut waiting {
        assert!(asked.as_mut().now_or_never().is_none());
    }
    assert_eq!(world.line.ask(read(7)).await, Err(LineError::LoadFull));
    for asked in waiting {
        assert_eq!(asked.await, value(70));
    }
}

#[tokio::test(start_paused = true)]
async fn control_overtakes_reads_that_wait() {
    let world = world(Frames::Tcp, (0..20).map(|_| Some(Fault::Late(TIMEOUT / 2))));
    let reads = futures_util::future::join_all((0..10).map(|_| world.line.ask(read(7))));
    let start = Instant::now();
    let control = async {
        tokio::task::yield_now().await;
        world.line.ask(write(7, 1)).await.unwrap().unwrap();
        start.elapsed()
    };
    let (_, written) = tokio::join!(reads, control);
    assert!(written <= TIMEOUT * 2, "{written:?}");
}

#[tokio::test(start_paused = true)]
async fn a_request_whose_deadline_has_passed_is_not_sent() {
    let world = world(Frames::Tcp, [Some(Fault::Late(TIMEOUT / 2))]);
    let hurried = Ask { deadline: Instant::now() + TIMEOUT / 4, ..read(8) };
    let (_, late) = tokio::join!(world.line.ask(read(7)), async {
        tokio::task::yield_now().await;
        world.line.ask(hurried).await
    });
    assert!(matches!(late, Err(LineError::LoadLate { .. })));
    assert_eq!(requests(&world, 8), 0);
}

#[tokio::test(start_paused = true)]
async fn a_device_that_closes_an_idle_connection_is_no_error() {
    let world = world(Frames::Tcp, []);
    assert_eq!(world.line.ask(read(7)).await, value(70));
    for device in world.pipes.devices.lock().unwrap().drain(..) {
        device.abort();
    }
    assert_eq!(world.line.ask(read(7)).await, value(70));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(world.line.counters().connections.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn a_line_that_cannot_be_opened_says_why_and_is_tried_again_with_pauses() {
    let world = world_with(Frames::Tcp, Script::none(), &[true, true]);
    let down = Err(LineError::LineDown { reason: "no such adapter".to_owned() });
    assert_eq!(world.line.ask(read(7)).await, down);
    assert_eq!(world.line.ask(read(7)).await, down, "refused without another attempt");
    assert_eq!(world.pipes.refusals.lock().unwrap().len(), 1);
    tokio::time::sleep(PAUSE_MIN).await;
    assert_eq!(world.line.ask(read(7)).await, down);
    tokio::time::sleep(PAUSE_MIN * 2).await;
    assert_eq!(world.line.ask(read(7)).await, value(70));
}

#[tokio::test(start_paused = true)]
async fn a_silent_unit_is_suspended_with_its_cause_and_comes_back_by_a_probe() {
    let world = world(Frames::Rtu, (0..3).map(|_| Some(Fault::Silence)));
    for _ in 0..3 {
        assert!(matches!(world.line.ask(read(7)).await, Err(LineError::DeviceSilent { .. })));
    }
    let sent = requests(&world, 7);
    let Err(LineError::DeviceSuspended { failures: 3, next }) = world.line.ask(read(7)).await else {
        panic!("not suspended")
    };
    assert_eq!(requests(&world, 7), sent, "nothing was sent");
    tokio::time::sleep(next).await;
    assert_eq!(world.line.ask(read(7)).await, value(70));
}

#[tokio::test(start_paused = true)]
async fn two_silences_over_tcp_make_a_new_connection() {
    let world = world(Frames::Tcp, (0..2).map(|_| Some(Fault::Silence)));
    for _ in 0..2 {
        assert!(world.line.ask(read(7)).await.is_err());
    }
    assert_eq!(world.line.ask(read(7)).await, value(70));
    assert_eq!(world.line.counters().connections.load(Ordering::Relaxed), 2);
}

async fn after_the_first<T>(ask: impl Future<Output = T>) -> T {
    tokio::task::yield_now().await;
    tokio::task::yield_now().await;
    ask.await
}

#[tokio::test(start_paused = true)]
async fn stopping_finishes_writes_that_wait_and_refuses_reads() {
    let world = world(Frames::Tcp, [Some(Fault::Late(TIMEOUT / 2))]);
    let stop = async {
        tokio::time::sleep(TIMEOUT / 4).await;
        world.stop.cancel();
    };
    let (first, read, written, ()) = tokio::join!(
        world.line.ask(read(7)),
        after_the_first(world.line.ask(read(7))),
        after_the_first(world.line.ask(write(7, 3))),
        stop
    );
    assert_eq!(first, value(70));
    assert_eq!(read, Err(LineError::LoadStopping));
    assert_eq!(written, Ok(Ok(Reply::Written)));
    world.owner.await.unwrap();
    assert_eq!(world.line.ask(self::read(7)).await, Err(LineError::LoadStopping));
}
