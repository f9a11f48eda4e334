//! The concentrator on an uplink in memory, with invented nodes and paused time.

mod browsing;
mod commanding;
mod controlling;
mod discovering;
mod following;
mod friendship;
mod oldest;
mod reading;
mod sniffing;
mod sources;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use torg_thing::{
    About, Assignment, Categories, Clock, Field, FieldName, FieldSummary, FieldValue, Interest, Invocation, Node,
    NodeDirectory, NodeError, NodeId, NodeRef, Qos, Quantity, ReadoutSender, ReportSender, Selection, SourceId,
    Timestamp, Unit, Watch,
};
use torg_wire::jid::{BareJid, FullJid};
use torg_wire::stanza::Stanza;
use torg_wire::xml::{Limits, parse_document};

use super::{Concentrator, Config, Handle, Outlet, Tree, Uplink, UplinkClosed};

/// Longer than anything the concentrator waits for; with paused time it costs nothing.
const PATIENCE: Duration = Duration::from_secs(3600);

/// A wall clock that goes with tokio's.
#[derive(Debug)]
struct PausedClock {
    start: Instant,
}

impl Clock for PausedClock {
    fn now(&self) -> Timestamp {
        at(0).plus(self.start.elapsed())
    }
}

/// The time tests begin at, and seconds after it.
fn at(seconds: u64) -> Timestamp {
    "2026-03-01T10:15:00Z".parse::<Timestamp>().unwrap().plus(Duration::from_secs(seconds))
}

struct MemoryUplink {
    address: FullJid,
    inbound: mpsc::UnboundedReceiver<Stanza>,
    outbound: mpsc::UnboundedSender<Stanza>,
}

struct MemoryOutlet(mpsc::UnboundedSender<Stanza>);

#[async_trait]
impl Uplink for MemoryUplink {
    fn address(&self) -> &FullJid {
        &self.address
    }

    fn outlet(&self) -> Arc<dyn Outlet> {
        Arc::new(MemoryOutlet(self.outbound.clone()))
    }

    async fn next(&mut self) -> Option<Stanza> {
        self.inbound.recv().await
    }
}

#[async_trait]
impl Outlet for MemoryOutlet {
    async fn send(&self, stanza: Stanza) -> Result<(), UplinkClosed> {
        keep(&stanza);
        self.0.send(stanza).map_err(|_| UplinkClosed)
    }
}

/// Adds what is sent to the file that `TORG_STANZAS` names, for a check against the published schemas.
fn keep(stanza: &Stanza) {
    use std::io::Write as _;
    let Some(file) = std::env::var_os("TORG_STANZAS") else { return };
    let mut file = std::fs::File::options().create(true).append(true).open(file).unwrap();
    let line = stanza.to_element().to_string().replace('\n', "&#10;");
    file.write_all(format!("{line}\n").as_bytes()).unwrap();
}

/// A concentrator, seen from its broker.
struct World {
    inbound: Option<mpsc::UnboundedSender<Stanza>>,
    outbound: mpsc::UnboundedReceiver<Stanza>,
    tree: Arc<Tree>,
    handle: Handle,
    shutdown: CancellationToken,
    running: JoinHandle<()>,
}

impl World {
    /// `anna@a.example` is a friend, `anna` and `carl` are welcome.
    async fn new() -> Self {
        Self::with(Config::default()).await
    }

    async fn with(config: Config) -> Self {
        let mut world = Self::before_roster(config).await;
        world
            .send(
                "<iq type='result' id='roster' to='gw@a.example/1'><query xmlns='jabber:iq:roster'>\
                 <item jid='anna@a.example' subscription='both'/><item jid='bert@b.example' subscription='to'/></query></iq>",
            )
            .await;
        let presence = world.next().await;
        assert_eq!((presence.kind().name(), presence.kind().type_name()), ("presence", None));
        world
    }

    async fn before_roster(config: Config) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(PausedClock { start: Instant::now() });
        let tree = Arc::new(Tree::new(Arc::clone(&clock)));
        let (inbound, from_broker) = mpsc::unbounded_channel();
        let (to_broker, outbound) = mpsc::unbounded_channel();
        let address = FullJid::parse("gw@a.example/1").unwrap();
        let uplink = MemoryUplink { address, inbound: from_broker, outbound: to_broker };
        let shutdown = CancellationToken::new();
        let friends = BTreeSet::from(["anna@a.example", "carl@c.example"].map(|jid| BareJid::parse(jid).unwrap()));
        let config = Config { friends, ..config };
        let concentrator = Concentrator::new(config, Arc::clone(&tree), Box::new(uplink), clock, &shutdown);
        let handle = concentrator.handle();
        let running = tokio::spawn(concentrator.run());
        let mut world = Self { inbound: Some(inbound), outbound, tree, handle, shutdown, running };
        world.expect("<iq type='get' id='roster'><query xmlns='jabber:iq:roster'/></iq>").await;
        world
    }

    fn add(&self, node: Fake) -> Arc<Fake> {
        let node = Arc::new(node);
        self.tree.announce(Arc::clone(&node) as Arc<dyn Node>).unwrap();
        node
    }

    /// The broker delivers a stanza.
    async fn send(&self, xml: &str) {
        self.inbound.as_ref().unwrap().send(stanza(xml)).unwrap();
    }

    /// Anna asks the concentrator something.
    async fn ask(&self, kind: &str, payload: &str) {
        self.ask_as("anna@a.example/x", kind, payload).await;
    }

    async fn ask_as(&self, who: &str, kind: &str, payload: &str) {
        self.send(&format!("<iq type='{kind}' id='q' from='{who}' to='gw@a.example/1'>{payload}</iq>")).await;
    }

    /// The next stanza the concentrator sends.
    async fn next(&mut self) -> Stanza {
        timeout(PATIENCE, self.outbound.recv()).await.expect("nothing was sent").expect("the concentrator has ended")
    }

    async fn expect(&mut self, xml: &str) {
        let next = self.next().await;
        assert_eq!(next.to_element(), stanza(xml).to_element());
    }

    /// Anna gets the answer to what she asked.
    async fn expect_result(&mut self, payload: &str) {
        self.expect(&format!("<iq type='result' id='q' from='gw@a.example/1' to='anna@a.example/x'>{payload}</iq>"))
            .await;
    }

    /// Anna gets a message.
    async fn expect_message(&mut self, payload: &str) {
        self.expect(&format!("<message to='anna@a.example/x'>{payload}</message>")).await;
    }

    /// Anna's request fails with this condition and type.
    async fn expect_error(&mut self, condition: &str, kind: &str) {
        let next = self.next().await;
        let error = next.error().unwrap_or_else(|| panic!("no error: {next}"));
        assert_eq!((error.condition().name(), error.kind().name()), (condition, kind), "{next}");
    }

    /// Nothing is sent for a long time.
    async fn expect_silence(&mut self) {
        if let Ok(sent) = timeout(PATIENCE, self.outbound.recv()).await {
            panic!("was sent: {sent:?}");
        }
    }
}

