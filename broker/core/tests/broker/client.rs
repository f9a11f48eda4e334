//! A client of the tests: the project's own client machine over TLS over a pipe, with a hand on the raw bytes.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use torg_core::tls::{ClientTls, client_bindings};
use torg_wire::jid::{FullJid, Jid, ResourcePart};
use torg_wire::ns;
use torg_wire::sasl::{Derivation, DerivedKeys, Login};
use torg_wire::secret::Secret;
use torg_wire::seed::Seed;
use torg_wire::stanza::{Stanza, StanzaKind};
use torg_wire::stream::{ClientFault, ClientOutput, ClientSettings, ClientStream, Secured};
use torg_wire::xml::{Element, Limits};

use crate::world::{DOMAIN, PASSWORD, World, certificate};

/// Longer than anything here takes, a login that is held back included; a test that waits so long fails.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Client {
    pub(crate) jid: FullJid,
    stream: TlsStream<DuplexStream>,
    machine: ClientStream,
    inbox: VecDeque<Stanza>,
    ended: Option<ClientFault>,
    pings: u32,
}

impl Client {
    /// Logs in over direct TLS; an address without resource gets one from the server.
    pub(crate) async fn login(world: &World, address: &str) -> Result<Client, ClientFault> {
        Client::login_over(world.direct.connect().await.unwrap(), address).await
    }

    /// Logs in over direct TLS on this connection.
    pub(crate) async fn login_over(socket: DuplexStream, address: &str) -> Result<Client, ClientFault> {
        let stream = secure(socket, certificate().1.direct()).await;
        let machine = ClientStream::direct_tls(settings(address), seed(), secured(&stream), now());
        Client::negotiate(stream, machine).await
    }

    /// Logs in over STARTTLS.
    pub(crate) async fn login_starttls(world: &World, address: &str) -> Result<Client, ClientFault> {
        let mut socket = world.starttls.connect().await.unwrap();
        let mut machine = ClientStream::new(settings(address), seed(), now());
        loop {
            match machine.output() {
                Some(ClientOutput::Write(bytes)) => socket.write_all(&bytes).await.unwrap(),
                Some(ClientOutput::StartTls) => break,
                Some(ClientOutput::Close(fault)) => return Err(fault),
                Some(other) => panic!("{other:?}"),
                None => {
                    let mut bytes = [0; 1024];
                    let count = timeout(PATIENCE, socket.read(&mut bytes)).await.unwrap().unwrap();
                    machine.receive(&bytes[..count]);
                }
            }
        }
        let stream = secure(socket, certificate().1.starttls()).await;
        machine.secured(secured(&stream));
        Client::negotiate(stream, machine).await
    }

    async fn negotiate(stream: TlsStream<DuplexStream>, machine: ClientStream) -> Result<Client, ClientFault> {
        let nobody = FullJid::parse("nobody@site.example/none").unwrap();
        let mut client = Client { jid: nobody, stream, machine, inbox: VecDeque::new(), ended: None, pings: 0 };
        loop {
            if client.turn().await {
                return Ok(client);
            }
            if let Some(fault) = client.ended {
                return Err(fault);
            }
            client.feed().await;
        }
    }

    /// Follows the machine; answers whether the session has just become ready.
    async fn turn(&mut self) -> bool {
        let mut ready = false;
        while let Some(output) = self.machine.output() {
            match output {
                // Errors of the pipe show as the end of the stream.
                ClientOutput::Write(bytes) => {
                    drop(self.stream.write_all(&bytes).await);
                    drop(self.stream.flush().await);
                }
                ClientOutput::Derive(derivation) => self.machine.derived(&derive(derivation)),
                ClientOutput::Ready { jid, .. } => {
                    self.jid = jid;
                    ready = true;
                }
                ClientOutput::Stanza(stanza) => self.inbox.push_back(stanza),
                ClientOutput::Close(fault) => self.ended = Some(fault),
                other => panic!("{other:?}"),
            }
        }
        ready
    }

    async fn feed(&mut self) {
        let mut bytes = vec![0; 16 * 1024];
        let read = timeout(PATIENCE, self.stream.read(&mut bytes)).await.expect("the broker says something");
        match read {
            Ok(0) | Err(_) => self.machine.end_of_input(),
            Ok(count) => self.machine.receive(&bytes[..count]),
        }
    }

    /// Sends without waiting for anything.
    pub(crate) async fn say(&mut self, stanza: &Stanza) {
        self.machine.send(stanza);
        self.turn().await;
    }

