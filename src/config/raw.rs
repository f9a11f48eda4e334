//! The configuration as it is written: one type per section, read by serde, with the JSON Schema that checks it.
//!
//! What a doc comment says here is what an editor shows. Meaning beyond shape (is this an address? does the file
//! exist?) is checked in `checked.rs`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::components::RawComponent;
use super::peers::{RawFederation, RawPeer};
use super::web::{RawAcme, RawWeb};

/// Configuration of a Torg appliance (`torg.toml`, and each file of `conf.d`).
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    /// The XMPP broker.
    pub(super) broker: Option<RawBroker>,
    /// Where accounts, rosters and offline messages are kept.
    pub(super) store: Option<RawStore>,
    /// The concentrator: the XMPP address in front of all nodes.
    pub(super) concentrator: Option<RawConcentrator>,
    /// Device profiles of this site, beside the shipped ones.
    #[expect(dead_code, reason = "checked here, read as ProfilesOnly")]
    pub(super) profiles: Option<RawProfiles>,
    /// What is logged, and how.
    pub(super) log: Option<RawLog>,
    /// The field buses.
    #[serde(default)]
    #[expect(dead_code, reason = "checked here, read as BridgesOnly")]
    pub(super) bridge: Vec<RawBridge>,
}

/// The XMPP broker.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawBroker {
    /// Domain it serves, such as "site.example".
    pub(super) domain: String,
    /// Accounts that may administer it.
    #[serde(default)]
    pub(super) admins: Vec<String>,
    /// Where clients connect.
    #[serde(default)]
    pub(super) listen: RawListen,
    /// Certificate and key. Without this section a local certificate authority is made at the first start.
    pub(super) tls: Option<RawTls>,
    /// Certificates from an authority that asks for proof by itself, instead of [broker.tls].
    pub(super) acme: Option<RawAcme>,
    /// XMPP in the browser, and who may look at the appliance from elsewhere.
    pub(super) web: Option<RawWeb>,
    /// How clients may log in.
    #[serde(default)]
    pub(super) auth: RawAuth,
    /// How much a client may ask of the broker.
    #[serde(default)]
    pub(super) limits: RawLimits,
    /// Whether strangers may make accounts by themselves. Default: "closed".
    pub(super) registration: Option<RawRegistration>,
    /// Whom to write to about this server, as "mailto:" or "xmpp:" addresses; shown to everybody who asks.
    #[serde(default)]
    pub(super) contact: RawContact,
    /// Whether everybody may learn which servers this one talks to, as far as those agree (XEP-0485). Default: "private".
    pub(super) server_info: Option<RawServerInfo>,
    /// Servers that are not among the peers, and how servers are found.
    pub(super) federation: Option<RawFederation>,
    /// Other servers, by name.
    #[serde(default)]
    pub(super) peer: Vec<RawPeer>,
    /// Programs on this machine that serve a domain of their own through the broker (XEP-0114).
    #[serde(default)]
    pub(super) component: Vec<RawComponent>,
}

/// Who may make accounts.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawRegistration {
    /// Only the operator.
    Closed,
    /// Everybody who can connect, a few for each address and hour.
    Open,
}

/// Who may learn which servers this one talks to.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawServerInfo {
    /// Nobody.
    Private,
    /// Everybody; only servers that are public too are named.
    Public,
}

/// Whom to write to, by role. Each is a list of addresses such as "mailto:ops@site.example".
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawContact {
    /// About misuse of the service.
    #[serde(default)]
    pub(super) abuse: Vec<String>,
    /// Who runs it.
    #[serde(default)]
    pub(super) admin: Vec<String>,
    /// With praise and blame.
    #[serde(default)]
    pub(super) feedback: Vec<String>,
    /// To buy something.
    #[serde(default)]
    pub(super) sales: Vec<String>,
    /// About holes in it.
    #[serde(default)]
    pub(super) security: Vec<String>,
    /// Where to see whether it works just now.
    #[serde(default)]
    pub(super) status: Vec<String>,
    /// For help.
    #[serde(default)]
    pub(super) support: Vec<String>,
}

