//! A client that loses its connection and comes back: TLS is resumed, the login is a token bound to the connection (XEP-0388, XEP-0386,
//! XEP-0484), and with it the session is resumed (XEP-0198), all in one flight after the handshake. It keeps the books of what it gets.

use std::{
    collections::HashMap,
    net::Ipv4Addr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, bail};
use base64::{Engine, prelude::BASE64_STANDARD};
use rustls::{
    HandshakeKind, NamedGroup,
    client::{ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue},
    pki_types::ServerName,
};
use tokio::{sync::watch, time::timeout};

use crate::client::{Account, Dialler, Reader, Session, Writer, between, client_first, mac};

/// A login that takes longer is given up and tried again, as a client would.
const PATIENCE: Duration = Duration::from_secs(60);
/// The channel binding of RFC 9266.
const EXPORTER: &[u8] = b"EXPORTER-Channel-Binding";

/// One client, connected or not.
pub(crate) struct Roamer {
    pub(crate) number: usize,
    account: Account,
    /// An address of its own, as each client in the world has one.
    from: Ipv4Addr,
    pub(crate) jid: String,
    token: Option<String>,
    /// By which the session is resumed.
    session: Option<String>,
    /// Stanzas of the session that it has handled.
    handled: usize,
    /// How often each message came.
    pub(crate) received: HashMap<usize, usize>,
}

/// How a login went.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Login {
    /// The TLS session was resumed.
    pub(crate) tls_resumed: bool,
    /// The stream's session was resumed.
    pub(crate) resumed: bool,
}

impl Roamer {
    pub(crate) fn new(number: usize, account: Account) -> Self {
        let [.., high, low] = u32::try_from(number).unwrap_or_default().to_be_bytes();
        let (jid, received) = (String::new(), HashMap::new());
        let from = Ipv4Addr::new(127, 1 + high, low, 1);
        Self { number, account, from, jid, token: None, session: None, handled: 0, received }
    }

    /// Logs in: the first time with its password, later with its token.
    pub(crate) async fn log_in(&mut self, dialler: &Dialler) -> Result<(Connection, Login)> {
        timeout(PATIENCE, self.log_in_now(dialler)).await.context("the login takes too long")?
    }

    async fn log_in_now(&mut self, dialler: &Dialler) -> Result<(Connection, Login)> {
        let tls = dialler.secured(self.from).await?;
        let connection = tls.get_ref().1;
        let tls_resumed = connection.handshake_kind() == Some(HandshakeKind::Resumed);
        let binding = connection.export_keying_material([0; 32], EXPORTER, Some(&[]))?;
        let mut session = dialler.over(tls);
        let text = match self.token.clone() {
            Some(token) => self.with_token(&mut session, &token, &binding).await?,
            None => self.with_password(&mut session, dialler).await?,
        };
        if !text.contains("<success ") {
            bail!("{} is refused: {text}", self.account.user);
        }
        if let Some(token) = attribute(&text, "<token ", "token") {
            self.token = Some(token);
        }
        let (resumed, mut early) = (text.contains("<resumed "), 0);
        if !resumed {
            self.session = Some(attribute(&text, "<enabled ", "id").with_context(|| format!("no session in {text}"))?);
            let jid = between(&text, "<authorization-identifier>", "</authorization-identifier>");
            self.jid = jid.context("no address")?.to_owned();
            session.send("<presence/>").await?;
            // The answer comes behind everything that the server had to say first.
            session
                .send(&format!(
                    "<iq type='get' id='ping-1' to='{}'><ping xmlns='urn:xmpp:ping'/></iq>",
                    domain(&self.jid)
                ))
                .await?;
            let heard = session.until("ping-1").await?;
            // What waited for the account may come before the answer.
            early = self.note(&heard);
            self.handled = ["<presence ", "<iq ", "<message "].iter().map(|start| heard.matches(start).count()).sum();
        }
        let (reader, writer) = session.split();
        Ok((Connection { reader, writer, early }, Login { tls_resumed, resumed }))
    }

    /// Enters the messages in the books; answers how many they are.
    fn note(&mut self, text: &str) -> usize {
        let numbers: Vec<usize> =
            text.split("<body>").skip(1).filter_map(|rest| rest.split('<').next()?.parse().ok()).collect();
        for number in &numbers {
            *self.received.entry(*number).or_default() += 1;
        }
        numbers.len()
    }

