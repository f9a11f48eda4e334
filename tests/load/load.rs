//! What Torg's broker costs, beside Prosody and ejabberd, measured in one run on one machine: `make bench`.
//!
//! Every server gets the same clients, certificates, SCRAM-SHA-256 and direct TLS, and none of them a rate limit that the load
//! would hit. CPU (user and system) and memory are the server process's own, read from `/proc`, so the loader that shares the
//! cores with it does not count; rates and delays do suffer from the loader, alike for each server. Loopback only. It does not
//! judge: the targets stand beside the figures.
//!
//! Arguments measure only what they name: `prosody`, `ejabberd`, `torg` (the table, for these servers), `modbus`, `sizes`,
//! `flood` (a million connections of strangers) and `storm` (all sessions lost at once). `short` takes less time.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a tool for developers"
)]

mod appliance;
#[allow(dead_code, reason = "shared with the survival test")]
mod client;
mod flood;
mod measure;
mod modbus;
mod server;
#[allow(dead_code, reason = "each binary uses its own part of it")]
#[path = "../support/mod.rs"]
mod support;
mod traffic;

use std::{sync::Arc, time::Duration};

use anyhow::Result;

use client::{Account, Dialler, Session};
use measure::{Cost, Process};
use server::Server;
use traffic::Delivered;

/// Sessions of the open loop and of the memory figure; enough that the server's own growth disappears in the average. Each is of an
/// account of its own, as devices are.
const SESSIONS: usize = 1_000;
/// Contacts in the roster of each.
const CONTACTS: usize = 10;
/// Logins under way at a time: keeps two cores busy without making the handshakes time out.
const LOGINS_AT_ONCE: usize = 8;
/// Sessions of the closed loop: ten pairs.
const CLOSED_SESSIONS: usize = 20;
/// Messages per second of the open loop.
const OPEN_RATE: usize = 5_000;

/// How long things are measured.
#[derive(Clone, Copy)]
struct Lengths {
    idle: Duration,
    closed: Duration,
    open: Duration,
}

const LONG: Lengths =
    Lengths { idle: Duration::from_secs(60), closed: Duration::from_secs(10), open: Duration::from_secs(60) };
const SHORT: Lengths =
    Lengths { idle: Duration::from_secs(5), closed: Duration::from_secs(3), open: Duration::from_secs(10) };

struct Figures {
    server: String,
    logins: PerOne,
    session_bytes: f64,
    /// Without stream management and with it.
    closed: [PerOne; 2],
    open: [(PerOne, Delivered); 2],
}

/// What one of many things cost.
struct PerOne {
    per_second: f64,
    cpu: Duration,
}

fn main() -> Result<()> {
    let mut only: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let lengths = if only.iter().any(|one| one == "short") { SHORT } else { LONG };
    only.retain(|one| one != "short");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let folder = tempfile::tempdir()?;
    let wanted = |name: &str| only.is_empty() || only.iter().any(|one| one == name);
    let servers: [(&str, server::Prepare); 3] =
        [("prosody", server::prosody), ("ejabberd", server::ejabberd), ("torg", server::torg)];
    let mut figures = Vec::new();
    for (name, prepare) in servers {
        if wanted(name) {
            let accounts: Vec<Account> = (0..SESSIONS).map(|number| Account::new(&format!("load{number}"))).collect();
            let mut server = prepare(folder.path(), &accounts)?;
            figures.push(runtime.block_on(measure_server(&mut server, &accounts, lengths))?);
        }
    }
    if !figures.is_empty() {
        print_table(&figures);
    }
    if wanted("flood") {
        flood::print(&runtime.block_on(flood::flood(folder.path()))?);
    }
    if wanted("modbus") {
        print_rates(&modbus::rates(&runtime)?);
    }
    if wanted("sizes") {
        print_sizes(&appliance::sizes()?);
    }
    Ok(())
}

