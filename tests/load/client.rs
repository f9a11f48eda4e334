//! A raw XMPP client, no more than the measurement needs: direct TLS, SCRAM-SHA-256, bind, presence, ping, messages.
//!
//! It shares no code with the broker it measures. It looks for the tags it waits for and does not parse XML:
//! the servers are ours to start, so nothing hostile comes back.

use std::{
    collections::HashMap,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
};

use anyhow::{Context, Result, bail};
use base64::{Engine, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use rustls::pki_types::ServerName;
use sha2::{Digest, Sha256};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf},
    net::{TcpSocket, TcpStream},
    time::{Duration, timeout},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// An answer that takes longer means that the server is stuck.
const PATIENCE: Duration = Duration::from_secs(30);
/// A name and its password.
#[derive(Clone)]
pub(crate) struct Account {
    /// The part of the address before the `@`.
    pub(crate) user: String,
    /// In the clear: it opens nothing but a server of this run.
    pub(crate) password: String,
}

impl Account {
    /// An account named `user`.
    pub(crate) fn new(user: &str) -> Self {
        Self { user: user.to_owned(), password: format!("pass-{user}") }
    }
}

/// Opens sessions on one server.
pub(crate) struct Dialler {
    address: SocketAddr,
    domain: String,
    connector: TlsConnector,
    /// PBKDF2 is done once per account, or the loader would be busier than the server.
    salted: Mutex<HashMap<(String, u32), [u8; 32]>>,
}

/// One open stream, bound to a resource.
pub(crate) struct Session {
    read: ReadHalf<TlsStream<TcpStream>>,
    write: WriteHalf<TlsStream<TcpStream>>,
    buffer: Vec<u8>,
    domain: String,
    /// The address the server gave us.
    pub(crate) jid: String,
}

impl Dialler {
    /// Dials `address` with direct TLS and trusts what `config` trusts.
    pub(crate) fn new(address: SocketAddr, domain: &str, config: rustls::ClientConfig) -> Self {
        let connector = TlsConnector::from(Arc::new(config));
        Self { address, domain: domain.to_owned(), connector, salted: Mutex::default() }
    }

    /// With the keys of accounts that another one has derived.
    pub(crate) fn knowing(self, other: &Self) -> Self {
        let salted = Mutex::new(other.salted.lock().expect("not poisoned").clone());
        Self { salted, ..self }
    }

    /// The same server at another address.
    pub(crate) fn moved(&self, address: SocketAddr) -> Self {
        let salted = Mutex::new(self.salted.lock().expect("not poisoned").clone());
        Self { address, domain: self.domain.clone(), connector: self.connector.clone(), salted }
    }

    /// A session of `account`, authenticated and bound, but not yet present.
    pub(crate) async fn login(&self, account: &Account, resource: &str) -> Result<Session> {
        timeout(PATIENCE, self.login_now(account, resource))
            .await
            .with_context(|| format!("login of {} takes too long", account.user))?
    }

    async fn login_now(&self, account: &Account, resource: &str) -> Result<Session> {
        let mut session = self.authenticated(account).await?;
        let bind = format!(
            "<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>{resource}</resource></bind></iq>"
        );
        session.send(&bind).await?;
        let answer = session.until("</iq>").await?;
        session.jid = between(&answer, "<jid>", "</jid>").with_context(|| format!("no jid in {answer}"))?.to_owned();
        Ok(session)
    }

    /// An authenticated stream that has bound nothing yet.
    pub(crate) async fn authenticated(&self, account: &Account) -> Result<Session> {
        let mut session = self.over(self.secured(Ipv4Addr::LOCALHOST).await?);
        session.open().await?;
        self.authenticate(&mut session, account).await?;
        session.open().await?;
        Ok(session)
    }

    /// A connection with TLS from this address of the loopback network.
    pub(crate) async fn secured(&self, from: Ipv4Addr) -> Result<TlsStream<TcpStream>> {
        let socket = TcpSocket::new_v4()?;
        if from != Ipv4Addr::LOCALHOST {
            socket.bind(SocketAddr::from((from, 0)))?;
        }
        let tcp = socket.connect(self.address).await?;
        tcp.set_nodelay(true)?;
        Ok(self.connector.connect(ServerName::try_from(self.domain.clone())?, tcp).await?)
    }

    /// A session that is to be opened on this connection.
    pub(crate) fn over(&self, tls: TlsStream<TcpStream>) -> Session {
        let (read, write) = tokio::io::split(tls);
        Session { read, write, buffer: Vec::new(), domain: self.domain.clone(), jid: String::new() }
    }

    /// RFC 5802 §3 with SHA-256, no channel binding.
    async fn authenticate(&self, session: &mut Session, account: &Account) -> Result<()> {
        let (bare, first) = client_first(account)?;
        let auth = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-256'>";
        session.send(&format!("{auth}{first}</auth>")).await?;
        let answer = session.until_either("</challenge>", "</failure>").await?;
        let last = self.client_final(account, &bare, &answer)?;
        session.send(&format!("<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{last}</response>")).await?;
        let answer = session.until_either("</success>", "</failure>").await?;
        if answer.contains("<failure") {
            bail!("{} is refused: {answer}", account.user);
        }
        Ok(())
    }

