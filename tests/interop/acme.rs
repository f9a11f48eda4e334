//! Certificates by ACME (RFC 8555) from Pebble, the test authority of Let's Encrypt: first issue and renewal by both challenges, what is
//! served meanwhile, and what becomes of failures. Certificates live some seconds here, so that nobody has to wait for a renewal.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf, process::Command};

use serde_json::{Value, json};

use crate::{
    federation::world::{Kind, World, free_port},
    support::{
        child::Child,
        peer,
        site::{port, torg_command},
        tls,
    },
};

const OURS: &str = "torg.example";
const IN_USE: &str = "A new certificate is in use";
const FAILED: &str = "No certificate could be had";

/// Where everybody is, before anybody is there.
struct Lab {
    world: World,
    directory: u16,
    management: u16,
    https: u16,
    http: u16,
}

/// What is served at each door.
#[derive(Debug, PartialEq)]
struct Doors([Vec<u8>; 5]);

impl Lab {
    fn new() -> Self {
        let world = World::new();
        world.dns.host(OURS);
        let [directory, management, https, http] = [(); 4].map(|()| free_port());
        Self { world, directory, management, https, http }
    }

    /// Starts the authority. Its memory and its root are new each time.
    fn authority(&self, seconds: u32, variables: &[(&str, &str)]) -> Child {
        self.authority_at(seconds, variables, self.https, self.http)
    }

    /// The same, but it looks for proofs at other ports.
    fn authority_at(&self, seconds: u32, variables: &[(&str, &str)], tls_port: u16, http_port: u16) -> Child {
        let own = self.world.certificate("localhost", Kind::Good);
        let config = json!({"pebble": {
            "listenAddress": format!("127.0.0.1:{}", self.directory),
            "managementListenAddress": format!("127.0.0.1:{}", self.management),
            "certificate": own.certificate, "privateKey": own.key,
            "httpPort": http_port, "tlsPort": tls_port,
            "retryAfter": {"authz": 1, "order": 1},
            "keyAlgorithm": "ecdsa",
            "profiles": {"default": {"description": "short", "validityPeriod": seconds}},
        }});
        let file = self.world.folder("pebble").join("config.json");
        fs::write(&file, config.to_string()).unwrap();
        let mut pebble = Command::new(peer("bin/pebble"));
        // No order lives on the proof of an earlier one.
        pebble.env("PEBBLE_VA_NOSLEEP", "1").env("PEBBLE_AUTHZREUSE", "0").envs(variables.iter().copied());
        pebble.args(["-dnsserver", &self.world.dns.address().to_string(), "-config"]).arg(file);
        let pebble = Child::start("pebble", &mut pebble);
        pebble.line("listening", |line| line.contains("ACME directory available"));
        pebble
    }

    /// Starts the appliance.
    fn torg(&self, challenge: &str) -> Child {
        let folder = self.world.folder("torg");
        let text = format!(
            "[broker]\ndomain = \"{OURS}\"\n[broker.listen]\nc2s = [\"127.0.0.1:0\"]\nc2s_tls = [\"127.0.0.1:0\"]\n\
             s2s = [\"127.0.0.1:0\"]\ns2s_tls = [\"127.0.0.1:0\"]\nadmin = [\"127.0.0.1:0\"]\n\
             https = [\"127.0.0.1:{}\"]\nhttp = [\"127.0.0.1:{}\"]\n\
             [broker.acme]\ndirectory = \"https://localhost:{}/dir\"\nca = \"{}\"\ncontact = \"admin@{OURS}\"\n\
             challenge = \"{challenge}\"\n[store]\npath = \"torg.db\"\n",
            self.https,
            self.http,
            self.directory,
            self.world.ca().display()
        );
        fs::write(folder.join("torg.toml"), text).unwrap();
        let mut run = torg_command();
        run.args(["run", "--print-addresses", "--config"]).arg(folder.join("torg.toml"));
        let torg = Child::start("torg run", &mut run);
        torg.line("READY", |line| line == "READY");
        torg
    }

    /// The file with the authority's root of now.
    fn root(&self) -> PathBuf {
        let answer = tls::get(self.management, "localhost", &self.world.ca(), "/roots/0");
        let file = self.world.folder("pebble").join("root.pem");
        fs::write(&file, tls::body(&answer)).unwrap();
        file
    }

    /// What each door serves, all of it certified by this root for our name.
    fn doors(&self, torg: &Child, root: &std::path::Path) -> Doors {
        let direct = |kind: &str, alpn: &str| tls::leaf(port(torg, kind), OURS, root, alpn);
        let starttls = |kind: &str, space: &str| tls::leaf_after_starttls(port(torg, kind), OURS, root, space);
        Doors([
            direct("https", "http/1.1"),
            direct("c2s_tls", "xmpp-client"),
            direct("s2s_tls", "xmpp-server"),
            starttls("c2s", "jabber:client"),
            starttls("s2s", "jabber:server"),
        ])
    }

    fn file(&self, name: &str) -> PathBuf {
        self.world.folder("torg").join("acme").join(name)
    }
}

/// What the listener for administrators says about the certificate.
fn status(torg: &Child) -> Value {
    let answer = tls::get_bare(port(torg, "admin"), "localhost", "/status");
    let status: Value = serde_json::from_str(tls::body(&answer)).unwrap_or_else(|error| panic!("{error}: {answer}"));
    status["certificate"].clone()
}

