//! Streams that components open: accepting, and a task for each that owns the socket and the stream's machine, a loop without
//! decisions of its own. However it ends, senders hear what was not written.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::Notify;
use tokio::time::{sleep_until, timeout};
use torg_wire::jid::DomainPart;
use torg_wire::seed::Seed;
use torg_wire::stanza::StanzaCondition;
use torg_wire::stream::Why;
use torg_wire::stream::component::{ComponentOutput, ComponentStream};
use torg_wire::stream_error::{StreamCondition, StreamError};

use super::Component;
use super::line::Parcel;
use crate::c2s::{Listener, Place, accept_each};
use crate::limits::STUCK;
use crate::router::Router;
use crate::session::now;

/// Bytes read at once.
const READ: usize = 16 * 1024;
/// Bytes written at once; more would only delay reading.
const WRITE: usize = 64 * 1024;

/// Accepts connections of components until the broker stops. The caller sees to it that strangers cannot reach the listener: what
/// passes is not encrypted.
pub(crate) async fn listen<L: Listener>(router: Router, listener: L) {
    let components = &router.shared().components;
    let take = |socket, address| {
        let Some(place) = components.gate.enter(address) else {
            tracing::warn!("A component was turned away: too many connections have not said their handshake.");
            return;
        };
        let serve = serve(router.clone(), socket, place);
        let cut = components.cut.clone();
        let bounded = async move { cut.run_until_cancelled(serve).await.unwrap_or_default() };
        components.tasks.spawn_on(bounded, &router.shared().runtime);
    };
    accept_each(&router.shared().stop, listener, take).await;
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(router: Router, mut socket: S, place: Place) {
    let mut bytes = [0; 32];
    if let Err(error) = getrandom::fill(&mut bytes) {
        tracing::error!(%error, "No randomness for the stream of a component.");
        return;
    }
    let machine = ComponentStream::accept(Arc::clone(&router.shared().components.settings), Seed::new(bytes), now());
    let mut connection = Connection::new(router, machine, place);
    let ended = connection.run(&mut socket).await;
    let (component, proven) = (connection.machine.claimed().unwrap_or_default(), connection.component.is_some());
    match ended {
        Ok(why @ Why::Fault(_)) => tracing::warn!(component, proven, %why, "The stream of a component ended."),
        Ok(why) => tracing::info!(component, proven, %why, "The stream of a component ended."),
        Err(error) => tracing::info!(component, proven, %error, "The connection of a component was lost."),
    }
}

struct Connection {
    router: Router,
    machine: ComponentStream,
    /// Its place among those who have said no handshake, until it has.
    place: Option<Place>,
    /// Whose connection it is, once that is proven.
    component: Option<Arc<Component>>,
    /// Told of new stanzas for the component, and of another connection in place of this one.
    wake: Arc<Notify>,
    /// Taken from the component's line and not yet written.
    in_flight: Vec<Parcel>,
    /// Reading goes on at this time: the component has sent more than its rate.
    throttled: Option<Instant>,
    out: Vec<u8>,
    buffer: Vec<u8>,
}

impl Connection {
    fn new(router: Router, machine: ComponentStream, place: Place) -> Self {
        Connection {
            router,
            machine,
            place: Some(place),
            component: None,
            wake: Arc::new(Notify::new()),
            in_flight: Vec::new(),
            throttled: None,
            out: Vec::new(),
            buffer: vec![0; READ],
        }
    }

    /// Runs the stream over `io` until its end. An error is that of the connection.
    async fn run<S: AsyncRead + AsyncWrite + Unpin>(&mut self, io: &mut S) -> io::Result<Why> {
        loop {
            while let Some(output) = self.machine.output() {
                if let Some(why) = self.follow(output, io).await? {
                    return Ok(why);
                }
            }
            if self.ends() {
                continue;
            }
            self.take();
            if self.out.is_empty() {
                self.wait(io).await?;
            } else {
                self.flush(io).await?;
            }
        }
    }

    async fn follow<S: AsyncWrite + Unpin>(&mut self, output: ComponentOutput, io: &mut S) -> io::Result<Option<Why>> {
        match output {
            ComponentOutput::Write(bytes) if self.out.is_empty() => self.out = bytes,
            ComponentOutput::Write(bytes) => self.out.extend_from_slice(&bytes),
            ComponentOutput::Proven(domain) => self.proven(&domain),
            ComponentOutput::Stanza(stanza) => {
                let Some(component) = &self.component else { return Ok(None) };
                let budget = Arc::clone(&component.budget);
                self.count(0, 1);
                if let Some(work) = self.router.accept_component(&budget, stanza) {
                    work.await;
                }
            }
            ComponentOutput::Close(why) => {
                // Senders hear now, not when the component has taken notice.
                self.let_go();
                self.flush(io).await?;
                // The other side may be gone already; it has been told.
                let _ = timeout(STUCK, io.shutdown()).await;
                return Ok(Some(why));
            }
            _ => tracing::error!("The stream's machine asks something unknown."),
        }
        Ok(None)
    }

    fn proven(&mut self, domain: &DomainPart) {
        self.place = None;
        let Some(component) = self.router.shared().components.find(domain.as_str()).cloned() else { return };
        tracing::info!(component = %component.address, "A component has connected.");
        component.line.hold(&self.wake);
        self.component = Some(component);
    }

    /// Ends the stream when another connection has taken its place, or when the broker stops and nothing waits. Answers whether it
    /// does now.
    fn ends(&mut self) -> bool {
        if self.machine.is_ending() {
            return false;
        }
        let stopping = self.router.shared().components.closing.is_cancelled();
        let condition = match &self.component {
            Some(component) if !component.line.is_held_by(&self.wake) => StreamCondition::Conflict,
            Some(component) if stopping && component.line.is_empty() => StreamCondition::SystemShutdown,
            None if stopping => StreamCondition::SystemShutdown,
            _ => return false,
        };
        self.machine.close_with_error(StreamError::new(condition));
        true
    }

    /// Takes the next stanzas, about as many as are written at once.
    fn take(&mut self) {
        let Some(component) = &self.component else { return };
        if self.machine.is_ending() || !self.out.is_empty() {
            return;
        }
        self.in_flight = component.line.take(&self.wake, WRITE);
        for parcel in &self.in_flight {
            self.machine.send_written(&parcel.text);
        }
        self.out.append(&mut self.machine.written());
    }

    /// Waits until there is something to do. Every branch is cancel safe: bytes are fed as soon as they are read.
    async fn wait<S: AsyncRead + Unpin>(&mut self, io: &mut S) -> io::Result<()> {
        let closing = self.router.shared().components.closing.clone();
        let stopping = closing.is_cancelled();
        let deadline = [self.machine.deadline(), self.throttled].into_iter().flatten().min();
        tokio::select! {
            read = io.read(&mut self.buffer), if self.throttled.is_none() => match read? {
                0 => self.machine.end_of_input(),
                count => {
                    self.machine.receive(self.buffer.get(..count).unwrap_or_default());
                    self.count(count, 0);
                }
            },
            () = self.wake.notified() => {}
            () = closing.cancelled(), if !stopping => {}
            () = sleep_until(deadline.unwrap_or_else(now).into()), if deadline.is_some() => self.wake(),
        }
        Ok(())
    }

    fn wake(&mut self) {
        let now = now();
        if self.throttled.is_some_and(|until| until <= now) {
            self.throttled = None;
        }
        self.machine.wake(now);
    }

    /// What a component sends counts against its rate. Beyond it we read later, and TCP makes it wait.
    fn count(&mut self, bytes: usize, stanzas: usize) {
        let Some(component) = &self.component else { return };
        let now = now();
        let wait = component.budget.take(bytes, stanzas, now);
        if wait > Duration::ZERO {
            self.throttled = now.checked_add(wait);
        }
    }

    async fn flush<S: AsyncWrite + Unpin>(&mut self, io: &mut S) -> io::Result<()> {
        if self.out.is_empty() {
            return Ok(());
        }
        let write = async {
            io.write_all(&self.out).await?;
            io.flush().await
        };
        timeout(STUCK, write).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        self.out = Vec::new();
        self.in_flight = Vec::new();
        Ok(())
    }

    /// Answers what was not written, and what waits unless another connection has taken over. Of a batch that was cut the component
    /// may have got some: its senders hear of a time-out, which says just that.
    fn let_go(&mut self) {
        let unwritten = std::mem::take(&mut self.in_flight);
        let waiting = self.component.as_ref().map(|component| component.line.let_go(&self.wake)).unwrap_or_default();
        for parcel in unwritten.into_iter().chain(waiting) {
            if !parcel.passage.as_ref().is_some_and(|passage| passage.is_kept(&self.router, &parcel.header)) {
                self.router.bounce(&parcel.header, StanzaCondition::RemoteServerTimeout);
            }
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.let_go();
    }
}
