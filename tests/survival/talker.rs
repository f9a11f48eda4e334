//! A client that sends and receives over a managed stream, resumes it when it breaks, and keeps the books.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::watch,
    time::{sleep, timeout},
};
use torg_wire::{
    ns,
    reader::{StreamEvent, StreamReader},
    xml::{Element, Limits},
};

use super::{
    client::{Account, Dialler},
    random,
    support::site::DOMAIN,
};

/// Messages of one client that wait for an acknowledgement.
const WINDOW: usize = 16;
/// Stanzas after which the server is asked to acknowledge.
const ASK_EVERY: u32 = 4;
/// A server that was just started and does not let us in by then is stuck.
const PATIENCE: Duration = Duration::from_secs(30);

/// What all talkers share: the books.
pub(crate) struct Talk {
    talkers: usize,
    wanted: usize,
    books: Mutex<Books>,
}

#[derive(Default)]
struct Books {
    finished: bool,
    /// Talkers whose first session can be resumed.
    ready: usize,
    /// Sent, and nobody's responsibility yet but their senders'.
    under_way: usize,
    acknowledged: HashSet<String>,
    /// How often each message came, and in which session of its reader first.
    received: HashMap<String, u32>,
    report: Report,
}

/// How it went.
#[derive(Clone, Debug, Default)]
#[allow(dead_code, reason = "printed")]
pub(crate) struct Report {
    /// Messages that the server took responsibility for.
    pub(crate) acknowledged: usize,
    pub(crate) received: usize,
    /// Acknowledged and never received.
    pub(crate) lost: usize,
    /// Came twice within one session, resumed as often as may be.
    pub(crate) twice: usize,
    /// Came again after a new login, when the session could not be resumed.
    pub(crate) again: usize,
    /// Answered with an error.
    pub(crate) refused: usize,
    pub(crate) resumed: usize,
    pub(crate) not_resumed: usize,
}

impl Talk {
    pub(crate) fn new(talkers: usize, wanted: usize) -> Self {
        Talk { talkers, wanted, books: Mutex::default() }
    }

    /// Whether all have a session that can be resumed. A message to one that has not is in memory alone, and may go with it.
    pub(crate) fn is_begun(&self) -> bool {
        self.books().ready >= self.talkers
    }

    pub(crate) fn acknowledged(&self) -> usize {
        self.books().acknowledged.len()
    }

    /// No new messages.
    pub(crate) fn finish(&self) {
        self.books().finished = true;
    }

    /// Whether everything sent was acknowledged, and has arrived.
    pub(crate) fn is_complete(&self) -> bool {
        let books = self.books();
        books.under_way == 0 && books.acknowledged.iter().all(|id| books.received.contains_key(id))
    }

    pub(crate) fn report(&self) -> Report {
        let books = self.books();
        let lost: Vec<_> = books.acknowledged.iter().filter(|id| !books.received.contains_key(*id)).collect();
        if !lost.is_empty() {
            println!("lost: {lost:?}");
        }
        let lost = lost.len();
        Report { acknowledged: books.acknowledged.len(), received: books.received.len(), lost, ..books.report.clone() }
    }

    fn is_quiet(&self) -> bool {
        let books = self.books();
        books.ready < self.talkers || books.finished || books.acknowledged.len() >= 2 * self.wanted.max(10_000)
    }

    fn books(&self) -> std::sync::MutexGuard<'_, Books> {
        self.books.lock().expect("not poisoned")
    }
}

pub(crate) struct Talker {
    number: usize,
    talkers: usize,
    account: Account,
    talk: Arc<Talk>,
    /// By which the session is resumed.
    session: Option<String>,
    /// New logins so far.
    logins: u32,
    /// Stanzas of the server that were handled in this session.
    handled: u32,
    /// Stanzas that the server has acknowledged.
    acked: u32,
    /// Sent and not acknowledged: the id if it is a message, and the text.
    sent: VecDeque<(Option<String>, String)>,
    next: u64,
}

impl Talker {
    pub(crate) fn new(number: usize, talkers: usize, account: Account, talk: Arc<Talk>) -> Self {
        let sent = VecDeque::new();
        Talker { number, talkers, account, talk, session: None, logins: 0, handled: 0, acked: 0, sent, next: 0 }
    }

    /// Talks for ever, over whatever door is open.
    pub(crate) async fn run(mut self, mut doors: watch::Receiver<Option<Arc<Dialler>>>) {
        loop {
            let door = doors.borrow_and_update().clone();
            let Some(dialler) = door else {
                if doors.changed().await.is_err() {
                    return;
                }
                continue;
            };
            tokio::select! {
                // The server was killed, or is about to be: what the connection had is gone with it.
                _ended = self.life(&dialler) => sleep(Duration::from_millis(10)).await,
                _closed = doors.changed() => {}
            }
        }
    }