fn issues_and_renews(challenge: &str) {
    let lab = Lab::new();
    let _pebble = lab.authority(18, &[]);
    let torg = lab.torg(challenge);
    torg.log("the first certificate", |line| line.contains(IN_USE));
    let root = lab.root();
    let first = lab.doors(&torg, &root);

    let told = status(&torg);
    assert_eq!(
        (&told["source"], &told["failures"], &told["error"]),
        (&json!("acme"), &json!(0), &Value::Null),
        "{told}"
    );
    assert!(told["issued"].as_u64() >= Some(1) && told["renewal"].is_string(), "{told}");
    assert_eq!(told["days_left"], 0, "{told}");
    for (name, mode) in [("account.json", 0o600), ("certificate.key", 0o600), (".", 0o700)] {
        assert_eq!(fs::metadata(lab.file(name)).unwrap().permissions().mode() & 0o777, mode, "{name}");
    }
    assert!(fs::read_to_string(lab.file("account.json")).unwrap().contains("/dir"), "the account is kept");

    let issued = torg.count_log(IN_USE);
    torg.log_after(issued, "a renewal", |line| line.contains(IN_USE));
    let second = lab.doors(&torg, &root);
    for (before, after) in first.0.iter().zip(&second.0) {
        assert_ne!(before, after, "every door serves the new certificate, and nothing was restarted");
    }
    let metrics = tls::get_bare(port(&torg, "admin"), "localhost", "/metrics");
    let value = |name: &str| -> f64 {
        let line =
            metrics.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("no {name}: {metrics}"));
        line.trim().parse().unwrap()
    };
    assert!(value("torg_certificates_issued_total") >= 2.0);
    assert!(value("torg_certificate_expiry_timestamp_seconds") > 1_700_000_000.0);
    assert!(!lab.file("account.old.json").exists(), "one account is enough");
}

#[test]
fn a_certificate_is_issued_and_renewed_by_http_01() {
    issues_and_renews("http-01");
}

#[test]
fn a_certificate_is_issued_and_renewed_by_tls_alpn_01() {
    issues_and_renews("tls-alpn-01");
}

#[test]
fn the_certificate_stays_while_the_authority_is_gone_and_an_account_that_it_forgot_is_made_anew() {
    let lab = Lab::new();
    let pebble = lab.authority(12, &[]);
    let torg = lab.torg("tls-alpn-01");
    torg.log("the first certificate", |line| line.contains(IN_USE));
    let root = lab.root();
    drop(pebble);
    torg.log("a failed renewal", |line| line.contains(FAILED));
    let told = status(&torg);
    assert!(told["failures"].as_u64() >= Some(1) && told["error"].is_string(), "{told}");
    // Its time may be over by now, but nothing else took its place: the root of its own time still knows it.
    let before = fs::read(lab.file("certificate.pem")).unwrap();
    torg.signal("HUP");
    torg.log_after(1, "a failure at once after the reload", |line| line.contains(FAILED));
    assert_eq!(fs::read(lab.file("certificate.pem")).unwrap(), before);
    let refused = tls::secure(tls::dial(lab.https), OURS, &root, "http/1.1").err().map(|error| error.to_string());
    assert!(refused.is_none_or(|why| why.contains("xpired")), "not our own authority's leaf");

    let _pebble = lab.authority(600, &[]);
    let issued = torg.count_log(IN_USE);
    torg.signal("HUP");
    torg.log("the new account", |line| line.contains("does not know our account any more"));
    torg.log_after(issued, "a certificate", |line| line.contains(IN_USE));
    lab.doors(&torg, &lab.root());
    assert_eq!(status(&torg)["failures"], 0);
    assert!(lab.file("account.old.json").exists(), "nothing is thrown away");
}

/// A first order that fails for this reason leaves our own certificate in use.
fn fails(lab: &Lab, torg: &Child, reason: &str) {
    torg.log("a failure", |line| line.contains(FAILED) && line.contains(reason));
    let told = status(torg);
    assert!(told["error"].as_str().is_some_and(|error| error.contains(reason)), "{told}");
    assert_eq!(told["issued"], 0);
    assert!(!lab.file("certificate.pem").exists());
    lab.doors(torg, &lab.world.folder("torg").join("ca.pem"));
    let health = tls::get_bare(port(torg, "admin"), "localhost", "/healthz");
    assert!(health.starts_with("HTTP/1.1 200 "), "what can be served is served: {health}");
    assert!(health.contains("\"degraded\"") && health.contains(reason), "{health}");
}

#[test]
fn an_authority_that_refuses_every_nonce_is_given_up_in_order() {
    let lab = Lab::new();
    let _pebble = lab.authority(600, &[("PEBBLE_WFE_NONCEREJECT", "100")]);
    fails(&lab, &lab.torg("http-01"), "badNonce");
}

#[test]
fn a_proof_that_the_authority_does_not_find_is_told_with_its_words() {
    let lab = Lab::new();
    let (nobody, nobody_else) = (free_port(), free_port());
    let _pebble = lab.authority_at(600, &[], nobody, nobody_else);
    fails(&lab, &lab.torg("tls-alpn-01"), "did not find the proof for torg.example");
}

#[test]
fn an_authority_that_is_not_there_costs_nothing_but_the_certificate() {
    let lab = Lab::new();
    fails(&lab, &lab.torg("http-01"), "the authority says");
}