/// How much a client may ask of the broker. The defaults fit a site with some hundred devices.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLimits {
    /// Bytes per second that an account may send in the long run, whatever its class. Without it each class has its own.
    #[schemars(range(min = 1_000, max = 1_000_000_000))]
    pub(super) bytes_per_second: Option<u32>,
    /// Bytes that an account may send at once, whatever its class. Without it each class has its own.
    #[schemars(range(min = 10_000, max = 1_000_000_000))]
    pub(super) burst_bytes: Option<u32>,
    /// Accounts of devices. Default: 10000 bytes per second, 100000 at once, 20 requests per second.
    #[serde(default)]
    pub(super) thing: RawClassLimits,
    /// Accounts of people. Default: 20000 bytes per second, 200000 at once, 20 requests per second.
    #[serde(default)]
    pub(super) person: RawClassLimits,
    /// Administrators. Default: 100000 bytes per second, 1000000 at once, 100 requests per second.
    #[serde(default)]
    pub(super) admin: RawClassLimits,
    /// Components and parts of the appliance. Default: 1000000 bytes per second, 10000000 at once, 1000 requests per second.
    #[serde(default)]
    pub(super) service: RawClassLimits,
    /// Each domain of another server, all its streams together; requests ten times as many at once. Default: 500000 bytes per second,
    /// 5000000 at once, 100 requests per second, 600 subscription requests per minute.
    #[serde(default)]
    pub(super) peer: RawClassLimits,
    /// Streams of one domain of another server at the same time. Default: 16.
    #[schemars(range(min = 1, max = 1_000))]
    pub(super) streams_per_peer: Option<u16>,
    /// Sessions of one account at the same time. Default: 10.
    #[schemars(range(min = 1, max = 1_000))]
    pub(super) sessions_per_account: Option<u16>,
    /// Connections that have not logged in, of all addresses. Default: 1000.
    #[schemars(range(min = 1, max = 100_000))]
    pub(super) unauthenticated: Option<u32>,
    /// Connections that have not logged in, of one address. Default: 20.
    #[schemars(range(min = 1, max = 100_000))]
    pub(super) unauthenticated_per_address: Option<u32>,
}

/// What one account of a class may send and ask, all its sessions together.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawClassLimits {
    /// Bytes per second that it may send in the long run.
    #[schemars(range(min = 1_000, max = 1_000_000_000))]
    pub(super) bytes_per_second: Option<u32>,
    /// Bytes that it may send at once.
    #[schemars(range(min = 10_000, max = 1_000_000_000))]
    pub(super) burst_bytes: Option<u32>,
    /// Requests to the broker itself per second, such as discovery and rosters; twice as many at once.
    #[schemars(range(min = 1, max = 100_000))]
    pub(super) requests_per_second: Option<u32>,
    /// Subscription requests per minute. Default: 20.
    #[schemars(range(min = 1, max = 100_000))]
    pub(super) subscriptions_per_minute: Option<u32>,
}

/// Addresses to listen on, each "IP:PORT"; port 0 takes any free one.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawListen {
    /// Clients that begin in plain text and must upgrade by STARTTLS. Default: ["0.0.0.0:5222"].
    pub(super) c2s: Option<Vec<String>>,
    /// Clients that speak TLS from the first byte. Default: ["0.0.0.0:5223"].
    pub(super) c2s_tls: Option<Vec<String>>,
    /// Servers that begin in plain text and must upgrade by STARTTLS. Default: none; federation is off without s2s and s2s_tls.
    pub(super) s2s: Option<Vec<String>>,
    /// Servers that speak TLS from the first byte. Default: none.
    pub(super) s2s_tls: Option<Vec<String>>,
    /// Browsers and others that speak XMPP over WebSocket, inside TLS; also host-meta. Default: none.
    pub(super) https: Option<Vec<String>>,
    /// Redirect to https and proofs for certificates; on a loopback address also WebSocket behind a proxy. Default: none.
    pub(super) http: Option<Vec<String>>,
    /// Metrics, health and status, for this machine unless [broker.web] has an admin_token_file. Default: none.
    pub(super) admin: Option<Vec<String>>,
    /// External components, such as chat rooms of another program: loopback addresses, since they do not speak TLS. Default: none.
    pub(super) component: Option<Vec<String>>,
}

