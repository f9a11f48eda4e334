//! As many sessions as the file limit allows are lost at once and come back at once, twice: their connections are cut, and the server is
//! killed. Meanwhile messages are sent to all of them; each must arrive once, and only once. At the end, after another kill, all log in
//! as clients do that can neither resume nor use a token.
//!
//! Both ends have a process of their own, so that each has one descriptor for a session. Clients whose login fails try again.

use std::{
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{
    client::{Account, Dialler, Session},
    each,
    measure::Process,
    roamer::{Login, Roamer, Tickets},
    server::{Authority, DOMAIN, Limits, Server, Setup, torg_with},
};

/// More than one gateway of the size we build for will serve.
const SESSIONS: usize = 20_000;
/// In a short run.
const SESSIONS_SHORT: usize = 2_000;
/// Descriptors of either process that are for other things than sessions.
const RESERVE: usize = 400;
/// Clients that stay and send to those who are away.
const SENDERS: usize = 32;
/// Logins at a time before the storm.
const AT_FIRST: usize = 64;
/// Messages of one sender that wait for an acknowledgement.
const WINDOW: usize = 32;
/// All must be back by then, and have what was sent to them.
const PATIENCE: Duration = Duration::from_secs(180);
/// Between two tries of one client, in milliseconds.
const PAUSE: std::ops::Range<u64> = 100..1_000;

/// What a storm was like.
pub(crate) struct Storm {
    sessions: usize,
    file_limit: usize,
    resident: u64,
    first: Round,
    cut: Round,
    killed: Round,
    classic: Round,
    messages: usize,
    lost: usize,
    twice: usize,
}

/// All clients logging in.
#[derive(Default)]
struct Round {
    half: Duration,
    all: Duration,
    cpu: Duration,
    tls_resumed: usize,
    resumed: usize,
    /// Tries that failed.
    failed: usize,
}

struct World {
    server: Server,
    senders: Vec<Account>,
    /// Told when all are to lose their connections.
    cut: watch::Sender<u32>,
    /// Messages that have come, of all.
    came: watch::Sender<usize>,
    sent: usize,
}

type Staying = JoinSet<Result<Roamer>>;

/// Raises a storm.
pub(crate) async fn storm(folder: &Path, authority: &Authority, is_short: bool) -> Result<Storm> {
    let file_limit = file_limit()?;
    let sessions = if is_short { SESSIONS_SHORT } else { SESSIONS }.min(file_limit - RESERVE);
    let accounts: Vec<Account> = (0..sessions).map(|number| Account::new(&format!("roamer{number}"))).collect();
    let senders: Vec<Account> = (0..SENDERS).map(|number| Account::new(&format!("sender{number}"))).collect();
    let all = [&accounts[..], &senders[..]].concat();
    let folder = folder.join("storm");
    let setup = Setup { folder: &folder, authority, domain: DOMAIN, accounts: &all, neighbour: None };
    let mut server = torg_with(&setup, Limits::Wide)?;
    eprintln!("storm: {sessions} accounts made");
    server.start()?;
    let (cut, came) = (watch::Sender::new(0), watch::Sender::new(0));
    let mut world = World { server, senders, cut, came, sent: 0 };
    let tickets = Tickets::new();
    let dialler = Arc::new(world.server.resuming_dialler(tickets.clone())?);

    let roamers: Vec<Roamer> =
        accounts.iter().enumerate().map(|(number, account)| Roamer::new(number, account.clone())).collect();
    let (staying, first) = world.bring_back(roamers, &dialler, AT_FIRST).await?;
    let resident = Process::of(world.server.pid()).resident_bytes()?;
    eprintln!("storm: {sessions} sessions in {:.1?}", first.all);

    // Cut: messages come while they are away, and while they come back.
    tickets.open();
    world.cut.send_modify(|times| *times += 1);
    let roamers = gather(staying).await?;
    let jids: Vec<String> = roamers.iter().map(|roamer| roamer.jid.clone()).collect();
    world.send_to(&jids).await?;
    let sending = world.senders_at_work(&jids).await?;
    let (staying, cut) = world.bring_back(roamers, &dialler, usize::MAX).await?;
    world.finish(sending).await?;
    world.all_came().await;
    eprintln!("storm: all are back after the cut in {:.1?}", cut.all);

    // Killed: right after messages were sent to all of them.
    world.send_to(&jids).await?;
    world.server.stop();
    let roamers = gather(staying).await?;
    world.server.start()?;
    let (staying, killed) = world.bring_back(roamers, &dialler, usize::MAX).await?;
    world.send_to(&jids).await?;
    world.all_came().await;
    eprintln!("storm: all are back after the kill in {:.1?}", killed.all);

    world.server.stop();
    let roamers = gather(staying).await?;
    world.server.start()?;
    let classic = world.classic(&accounts, &dialler).await?;
    let (mut lost, mut twice) = (0, 0);
    for roamer in &roamers {
        let due = (0..world.sent).filter(|number| number % sessions == roamer.number);
        for times in due.map(|number| roamer.received.get(&number).copied().unwrap_or_default()) {
            lost += usize::from(times == 0);
            twice += times.saturating_sub(1);
        }
    }
    Ok(Storm { sessions, file_limit, resident, first, cut, killed, classic, messages: world.sent, lost, twice })
}

impl World {
    /// All log in, so many at a time, and stay.
    async fn bring_back(
        &mut self,
        roamers: Vec<Roamer>,
        dialler: &Arc<Dialler>,
        at_once: usize,
    ) -> Result<(Staying, Round)> {
        let count = roamers.len();
        let process = Process::of(self.server.pid());
        let places = Arc::new(tokio::sync::Semaphore::new(at_once.min(count)));
        let (back, mut coming) = tokio::sync::mpsc::unbounded_channel();
        let mut staying = JoinSet::new();
        let begun = Instant::now();
        let collect = async {
            for mut roamer in roamers {
                let (dialler, places, back) = (Arc::clone(dialler), Arc::clone(&places), back.clone());
                let (mut cut, came) = (self.cut.subscribe(), self.came.clone());
                staying.spawn(async move {
                    let mut failed = 0;
                    let connection = loop {
                        let _place = places.acquire().await?;
                        match roamer.log_in(&dialler).await {
                            Ok((connection, login)) => {
                                let _ = back.send((begun.elapsed(), login, failed));
                                break connection;
                            }
                            Err(error) if begun.elapsed() > PATIENCE => return Err(error),
                            Err(_) => failed += 1,
                        }
                        sleep(Duration::from_millis(random(PAUSE)?)).await;
                    };
                    roamer.stay(connection, &mut cut, &came).await;
                    Ok(roamer)
                });
            }
            drop(back);
            let (mut times, mut round) = (Vec::with_capacity(count), Round::default());
            while times.len() < count {
                let next: Option<(Duration, Login, usize)> =
                    timeout(PATIENCE, coming.recv()).await.context("some do not come back")?;
                let Some((time, login, failed)) = next else { break };
                times.push(time);
                round.tls_resumed += usize::from(login.tls_resumed);
                round.resumed += usize::from(login.resumed);
                round.failed += failed;
            }
            times.sort_unstable();
            anyhow::ensure!(times.len() == count, "{} of {count} came back", times.len());
            (round.half, round.all) = (times[count / 2], times[count - 1]);
            Ok(round)
        };
        let (cost, round) = process.cost_of(collect).await?;
        let mut round = round?;
        round.cpu = cost.cpu;
        Ok((staying, round))
    }

    /// Sends one message to each of these and waits until the server has taken all.
    async fn send_to(&mut self, jids: &[String]) -> Result<()> {
        let sending = self.senders_at_work(jids).await?;
        self.finish(sending).await
    }

    /// Begins to do so. Message `n` is for roamer `n` modulo their number.
    async fn senders_at_work(&mut self, jids: &[String]) -> Result<JoinSet<Result<()>>> {
        let dialler = Arc::new(self.server.dialler()?);
        let sessions = each(&dialler, &self.senders, |dialler, account, _| async move {
            let mut session = dialler.login(&account, "sender").await?;
            session.enable_acks().await?;
            anyhow::Ok(session)
        })
        .await?;
        let mut tasks = JoinSet::new();
        for (index, session) in sessions.into_iter().enumerate() {
            let mine = jids.iter().enumerate().skip(index).step_by(SENDERS);
            let mine: Vec<_> = mine.map(|(number, jid)| (self.sent + number, jid.clone())).collect();
            tasks.spawn(send(session, mine));
        }
        self.sent += jids.len();
        Ok(tasks)
    }

    async fn finish(&self, mut sending: JoinSet<Result<()>>) -> Result<()> {
        while let Some(done) = timeout(PATIENCE, sending.join_next()).await.context("messages are not acknowledged")? {
            done??;
        }
        Ok(())
    }

    /// Waits until everything sent has come, or too long.
    async fn all_came(&self) {
        let mut came = self.came.subscribe();
        // What has not come is counted at the end.
        let _ = timeout(PATIENCE, came.wait_for(|came| *came >= self.sent)).await;
        // Something that comes twice comes soon.
        sleep(Duration::from_secs(2)).await;
    }

    /// All log in with a whole handshake, their passwords, bind and presence. The keys are those that `known` has derived.
    async fn classic(&self, accounts: &[Account], known: &Dialler) -> Result<Round> {
        let dialler = Arc::new(self.server.dialler()?.knowing(known));
        let process = Process::of(self.server.pid());
        let work = each(&dialler, accounts, |dialler, account, number| async move {
            let mut session = dialler.login(&account, &format!("classic{number}")).await?;
            session.appear().await?;
            session.ping().await?;
            anyhow::Ok(session)
        });
        let (cost, sessions) = process.cost_of(work).await?;
        drop(sessions?);
        Ok(Round { all: cost.wall, cpu: cost.cpu, ..Round::default() })
    }
}

async fn gather(mut staying: Staying) -> Result<Vec<Roamer>> {
    let mut roamers = Vec::new();
    while let Some(roamer) = staying.join_next().await {
        roamers.push(roamer??);
    }
    roamers.sort_unstable_by_key(|roamer| roamer.number);
    Ok(roamers)
}

async fn send(mut session: Session, messages: Vec<(usize, String)>) -> Result<()> {
    let mut sent = 0;
    for some in messages.chunks(WINDOW) {
        let mut text = String::new();
        for (number, to) in some {
            text.push_str(&format!("<message to='{to}' type='chat' id='{number}'><body>{number}</body></message>"));
        }
        text.push_str("<r xmlns='urn:xmpp:sm:3'/>");
        session.send(&text).await?;
        sent += some.len();
        let ends = [format!("h=\"{sent}\""), format!("h='{sent}'")];
        timeout(PATIENCE, session.until_either(&ends[0], &ends[1])).await.context("no acknowledgement")??;
    }
    Ok(())
}

/// Descriptors that a process may have, as it was started.
fn file_limit() -> Result<usize> {
    let limits = fs::read_to_string("/proc/self/limits")?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).context("no limit of files")?;
    Ok(line.split_whitespace().next().and_then(|soft| soft.parse().ok()).unwrap_or(SESSIONS + RESERVE))
}

