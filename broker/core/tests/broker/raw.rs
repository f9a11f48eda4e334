//! A client that logs in by the project's machine and then speaks elements by hand, as stream management needs it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;
use torg_wire::ns;
use torg_wire::reader::{StreamEvent, StreamReader};
use torg_wire::stream::{ClientOutput, ClientStream};
use torg_wire::xml::{Element, Limits, Scope};

use crate::client::{derive, now, secure, secured, seed, settings};
use crate::world::{DOMAIN, World, certificate};

/// Longer than anything here takes; a test that waits so long fails.
const PATIENCE: Duration = Duration::from_secs(20);

static PINGS: AtomicU32 = AtomicU32::new(0);

pub(crate) struct Raw {
    stream: TlsStream<DuplexStream>,
    reader: StreamReader,
    /// Stanzas received since management was enabled.
    pub(crate) handled: u32,
}

impl Raw {
    /// Logs in; nothing is bound yet.
    pub(crate) async fn login(world: &World, account: &str) -> Raw {
        let socket = world.direct.connect().await.unwrap();
        let mut stream = secure(socket, certificate().1.direct()).await;
        let mut machine = ClientStream::direct_tls(settings(account), seed(), secured(&stream), now());
        loop {
            match machine.output() {
                // The machine would bind now: from here on it is our word.
                Some(ClientOutput::Write(bytes)) if String::from_utf8_lossy(&bytes).contains(ns::BIND) => break,
                Some(ClientOutput::Write(bytes)) => {
                    stream.write_all(&bytes).await.unwrap();
                    stream.flush().await.unwrap();
                }
                Some(ClientOutput::Derive(derivation)) => machine.derived(&derive(derivation)),
                Some(other) => panic!("{other:?}"),
                None => {
                    let mut bytes = vec![0; 4096];
                    let count = timeout(PATIENCE, stream.read(&mut bytes)).await.unwrap().unwrap();
                    machine.receive(&bytes[..count]);
                }
            }
        }
        let mut reader = StreamReader::new(Limits::SERVER);
        let header = format!("<stream:stream xmlns='jabber:client' xmlns:stream='{}' version='1.0'>", ns::STREAMS);
        reader.feed(header.as_bytes());
        assert!(matches!(reader.next_event(), Ok(Some(StreamEvent::Open(_)))));
        Raw { stream, reader, handled: 0 }
    }

    /// Logs in, binds `resource` and enables management with resumption; answers the id, too.
    pub(crate) async fn managed(world: &World, account: &str, resource: &str) -> (Raw, String) {
        let mut raw = Raw::login(world, account).await;
        raw.bind(resource).await;
        raw.say("<enable xmlns='urn:xmpp:sm:3' resume='true'/>").await;
        let enabled = raw.next().await;
        assert_eq!(enabled.name(), "enabled", "{enabled}");
        raw.handled = 0;
        let id = enabled.attr("id").unwrap().to_owned();
        (raw, id)
    }

    /// Logs in and asks for a former session; answers what the server says.
    pub(crate) async fn resume(world: &World, account: &str, id: &str, handled: u32) -> (Raw, Element) {
        let mut raw = Raw::login(world, account).await;
        raw.handled = handled;
        raw.say(&format!("<resume xmlns='urn:xmpp:sm:3' previd='{id}' h='{handled}'/>")).await;
        let answer = raw.next().await;
        (raw, answer)
    }

    pub(crate) async fn bind(&mut self, resource: &str) {
        let bind = format!("<bind xmlns='{}'><resource>{resource}</resource></bind>", ns::BIND);
        self.say(&format!("<iq type='set' id='bind'>{bind}</iq>")).await;
        let bound = self.next().await;
        assert_eq!(bound.attr("type"), Some("result"), "{bound}");
    }

    /// Sends bytes as they are. Errors of the pipe show as its end.
    pub(crate) async fn say(&mut self, text: &str) {
        drop(self.stream.write_all(text.as_bytes()).await);
        drop(self.stream.flush().await);
    }

    /// The next element, or `None` at the end of the stream. Stanzas are counted.
    pub(crate) async fn hear(&mut self) -> Option<Element> {
        loop {
            match self.reader.next_event().expect("the server speaks XMPP") {
                Some(StreamEvent::Element(element)) => {
                    if element.namespace() == ns::CLIENT {
                        self.handled += 1;
                    }
                    return Some(element);
                }
                Some(StreamEvent::Close) => return None,
                Some(StreamEvent::Open(_)) => {}
                None => {
                    let mut bytes = vec![0; 16 * 1024];
                    let read =
                        timeout(PATIENCE, self.stream.read(&mut bytes)).await.expect("the broker says something");
                    match read {
                        Ok(0) | Err(_) => return None,
                        Ok(count) => self.reader.feed(&bytes[..count]),
                    }
                }
            }
        }
    }

    /// The next element that is no request for an acknowledgement.
    pub(crate) async fn next(&mut self) -> Element {
        loop {
            let element = self.hear().await.expect("the stream goes on");
            if !element.is(ns::STREAM_MANAGEMENT, "r") {
                return element;
            }
        }
    }

    /// What has come until the server has dealt with everything said so far.
    pub(crate) async fn pending(&mut self) -> Vec<Element> {
        // What is sent again after a resumption must not look like an answer of now.
        let id = format!("sync-{}", PINGS.fetch_add(1, Ordering::Relaxed));
        self.say(&format!("<iq type='get' id='{id}' to='{DOMAIN}'><ping xmlns='urn:xmpp:ping'/></iq>")).await;
        let mut found = Vec::new();
        loop {
            let element = self.next().await;
            if element.attr("id") == Some(id.as_str()) {
                return found;
            }
            found.push(element);
        }
    }

    /// Ids of the messages that have come.
    pub(crate) async fn messages(&mut self) -> Vec<String> {
        let pending = self.pending().await;
        let messages = pending.iter().filter(|element| element.name() == "message");
        messages.filter_map(|message| message.attr("id").map(str::to_owned)).collect()
    }

    /// Ids of the messages that come, until there are so many.
    pub(crate) async fn next_messages(&mut self, count: usize) -> Vec<String> {
        let come = async {
            let mut found = Vec::new();
            while found.len() < count {
                found.extend(self.messages().await);
            }
            found
        };
        timeout(PATIENCE, come).await.expect("the messages come")
    }

    /// Asks how many stanzas the server has handled.
    pub(crate) async fn acknowledged(&mut self) -> u32 {
        self.say("<r xmlns='urn:xmpp:sm:3'/>").await;
        loop {
            let element = self.next().await;
            if element.is(ns::STREAM_MANAGEMENT, "a") {
                return element.attr("h").unwrap().parse().unwrap();
            }
        }
    }

    /// Says how many stanzas have come.
    pub(crate) async fn acknowledge(&mut self) {
        self.say(&format!("<a xmlns='urn:xmpp:sm:3' h='{}'/>", self.handled)).await;
    }

    /// The stream error that ends the stream.
    pub(crate) async fn fault(&mut self) -> String {
        loop {
            match self.hear().await {
                Some(element) if element.is(ns::STREAMS, "error") => {
                    let mut text = String::new();
                    element.write_to(&mut text, &Scope::DOCUMENT);
                    return text;
                }
                Some(_) => {}
                None => return String::from("no error"),
            }
        }
    }
}

/// A chat message.
pub(crate) fn chat(to: &str, id: &str) -> String {
    format!("<message type='chat' to='{to}' id='{id}'><body>hello {id}</body></message>")
}
