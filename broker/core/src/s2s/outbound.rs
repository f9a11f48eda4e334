//! Looking for a peer that somebody has something to say to: places, connection, TLS, certificate, authentication; then the stream.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use torg_wire::stanza::StanzaCondition;
use torg_wire::stream::Why;
use torg_wire::stream::peer::{DialbackCheck, Pair, PeerEnd, PeerStream, Standing};
use torg_wire::stream_error::StreamCondition;

use super::connection::{Connection, IDLE, Next, Until};
use super::link::Link;
use super::{Links, Socket, Target, Unreachable, seed};
use crate::router::Router;
use crate::session::now;
use crate::tls::ClientTls;

/// Time to find a peer and to be believed by it. Senders hear of a failure no later.
pub const RESOLVE_TIME: Duration = Duration::from_secs(30);
/// Time for one of several places, so that a dead one does not use up the time of the others.
const TARGET_TIME: Duration = Duration::from_secs(10);
/// A stream that ends sooner counts as a failure, or two servers that disagree would open streams as fast as they can.
const SHORT_LIFE: Duration = Duration::from_secs(5);

/// A stream inside TLS, opened by us.
pub(super) type Secured = TlsStream<Pin<Box<dyn Socket>>>;

/// Why a peer was not reached; for logs, and what senders are told.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub(super) struct Failure {
    pub(super) condition: StanzaCondition,
    text: String,
}

impl Failure {
    fn not_found(text: impl Into<String>) -> Failure {
        Failure { condition: StanzaCondition::RemoteServerNotFound, text: text.into() }
    }

    fn timeout(text: impl Into<String>) -> Failure {
        Failure { condition: StanzaCondition::RemoteServerTimeout, text: text.into() }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::timeout(format!("the connection failed: {error}"))
    }
}

impl From<Unreachable> for Failure {
    fn from(error: Unreachable) -> Failure {
        match error {
            Unreachable::NotFound(_) | Unreachable::Policy(_) => Failure::not_found(error.to_string()),
            Unreachable::Timeout(_) => Failure::timeout(error.to_string()),
        }
    }
}

impl From<PeerEnd> for Failure {
    fn from(end: PeerEnd) -> Failure {
        match &end {
            PeerEnd::Ended(Why::PeerFault(error)) if error.condition() == StreamCondition::HostUnknown => {
                Failure::not_found(end.to_string())
            }
            // Our own error: its certificate, or its answer, is not the domain's.
            PeerEnd::Ended(Why::Fault(_)) | PeerEnd::NoTls => Failure::not_found(end.to_string()),
            _ => Failure::timeout(end.to_string()),
        }
    }
}

/// Finds the peer of a link and runs the stream, until it ends. If it is not found, senders hear of it.
pub(super) async fn look(router: Router, link: Arc<Link>) {
    let Some(links) = router.links() else { return };
    if !link.is_connecting() {
        return; // meanwhile the peer has come to us
    }
    let finding = async {
        // Waiting for a place counts: whoever sends hears in time.
        let _place = links.looking.acquire().await;
        find(&router, links, &link.pair, None).await
    };
    let finding = timeout(RESOLVE_TIME, finding).await;
    let failure = match finding {
        Ok(Ok((mut connection, mut stream, _))) => {
            if !connection.carries() {
                connection.machine.close(now());
            }
            match connection.run(&mut stream, Until::End).await {
                Ok(Next::Closed(end)) => tracing::info!(pair = %link.pair, %end, "A stream to a peer ended."),
                Ok(_) => tracing::error!(pair = %link.pair, "A stream to a peer turned to something else."),
                Err(error) => tracing::info!(pair = %link.pair, %error, "A stream to a peer was lost."),
            }
            return;
        }
        Ok(Err(failure)) => failure,
        Err(_) => Failure::timeout("it was not reached in time"),
    };
    tracing::warn!(pair = %link.pair, reason = %failure, "A peer could not be reached.");
    link.explain(&failure.text);
    fail(&router, links, &link, failure.condition);
}