    /// The proof, for a challenge in XML.
    pub(crate) fn client_final(&self, account: &Account, bare: &str, answer: &str) -> Result<String> {
        let encoded = answer.rsplit('>').nth(1).and_then(|text| text.split('<').next()).context("no challenge")?;
        let challenge = String::from_utf8(BASE64_STANDARD.decode(encoded).with_context(|| answer.to_owned())?)?;
        let part = |key: &str| {
            challenge
                .split(',')
                .find_map(|part| part.strip_prefix(key))
                .with_context(|| format!("no {key} in {challenge}"))
        };
        let (nonce, salt, rounds) = (part("r=")?, part("s=")?, part("i=")?.parse()?);
        let salted = self.salted_password(account, salt, rounds)?;
        let client_key = mac(&salted, b"Client Key");
        let unproven = format!("c=biws,r={nonce}");
        let message = format!("{bare},{challenge},{unproven}");
        let signature = mac(&Sha256::digest(client_key), message.as_bytes());
        let proof: Vec<u8> = client_key.iter().zip(signature).map(|(key, sign)| key ^ sign).collect();
        Ok(BASE64_STANDARD.encode(format!("{unproven},p={}", BASE64_STANDARD.encode(proof))))
    }

    fn salted_password(&self, account: &Account, salt: &str, rounds: u32) -> Result<[u8; 32]> {
        let key = (format!("{} {salt}", account.user), rounds);
        if let Some(known) = self.salted.lock().expect("not poisoned").get(&key) {
            return Ok(*known);
        }
        let salted = salt_password(&account.password, &BASE64_STANDARD.decode(salt)?, rounds);
        self.salted.lock().expect("not poisoned").insert(key, salted);
        Ok(salted)
    }
}

impl Session {
    async fn open(&mut self) -> Result<()> {
        self.send(&self.header()).await?;
        self.until("</stream:features>").await.map(drop)
    }

    /// The header of its stream.
    pub(crate) fn header(&self) -> String {
        format!(
            "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='{}' version='1.0'>",
            self.domain
        )
    }

    /// Sends initial presence.
    pub(crate) async fn appear(&mut self) -> Result<()> {
        self.send("<presence/>").await
    }

    /// Adds this many contacts to its roster.
    pub(crate) async fn add_contacts(&mut self, count: usize) -> Result<()> {
        for number in 0..count {
            let item = format!(
                "<item jid='contact{number}@{}' name='Contact {number}'><group>Site</group></item>",
                self.domain
            );
            self.ask(&format!("roster-{number}"), "set", &format!("<query xmlns='jabber:iq:roster'>{item}</query>"))
                .await?;
        }
        Ok(())
    }

    /// Fetches its roster, as clients do before their first presence.
    pub(crate) async fn fetch_roster(&mut self) -> Result<()> {
        self.ask("roster", "get", "<query xmlns='jabber:iq:roster'/>").await
    }

    /// Turns stream management on (XEP-0198); nothing may be on its way to this session.
    pub(crate) async fn enable_acks(&mut self) -> Result<()> {
        self.send("<enable xmlns='urn:xmpp:sm:3'/>").await?;
        let answer =
            timeout(PATIENCE, self.until_either("<enabled", "<failed")).await.context("no answer to enable")??;
        if answer.contains("<failed") {
            bail!("stream management is refused");
        }
        timeout(PATIENCE, self.until(">")).await.context("no answer to enable")?.map(drop)
    }

    async fn ask(&mut self, id: &str, kind: &str, payload: &str) -> Result<()> {
        self.send(&format!("<iq type='{kind}' id='{id}'>{payload}</iq>")).await?;
        loop {
            // The roster pushes come between and are left unanswered, as by many clients.
            let answer = timeout(PATIENCE, self.until_either("</iq>", "/>")).await.context("no answer")??;
            if answer.contains(&format!("\"{id}\"")) || answer.contains(&format!("'{id}'")) {
                return Ok(());
            }
        }
    }

    /// Its two halves.
    pub(crate) fn split(self) -> (Reader, Writer) {
        let (read, write, buffer) = self.into_parts();
        (Reader { read, buffer }, Writer(write))
    }

    /// Asks the server something and waits for the answer, so that everything sent before has been handled.
    pub(crate) async fn ping(&mut self) -> Result<()> {
        let ping = format!("<iq type='get' id='ping-1' to='{}'><ping xmlns='urn:xmpp:ping'/></iq>", self.domain);
        self.send(&ping).await?;
        timeout(PATIENCE, self.until("ping-1")).await.context("no answer to a ping")?.map(drop)
    }

    pub(crate) async fn send(&mut self, text: &str) -> Result<()> {
        self.write.write_all(text.as_bytes()).await?;
        Ok(self.write.flush().await?)
    }

