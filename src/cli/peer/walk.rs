//! The steps of a stream to another server as far as its offer to authenticate: policy, DNS, TCP, TLS, certificate, features
//! (RFC 6120 §3 to §6, XEP-0178, XEP-0220, XEP-0368). It authenticates nobody and sends no stanza.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use torg_core::peers::{Dns, Nowhere, Peers, Policy, pin_of};
use torg_core::s2s::Target;
use torg_core::tls::{CertificateFiles, ClientTls, Served, ServerTls};
use torg_thing::{Clock as _, SystemClock};
use torg_wire::ns;
use torg_wire::reader::{STREAM_END, StreamEvent, StreamHeader, StreamReader};
use torg_wire::xml::{Element, Limits};

use crate::app;
use crate::config::Settings;

/// Time for one step towards one address; a server that needs longer is as good as none.
const STEP_TIME: Duration = Duration::from_secs(10);
/// Bytes read at once.
const READ_BYTES: usize = 4 * 1024;

/// The one thing that fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Cause {
    /// It offers no way to prove who we are.
    Authentication,
    /// Its certificate does not satisfy its policy.
    Certificate,
    /// Nobody answers.
    Connection,
    /// DNS does not know it.
    Dns,
    /// Our own certificate cannot be used.
    Ours,
    /// Our configuration refuses it.
    Policy,
    /// What answers is no XMPP server for it.
    Stream,
    /// No TLS.
    Tls,
}

impl Cause {
    /// How far one came to find it.
    fn stage(self) -> u8 {
        match self {
            Cause::Ours | Cause::Policy => 0,
            Cause::Dns => 1,
            Cause::Connection => 2,
            Cause::Stream => 3,
            Cause::Tls => 4,
            Cause::Certificate => 5,
            Cause::Authentication => 6,
        }
    }
}

/// What the server offers inside TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Offered {
    external: bool,
    dialback: bool,
    bidi: bool,
}

/// How far we came.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    /// Policy in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<&'static str>,
    /// What was done, one sentence each.
    pub(super) steps: Vec<String>,
    /// Pin of the key that it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pin: Option<String>,
    /// What it offers.
    #[serde(skip_serializing_if = "Option::is_none")]
    offered: Option<Offered>,
    /// What fails; none if nothing does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cause: Option<Cause>,
    /// What fails, in words.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) text: String,
}

type Failed = (Cause, String);

/// Walks to the server of a domain, over each of its places until one is good; tells otherwise about the one that led furthest.
pub(super) async fn walk(settings: &Settings, domain: &str) -> Report {
    let mut report = Report::default();
    if let Err((cause, text)) = try_all(settings, domain, &mut report).await {
        report.cause = Some(cause);
        report.text = text;
    }
    report
}

async fn try_all(settings: &Settings, domain: &str, report: &mut Report) -> Result<(), Failed> {
    let Some(federation) = &settings.broker.federation else {
        return Err((Cause::Policy, "Federation is off: [broker.listen] names neither s2s nor s2s_tls.".into()));
    };
    let ours = |error: &dyn std::fmt::Display| (Cause::Ours, format!("We cannot start TLS: {error}."));
    let resolver = Arc::new(Dns::new(federation.dns.clone()));
    let peers = Peers::new(&federation.peers, resolver, Arc::new(SystemClock)).map_err(|error| ours(&error))?;
    let Some(rule) = peers.rule(domain) else {
        let text =
            format!("{domain} is refused: it is no configured peer, and others are refused, or it is no domain.");
        return Err((Cause::Policy, text));
    };
    report.policy = Some(rule.policy().name());
    let by = rule
        .configured()
        .map_or_else(|| "as all servers not configured".into(), |by| format!("as [[broker.peer]] {by}"));
    report.steps.push(format!("Policy: {}, {by}.", rule.policy()));

    if rule.policy() != Policy::Dialback {
        let then = if rule.allows_dialback(false) {
            "dialback, if the server at its address vouches for it"
        } else {
            "refused"
        };
        report.steps.push(format!("Should it come to us without a certificate: {then}."));
    }

    let targets = peers.places_of(domain).await.map_err(|nowhere| {
        let cause = if matches!(nowhere, Nowhere::Refused { .. }) { Cause::Policy } else { Cause::Dns };
        (cause, format!("{nowhere}."))
    })?;
    let tls =
        ServerTls::new(&certificate(settings).map_err(|error| ours(&error))?).map_err(|error| ours(&error))?.current();
    let checked =
        Checked { own: settings.broker.domain.domain(), domain, policy: rule.policy(), peers: &peers, tls: &tls };
    // Of several places the one that led furthest tells most: a host may have an address where nobody listens.
    let mut best: Option<Failed> = None;
    for target in &targets {
        let kind = if target.direct_tls { "direct TLS" } else { "STARTTLS" };
        report.steps.push(format!("Place: {} ({}), {kind}.", target.address, target.host));
        match checked.try_one(target, report).await {
            Ok(()) => return Ok(()),
            Err(failed) => {
                report.steps.push(format!("Fails: {}", failed.1));
                if best.as_ref().is_none_or(|(cause, _)| cause.stage() < failed.0.stage()) {
                    best = Some(failed);
                }
            }
        }
    }
    best.map_or(Ok(()), Err)
}