/// Somebody must look for the peer again: its stream, which lived that long, has ended and stanzas wait.
pub(super) fn go_on(router: &Router, link: Arc<Link>, lived: Duration) {
    let Some(links) = router.links() else { return };
    if links.cut.is_cancelled() {
        return;
    }
    if lived < SHORT_LIFE {
        return fail(router, links, &link, StanzaCondition::RemoteServerTimeout);
    }
    links.spawn(router, look(router.clone(), link));
}

fn fail(router: &Router, links: &Links, link: &Link, condition: StanzaCondition) {
    for parcel in link.fail(condition, (links.chance)(), now()) {
        if !parcel.passage.is_some_and(|passage| passage.is_kept(router, &parcel.header)) {
            router.bounce(&parcel.header, condition);
        }
    }
}

/// Tries one place of a peer after the other, until a stream is open for the pair or, if a key is to be checked, the peer has answered.
pub(super) async fn find(
    router: &Router,
    links: &Links,
    pair: &Pair,
    check: Option<&DialbackCheck>,
) -> Result<(Connection, Secured, Next), Failure> {
    let remote = pair.remote.as_str();
    if !links.federation.allows(remote) {
        return Err(Failure::not_found("our policy refuses it"));
    }
    let targets = links.federation.targets(remote).await?;
    let mut failure = Failure::not_found("there is no place to connect to");
    for target in targets {
        let attempt = Box::pin(attempt(router, links, pair, check, &target));
        let tried = timeout(TARGET_TIME, attempt).await;
        let failed = match tried.unwrap_or_else(|_| Err(Failure::timeout("it does not answer"))) {
            Ok(found) => return Ok(found),
            Err(failed) => failed,
        };
        tracing::debug!(remote, address = %target.address, host = %target.host, reason = %failed, "A place of a peer failed.");
        failure = failed;
    }
    Err(failure)
}

async fn attempt(
    router: &Router,
    links: &Links,
    pair: &Pair,
    check: Option<&DialbackCheck>,
    target: &Target,
) -> Result<(Connection, Secured, Next), Failure> {
    let only_checks = check.is_some();
    let mut socket = links.connector.connect(target).await?;
    let settings = links.settings(router);
    let connection = |mut machine: PeerStream| {
        if let Some(check) = check {
            machine.check(check.clone());
        }
        Connection::new(router.clone(), machine, IDLE, None)
    };
    let (mut connection, mut stream) = if target.direct_tls {
        let (stream, chain, standing) = secure(links, pair, target, socket).await?;
        let machine = PeerStream::connect_tls(settings, pair.clone(), only_checks, standing, seed()?, now());
        let mut connection = connection(machine);
        connection.chain = chain;
        (connection, stream)
    } else {
        let machine = PeerStream::connect(settings, pair.clone(), only_checks, seed()?, now());
        let mut connection = connection(machine);
        match connection.run(&mut socket, Until::End).await? {
            Next::StartTls => {}
            Next::Closed(end) => return Err(end.into()),
            Next::Checked(_) | Next::Open => return Err(Failure::not_found("it says more than it may before TLS")),
        }
        let (stream, chain, standing) = secure(links, pair, target, socket).await?;
        connection.chain = chain;
        connection.machine.secured(Some(standing));
        (connection, stream)
    };
    let until = if only_checks { Until::Checked } else { Until::Open };
    match connection.run(&mut stream, until).await? {
        Next::Closed(end) => Err(end.into()),
        next => Ok((connection, stream, next)),
    }
}

/// TLS as client, and how the peer stands by what it showed.
async fn secure(
    links: &Links,
    pair: &Pair,
    target: &Target,
    socket: Pin<Box<dyn Socket>>,
) -> Result<(Secured, Vec<CertificateDer<'static>>, Standing), Failure> {
    let remote = pair.remote.as_str();
    let name = ClientTls::server_name(remote).map_err(|error| Failure::not_found(error.to_string()))?;
    let config = links.tls.current().peer_connecting(target.direct_tls);
    let stream = TlsConnector::from(config).connect(name, socket).await;
    let stream = stream.map_err(|error| Failure::timeout(format!("TLS failed: {error}")))?;
    let shown = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let chain: Vec<_> = shown.iter().map(|certificate| certificate.clone().into_owned()).collect();
    let standing = links.standing(remote, &chain, Some(target)).await;
    Ok((stream, chain, standing))
}
