//! What the servers of a test share: DNS, an authority, certificates, free ports, users.

use std::{
    cell::Cell,
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{child::Child, dns::Dns, peer, repository};

/// DNS and certificates of one test.
pub(crate) struct World {
    pub(crate) dns: Dns,
    folder: TempDir,
    issuer: Issuer<'static, KeyPair>,
    /// An authority that nobody trusts.
    stranger: Issuer<'static, KeyPair>,
}

/// PEM files of one server.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    /// Key and certificate in one, as ejabberd wants them.
    pub(crate) both: PathBuf,
}

/// Who signed a certificate, and how long it is valid.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    /// By the authority that all servers trust.
    Good,
    /// By it, but its time is over.
    Expired,
    /// By an authority that nobody trusts.
    Unknown,
}

impl World {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (issuer, pem) = authority("Federation test authority");
        std::fs::write(folder.path().join("ca.pem"), pem).expect("the folder is writable");
        let (stranger, other) = authority("Authority of nobody");
        let both = format!("{}{other}", std::fs::read_to_string(folder.path().join("ca.pem")).expect("just written"));
        std::fs::write(folder.path().join("clients.pem"), both).expect("the folder is writable");
        Self { dns: Dns::start(), folder, issuer, stranger }
    }

    /// The authority that all trust.
    pub(crate) fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// What clients trust: also the authority that no server does, for they are not what is tested here.
    pub(crate) fn clients_ca(&self) -> PathBuf {
        self.folder.path().join("clients.pem")
    }

    /// A folder for one server.
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        let folder = self.folder.path().join(name);
        std::fs::create_dir_all(&folder).expect("the folder is writable");
        folder
    }

    /// A certificate for this name.
    pub(crate) fn certificate(&self, name: &str, kind: Kind) -> Files {
        self.certificate_of(&[name], kind)
    }

    /// A certificate for these names.
    pub(crate) fn certificate_of(&self, names: &[&str], kind: Kind) -> Files {
        let name = names[0];
        let key = KeyPair::generate().expect("a key");
        let mut params =
            CertificateParams::new(names.iter().map(ToString::to_string).collect::<Vec<_>>()).expect("names");
        params.distinguished_name.push(DnType::CommonName, name);
        let (from, until) = if kind == Kind::Expired { (2020, 2021) } else { (2020, 2099) };
        params.not_before = rcgen::date_time_ymd(from, 1, 1);
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        let issuer = if kind == Kind::Unknown { &self.stranger } else { &self.issuer };
        let made = params.signed_by(&key, issuer).expect("a certificate");
        let folder = self.folder(&format!("certificate-{name}-{kind:?}"));
        let write = |file: &str, text: &str| {
            let path = folder.join(file);
            std::fs::write(&path, text).expect("the folder is writable");
            path
        };
        Files {
            certificate: write("leaf.pem", &made.pem()),
            key: write("leaf.key", &key.serialize_pem()),
            both: write("both.pem", &format!("{}{}", key.serialize_pem(), made.pem())),
        }
    }
}

fn authority(name: &str) -> (Issuer<'static, KeyPair>, String) {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    let pem = params.self_signed(&key).expect("a certificate").pem();
    (Issuer::new(params, key), pem)
}

/// A port that was free a moment ago: servers that must come back where they were cannot take any.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port()
}

/// A slixmpp user, logged in.
pub(crate) struct User {
    child: Child,
    orders: Cell<u64>,
}

impl User {
    /// Logs in at a server's port on the loopback. `managed`: its server acknowledges what it sends (XEP-0198).
    pub(crate) fn log_in(jid: &str, password: &str, port: u16, ca: &Path, managed: bool) -> Self {
        let mut command = Command::new(peer("venv/bin/python"));
        command.arg(repository("tests/peers/federated.py"));
        Self::start(
            &mut command,
            &json!({"jid": jid, "password": password, "port": port, "ca": ca, "managed": managed}),
        )
        .0
    }

    /// Starts a program that takes the same orders, and returns what it says when it has logged in.
    pub(crate) fn start(command: &mut Command, login: &Value) -> (Self, Value) {
        let mut child = Child::start(&format!("user {}", login["jid"]), command);
        child.write(&format!("{login}\n"));
        let user = Self { child, orders: Cell::new(0) };
        let ready = user.event("session", |event| event["event"] == "ready");
        (user, ready)
    }

    /// Has it do something and waits for the outcome: `Ok` with what came back, or the condition of the error.
    pub(crate) fn order(&mut self, mut order: Value) -> Result<Value, String> {
        let n = self.orders.get() + 1;
        self.orders.set(n);
        order["n"] = json!(n);
        self.child.write(&format!("{order}\n"));
        let line = self.child.line("outcome", |line| read(line).is_some_and(|line| line["n"] == n));
        let outcome = read(&line).expect("JSON");
        match outcome["error"].as_str() {
            Some(condition) => Err(condition.to_owned()),
            None => Ok(outcome["ok"].clone()),
        }
    }

    /// Sends a message.
    pub(crate) fn message(&mut self, to: &str, body: &str) {
        self.order(json!({"do": "message", "to": to, "body": body})).expect("a message goes off");
    }

    /// Waits for a message with this text, and tells whether it is marked as delayed.
    pub(crate) fn hears(&self, by: &str, body: &str) -> bool {
        let event =
            self.event(&format!("message \"{body}\""), |event| event["event"] == "message" && event["body"] == body);
        assert_eq!(event["by"], by);
        event["delayed"] == true
    }

    /// Publishes an item in the node of all these tests.
    pub(crate) fn publishes(&mut self, item: &str) {
        self.order(json!({"do": "publish", "item": item})).expect("a personal node");
    }

    /// Waits for an event with this item.
    pub(crate) fn reads(&self, by: &str, item: &str) {
        let event =
            self.event(&format!("item \"{item}\""), |event| event["event"] == "published" && event["item"] == item);
        assert_eq!(event["by"], by);
    }

    /// How many messages with this text have come.
    pub(crate) fn heard(&self, body: &str) -> usize {
        self.child.count(&format!("\"body\": \"{body}\""))
    }

    /// Waits for presence of a type.
    pub(crate) fn sees(&self, by: &str, kind: &str) {
        self.event(&format!("presence {kind} of {by}"), |event| {
            event["event"] == "presence" && event["by"] == by && event["type"] == kind
        });
    }

    /// Waits for an error to one of its messages.
    pub(crate) fn bounced(&self, by: &str) -> String {
        let event = self.event("bounce", |event| event["event"] == "bounce" && event["by"] == by);
        event["condition"].as_str().expect("a condition").to_owned()
    }

    /// Waits for an event.
    pub(crate) fn event(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let line =
            self.child.line(what, |line| read(line).is_some_and(|event| event["event"].is_string() && wanted(&event)));
        read(&line).expect("JSON")
    }
}

fn read(line: &str) -> Option<Value> {
    serde_json::from_str(line).ok()
}