/// The certificate that we show to other servers.
fn certificate(settings: &Settings) -> Result<torg_core::tls::Loaded, torg_core::tls::TlsError> {
    let files = match &settings.broker.tls {
        Some(files) => CertificateFiles { certificate: files.certificate.clone(), key: files.key.clone() },
        None => {
            let folder = app::authority_directory(&settings.store);
            CertificateFiles { certificate: folder.join("leaf.pem"), key: folder.join("leaf.key") }
        }
    };
    files.load(settings.broker.domain.domain(), SystemClock.now())
}

/// Who checks whom.
struct Checked<'a> {
    own: &'a str,
    domain: &'a str,
    policy: Policy,
    peers: &'a Peers,
    tls: &'a Served,
}

impl Checked<'_> {
    async fn try_one(&self, target: &Target, report: &mut Report) -> Result<(), Failed> {
        let at = target.address;
        let unreachable = |error: io::Error| (Cause::Connection, format!("{at} cannot be reached: {error}."));
        let mut tcp = in_time(TcpStream::connect(at)).await.map_err(unreachable)?;
        report.steps.push("TCP: connected.".into());
        if !target.direct_tls {
            self.begin_tls(&mut tcp).await?;
            report.steps.push("STARTTLS: offered and begun.".into());
        }
        let no_tls = |error: &dyn std::fmt::Display| (Cause::Tls, format!("{at} does not complete TLS: {error}."));
        let name = ClientTls::server_name(self.domain).map_err(|error| no_tls(&error))?;
        let connector = TlsConnector::from(self.tls.peer_connecting(target.direct_tls));
        let mut stream = in_time(connector.connect(name, tcp)).await.map_err(|error| no_tls(&error))?;
        let connection = stream.get_ref().1;
        let version = connection.protocol_version().and_then(|version| version.as_str().map(str::to_owned));
        report.steps.push(format!("TLS: {}.", version.unwrap_or_else(|| "done".into())));

        let chain = connection.peer_certificates().unwrap_or_default().to_vec();
        report.pin = chain.first().and_then(pin_of).map(|pin| pin.to_string());
        if let Some(pin) = &report.pin {
            report.steps.push(format!("Key: {pin}."));
        }
        let standing = self.peers.examine(self.domain, &chain, Some(target)).await;
        match standing.found {
            Ok(proof) => report.steps.push(format!("Certificate: {proof}.")),
            Err(doubt) if self.policy == Policy::Dialback => {
                report.steps.push(format!("Certificate: {doubt}; that is no hindrance with policy dialback."));
            }
            Err(doubt) => {
                return Err((
                    Cause::Certificate,
                    format!("{} is not believed ({}): {doubt}.", self.domain, self.policy),
                ));
            }
        }
        let features = self.features(&mut stream).await?;
        let offered = offered(&features);
        report.offered = Some(offered);
        let mut ways: Vec<&str> = Vec::new();
        ways.extend(offered.external.then_some("EXTERNAL"));
        ways.extend(offered.dialback.then_some("dialback"));
        ways.extend(offered.bidi.then_some("both directions on one stream"));
        if !offered.external && !offered.dialback {
            return Err((Cause::Authentication, format!("{} offers us neither EXTERNAL nor dialback.", self.domain)));
        }
        report.steps.push(format!("Offered: {}.", ways.join(", ")));
        // It was only a look; whether the goodbye arrives does not matter.
        let _ = stream.write_all(STREAM_END.as_bytes()).await;
        Ok(())
    }

    /// From the plain stream to the moment where TLS begins.
    async fn begin_tls(&self, tcp: &mut TcpStream) -> Result<(), Failed> {
        let features = self.features(tcp).await?;
        if features.child(ns::TLS, "starttls").is_none() {
            return Err((Cause::Tls, format!("{} does not offer STARTTLS to servers.", self.domain)));
        }
        let started = in_time(async {
            tcp.write_all(format!("<starttls xmlns='{}'/>", ns::TLS).as_bytes()).await?;
            // What follows the answer is TLS already, so nothing beyond it may be read.
            let mut answer = Vec::new();
            while answer.last() != Some(&b'>') && answer.len() < READ_BYTES {
                answer.push(tcp.read_u8().await?);
            }
            Ok(String::from_utf8_lossy(&answer).contains("<proceed"))
        });
        match started.await {
            Ok(true) => Ok(()),
            Ok(false) => Err((Cause::Tls, format!("{} offers STARTTLS and then refuses it.", self.domain))),
            Err(error) => Err((Cause::Tls, format!("{} offers STARTTLS and then breaks off: {error}.", self.domain))),
        }
    }

    /// Opens a stream and waits for what is offered.
    async fn features<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: &mut S) -> Result<Element, Failed> {
        let mut header = StreamHeader::new(ns::SERVER);
        header.from = Some(self.own.to_owned());
        header.to = Some(self.domain.to_owned());
        let mut opening = String::new();
        header.write_to(&mut opening);
        let heard = in_time(async {
            stream.write_all(opening.as_bytes()).await?;
            let mut reader = StreamReader::new(Limits::BEFORE_LOGIN);
            let mut buffer = vec![0; READ_BYTES];
            loop {
                match reader.next_event().map_err(io::Error::other)? {
                    Some(StreamEvent::Element(element)) => return Ok(element),
                    Some(StreamEvent::Open(_)) => continue,
                    Some(StreamEvent::Close) => return Err(io::Error::other("it closes the stream")),
                    None => {}
                }
                match stream.read(&mut buffer).await? {
                    0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                    length => reader.feed(buffer.get(..length).unwrap_or_default()),
                }
            }
        });
        match heard.await {
            Ok(features) if features.is(ns::STREAMS, "features") => Ok(features),
            Ok(other) if other.is(ns::STREAMS, "error") => {
                let condition = other.children().next().map_or("no reason given", Element::name);
                Err((Cause::Stream, format!("{} refuses the stream: {condition}.", self.domain)))
            }
            Ok(_) => Err((Cause::Stream, format!("{} does not say what it offers.", self.domain))),
            Err(error) => Err((Cause::Stream, format!("{} does not answer as an XMPP server: {error}.", self.domain))),
        }
    }
}

fn offered(features: &Element) -> Offered {
    let external = features.child(ns::SASL, "mechanisms").is_some_and(|mechanisms| {
        mechanisms.children_named(ns::SASL, "mechanism").any(|mechanism| mechanism.text() == "EXTERNAL")
    });
    Offered {
        external,
        dialback: features.child(ns::DIALBACK_FEATURE, "dialback").is_some(),
        bidi: features.child(ns::BIDI_FEATURE, "bidi").is_some(),
    }
}

async fn in_time<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(STEP_TIME, work).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}
