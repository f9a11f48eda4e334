//! What Torg's broker costs, beside Prosody and ejabberd, measured in one run on one machine: `make bench`.
//!
//! Every server gets the same clients, certificates, SCRAM-SHA-256 and direct TLS, and none of them a rate limit that the load
//! would hit. CPU (user and system) and memory are the server process's own, read from `/proc`, so the loader that shares the
//! cores with it does not count; rates and delays do suffer from the loader, alike for each server. Loopback only. It does not
//! judge: the targets stand beside the figures.
//!
//! Arguments measure only what they name: `prosody`, `ejabberd`, `torg` (the tables, for these servers), `sessions`, `open`, `closed`,
//! `federation` (parts of them), `modbus`, `sizes`, `flood` (a million connections of strangers) and `storm` (all sessions lost at
//! once). `short` takes less time. A server that cannot be measured leaves its columns empty; the run then fails, at its end.

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
mod federation;
mod flood;
mod measure;
mod modbus;
mod roamer;
mod server;
mod storm;
#[allow(dead_code, reason = "each binary uses its own part of it")]
#[path = "../support/mod.rs"]
mod support;
mod traffic;

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::Result;

use client::{Account, Dialler, Session};
use federation::Federated;
use measure::{Cost, Process};
use server::{Authority, Server, Setup};
use traffic::{Delivered, Open};

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

/// What one server was measured to take; `None` where it was not measured.
#[derive(Default)]
struct Figures {
    server: String,
    logins: Option<PerOne>,
    session_bytes: Option<f64>,
    /// Without stream management and with it.
    closed: [Option<PerOne>; 2],
    open: [Option<(PerOne, Delivered)>; 2],
    federated: Option<Federated>,
}

/// What one of many things cost.
struct PerOne {
    per_second: f64,
    cpu: Duration,
}

/// What the arguments ask for.
struct Wanted(Vec<String>);

impl Wanted {
    /// The parts of the table; whoever names none of them wants all.
    const PARTS: [&str; 4] = ["sessions", "open", "closed", "federation"];
    const SERVERS: [&str; 3] = ["prosody", "ejabberd", "torg"];

    fn has(&self, name: &str) -> bool {
        self.0.is_empty() || self.0.iter().any(|one| one == name)
    }

    fn part(&self, name: &str) -> bool {
        !self.0.iter().any(|one| Self::PARTS.contains(&one.as_str())) || self.0.iter().any(|one| one == name)
    }

    fn server(&self, name: &str) -> bool {
        let names = |list: &[&str]| self.0.iter().any(|one| list.contains(&one.as_str()));
        self.has(name) || names(&Self::PARTS) && !names(&Self::SERVERS)
    }
}

fn main() -> Result<()> {
    let mut arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let is_short = arguments.iter().any(|one| one == "short");
    let lengths = if is_short { SHORT } else { LONG };
    arguments.retain(|one| one != "short");
    let wanted = Wanted(arguments);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let folder = tempfile::tempdir()?;
    let authority = Authority::new()?;
    let servers: [(&str, server::Prepare); 3] =
        [("prosody", server::prosody), ("ejabberd", server::ejabberd), ("torg", server::torg)];
    let (mut all, mut failed) = (Vec::new(), false);
    for (name, prepare) in servers.into_iter().filter(|(name, _)| wanted.server(name)) {
        let mut figures = Figures { server: name.to_owned(), ..Figures::default() };
        let measured =
            runtime.block_on(measure_server(folder.path(), &authority, prepare, lengths, &wanted, &mut figures));
        if let Err(error) = measured {
            eprintln!("{name} could not be measured: {error:?}");
            failed = true;
        }
        all.push(figures);
    }
    if !all.is_empty() {
        print_table(&all);
    }
    if wanted.has("storm") {
        storm::print(&runtime.block_on(storm::storm(folder.path(), &authority, is_short))?);
    }
    if wanted.has("flood") {
        flood::print(&runtime.block_on(flood::flood(folder.path(), &authority))?);
    }
    if wanted.has("modbus") {
        print_rates(&modbus::rates(&runtime)?);
    }
    if wanted.has("sizes") {
        print_sizes(&appliance::sizes()?);
    }
    anyhow::ensure!(!failed, "not everything could be measured");
    Ok(())
}

