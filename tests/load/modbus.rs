//! Requests of 125 registers per second on one Modbus TCP connection: Torg's line, bare tokio-modbus and libmodbus, each
//! against the same libmodbus server, in turns, so that a noisy moment of the machine hits all of them.
//!
//! Torg and tokio-modbus are asked by a task of the runtime, as the appliance asks its lines. Torg is asked from a thread
//! outside of it too: there each request crosses threads twice, which costs more than the request.

use std::{
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use tokio::runtime::Runtime;
use tokio_modbus::client::{Reader, tcp};
use tokio_util::sync::CancellationToken;
use torg_modbus::port::{Ask, Frames, Lane, Line, LineSettings, Reply, Request, Table, TcpConnect, Timing};

use crate::support::{child::Child, peer};

/// Registers of one request: the most that the protocol allows.
const COUNT: u16 = 125;
/// Registers of the server; each holds its own address, so a wrong value shows.
const REGISTERS: u16 = 1_000;
/// How long each client asks in one turn.
const TURN: Duration = Duration::from_secs(1);
/// Turns of each client; the median counts.
const TURNS: usize = 5;

/// Requests per second.
pub(crate) struct Rates {
    pub(crate) torg: f64,
    pub(crate) torg_from_outside: f64,
    pub(crate) tokio_modbus: f64,
    pub(crate) libmodbus: f64,
}

/// Measures them.
pub(crate) fn rates(runtime: &Runtime) -> Result<Rates> {
    let server = Child::start("libmodbus server", Command::new(peer("bin/libmodbus")).arg("server"));
    let port = server.line("READY", |line| line.starts_with("READY ")).trim_start_matches("READY ").to_owned();
    let (mut torg, mut outside, mut bare, mut foreign) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..TURNS {
        torg.push(runtime.block_on(runtime.spawn(by_torg(port.clone())))??);
        bare.push(runtime.block_on(runtime.spawn(by_tokio_modbus(port.clone())))??);
        outside.push(runtime.block_on(by_torg(port.clone()))?);
        foreign.push(by_libmodbus(&port)?);
    }
    Ok(Rates {
        torg: median(torg),
        torg_from_outside: median(outside),
        tokio_modbus: median(bare),
        libmodbus: median(foreign),
    })
}

async fn by_torg(port: String) -> Result<f64> {
    let settings = LineSettings {
        name: "load".into(),
        frames: Frames::Tcp,
        timing: Timing::tcp(Duration::from_secs(1)),
        connect_timeout: Duration::from_secs(5),
        connect_delay: Duration::ZERO,
    };
    let connect = TcpConnect { address: format!("127.0.0.1:{port}").into() };
    let (line, owner) = Line::new(settings, Arc::new(connect), Arc::new(|_, _| ()));
    let shutdown = CancellationToken::new();
    let owner = tokio::spawn(owner.run(shutdown.clone()));
    let mut rate = Turn::begin();
    while let Some(address) = rate.next_address() {
        let request = Request::Read { table: Table::Holding, address, count: COUNT };
        let deadline = tokio::time::Instant::now() + Duration::from_secs(5);
        let ask = Ask { unit: 1, request, lane: Lane::Readout, deadline, timeout: None };
        let reply = line.ask(ask).await?.map_err(|exception| anyhow::anyhow!("{exception}"))?;
        let Reply::Words(words) = reply else { anyhow::bail!("{reply:?} is no answer") };
        ensure!(words.first() == Some(&address), "a wrong value");
    }
    shutdown.cancel();
    owner.await?;
    Ok(rate.per_second())
}

async fn by_tokio_modbus(port: String) -> Result<f64> {
    let mut context = tcp::connect(format!("127.0.0.1:{port}").parse()?).await?;
    let mut rate = Turn::begin();
    while let Some(address) = rate.next_address() {
        let words = context.read_holding_registers(address, COUNT).await??;
        ensure!(words.first() == Some(&address), "a wrong value");
    }
    Ok(rate.per_second())
}

fn by_libmodbus(port: &str) -> Result<f64> {
    let mut client = Command::new(peer("bin/libmodbus"));
    let text = Child::start("libmodbus client", client.args(["client", port, &TURN.as_secs().to_string()])).succeed();
    text.trim().parse().with_context(|| format!("libmodbus says {text}"))
}

/// Counts the requests of one turn.
struct Turn {
    start: Instant,
    count: u32,
}

impl Turn {
    fn begin() -> Self {
        Self { start: Instant::now(), count: 0 }
    }

    /// The address to ask next, until the turn is over.
    fn next_address(&mut self) -> Option<u16> {
        if self.start.elapsed() >= TURN {
            return None;
        }
        self.count += 1;
        u16::try_from(self.count % u32::from(REGISTERS - COUNT)).ok()
    }

    fn per_second(&self) -> f64 {
        f64::from(self.count) / self.start.elapsed().as_secs_f64()
    }
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}
