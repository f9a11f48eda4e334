//! Messages between clients of two servers of the same kind, over one stream between them that both proved themselves on by certificate
//! (RFC 6120 §13.7.2): what a message costs both together.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::Result;

use crate::{
    Lengths, OPEN_RATE, PerOne,
    client::{Account, Session},
    log_in,
    measure::Process,
    server::{Authority, Neighbour, Prepare, Server, Setup},
    support::dns::Dns,
    traffic::{self, Delivered, Open},
};

/// The two domains. Not below `test`, which resolvers answer by themselves (RFC 6761 §6.2).
const DOMAINS: [&str; 2] = ["one.example", "two.example"];
/// Sessions on each server in the closed loop: ten pairs.
const CLOSED_SESSIONS: usize = 10;
/// Sessions on each server in the open loop.
const OPEN_SESSIONS: usize = 500;

/// What both servers took together.
pub(crate) struct Federated {
    pub(crate) closed: PerOne,
    pub(crate) open: (PerOne, Delivered),
}

/// Measures two servers that `prepare` prepares.
pub(crate) async fn measure(
    folder: &Path,
    authority: &Authority,
    prepare: Prepare,
    lengths: Lengths,
) -> Result<Federated> {
    let accounts: Vec<Account> = (0..OPEN_SESSIONS).map(|number| Account::new(&format!("load{number}"))).collect();
    let dns = Dns::start();
    let server = |domain, other| {
        let neighbour = Some(Neighbour { dns: &dns, domain: other });
        prepare(&Setup { folder, authority, domain, accounts: &accounts, neighbour })
    };
    let [one, two] = DOMAINS;
    let mut servers = [server(one, two)?, server(two, one)?];

    let sessions = fresh(&mut servers, &accounts[..CLOSED_SESSIONS]).await?;
    let (cost, delivered) =
        Process::cost_of_all(&processes(&servers), traffic::closed(sessions, false, lengths.closed)).await?;
    let closed = PerOne::of(&cost, delivered?);

    let sessions = fresh(&mut servers, &accounts).await?;
    let how = Open { acks: false, rate: OPEN_RATE, length: lengths.open, across: true };
    let (cost, delivered) = Process::cost_of_all(&processes(&servers), traffic::open(sessions, how)).await?;
    let delivered = delivered?;
    let open = (PerOne::of(&cost, delivered.count), delivered);
    eprintln!("{}: federation measured", servers[0].name);
    Ok(Federated { closed, open })
}

/// Both started anew, with all sessions of the first and then all of the second; the stream between them is there.
async fn fresh(servers: &mut [Server; 2], accounts: &[Account]) -> Result<Vec<Session>> {
    let mut sessions = Vec::new();
    for server in servers.iter_mut() {
        server.stop();
        server.start()?;
        sessions.extend(log_in(&Arc::new(server.dialler()?), accounts, false).await?);
    }
    // One message each way, so that finding each other is not charged to the messages.
    let (first, last) = (0, sessions.len() - 1);
    for (from, to) in [(first, last), (last, first)] {
        let to_jid = sessions[to].jid.clone();
        sessions[from].send(&format!("<message to='{to_jid}' type='chat'><body>first</body></message>")).await?;
        tokio::time::timeout(Duration::from_secs(30), sessions[to].until("</message>")).await??;
    }
    Ok(sessions)
}

fn processes(servers: &[Server; 2]) -> [Process; 2] {
    [0, 1].map(|index: usize| Process::of(servers[index].pid()))
}