async fn measure_server(
    folder: &Path,
    authority: &Authority,
    prepare: server::Prepare,
    lengths: Lengths,
    wanted: &Wanted,
    figures: &mut Figures,
) -> Result<()> {
    let accounts: Vec<Account> = (0..SESSIONS).map(|number| Account::new(&format!("load{number}"))).collect();
    let mut server =
        prepare(&Setup { folder, authority, domain: server::DOMAIN, accounts: &accounts, neighbour: None })?;
    figures.server.clone_from(&server.name);
    server.start()?;
    let name = figures.server.clone();
    if wanted.part("sessions") {
        fill_rosters(&Arc::new(server.dialler()?), &accounts).await?;
        let (process, dialler) = fresh(&mut server)?;
        // One session first, so that caches, pools and lazy tables are not charged to the thousand.
        drop(dialler.login(&accounts[0], "warm-up").await?);
        let empty = process.resident_bytes()?;
        let (cost, sessions) = process.cost_of(log_in(&dialler, &accounts, false)).await?;
        let sessions = sessions?;
        tokio::time::sleep(lengths.idle).await;
        let full = process.resident_bytes()?;
        figures.logins = Some(PerOne::of(&cost, sessions.len()));
        figures.session_bytes = Some(full.saturating_sub(empty) as f64 / SESSIONS as f64);
        eprintln!("{name}: {SESSIONS} sessions measured");
    }
    for acks in [false, true] {
        if wanted.part("open") {
            let (process, dialler) = fresh(&mut server)?;
            let sessions = log_in(&dialler, &accounts, acks).await?;
            let how = Open { acks, rate: OPEN_RATE, length: lengths.open, across: false };
            let (cost, delivered) = process.cost_of(traffic::open(sessions, how)).await?;
            let delivered = delivered?;
            figures.open[usize::from(acks)] = Some((PerOne::of(&cost, delivered.count), delivered));
            eprintln!("{name}: open loop measured, acknowledgements: {acks}");
        }
        if wanted.part("closed") {
            let (process, dialler) = fresh(&mut server)?;
            let sessions = log_in(&dialler, &accounts[..CLOSED_SESSIONS], acks).await?;
            let (cost, delivered) = process.cost_of(traffic::closed(sessions, acks, lengths.closed)).await?;
            figures.closed[usize::from(acks)] = Some(PerOne::of(&cost, delivered?));
            eprintln!("{name}: closed loop measured, acknowledgements: {acks}");
        }
    }
    server.stop();
    if wanted.part("federation") {
        figures.federated = Some(federation::measure(folder, authority, prepare, lengths).await?);
    }
    Ok(())
}

/// The server started anew, so that no load pays for the one before it.
fn fresh(server: &mut Server) -> Result<(Process, Arc<Dialler>)> {
    server.stop();
    server.start()?;
    Ok((Process::of(server.pid()), Arc::new(server.dialler()?)))
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
    let micros = |one: &PerOne| one.cpu.as_secs_f64() * 1e6;
    let millis = |time: Duration| time.as_secs_f64() * 1e3;
    let lost = |delivered: &Delivered| (delivered.sent - delivered.count) as f64;
    println!("\nThe rate limits of all servers are raised or off.");
    println!("{:<56} {:>9}{}", "", "target", figures.iter().map(|f| format!("{:>12}", f.server)).collect::<String>());
    let row = |label: &str, target: &str, value: &dyn Fn(&Figures) -> Option<f64>| {
        let cell = |f| value(f).map_or_else(|| format!("{:>12}", "-"), |value| format!("{value:>12.1}"));
        println!("{label:<56} {target:>9}{}", figures.iter().map(cell).collect::<String>());
    };
    for (index, name) in ["", ", acks"].into_iter().enumerate() {
        let closed = |f: &'_ Figures| f.closed[index].as_ref().map(|one| (one.per_second, micros(one)));
        row(&format!("closed loop, 10 pairs, window 8, 100 bytes{name}: /s"), "", &|f| Some(closed(f)?.0));
        row("  server CPU per message, us", "<= 10", &|f| Some(closed(f)?.1));
    }
    for (index, name) in ["", ", acks"].into_iter().enumerate() {
        let open = |f: &'_ Figures| f.open[index].as_ref().map(|(one, all)| (micros(one), lost(all), all.p50, all.p99));
        row(&format!("open loop, 1000 sessions, 5000/s, 200 bytes{name}: lost"), "0", &|f| Some(open(f)?.1));
        row("  server CPU per message, us", "<= 10", &|f| Some(open(f)?.0));
        row("  delay of half of them at most, ms", "", &|f| Some(millis(open(f)?.2)));
        row("  delay of all but a hundredth, ms", "<= 10", &|f| Some(millis(open(f)?.3)));
    }
    row("memory per idle session, roster of 10, KiB", "<= 16", &|f| Some(f.session_bytes? / 1024.0));
    row("logins with roster and presence (TLS 1.3, P-256): /s", "", &|f| Some(f.logins.as_ref()?.per_second));
    row("  server CPU per login, us", "<= 500", &|f| Some(micros(f.logins.as_ref()?)));
    row("two servers, closed loop between them: /s", "", &|f| Some(f.federated.as_ref()?.closed.per_second));
    row("  CPU of both per message, us", "", &|f| Some(micros(&f.federated.as_ref()?.closed)));
    row("two servers, open loop, 500 to 500 sessions, 5000/s: lost", "0", &|f| {
        Some(lost(&f.federated.as_ref()?.open.1))
    });
    row("  CPU of both per message, us", "", &|f| Some(micros(&f.federated.as_ref()?.open.0)));
    row("  delay of all but a hundredth, ms", "", &|f| Some(millis(f.federated.as_ref()?.open.1.p99)));
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
