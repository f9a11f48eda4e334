//! A raw XMPP client, no more than the measurement needs: direct TLS, SCRAM-SHA-256, bind, presence, ping, messages.
//!
//! It shares no code with the broker it measures. It looks for the tags it waits for and does not parse XML:
//! the servers are ours to start, so nothing hostile comes back.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use anyhow::{Context, Result, bail};
use base64::{Engine, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use rustls::pki_types::ServerName;
use sha2::{Digest, Sha256};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf},
    net::TcpStream,
    time::{Duration, timeout},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// An answer that takes longer means that the server is stuck.
const PATIENCE: Duration = Duration::from_secs(30);
/// About the size of one reading as a sensor data message.
const BODY: &str = "Voltage L1 230.1 V, Voltage L2 231.4 V, Voltage L3 229.8 V, Frequency 50.01 Hz, Power 1234.5 W";

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
        let tcp = TcpStream::connect(self.address).await?;
        tcp.set_nodelay(true)?;
        let tls = self.connector.connect(ServerName::try_from(self.domain.clone())?, tcp).await?;
        let (read, write) = tokio::io::split(tls);
        let domain = self.domain.clone();
        let mut session = Session { read, write, buffer: Vec::new(), domain, jid: String::new() };
        session.open().await?;
        self.authenticate(&mut session, account).await?;
        session.open().await?;
        Ok(session)
    }

    /// RFC 5802 §3 with SHA-256, no channel binding.
    async fn authenticate(&self, session: &mut Session, account: &Account) -> Result<()> {
        let mut nonce = [0; 18];
        getrandom::fill(&mut nonce).context("no randomness")?;
        let bare = format!("n={},r={}", account.user, BASE64_STANDARD.encode(nonce));
        let first = BASE64_STANDARD.encode(format!("n,,{bare}"));
        let auth = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-256'>";
        session.send(&format!("{auth}{first}</auth>")).await?;
        let answer = session.until_either("</challenge>", "</failure>").await?;
        let encoded = answer.rsplit('>').nth(1).and_then(|text| text.split('<').next()).context("no challenge")?;
        let challenge = String::from_utf8(BASE64_STANDARD.decode(encoded).with_context(|| answer.clone())?)?;
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
        let last = BASE64_STANDARD.encode(format!("{unproven},p={}", BASE64_STANDARD.encode(proof)));
        session.send(&format!("<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{last}</response>")).await?;
        let answer = session.until_either("</success>", "</failure>").await?;
        if answer.contains("<failure") {
            bail!("{} is refused: {answer}", account.user);
        }
        Ok(())
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
        let header = format!(
            "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='{}' version='1.0'>",
            self.domain
        );
        self.send(&header).await?;
        self.until("</stream:features>").await.map(drop)
    }

    /// Sends initial presence.
    pub(crate) async fn appear(&mut self) -> Result<()> {
        self.send("<presence/>").await
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

/// Sends `count` messages from one session to the other, `window` of them under way at most; returns how many arrived.
/// One write per message: a device does not save up its readings either.
pub(crate) async fn stream_messages(sender: Session, receiver: Session, window: usize, count: usize) -> Result<usize> {
    let message = format!("<message to='{}' type='chat' id='m'><body>{BODY}</body></message>", receiver.jid);
    let Session { write: mut out, read: _unread, .. } = sender;
    let Session { read: mut input, mut buffer, write: _open, .. } = receiver;
    let mut chunk = vec![0; 16 * 1024];
    let (mut sent, mut received) = (0, 0);
    while received < count {
        while sent < count && sent - received < window {
            out.write_all(message.as_bytes()).await?;
            out.flush().await?;
            sent += 1;
        }
        let length = timeout(PATIENCE, input.read(&mut chunk)).await;
        let length = length.with_context(|| format!("a message was lost: {received} of {sent}"))??;
        if length == 0 {
            bail!("the receiver's stream was closed: {}", String::from_utf8_lossy(&buffer));
        }
        buffer.extend_from_slice(&chunk[..length]);
        let (found, used) = count_ends(&buffer, b"</message>");
        buffer.drain(..used);
        received += found;
    }
    Ok(received)
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

fn between<'text>(text: &'text str, start: &str, end: &str) -> Option<&'text str> {
    text.split_once(start)?.1.split_once(end).map(|(inside, _)| inside)
}
