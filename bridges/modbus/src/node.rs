//! A device as a node: readouts, standing wishes, control.
//!
//! Knows its profile and its line, and nothing of who asks. Ranges and types are checked before the bus sees anything.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use torg_profile::{Link, Payload, Point, Profile, Raw, Table, Write, WriteFunction, WriteRequest};
use torg_thing::{
    About, Assignment, Clock, DisplayParameter, Field, FieldValue, Host, Interest, Invocation, Node, NodeDirectory,
    NodeError, NodeMessage, NodeRef, ObservationSender, ReadoutSender, ReportSender, Selection, Severity, Watch,
};

use crate::config::{DeviceConfig, LineConfig};
use crate::fetch::{Fetch, Learned};
use crate::plan::Cost;
use crate::poll::Wishes;
use crate::port::{Ask, Lane, Line, Reply, Request};

/// Nobody waits longer than this for a readout or a write; what has not begun by then is not begun.
const PATIENCE: Duration = Duration::from_secs(30);
/// Name of the message a node carries while its device cannot be reached.
const UNREACHABLE: &str = "DeviceUnreachable";

/// One device on a line.
pub(crate) struct Device {
    about: Arc<About>,
    profile: Arc<Profile>,
    link: Link,
    unit: u8,
    line: Line,
    cost: Cost,
    learned: Learned,
    wishes: Mutex<Wishes>,
    wished: Notify,
    /// One write at a time: unlocking, writing and reading back belong together.
    writing: Semaphore,
    unreachable: AtomicBool,
    nodes: Arc<dyn NodeDirectory>,
    observations: ObservationSender,
    clock: Arc<dyn Clock>,
    shutdown: CancellationToken,
}

/// The node as others hold it.
pub(crate) struct DeviceNode(pub(crate) Arc<Device>);

impl Device {
    pub(crate) fn new(
        config: &DeviceConfig,
        line: &LineConfig,
        handle: Line,
        host: &Host,
        shutdown: CancellationToken,
    ) -> Self {
        Self {
            about: Arc::new(about(config, line)),
            profile: Arc::clone(&config.profile),
            cost: Cost::new(&line.settings.timing, &config.link),
            link: config.link.clone(),
            unit: config.unit,
            line: handle,
            learned: Learned::default(),
            wishes: Mutex::default(),
            wished: Notify::new(),
            writing: Semaphore::new(1),
            unreachable: AtomicBool::new(false),
            nodes: Arc::clone(&host.nodes),
            observations: host.observations.clone(),
            clock: Arc::clone(&host.clock),
            shutdown,
        }
    }

    pub(crate) fn node(&self) -> &NodeRef {
        &self.about.node
    }