    /// The two halves of the connection, and what was read but not asked for.
    pub(crate) fn into_parts(self) -> (ReadHalf<TlsStream<TcpStream>>, WriteHalf<TlsStream<TcpStream>>, Vec<u8>) {
        (self.read, self.write, self.buffer)
    }

    /// Everything up to and including the first `end`; what follows stays for the next question.
    pub(crate) async fn until(&mut self, end: &str) -> Result<String> {
        self.until_either(end, end).await
    }

    pub(crate) async fn until_either(&mut self, one: &str, other: &str) -> Result<String> {
        loop {
            for end in [one, other] {
                if let Some(at) = find(&self.buffer, end.as_bytes()) {
                    let rest = self.buffer.split_off(at + end.len());
                    return Ok(String::from_utf8(std::mem::replace(&mut self.buffer, rest))?);
                }
            }
            if self.read.read_buf(&mut self.buffer).await? == 0 {
                bail!("closed while waiting for {one}: {}", String::from_utf8_lossy(&self.buffer));
            }
        }
    }
}

/// The reading half of a session that gets messages.
pub(crate) struct Reader {
    read: ReadHalf<TlsStream<TcpStream>>,
    buffer: Vec<u8>,
}

/// The writing half of a session.
pub(crate) struct Writer(WriteHalf<TlsStream<TcpStream>>);

/// What one read has brought.
pub(crate) struct Batch {
    /// The messages, as they came.
    pub(crate) messages: Vec<u8>,
    /// How many they are.
    pub(crate) count: usize,
    /// Whether the server asks how many have come (XEP-0198 §4).
    pub(crate) asked: bool,
}

impl Reader {
    /// The next messages or a question; `None` if neither comes within `patience`.
    pub(crate) async fn messages(&mut self, patience: Duration) -> Result<Option<Batch>> {
        let mut chunk = vec![0; 16 * 1024];
        loop {
            let Ok(length) = timeout(patience, self.read.read(&mut chunk)).await else { return Ok(None) };
            let length = length?;
            if length == 0 {
                bail!("the stream was closed: {}", String::from_utf8_lossy(&self.buffer));
            }
            self.buffer.extend_from_slice(&chunk[..length]);
            let (count, used) = count_ends(&self.buffer, b"</message>");
            let asked_at = find(&self.buffer[used..], b"<r ").and_then(|at| {
                let end = find(&self.buffer[used + at..], b">")?;
                Some(used + at + end + 1)
            });
            let asked = asked_at.is_some() || find(&self.buffer[..used], b"<r ").is_some();
            if count > 0 || asked {
                let rest = self.buffer.split_off(asked_at.unwrap_or(used));
                let messages = std::mem::replace(&mut self.buffer, rest);
                return Ok(Some(Batch { messages, count, asked }));
            }
        }
    }

    /// Reads and forgets until the stream ends.
    pub(crate) async fn drain(mut self) {
        let mut chunk = vec![0; 4 * 1024];
        while self.read.read(&mut chunk).await.is_ok_and(|length| length > 0) {}
    }
}

impl Writer {
    pub(crate) async fn send(&mut self, text: &str) -> Result<()> {
        self.0.write_all(text.as_bytes()).await?;
        Ok(self.0.flush().await?)
    }
}

/// The client's first message: its bare part, and the whole as it goes over the wire.
pub(crate) fn client_first(account: &Account) -> Result<(String, String)> {
    let mut nonce = [0; 18];
    getrandom::fill(&mut nonce).context("no randomness")?;
    let bare = format!("n={},r={}", account.user, BASE64_STANDARD.encode(nonce));
    let first = BASE64_STANDARD.encode(format!("n,,{bare}"));
    Ok((bare, first))
}

/// RFC 5802 §2.2 `Hi()`.
pub(crate) fn salt_password(password: &str, salt: &[u8], rounds: u32) -> [u8; 32] {
    let keyed = Hmac::<Sha256>::new_from_slice(password.as_bytes()).expect("any length is a key");
    let round = |data: &[&[u8]]| -> [u8; 32] {
        let mut mac = keyed.clone();
        data.iter().for_each(|part| mac.update(part));
        mac.finalize().into_bytes().into()
    };
    let mut last = round(&[salt, &1_u32.to_be_bytes()]);
    let mut sum = last;
    for _ in 1..rounds {
        last = round(&[&last]);
        sum.iter_mut().zip(last).for_each(|(sum, byte)| *sum ^= byte);
    }
    sum
}

/// HMAC-SHA-256.
pub(crate) fn mac(key: &[u8], data: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length is a key");
    mac.update(data);
    mac.finalize().into_bytes().into()
}

/// How often `end` occurs, and how many bytes lie before the end of the last one.
fn count_ends(bytes: &[u8], end: &[u8]) -> (usize, usize) {
    let (mut count, mut used) = (0, 0);
    while let Some(at) = find(&bytes[used..], end) {
        count += 1;
        used += at + end.len();
    }
    (count, used)
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

pub(crate) fn between<'text>(text: &'text str, start: &str, end: &str) -> Option<&'text str> {
    text.split_once(start)?.1.split_once(end).map(|(inside, _)| inside)
}