async fn measure_server(server: &mut Server, accounts: &[Account], lengths: Lengths) -> Result<Figures> {
    server.start()?;
    fill_rosters(&Arc::new(server.dialler()?), accounts).await?;
    let (process, dialler) = fresh(server)?;
    // One session first, so that caches, pools and lazy tables are not charged to the thousand.
    drop(dialler.login(&accounts[0], "warm-up").await?);

    let empty = process.resident_bytes()?;
    let (cost, sessions) = process.cost_of(log_in(&dialler, accounts, false)).await?;
    let sessions = sessions?;
    tokio::time::sleep(lengths.idle).await;
    let full = process.resident_bytes()?;
    let logins = PerOne::of(&cost, sessions.len());
    eprintln!("{}: {SESSIONS} sessions measured", server.name);

    let bare = open(&process, sessions, false, lengths.open).await?;
    let (process, dialler) = fresh(server)?;
    let acked = open(&process, log_in(&dialler, accounts, true).await?, true, lengths.open).await?;
    eprintln!("{}: open loop measured", server.name);
    let mut closed = Vec::new();
    for acks in [false, true] {
        let (process, dialler) = fresh(server)?;
        let sessions = log_in(&dialler, &accounts[..CLOSED_SESSIONS], acks).await?;
        let (cost, delivered) = process.cost_of(traffic::closed(sessions, acks, lengths.closed)).await?;
        closed.push(PerOne::of(&cost, delivered?));
    }
    eprintln!("{}: closed loop measured", server.name);
    let Ok(closed) = <[PerOne; 2]>::try_from(closed) else { unreachable!("two were pushed") };
    Ok(Figures {
        server: server.name.clone(),
        logins,
        session_bytes: full.saturating_sub(empty) as f64 / SESSIONS as f64,
        closed,
        open: [bare, acked],
    })
}

/// The server started anew, so that no load pays for the one before it.
fn fresh(server: &mut Server) -> Result<(Process, Arc<Dialler>)> {
    server.stop();
    server.start()?;
    Ok((Process::of(server.pid()), Arc::new(server.dialler()?)))
}

async fn open(process: &Process, sessions: Vec<Session>, acks: bool, length: Duration) -> Result<(PerOne, Delivered)> {
    let (cost, delivered) = process.cost_of(traffic::open(sessions, acks, OPEN_RATE, length)).await?;
    let delivered = delivered?;
    Ok((PerOne::of(&cost, delivered.count), delivered))
}

async fn fill_rosters(dialler: &Arc<Dialler>, accounts: &[Account]) -> Result<()> {
    each(dialler, accounts, |dialler, account, _| async move {
        dialler.login(&account, "roster").await?.add_contacts(CONTACTS).await
    })
    .await
    .map(drop)
}

/// Logs in all sessions with roster and presence, and waits until each has had an answer to a ping, so that nothing is pending.
async fn log_in(dialler: &Arc<Dialler>, accounts: &[Account], acks: bool) -> Result<Vec<Session>> {
    each(dialler, accounts, move |dialler, account, number| async move {
        let mut session = dialler.login(&account, &format!("s{number}")).await?;
        session.fetch_roster().await?;
        session.appear().await?;
        session.ping().await?;
        if acks {
            session.enable_acks().await?;
        }
        anyhow::Ok(session)
    })
    .await
}

/// Does something for each account, some of them at a time.
async fn each<T, F>(
    dialler: &Arc<Dialler>,
    accounts: &[Account],
    work: impl Fn(Arc<Dialler>, Account, usize) -> F,
) -> Result<Vec<T>>
where
    T: Send + 'static,
    F: Future<Output = Result<T>> + Send + 'static,
{
    let mut tasks = tokio::task::JoinSet::new();
    let mut done = Vec::with_capacity(accounts.len());
    let mut waiting = accounts.iter().enumerate();
    loop {
        while tasks.len() < LOGINS_AT_ONCE {
            let Some((number, account)) = waiting.next() else { break };
            tasks.spawn(work(dialler.clone(), account.clone(), number));
        }
        let Some(one) = tasks.join_next().await else { return Ok(done) };
        done.push(one??);
    }
}