fn random(range: std::ops::Range<u64>) -> Result<u64> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes)?;
    Ok(range.start + u64::from_le_bytes(bytes) % (range.end - range.start))
}

/// Prints the figures.
pub(crate) fn print(storm: &Storm) {
    let Storm { sessions, file_limit, resident, first, cut, killed, classic, messages, lost, twice } = storm;
    println!("\n{sessions} sessions lost at once (file limit {file_limit}); limits raised by configuration");
    println!("  resident memory with all of them, MiB: {:.1}", *resident as f64 / 1024.0 / 1024.0);
    println!(
        "{:<44} {:>9}{:>9}{:>9}{:>9}{:>9}{:>9}",
        "", "half, s", "all, s", "CPU ms", "TLS res.", "resumed", "retries"
    );
    let row = |label: &str, round: &Round| {
        println!(
            "{label:<44} {:>9.1}{:>9.1}{:>9.2}{:>9}{:>9}{:>9}",
            round.half.as_secs_f64(),
            round.all.as_secs_f64(),
            round.cpu.as_secs_f64() * 1e3 / *sessions as f64,
            round.tls_resumed,
            round.resumed,
            round.failed,
        );
    };
    row("first logins, 64 at a time", first);
    row("back after a cut (target: all <= 60)", cut);
    row("back after kill -9 and a start (<= 60)", killed);
    row("classic logins after that, 8 at a time", classic);
    println!("  classic logins: {:.0}/s", *sessions as f64 / classic.all.as_secs_f64());
    println!("  {messages} messages sent meanwhile: {lost} lost, {twice} came again (targets 0)");
}