    fn wishes(&self) -> MutexGuard<'_, Wishes> {
        self.wishes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fetch(&self, lane: Lane, patience: Duration) -> Fetch<'_> {
        Fetch {
            line: &self.line,
            unit: self.unit,
            link: &self.link,
            cost: &self.cost,
            learned: &self.learned,
            lane,
            deadline: Instant::now() + patience,
        }
    }

    /// Shows with the node whether its device can be reached.
    fn reachable(&self, failure: Option<&NodeError>) {
        let gone = match failure {
            None => false,
            Some(NodeError::DeviceSilent { .. } | NodeError::DeviceSuspended { .. } | NodeError::LineDown(_)) => true,
            Some(_) => return,
        };
        if self.unreachable.swap(gone, Ordering::Relaxed) == gone {
            return;
        }
        match failure {
            Some(error) => self.nodes.report(
                self.node(),
                NodeMessage {
                    at: self.clock.now(),
                    severity: Severity::Error,
                    event: UNREACHABLE,
                    text: error.to_string(),
                },
            ),
            None => self.nodes.clear(self.node(), UNREACHABLE),
        }
    }

    async fn read(&self, wanted: &Selection, out: &ReadoutSender) -> Result<(), NodeError> {
        if self.shutdown.is_cancelled() {
            return Err(NodeError::LoadStopping);
        }
        let now = self.clock.now();
        // A device has present values only.
        if wanted.to.is_some_and(|to| to < now) || wanted.from.is_some_and(|from| from > now) {
            return Ok(());
        }
        let points: Vec<&Point> =
            self.profile.points().iter().filter(|point| wanted.wants(point.name(), point.categories())).collect();
        let fetch = self.fetch(Lane::Readout, PATIENCE);
        let mut requests = fetch.plan(&points);
        let mut delivered = false;
        let clock = || self.clock.now();
        while let Some(mut part) = requests.next(&clock).await {
            if out.is_gone() {
                return Ok(());
            }
            let failure = part.failures.first().filter(|_| part.hopeless).map(|(_, error)| error.clone());
            self.reachable(failure.as_ref());
            part.fields.retain(|field| wanted.includes(field));
            delivered |= !part.fields.is_empty();
            if let Some(error) = failure {
                if !delivered {
                    return Err(error);
                }
                part.failures.push((requests.rest(), error));
            }
            let sent = deliver(out, part.fields, part.failures).await;
            if sent.is_err() || part.hopeless {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Serves standing wishes until the line ends.
    pub(crate) async fn poll(&self) {
        loop {
            let next = self.wishes().next(self.profile.points(), Instant::now());
            tokio::select! {
                () = self.shutdown.cancelled() => return,
                () = self.wished.notified() => {}
                () = tokio::time::sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {
                    let due = self.wishes().take(self.profile.points(), Instant::now());
                    // A request on the wire is finished by the owner of the line also if this is dropped.
                    tokio::select! {
                        () = self.shutdown.cancelled() => return,
                        () = self.observe(&due) => {}
                    }
                }
            }
        }
    }

    async fn observe(&self, points: &[&Point]) {
        let fetch = self.fetch(Lane::Poll, PATIENCE);
        let mut requests = fetch.plan(points);
        let clock = || self.clock.now();
        while let Some(part) = requests.next(&clock).await {
            let failure = part.failures.first().filter(|_| part.hopeless).map(|(_, error)| error);
            self.reachable(failure);
            self.tell(part.fields);
            if part.hopeless {
                return;
            }
        }
    }

    /// Tells those who still want it.
    fn tell(&self, mut fields: Vec<Field>) {
        {
            let wishes = self.wishes();
            fields.retain(|field| self.profile.point(&field.name).is_some_and(|point| wishes.wanted(point)));
        }
        self.observations.push(self.node(), fields);
    }

    /// Checks all values before anything is written.
    fn encode(&self, values: &[Assignment]) -> Result<Vec<(&Point, &Write, WriteRequest)>, NodeError> {
        if self.about.controls.is_empty() {
            return Err(NodeError::AskerUnsupported("control"));
        }
        let encode = |assignment: &Assignment| {
            let name = &assignment.parameter;
            let refused = |reason| NodeError::AskerControl { parameter: name.clone(), reason };
            let point = self.profile.point(name).and_then(|point| Some((point, point.write()?)));
            let (point, write) = point.ok_or_else(|| NodeError::AskerUnknownParameter(name.clone()))?;
            write.parameter().check(&assignment.value).map_err(refused)?;
            let request = point.encode(&assignment.value).map_err(|error| refused(error.into()))?;
            Ok((point, write, request))
        };
        values.iter().map(encode).collect()
    }

    /// Waits until no write is under way, and lets none begin any more.
    pub(crate) async fn written(&self) {
        // The permit is kept for good: nothing is written after this.
        if let Ok(permit) = self.writing.acquire().await {
            permit.forget();
        }
        self.writing.close();
    }

    async fn set(&self, values: &[Assignment]) -> Result<(), NodeError> {
        let writes = self.encode(values)?;
        let _alone = self.writing.acquire().await.map_err(|_| NodeError::LoadStopping)?;
        for (point, write, request) in writes {
            let outcome = self.write(point, write, &request).await;
            self.reachable(outcome.as_ref().err());
            outcome?;
        }
        Ok(())
    }

    async fn write(&self, point: &Point, write: &Write, request: &WriteRequest) -> Result<(), NodeError> {
        for unlock in write.unlock() {
            let words = unlock.words.clone();
            self.ask(registers(unlock.address, words, WriteFunction::MultipleRegisters)).await?;
        }
        let address = request.address;
        let write_it = match &request.payload {
            Payload::Coil(on) if request.function == WriteFunction::MultipleCoils => {
                Request::WriteCoils { address, bits: vec![*on] }
            }
            Payload::Coil(on) => Request::WriteCoil { address, on: *on },
            Payload::Masked { and, or } if request.function == WriteFunction::MaskRegister => {
                Request::MaskRegister { address, and: *and, or: *or }
            }
            Payload::Masked { and, or } => {
                let old = self.register(address).await?;
                registers(address, vec![(old & and) | (or & !and)], request.function)
            }
            Payload::Registers(words) => registers(address, words.clone(), request.function),
        };
        self.ask(write_it).await?;
        if write.verifies() {
            self.verify(point, write, request).await?;
        }
        Ok(())
    }

    /// Reads the point back and compares what was to be written.
    async fn verify(&self, point: &Point, write: &Write, request: &WriteRequest) -> Result<(), NodeError> {
        tokio::time::sleep(write.settle()).await;
        let (table, address, count) = (point.table(), point.address(), point.count());
        let reply = self.ask(Request::Read { table, address, count }).await?;
        let (same, raw) = match (&reply, &request.payload) {
            (Reply::Bits(bits), Payload::Coil(on)) => (bits.as_slice() == [*on], Raw::Bits(bits)),
            (Reply::Words(words), Payload::Registers(written)) => (words == written, Raw::Words(words)),
            (Reply::Words(words), Payload::Masked { and, or }) => {
                (words.first().is_some_and(|word| word & !and == or & !and), Raw::Words(words))
            }
            _ => return Err(NodeError::DeviceGarbled("bits and registers mixed up".to_owned())),
        };
        let field = point.field(raw, self.clock.now());
        if same {
            self.tell(field.into_iter().collect());
            return Ok(());
        }
        let found = match field {
            Ok(Field { value: Some(value), .. }) => value.to_string(),
            Ok(_) => "missing".to_owned(),
            Err(error) => error.to_string(),
        };
        Err(NodeError::DeviceNotVerified { parameter: point.name().clone(), found })
    }

    async fn register(&self, address: u16) -> Result<u16, NodeError> {
        match self.ask(Request::Read { table: Table::Holding, address, count: 1 }).await? {
            Reply::Words(words) => words.first().copied(),
            _ => None,
        }
        .ok_or_else(|| NodeError::DeviceGarbled("the answer is too short".to_owned()))
    }

    /// One request of a write; all of them go before readouts.
    async fn ask(&self, request: Request) -> Result<Reply, NodeError> {
        let timeout = Some(self.link.timing.timeout);
        let deadline = Instant::now() + PATIENCE;
        let ask = Ask { unit: self.unit, request, lane: Lane::Control, deadline, timeout };
        Ok(self.line.ask(ask).await.map_err(NodeError::from)??)
    }
}

fn registers(address: u16, words: Vec<u16>, function: WriteFunction) -> Request {
    match words.as_slice() {
        [value] if function == WriteFunction::SingleRegister => Request::WriteRegister { address, value: *value },
        _ => Request::WriteRegisters { address, words },
    }
}

async fn deliver(
    out: &ReadoutSender,
    fields: Vec<Field>,
    failures: Vec<(Vec<torg_thing::FieldName>, NodeError)>,
) -> Result<(), torg_thing::ReadoutGone> {
    out.fields(fields).await?;
    for (names, error) in failures {
        out.failure(names, error).await?;
    }
    Ok(())
}

fn about(config: &DeviceConfig, line: &LineConfig) -> About {
    let profile = &config.profile;
    let text = |id: &str, name: &str, value: &str| DisplayParameter {
        id: id.into(),
        name: name.into(),
        value: FieldValue::Text(value.into()),
    };
    let mut parameters = vec![
        text("vendor", "Manufacturer", profile.vendor()),
        text("profile", "Profile", &format!("{} {}", profile.id(), profile.version())),
        text("line", "Line", &line.settings.name),
        text("endpoint", "Endpoint", line.transport.address()),
        DisplayParameter { id: "unit".into(), name: "Unit".into(), value: FieldValue::Int32(i32::from(config.unit)) },
    ];
    let unconfirmed: Vec<&str> =
        profile.points().iter().filter(|point| point.is_unconfirmed()).map(|point| point.name().as_str()).collect();
    if !unconfirmed.is_empty() {
        parameters.push(text("unconfirmed", "Confirmed by one source only", &unconfirmed.join(", ")));
    }
    About {
        node: config.node.clone(),
        parent: None,
        kind: "modbus.device",
        name: Arc::clone(&config.name),
        parameters,
        interfaces: profile.interfaces().to_vec(),
        fields: profile.points().iter().map(Point::summary).collect(),
        controls: profile.parameters().cloned().collect(),
        commands: Vec::new(),
        sniffable: true,
    }
}

#[async_trait]
impl Node for DeviceNode {
    fn about(&self) -> Arc<About> {
        Arc::clone(&self.0.about)
    }

    async fn read(&self, wanted: &Selection, out: ReadoutSender) -> Result<(), NodeError> {
        self.0.read(wanted, &out).await
    }

    fn watch(&self, interest: Interest) -> Watch {
        let device = Arc::clone(&self.0);
        let id = device.wishes().add(interest, device.profile.points());
        device.wished.notify_one();
        Watch::new(move || {
            device.wishes().end(id);
            device.wished.notify_one();
        })
    }

    async fn set(&self, values: &[Assignment]) -> Result<(), NodeError> {
        if self.0.shutdown.is_cancelled() {
            return Err(NodeError::LoadStopping);
        }
        // In a task of its own: whoever stops waiting does not leave a device unlocked or half written. It ends by itself,
        // since every request in it has a deadline.
        let (device, values) = (Arc::clone(&self.0), values.to_vec());
        let set = tokio::spawn(async move { device.set(&values).await });
        set.await.unwrap_or(Err(NodeError::LoadStopping))
    }

    async fn execute(&self, _command: Invocation, _out: ReportSender) -> Result<(), NodeError> {
        Err(NodeError::AskerUnsupported("commands"))
    }
}
