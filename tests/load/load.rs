//! What Torg's broker costs, beside Prosody, measured in one run on one machine: `make bench`.
//!
//! Every server gets the same clients, the same certificate authority, SCRAM-SHA-256 with the same number of
//! iterations, and direct TLS. CPU and memory are the server process's own, read from `/proc`, so the loader that
//! shares the cores with it does not count; rates do suffer from the loader, alike for each server. Loopback only.
//! It does not judge: the targets stand beside the figures. `prosody`, `torg`, `modbus` or `sizes` as an
//! argument measures only that.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a tool for developers"
)]

mod appliance;
mod client;
mod measure;
mod modbus;
mod server;
#[allow(dead_code, reason = "each binary uses its own part of it")]
#[path = "../support/mod.rs"]
mod support;

use std::{sync::Arc, time::Duration};

use anyhow::Result;

use client::{Account, Dialler, Session};
use measure::{Cost, Process};
use server::Server;

/// Idle sessions whose memory is measured; enough that the server's own growth disappears in the average. Each is of an account
/// of its own, as devices are: what an account may send is limited, and several sessions would share that.
const SESSIONS: usize = 1_000;
/// Logins under way at a time: keeps two cores busy without making the handshakes time out.
const LOGINS_AT_ONCE: usize = 8;
/// Pairs of sessions between which messages are routed at the same time: a busy site, and an idle one.
const PAIRS_BUSY: usize = 400;
const PAIRS_LONE: usize = 8;
/// Messages that each pair routes. Their bytes stay below what Torg lets an account send at once (100 kB), so the
/// figures are those of a server as it is delivered, with its limits on.
const MESSAGES: usize = 250;
/// Messages of one pair that may be under way at a time.
const WINDOW_BUSY: usize = 4;
const WINDOW_LONE: usize = 1;

struct Figures {
    server: String,
    logins: f64,
    login_cpu: Duration,
    session_bytes: f64,
    busy: Routed,
    lone: Routed,
}

struct Routed {
    per_second: f64,
    cpu: Duration,
}

fn main() -> Result<()> {
    let only: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let folder = tempfile::tempdir()?;
    let accounts: Vec<Account> = (0..SESSIONS).map(|number| Account::new(&format!("load{number}"))).collect();
    let mut figures = Vec::new();
    let wanted = |name: &str| only.is_empty() || only.iter().any(|one| one == name);
    let servers: [(&str, server::Start); 2] = [("prosody", server::prosody), ("torg", server::torg)];
    for (name, start) in servers {
        if wanted(name) {
            let server = start(folder.path(), &accounts)?;
            figures.push(runtime.block_on(measure_server(&server, &accounts))?);
        }
    }
    if !figures.is_empty() {
        print_table(&figures);
    }
    if wanted("modbus") {
        print_rates(&modbus::rates(&runtime)?);
    }
    if wanted("sizes") {
        print_sizes(&appliance::sizes()?);
    }
    Ok(())
}

async fn measure_server(server: &Server, accounts: &[Account]) -> Result<Figures> {
    let dialler = Arc::new(server.dialler()?);
    // One session first, so that caches, pools and lazy tables are not charged to the thousand.
    drop(dialler.login(&accounts[0], "warm-up").await?);

    let process = Process::of(server.pid());
    let empty = process.resident_bytes()?;
    let (cost, sessions) = process.cost_of(log_in(&dialler, accounts)).await?;
    let mut sessions = sessions?;
    let full = process.resident_bytes()?;
    let logins = Routed::of(&cost, sessions.len());
    eprintln!("{}: {SESSIONS} sessions measured", server.name);

    let busy = route(&process, &mut sessions, PAIRS_BUSY, WINDOW_BUSY).await?;
    let lone = route(&process, &mut sessions, PAIRS_LONE, WINDOW_LONE).await?;
    eprintln!("{}: routing measured", server.name);
    Ok(Figures {
        server: server.name.clone(),
        logins: logins.per_second,
        login_cpu: logins.cpu,
        session_bytes: full.saturating_sub(empty) as f64 / SESSIONS as f64,
        busy,
        lone,
    })
}

/// Logs in all sessions and waits until each has had an answer to a ping, so that nothing is pending.
async fn log_in(dialler: &Arc<Dialler>, accounts: &[Account]) -> Result<Vec<Session>> {
    let mut tasks = tokio::task::JoinSet::new();
    let mut sessions = Vec::with_capacity(SESSIONS);
    let mut numbers = 0..SESSIONS;
    loop {
        while tasks.len() < LOGINS_AT_ONCE {
            let Some(number) = numbers.next() else { break };
            let (dialler, account) = (dialler.clone(), accounts[number].clone());
            tasks.spawn(async move {
                let mut session = dialler.login(&account, &format!("s{number}")).await?;
                session.appear().await?;
                session.ping().await?;
                anyhow::Ok(session)
            });
        }
        let Some(done) = tasks.join_next().await else { return Ok(sessions) };
        sessions.push(done??);
    }
}

/// Routes messages between pairs of these sessions, which it uses up, and says what the server spent on each message.
async fn route(process: &Process, sessions: &mut Vec<Session>, pairs: usize, window: usize) -> Result<Routed> {
    let mut senders = sessions.split_off(sessions.len() - 2 * pairs);
    let receivers = senders.split_off(pairs);
    let (cost, delivered) = process
        .cost_of(async {
            let mut tasks = tokio::task::JoinSet::new();
            for (sender, receiver) in senders.into_iter().zip(receivers) {
                tasks.spawn(client::stream_messages(sender, receiver, window, MESSAGES));
            }
            let mut delivered = 0;
            while let Some(count) = tasks.join_next().await {
                delivered += count??;
            }
            anyhow::Ok(delivered)
        })
        .await?;
    Ok(Routed::of(&cost, delivered?))
}

impl Routed {
    fn of(cost: &Cost, count: usize) -> Self {
        Self { per_second: count as f64 / cost.wall.as_secs_f64(), cpu: cost.cpu.div_f64(count.max(1) as f64) }
    }
}

fn print_table(figures: &[Figures]) {
    let micros = |cpu: Duration| cpu.as_secs_f64() * 1e6;
    println!("\n{:<44} {:>9}{}", "", "target", figures.iter().map(|f| format!("{:>14}", f.server)).collect::<String>());
    let row = |label: &str, target: &str, value: &dyn Fn(&Figures) -> f64| {
        println!(
            "{label:<44} {target:>9}{}",
            figures.iter().map(|f| format!("{:>14.1}", value(f))).collect::<String>()
        );
    };
    row("messages routed /s, 400 pairs", "", &|f| f.busy.per_second);
    row("  server CPU per message, us", "<= 20", &|f| micros(f.busy.cpu));
    row("messages routed /s, 8 pairs, one at a time", "", &|f| f.lone.per_second);
    row("  server CPU per message, us", "", &|f| micros(f.lone.cpu));
    row("memory per idle TLS session, KiB", "<= 20", &|f| f.session_bytes / 1024.0);
    row("logins /s (TLS 1.3, SCRAM-SHA-256)", "", &|f| f.logins);
    row("  server CPU per login, us", "", &|f| micros(f.login_cpu));
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