fn stanza(xml: &str) -> Stanza {
    let name_end = xml.find([' ', '/', '>']).unwrap();
    let (name, rest) = xml.split_at(name_end);
    let document = format!("{name} xmlns='jabber:client'{rest}");
    Stanza::from_element(parse_document(&document, &Limits::CLIENT).unwrap()).unwrap()
}

fn address(id: &str) -> NodeRef {
    NodeRef::new(SourceId::parse("plant").unwrap(), NodeId::parse(id).unwrap())
}

fn name(text: &str) -> FieldName {
    FieldName::parse(text).unwrap()
}

/// A momentary power reading, taken at the start.
fn power(watts: &str) -> Field {
    field("Power", watts, "W", Categories::MOMENTARY)
}

fn field(named: &str, value: &str, unit: &str, categories: Categories) -> Field {
    let quantity = Quantity { value: value.parse().unwrap(), unit: Unit::new(unit) };
    Field {
        name: name(named),
        at: at(0),
        value: Some(FieldValue::Quantity(quantity)),
        categories,
        qos: Qos::AUTOMATIC_READOUT,
        writable: false,
    }
}

/// What an invented node does when it is read.
#[derive(Clone)]
enum Step {
    Fields(Vec<Field>),
    Failure(Vec<FieldName>, NodeError),
    Wait(Duration),
    End(NodeError),
    Panic,
}

/// An invented node.
struct Fake {
    about: Arc<About>,
    steps: Vec<Step>,
    reads: Mutex<Vec<Selection>>,
    sets: Mutex<Vec<Assignment>>,
    set_fails: Option<NodeError>,
    set_takes: Duration,
    runs: Mutex<Vec<Invocation>>,
    watches: Arc<Mutex<Vec<Interest>>>,
}

impl Fake {
    /// A readable node that does these steps when read.
    fn new(id: &str, steps: Vec<Step>) -> Self {
        let about = About {
            node: address(id),
            parent: None,
            kind: "fake.device",
            name: id.into(),
            parameters: Vec::new(),
            interfaces: Vec::new(),
            fields: vec![FieldSummary {
                name: name("Power"),
                categories: Categories::MOMENTARY,
                unit: Unit::new("W"),
                writable: false,
                unconfirmed: false,
            }],
            controls: Vec::new(),
            commands: Vec::new(),
            sniffable: false,
        };
        Self {
            about: Arc::new(about),
            steps,
            reads: Mutex::default(),
            sets: Mutex::default(),
            set_fails: None,
            set_takes: Duration::ZERO,
            runs: Mutex::default(),
            watches: Arc::default(),
        }
    }

    fn about_mut(&mut self) -> &mut About {
        Arc::get_mut(&mut self.about).unwrap()
    }
}

#[async_trait]
impl Node for Fake {
    fn about(&self) -> Arc<About> {
        Arc::clone(&self.about)
    }

    async fn read(&self, wanted: &Selection, out: ReadoutSender) -> Result<(), NodeError> {
        self.reads.lock().unwrap().push(wanted.clone());
        for step in self.steps.clone() {
            match step {
                Step::Fields(fields) => out.fields(fields).await.unwrap_or_default(),
                Step::Failure(fields, error) => out.failure(fields, error).await.unwrap_or_default(),
                Step::Wait(time) => tokio::time::sleep(time).await,
                Step::End(error) => return Err(error),
                Step::Panic => panic!("invented"),
            }
        }
        Ok(())
    }

    fn watch(&self, interest: Interest) -> Watch {
        self.watches.lock().unwrap().push(interest.clone());
        let watches = Arc::clone(&self.watches);
        Watch::new(move || {
            let mut watches = watches.lock().unwrap();
            if let Some(at) = watches.iter().position(|one| *one == interest) {
                watches.remove(at);
            }
        })
    }

    async fn set(&self, values: &[Assignment]) -> Result<(), NodeError> {
        tokio::time::sleep(self.set_takes).await;
        if let Some(error) = &self.set_fails {
            return Err(error.clone());
        }
        self.sets.lock().unwrap().extend_from_slice(values);
        Ok(())
    }

    async fn execute(&self, command: Invocation, out: ReportSender) -> Result<(), NodeError> {
        self.runs.lock().unwrap().push(command.clone());
        commanding::execute(&command.id, out).await
    }
}