/// Certificate and key of the domain, PEM files.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTls {
    /// Certificate chain, leaf first.
    pub(super) certificate: String,
    /// Private key of the leaf.
    pub(super) key: String,
}

/// How clients may log in. SCRAM-SHA-256, with channel binding where the client can, is always offered.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAuth {
    /// Also offer SCRAM-SHA-1, for old clients. Default: false.
    #[serde(default)]
    pub(super) scram_sha_1: bool,
    /// Also offer PLAIN, inside TLS only; the server then sees the password. Default: false.
    #[serde(default)]
    pub(super) plain: bool,
    /// Give clients that ask for one a token for their next logins (FAST, XEP-0484). Default: true.
    pub(super) tokens: Option<bool>,
    /// Sign the list of mechanisms, so that nobody on the way can shorten it (XEP-0474). A few old clients stumble over it.
    /// Default: true.
    pub(super) downgrade_protection: Option<bool>,
    /// PEM file with the authority that signs certificates of devices: who shows one that names an account by its XMPP address
    /// (id-on-xmppAddr) is offered EXTERNAL and needs no password. Default: none.
    pub(super) client_ca: Option<String>,
}

/// Where accounts, rosters and offline messages are kept.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawStore {
    /// Database file. Default: "torg.db".
    pub(super) path: String,
}

/// The concentrator: the XMPP address in front of all nodes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawConcentrator {
    /// Its account, such as "gateway@site.example".
    pub(super) jid: String,
    /// Accounts whose presence subscription is accepted at once. Everybody else is asked of the owner.
    #[serde(default)]
    pub(super) friends: Vec<String>,
    /// "HOST:PORT" of the broker it logs in to, if that is not the one of this appliance.
    pub(super) server: Option<String>,
    /// File with its password at that broker, in the first line.
    pub(super) password_file: Option<String>,
    /// PEM file with the authority of that broker's certificate. Default: those the system trusts.
    pub(super) ca: Option<String>,
}

/// Device profiles of this site, beside the shipped ones.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawProfiles {
    /// Directories with profiles, searched in order and before the shipped ones.
    #[serde(default)]
    pub(super) paths: Vec<String>,
}

/// What is logged, and how.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLog {
    /// Least grave events that are logged. Default: "info".
    pub(super) level: Option<RawLevel>,
    /// Shape of a line. Default: "full".
    pub(super) format: Option<RawFormat>,
}

/// Least grave events that are logged.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawLevel {
    /// Only what an operator must act on.
    Error,
    /// Also what is degraded and handled.
    Warn,
    /// Also starts, stops and reloads.
    Info,
    /// Also every request.
    Debug,
    /// Also bytes on the wire.
    Trace,
}

/// Shape of a line of the log.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawFormat {
    /// With time.
    Full,
    /// Without time, for a journal that adds its own.
    Journal,
}

/// A field bus. Beyond these two keys each kind has its own.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct RawBridge {
    /// Protocol, such as "modbus".
    pub(super) kind: String,
    /// Name of the bridge; it is the SourceId of its nodes.
    pub(super) name: String,
}

/// Keys of a bridge that are read here; the rest is the bridge's own.
pub(super) const BRIDGE_KEYS: &[&str] = &["kind", "name"];

/// Only the bridges of a file: read by itself, so that their errors are told even if other sections have some.
#[derive(Debug, Default, Deserialize, JsonSchema)]
pub(super) struct BridgesOnly {
    /// The field buses.
    #[serde(default)]
    pub(super) bridge: Vec<RawBridge>,
}

/// Only the profile paths of a file, for the same reason.
#[derive(Debug, Default, Deserialize, JsonSchema)]
pub(super) struct ProfilesOnly {
    /// Device profiles.
    #[serde(default)]
    pub(super) profiles: RawProfiles,
}