    /// Sends bytes as they are.
    pub(crate) async fn raw(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// Sends, and waits until the broker has dealt with it.
    pub(crate) async fn send(&mut self, stanza: &Stanza) {
        self.say(stanza).await;
        self.sync().await;
    }

    /// Waits until the broker has dealt with everything sent so far. What comes meanwhile stays in the inbox.
    pub(crate) async fn sync(&mut self) {
        self.pings += 1;
        let id = format!("sync-{}", self.pings);
        let ping = Stanza::iq_get(&id, Element::new(ns::PING, "ping")).with_to(Jid::parse(DOMAIN).unwrap());
        self.say(&ping).await;
        loop {
            if let Some(position) = self.inbox.iter().position(|stanza| stanza.id() == Some(id.as_str())) {
                self.inbox.remove(position);
                return;
            }
            assert!(self.ended.is_none(), "{} ended: {:?}", self.jid, self.ended);
            self.feed().await;
            self.turn().await;
        }
    }

    /// The next stanza, in order.
    pub(crate) async fn recv(&mut self) -> Stanza {
        loop {
            if let Some(stanza) = self.inbox.pop_front() {
                return stanza;
            }
            assert!(self.ended.is_none(), "{} ended: {:?}", self.jid, self.ended);
            self.feed().await;
            self.turn().await;
        }
    }

    /// What has come until now and was not yet taken.
    pub(crate) async fn pending(&mut self) -> Vec<Stanza> {
        self.sync().await;
        self.inbox.drain(..).collect()
    }

    /// Ids of the messages with something to say that come, until there are so many.
    pub(crate) async fn next_messages(&mut self, count: usize) -> Vec<String> {
        let come = async {
            let mut found = Vec::new();
            while found.len() < count {
                let come = self.pending().await.into_iter().filter(|stanza| stanza.body().is_some());
                found.extend(come.map(|stanza| stanza.id().unwrap_or_default().to_owned()));
            }
            found
        };
        timeout(PATIENCE, come).await.expect("the messages come")
    }

    /// Sends a request and waits for its answer; other stanzas stay in the inbox.
    pub(crate) async fn ask(&mut self, request: &Stanza) -> Stanza {
        self.say(request).await;
        loop {
            let answers = |stanza: &Stanza| {
                stanza.id() == request.id() && matches!(stanza.kind(), StanzaKind::Iq(_)) && !stanza.kind().is_request()
            };
            if let Some(position) = self.inbox.iter().position(answers) {
                return self.inbox.remove(position).unwrap();
            }
            assert!(self.ended.is_none(), "{} ended: {:?}", self.jid, self.ended);
            self.feed().await;
            self.turn().await;
        }
    }

    /// Becomes available and gets the roster, as clients do.
    pub(crate) async fn online(&mut self) {
        self.ask(&Stanza::iq_get("roster", Element::new(ns::ROSTER, "query"))).await;
        self.send(&Stanza::presence(torg_wire::stanza::PresenceType::Available)).await;
        self.pending().await;
    }

    /// Waits for the end of the stream.
    pub(crate) async fn end(&mut self) -> ClientFault {
        loop {
            self.turn().await;
            if let Some(fault) = self.ended.take() {
                return fault;
            }
            self.feed().await;
        }
    }

    /// Closes in order and waits for the server to do the same.
    pub(crate) async fn close(mut self) {
        self.machine.close(now());
        self.end().await;
    }
}

pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

pub(crate) fn seed() -> Seed {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).unwrap();
    Seed::new(bytes)
}

pub(crate) fn settings(address: &str) -> Arc<ClientSettings> {
    let jid = Jid::parse(address).unwrap();
    Arc::new(ClientSettings {
        account: jid.to_bare(),
        login: Login {
            username: jid.local().unwrap_or_default().to_owned(),
            password: Secret::new(PASSWORD.to_owned()),
            scram_sha1: false,
            plain: false,
        },
        resource: jid.resource().map(|resource| ResourcePart::parse(resource).unwrap()),
        // What a client may send grows by the sender's address on its way.
        limits: Limits::SERVER,
    })
}

pub(crate) async fn secure(socket: DuplexStream, config: Arc<rustls::ClientConfig>) -> TlsStream<DuplexStream> {
    let name = ClientTls::server_name(DOMAIN).unwrap();
    timeout(PATIENCE, TlsConnector::from(config).connect(name, socket)).await.unwrap().unwrap()
}

pub(crate) fn secured(stream: &TlsStream<DuplexStream>) -> Secured {
    Secured { bindings: client_bindings(stream.get_ref().1), proven: Vec::new() }
}

/// Deriving takes long, and here all accounts share one password and salt. Those that do not exist get others.
pub(crate) fn derive(derivation: Derivation) -> DerivedKeys {
    static KNOWN: Mutex<BTreeMap<Vec<u8>, DerivedKeys>> = Mutex::new(BTreeMap::new());
    let salt = derivation.salt().to_vec();
    KNOWN.lock().unwrap().entry(salt).or_insert_with(|| derivation.run()).clone()
}