impl PerOne {
    fn of(cost: &Cost, count: usize) -> Self {
        Self { per_second: count as f64 / cost.wall.as_secs_f64(), cpu: cost.cpu.div_f64(count.max(1) as f64) }
    }
}

fn print_table(figures: &[Figures]) {
    let micros = |cpu: Duration| cpu.as_secs_f64() * 1e6;
    let millis = |time: Duration| time.as_secs_f64() * 1e3;
    println!("\nThe rate limits of all servers are raised or off.");
    println!("{:<56} {:>9}{}", "", "target", figures.iter().map(|f| format!("{:>12}", f.server)).collect::<String>());
    let row = |label: &str, target: &str, value: &dyn Fn(&Figures) -> f64| {
        println!(
            "{label:<56} {target:>9}{}",
            figures.iter().map(|f| format!("{:>12.1}", value(f))).collect::<String>()
        );
    };
    for (index, name) in ["", ", with acknowledgements (XEP-0198)"].into_iter().enumerate() {
        row(&format!("closed loop, 10 pairs, window 8, 100 bytes{name}: /s"), "", &|f| f.closed[index].per_second);
        row("  server CPU per message, us", "<= 10", &|f| micros(f.closed[index].cpu));
    }
    for (index, name) in ["", ", acks"].into_iter().enumerate() {
        row(&format!("open loop, 1000 sessions, 5000/s, 200 bytes{name}: lost"), "0", &|f| {
            (f.open[index].1.sent - f.open[index].1.count) as f64
        });
        row("  server CPU per message, us", "<= 10", &|f| micros(f.open[index].0.cpu));
        row("  delay of half of them at most, ms", "", &|f| millis(f.open[index].1.p50));
        row("  delay of all but a hundredth, ms", "<= 10", &|f| millis(f.open[index].1.p99));
    }
    row("memory per idle session, roster of 10, KiB", "<= 16", &|f| f.session_bytes / 1024.0);
    row("logins with roster and presence (TLS 1.3, P-256): /s", "", &|f| f.logins.per_second);
    row("  server CPU per login, us", "<= 500", &|f| micros(f.logins.cpu));
}

fn print_rates(rates: &modbus::Rates) {
    println!(
        "\n{:<44} {:>9}{:>14}{:>14}{:>14}",
        "Modbus TCP, one connection", "target", "Torg", "tokio-modbus", "libmodbus"
    );
    println!(
        "{:<44} {:>9}{:>14.0}{:>14.0}{:>14.0}",
        "requests of 125 registers /s", "", rates.torg, rates.tokio_modbus, rates.libmodbus
    );
    let ratio = rates.torg / rates.tokio_modbus;
    println!("{:<44} {:>9}{ratio:>14.2}", "  Torg's part of bare tokio-modbus", ">= 0.6");
    let outside = rates.torg_from_outside;
    println!("{:<44} {:>9}{outside:>14.0}", "  the same, asked from outside the runtime", "");
}

fn print_sizes(sizes: &appliance::Sizes) {
    let mib = |bytes: u64| bytes as f64 / 1024.0 / 1024.0;
    println!("\n{:<44} {:>9}{:>14}", "", "target", "Torg");
    println!("{:<44} {:>9}{:>14.1}", "binary, MiB", "<= 25", mib(sizes.binary_bytes));
    println!("{:<44} {:>9}{:>14.3}", "start to READY, s", "<= 1", sizes.start.as_secs_f64());
    let label = format!("memory with {} fields followed, MiB", sizes.fields);
    println!("{label:<44} {:>9}{:>14.1}", "<= 48", mib(sizes.resident_bytes));
}