    async fn life(&mut self, dialler: &Dialler) -> Result<()> {
        let mut stream = timeout(PATIENCE, dialler.authenticated(&self.account)).await??;
        if let Some(id) = self.session.clone() {
            let resume = format!("<resume xmlns='urn:xmpp:sm:3' previd='{id}' h='{}'/>", self.handled);
            stream.send(&resume).await?;
            let answer = stream.until_either("/>", "</failed>").await?;
            let h = answer.split_once(" h='").and_then(|(_, rest)| rest.split('\'').next()?.parse().ok());
            if let Some(h) = h {
                self.acknowledge(h)?;
            }
            if answer.contains("<resumed ") {
                self.talk.books().report.resumed += 1;
            } else {
                if !answer.ends_with("</failed>") {
                    stream.until("</failed>").await?;
                }
                println!("talker{} could not resume: {answer}", self.number);
                self.talk.books().report.not_resumed += 1;
                self.session = None;
                // What was under way may have been handled or not; it is no longer ours to say.
                let given_up = self.sent.drain(..).filter(|(id, _)| id.is_some()).count();
                self.talk.books().under_way -= given_up;
            }
        }
        let is_new = self.session.is_none();
        if is_new {
            let bind = "<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>r</resource></bind></iq>";
            stream.send(bind).await?;
            stream.until("</iq>").await?;
            stream.send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>").await?;
            let enabled = stream.until("/>").await?;
            let id = enabled.split_once(" id='").and_then(|(_, rest)| rest.split('\'').next());
            self.session = Some(id.context("no id")?.to_owned());
            self.logins += 1;
            if self.logins == 1 {
                self.talk.books().ready += 1;
            }
            (self.handled, self.acked) = (0, 0);
        }
        let (mut read, mut write, rest) = stream.into_parts();
        let mut reader = StreamReader::new(Limits::SERVER);
        let header = format!("<stream:stream xmlns='jabber:client' xmlns:stream='{}' version='1.0'>", ns::STREAMS);
        reader.feed(header.as_bytes());
        reader.feed(&rest);
        let mut out: String = self.sent.iter().map(|(_, text)| text.as_str()).collect();
        if is_new {
            out.push_str(&self.stanza(None, "<presence/>".to_owned()));
        }
        out.push_str("<r xmlns='urn:xmpp:sm:3'/>");
        let mut chunk = vec![0; 16 * 1024];
        loop {
            while let Some(event) = reader.next_event()? {
                match event {
                    StreamEvent::Element(element) => self.hear(&element, &mut out)?,
                    StreamEvent::Open(_) => {}
                    StreamEvent::Close => bail!("closed"),
                }
            }
            while self.sent.len() < WINDOW && !self.talk.is_quiet() {
                let message = self.message();
                out.push_str(&message);
            }
            if !out.is_empty() {
                write.write_all(out.as_bytes()).await?;
                write.flush().await?;
                out.clear();
            }
            let count = read.read(&mut chunk).await?;
            if count == 0 {
                bail!("the connection ended");
            }
            reader.feed(&chunk[..count]);
        }
    }

    /// A message to another talker: to its session, or to its account.
    fn message(&mut self) -> String {
        let id = format!("m{}-{}", self.number, self.next);
        self.next += 1;
        self.talk.books().under_way += 1;
        let other = random(0..u64::try_from(self.talkers).unwrap());
        let resource = if random(0..2) == 0 { "/r" } else { "" };
        let to = format!("talker{other}@{DOMAIN}{resource}");
        let text = format!("<message type='chat' to='{to}' id='{id}'><body>This is message {id}.</body></message>");
        let mut text = self.stanza(Some(id), text);
        if self.next.is_multiple_of(u64::from(ASK_EVERY)) {
            text.push_str("<r xmlns='urn:xmpp:sm:3'/>");
        }
        text
    }

    fn stanza(&mut self, id: Option<String>, text: String) -> String {
        self.sent.push_back((id, text.clone()));
        text
    }

    fn acknowledge(&mut self, h: u32) -> Result<()> {
        let count = usize::try_from(h.wrapping_sub(self.acked))?;
        if count > self.sent.len() {
            bail!("{count} acknowledged, {} sent", self.sent.len());
        }
        self.acked = h;
        let mut books = self.talk.books();
        for id in self.sent.drain(..count).filter_map(|(id, _)| id) {
            books.under_way -= 1;
            books.acknowledged.insert(id);
        }
        Ok(())
    }

    fn hear(&mut self, element: &Element, out: &mut String) -> Result<()> {
        match (element.namespace().as_str(), element.name()) {
            (ns::STREAM_MANAGEMENT, "a") => {
                self.acknowledge(element.attr("h").context("no h")?.parse()?)?;
            }
            (ns::STREAM_MANAGEMENT, "r") => out.push_str(&format!("<a xmlns='urn:xmpp:sm:3' h='{}'/>", self.handled)),
            (ns::CLIENT, name) => {
                self.handled = self.handled.wrapping_add(1);
                if name == "message" {
                    self.note(element);
                }
            }
            (_, name) => bail!("<{name}/>: {element}"),
        }
        Ok(())
    }

    fn note(&self, message: &Element) {
        let mut books = self.talk.books();
        if message.attr("type") == Some("error") {
            books.report.refused += 1;
            return;
        }
        let Some(id) = message.attr("id") else { return };
        match books.received.insert(id.to_owned(), self.logins) {
            Some(login) if login == self.logins => {
                println!("{id} came twice to talker{}", self.number);
                books.report.twice += 1;
            }
            Some(login) => {
                println!("{id} came to talker{} in login {login} and again in {}", self.number, self.logins);
                books.report.again += 1;
            }
            None => {}
        }
    }
}