    fn wishes(&self) -> String {
        let bind =
            "<bind xmlns='urn:xmpp:bind:0'><tag>roamer</tag><enable xmlns='urn:xmpp:sm:3' resume='true'/></bind>";
        let agent = format!("<user-agent id='{:08x}-0000-4000-8000-000000000000'/>", self.number);
        let resume = self
            .session
            .as_ref()
            .map(|id| format!("<resume xmlns='urn:xmpp:sm:3' previd='{id}' h='{}'/>", self.handled));
        format!("{agent}{bind}{}", resume.unwrap_or_default())
    }

    async fn with_password(&self, session: &mut Session, dialler: &Dialler) -> Result<String> {
        let (bare, first) = client_first(&self.account)?;
        let text = format!(
            "{}<authenticate xmlns='urn:xmpp:sasl:2' mechanism='SCRAM-SHA-256'><initial-response>{first}</initial-response>{}\
             <request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-EXPR'/></authenticate>",
            session.header(),
            self.wishes(),
        );
        session.send(&text).await?;
        let challenge = session.until_either("</challenge>", "</failure>").await?;
        let last = dialler.client_final(&self.account, &bare, &challenge)?;
        session.send(&format!("<response xmlns='urn:xmpp:sasl:2'>{last}</response>")).await?;
        session.until_either("</success>", "</failure>").await
    }

    async fn with_token(&self, session: &mut Session, token: &str, binding: &[u8]) -> Result<String> {
        let proof = mac(token.as_bytes(), &[b"Initiator", binding].concat());
        let message = [self.account.user.as_bytes(), &[0], &proof].concat();
        let text = format!(
            "{}<authenticate xmlns='urn:xmpp:sasl:2' mechanism='HT-SHA-256-EXPR'><initial-response>{}</initial-response>{}\
             <fast xmlns='urn:xmpp:fast:0'/></authenticate>",
            session.header(),
            BASE64_STANDARD.encode(message),
            self.wishes(),
        );
        session.send(&text).await?;
        session.until_either("</success>", "</failure>").await
    }

    /// Takes messages until the connection ends or is cut here; what was read in part counts as lost with it.
    pub(crate) async fn stay(
        &mut self,
        mut connection: Connection,
        cut: &mut watch::Receiver<u32>,
        came: &watch::Sender<usize>,
    ) {
        came.send_modify(|all| *all += connection.early);
        loop {
            let batch = tokio::select! {
                batch = connection.reader.messages(PATIENCE) => batch,
                _ = cut.changed() => return,
            };
            let batch = match batch {
                Ok(Some(batch)) => batch,
                Ok(None) => continue,
                Err(_) => return,
            };
            self.note(&String::from_utf8_lossy(&batch.messages));
            self.handled += batch.count;
            came.send_modify(|all| *all += batch.count);
            let answer = format!("<a xmlns='urn:xmpp:sm:3' h='{}'/>", self.handled);
            if batch.asked && connection.writer.send(&answer).await.is_err() {
                return;
            }
        }
    }
}

/// A bound stream.
pub(crate) struct Connection {
    reader: Reader,
    writer: Writer,
    /// Messages that came with the login.
    early: usize,
}

/// The value of an attribute of the first element that begins like this.
fn attribute(text: &str, element: &str, name: &str) -> Option<String> {
    let tag = text.split_once(element)?.1.split('>').next()?;
    let tag = format!(" {tag}");
    let rest = tag.split_once(&format!(" {name}="))?.1;
    let quote = rest.chars().next()?;
    rest.get(1..)?.split(quote).next().map(str::to_owned)
}

fn domain(jid: &str) -> &str {
    jid.split('/').next().and_then(|bare| bare.split('@').nth(1)).unwrap_or_default()
}

/// TLS sessions to resume. Each login leaves one and takes one, so that any client may take any of them; at first they are only gathered.
#[derive(Debug, Default)]
pub(crate) struct Tickets {
    kept: Mutex<Vec<Tls13ClientSessionValue>>,
    is_open: AtomicBool,
}

impl Tickets {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// From now on they are used.
    pub(crate) fn open(&self) {
        self.is_open.store(true, Ordering::Relaxed);
    }
}

impl ClientSessionStore for Tickets {
    fn set_kx_hint(&self, _: ServerName<'static>, _: NamedGroup) {}

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        None
    }

    fn set_tls12_session(&self, _: ServerName<'static>, _: Tls12ClientSessionValue) {}

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        None
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {}

    fn insert_tls13_ticket(&self, _: ServerName<'static>, value: Tls13ClientSessionValue) {
        self.kept.lock().expect("not poisoned").push(value);
    }

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        if !self.is_open.load(Ordering::Relaxed) {
            return None;
        }
        self.kept.lock().expect("not poisoned").pop()
    }
}
