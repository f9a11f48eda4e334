//! What Torg's broker costs, beside Prosody, measured in one run on one machine: `make bench`.
//!
//! Every server gets the same clients, the same certificate authority, SCRAM-SHA-256 with the same number of
//! iterations, and direct TLS. CPU and memory are the server process's own, read from `/proc`, so the loader that
//! shares the cores with it does not count; rates do suffer from the loader, alike for each server. Loopback only.
//! It does not judge: the targets stand beside the figures.

mod client;
mod measure;
mod server;

use std::{sync::Arc, time::Duration};

use anyhow::Result;

use client::{Account, Dialler};
use measure::{Cost, Process};
use server::Server;

/// Idle sessions whose memory is measured; enough that the server's own growth disappears in the average.
const SESSIONS: usize = 1_000;
/// Sessions of one account, below the limit of ten that brokers put on one.
const SESSIONS_PER_ACCOUNT: usize = 8;
/// Logins under way at a time: keeps two cores busy without making the handshakes time out.
const LOGINS_AT_ONCE: usize = 8;
/// Pairs of sessions between which messages are routed.
const PAIRS: usize = 8;
/// Messages of one pair that may be under way at a time.
const WINDOW: usize = 32;
/// How long messages are routed for one figure.
const ROUTING: Duration = Duration::from_secs(5);

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
    let accounts: Vec<Account> =
        (0..SESSIONS.div_ceil(SESSIONS_PER_ACCOUNT)).map(|number| Account::new(&format!("load{number}"))).collect();
    let mut figures = Vec::new();
    let servers: [(&str, server::Start); 2] = [("prosody", server::prosody), ("torg", server::torg)];
    for (name, start) in servers {
        if only.is_empty() || only.iter().any(|wanted| wanted == name) {
            let server = start(folder.path(), &accounts)?;
            figures.push(runtime.block_on(measure_server(&server, &accounts))?);
        }
    }
    print_table(&figures);
    Ok(())
}

async fn measure_server(server: &Server, accounts: &[Account]) -> Result<Figures> {
    let dialler = Arc::new(server.dialler()?);
    // One session first, so that caches, pools and lazy tables are not charged to the thousand.
    drop(dialler.login(&accounts[0], "warm-up").await?);

    let process = Process::of(server.pid());
    let empty = process.resident_bytes()?;
    let (cost, sessions) = process.cost_of(log_in(&dialler, accounts)).await?;
    let sessions = sessions?;
    let full = process.resident_bytes()?;
    let logins = Routed::of(&cost, sessions.len());
    drop(sessions);
    eprintln!("{}: {SESSIONS} sessions measured", server.name);

    let busy = route(&dialler, &process, accounts, WINDOW).await?;
    let lone = route(&dialler, &process, accounts, 1).await?;
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
async fn log_in(dialler: &Arc<Dialler>, accounts: &[Account]) -> Result<Vec<client::Session>> {
    let mut tasks = tokio::task::JoinSet::new();
    let mut sessions = Vec::with_capacity(SESSIONS);
    let mut numbers = 0..SESSIONS;
    loop {
        while tasks.len() < LOGINS_AT_ONCE {
            let Some(number) = numbers.next() else { break };
            let (dialler, account) = (dialler.clone(), accounts[number / SESSIONS_PER_ACCOUNT].clone());
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

/// Routes messages between pairs, at most `window` of each under way, and says what the server spent on each.
async fn route(dialler: &Arc<Dialler>, process: &Process, accounts: &[Account], window: usize) -> Result<Routed> {
    let mut pairs = Vec::new();
    for pair in 0..PAIRS {
        let sender = dialler.login(&accounts[2 * pair], "sender").await?;
        let mut receiver = dialler.login(&accounts[2 * pair + 1], "receiver").await?;
        receiver.appear().await?;
        receiver.ping().await?;
        pairs.push((sender, receiver));
    }
    let end = tokio::time::Instant::now() + ROUTING;
    let (cost, delivered) = process
        .cost_of(async {
            let mut tasks = tokio::task::JoinSet::new();
            for (sender, receiver) in pairs {
                tasks.spawn(client::stream_messages(sender, receiver, window, end));
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

#[expect(clippy::print_stdout, reason = "the table is what the tool is for")]
fn print_table(figures: &[Figures]) {
    let micros = |cpu: Duration| cpu.as_secs_f64() * 1e6;
    println!("\n{:<44} {:>9}{}", "", "target", figures.iter().map(|f| format!("{:>14}", f.server)).collect::<String>());
    let row = |label: &str, target: &str, value: &dyn Fn(&Figures) -> f64| {
        println!(
            "{label:<44} {target:>9}{}",
            figures.iter().map(|f| format!("{:>14.1}", value(f))).collect::<String>()
        );
    };
    row("messages routed /s, 8 pairs, 32 under way", "", &|f| f.busy.per_second);
    row("  server CPU per message, us", "<= 20", &|f| micros(f.busy.cpu));
    row("messages routed /s, 8 pairs, 1 under way", "", &|f| f.lone.per_second);
    row("  server CPU per message, us", "", &|f| micros(f.lone.cpu));
    row("memory per idle TLS session, KiB", "<= 20", &|f| f.session_bytes / 1024.0);
    row("logins /s (TLS 1.3, SCRAM-SHA-256)", "", &|f| f.logins);
    row("  server CPU per login, us", "", &|f| micros(f.login_cpu));
}
