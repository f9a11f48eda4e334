//! Where servers are and what their certificates prove, with invented DNS and authorities made for the test.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    SanType,
};
use rustls::pki_types::CertificateDer;
use sha2::{Digest as _, Sha256};
use time::{Duration as Days, OffsetDateTime};
use torg_thing::SystemClock;

use super::*;
use crate::s2s::{Federation as _, Target, Unreachable, Verdict};

/// DNS as a table; what is not in it does not exist.
#[derive(Debug, Default)]
struct Table {
    services: HashMap<String, Vec<(u16, u16, u16, &'static str)>>,
    addresses: HashMap<String, Vec<IpAddr>>,
    tlsa: HashMap<String, Vec<Tlsa>>,
    authentic: bool,
    silent: Vec<String>,
    asked: Mutex<Vec<String>>,
}

impl Table {
    fn answer(&self, name: &str) -> Result<(), LookupError> {
        self.asked.lock().unwrap().push(name.to_owned());
        if self.silent.iter().any(|silent| silent == name) {
            return Err(LookupError { name: name.into(), text: "timed out".into() });
        }
        Ok(())
    }

    fn with_service(mut self, name: &str, records: &[(u16, u16, u16, &'static str)]) -> Table {
        self.services.insert(name.into(), records.to_vec());
        self
    }

    fn with_host(mut self, host: &str, addresses: &[&str]) -> Table {
        self.addresses.insert(host.into(), addresses.iter().map(|ip| ip.parse().unwrap()).collect());
        self
    }
}

#[async_trait]
impl Resolver for Table {
    async fn services(&self, name: &str) -> Result<Answer<Service>, LookupError> {
        self.answer(name)?;
        let records = self.services.get(name).cloned().unwrap_or_default();
        let service = |(priority, weight, port, host): (u16, u16, u16, &str)| Service {
            priority,
            weight,
            port,
            host: host.into(),
        };
        Ok(Answer { records: records.into_iter().map(service).collect(), authentic: self.authentic })
    }

    async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, LookupError> {
        self.answer(host)?;
        Ok(self.addresses.get(host).cloned().unwrap_or_default())
    }

    async fn tlsa(&self, name: &str) -> Result<Answer<Tlsa>, LookupError> {
        self.answer(name)?;
        Ok(Answer { records: self.tlsa.get(name).cloned().unwrap_or_default(), authentic: self.authentic })
    }
}

fn peer(domain: &str, policy: Policy) -> Peer {
    let dialback_without_certificate = false;
    Peer { domain: domain.into(), address: None, ca: None, policy, pins: Vec::new(), dialback_without_certificate }
}

fn peers_with(table: Table, peers: Vec<Peer>, others: Others) -> Peers {
    Peers::new(&PeerSettings { peers, others }, Arc::new(table), Arc::new(SystemClock)).unwrap()
}

fn open(table: Table) -> Peers {
    peers_with(table, Vec::new(), Others::default())
}

async fn found(peers: &Peers, domain: &str) -> Vec<String> {
    let targets = peers.places_of(domain).await.unwrap();
    let show = |target: &Target| format!("{}{}", target.address, if target.direct_tls { " tls" } else { "" });
    targets.iter().map(show).collect()
}

const PLAIN: &str = "_xmpp-server._tcp.other.example";
const DIRECT: &str = "_xmpps-server._tcp.other.example";

#[tokio::test]
async fn both_kinds_of_service_records_are_one_list_by_priority() {
    let table = Table::default()
        .with_service(PLAIN, &[(10, 0, 5269, "a.example"), (30, 0, 5269, "c.example")])
        .with_service(DIRECT, &[(20, 0, 5270, "b.example")])
        .with_host("a.example", &["192.0.2.1"])
        .with_host("b.example", &["192.0.2.2", "2001:db8::2"])
        .with_host("c.example", &["192.0.2.3"]);
    let expected = ["192.0.2.1:5269", "192.0.2.2:5270 tls", "[2001:db8::2]:5270 tls", "192.0.2.3:5269"];
    assert_eq!(found(&open(table), "other.example").await, expected);
}

#[tokio::test]
async fn a_domain_without_service_records_is_its_own_host() {
    let table = Table::default().with_host("other.example", &["192.0.2.1"]);
    assert_eq!(found(&open(table), "other.example").await, ["192.0.2.1:5269"]);
}

#[tokio::test]
async fn a_dot_as_target_says_that_there_is_no_such_service() {
    let table = Table::default().with_service(PLAIN, &[(0, 0, 0, "")]).with_host("other.example", &["192.0.2.1"]);
    let nowhere = open(table).places_of("other.example").await.unwrap_err();
    assert_eq!(nowhere, Nowhere::NotOffered { domain: "other.example".into() });
}

#[tokio::test]
async fn a_dot_for_one_kind_leaves_the_other() {
    let table = Table::default()
        .with_service(DIRECT, &[(0, 0, 0, "")])
        .with_service(PLAIN, &[(0, 0, 5269, "a.example")])
        .with_host("a.example", &["192.0.2.1"]);
    assert_eq!(found(&open(table), "other.example").await, ["192.0.2.1:5269"]);
}

#[tokio::test]
async fn silence_of_dns_is_told_apart_from_the_word_that_there_is_nothing() {
    let silent = Table { silent: vec![PLAIN.into()], ..Table::default() };
    assert!(matches!(open(silent).targets("other.example").await, Err(Unreachable::Timeout(_))));
    assert!(matches!(open(Table::default()).targets("other.example").await, Err(Unreachable::NotFound(_))));
}

#[tokio::test]
async fn silence_about_one_kind_leaves_the_other() {
    let table = Table { silent: vec![DIRECT.into()], ..Table::default() }
        .with_service(PLAIN, &[(0, 0, 5269, "a.example")])
        .with_host("a.example", &["192.0.2.1"]);
    assert_eq!(found(&open(table), "other.example").await, ["192.0.2.1:5269"]);
}

#[tokio::test]
async fn a_stranger_cannot_point_us_at_this_machine() {
    for inside in ["127.0.0.1", "0.0.0.0", "169.254.1.1", "::1", "fe80::1", "::ffff:127.0.0.1", "224.0.0.1"] {
        let table = Table::default().with_host("other.example", &[inside]);
        let nowhere = open(table).places_of("other.example").await.unwrap_err();
        assert!(matches!(nowhere, Nowhere::NoAddress { .. }), "{inside}: {nowhere}");
    }
}

#[tokio::test]
async fn a_configured_peer_may_be_on_this_machine() {
    let table = Table::default().with_host("other.example", &["127.0.0.1"]);
    let peers = peers_with(table, vec![peer("other.example", Policy::Pkix)], Others::Refused);
    assert_eq!(found(&peers, "other.example").await, ["127.0.0.1:5269"]);
}

#[tokio::test]
async fn a_configured_address_asks_no_dns() {
    let table = Arc::new(Table::default());
    let address = Some(Address { host: "192.0.2.9".into(), port: 15270, direct_tls: true });
    let settings =
        PeerSettings { peers: vec![Peer { address, ..peer("other.example", Policy::Pkix) }], others: Others::Refused };
    let peers = Peers::new(&settings, table.clone(), Arc::new(SystemClock)).unwrap();
    assert_eq!(found(&peers, "sub.other.example").await, ["192.0.2.9:15270 tls"]);
    assert_eq!(*table.asked.lock().unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn services_and_addresses_looked_at_are_limited() {
    let many: Vec<(u16, u16, u16, &'static str)> = (0..100).map(|n| (n, 0, 5269, "a.example")).collect();
    let addresses: Vec<String> = (1..100).map(|n| format!("192.0.2.{n}")).collect();
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let table = Table::default().with_service(PLAIN, &many).with_host("a.example", &addresses);
    let peers = open(table);
    assert_eq!(found(&peers, "other.example").await.len(), TARGETS_MAX);
}

#[tokio::test]
async fn an_address_as_domain_is_never_looked_for() {
    for domain in ["192.0.2.1", "[2001:db8::1]"] {
        assert!(matches!(open(Table::default()).targets(domain).await, Err(Unreachable::NotFound(_))), "{domain}");
    }
}

#[test]
fn weights_share_the_load_and_zero_comes_last() {
    let choice = |weight: u16, host: &str| resolve::Choice {
        service: Service { priority: 1, weight, port: 1, host: host.into() },
        direct_tls: false,
        authentic: false,
    };
    let all = || vec![choice(0, "zero"), choice(10, "ten"), choice(30, "thirty")];
    let hosts = |chance: fn(u32) -> u32| -> Vec<String> {
        resolve::order(all(), chance).into_iter().map(|choice| choice.service.host).collect()
    };
    assert_eq!(hosts(|_| 0), ["zero", "ten", "thirty"]);
    assert_eq!(hosts(|total| total), ["thirty", "ten", "zero"]);
    assert_eq!(hosts(|_| 10), ["ten", "thirty", "zero"]);
}

#[test]
fn the_longest_configured_domain_counts() {
    let listed = vec![
        peer("example", Policy::Dialback),
        peer("other.example", Policy::Pin),
        peer("b.other.example", Policy::Dane),
    ];
    let peers = peers_with(Table::default(), listed, Others::Refused);
    let policy = |domain: &str| peers.rule(domain).map(|rule| rule.policy());
    assert_eq!(policy("other.example"), Some(Policy::Pin));
    assert_eq!(policy("a.other.example"), Some(Policy::Pin));
    assert_eq!(policy("b.other.example"), Some(Policy::Dane));
    assert_eq!(policy("another.example"), Some(Policy::Dialback));
    assert_eq!(policy("other.test"), None);
}

#[tokio::test]
async fn others_are_refused_if_the_operator_says_so() {
    let peers = peers_with(Table::default(), Vec::new(), Others::Refused);
    assert!(!peers.allows("other.example"));
    assert!(matches!(peers.targets("other.example").await, Err(Unreachable::Policy(_))));
    assert!(!peers.judge("other.example", &[], None).await.is_proven());
}

#[test]
fn dialback_is_allowed_only_by_its_policy() {
    for (policy, expected) in
        [(Policy::Dialback, true), (Policy::Pkix, false), (Policy::Pin, false), (Policy::Dane, false)]
    {
        let peers = peers_with(Table::default(), vec![peer("other.example", policy)], Others::Refused);
        assert_eq!(peers.allows_dialback("other.example", true), expected, "{policy}");
    }
}

// --- certificates ---------------------------------------------------------------------------------

/// An authority made for the test.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    pem: tempfile::NamedTempFile,
}

impl Authority {
    fn new() -> Authority {
        Authority::named("Test authority")
    }

    fn named(name: &str) -> Authority {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let made = params.self_signed(&key).unwrap();
        let pem = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(pem.path(), made.pem()).unwrap();
        Authority { certificate: made.der().clone(), issuer: Issuer::new(params, key), pem }
    }

    fn sign(&self, params: CertificateParams) -> CertificateDer<'static> {
        params.signed_by(&KeyPair::generate().unwrap(), &self.issuer).unwrap().der().clone()
    }

    fn peer(&self, policy: Policy) -> Peer {
        Peer { ca: Some(self.pem.path().to_owned()), ..peer("other.example", policy) }
    }

    async fn judge(&self, leaf: CertificateDer<'static>, domain: &str) -> Result<Proof, Doubt> {
        let peers = peers_with(Table::default(), vec![self.peer(Policy::Pkix)], Others::Refused);
        peers.examine(domain, &[leaf, self.certificate.clone()], None).await.found
    }
}

/// A certificate as servers have it: these DNS names, a year from yesterday, for servers only.
fn leaf(names: &[&str]) -> CertificateParams {
    let mut params = CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.not_before = OffsetDateTime::now_utc() - Days::days(1);
    params.not_after = OffsetDateTime::now_utc() + Days::days(365);
    params
}

#[tokio::test]
async fn a_certificate_for_servers_alone_proves_its_domain() {
    let authority = Authority::new();
    assert_eq!(authority.judge(authority.sign(leaf(&["other.example"])), "other.example").await, Ok(Proof::Pkix));
}

#[tokio::test]
async fn a_certificate_for_clients_alone_proves_nothing() {
    let authority = Authority::new();
    let mut params = leaf(&["other.example"]);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let found = authority.judge(authority.sign(params), "other.example").await;
    assert!(matches!(found, Err(Doubt::Unusable(_))), "{found:?}");
}

#[tokio::test]
async fn no_certificate_proves_nothing() {
    let peers = open(Table::default());
    assert_eq!(peers.examine("other.example", &[], None).await.found, Err(Doubt::NoCertificate));
}

#[tokio::test]
async fn a_certificate_for_another_domain_is_told_with_its_names() {
    let authority = Authority::new();
    let found = authority.judge(authority.sign(leaf(&["evil.example", "*.other.example"])), "other.example").await;
    assert_eq!(found, Err(Doubt::WrongName { found: "*.other.example, evil.example".into() }));
}

#[tokio::test]
async fn a_subdomain_needs_its_own_name_or_a_wildcard() {
    let authority = Authority::new();
    let narrow = authority.sign(leaf(&["other.example"]));
    assert!(matches!(authority.judge(narrow, "rooms.other.example").await, Err(Doubt::WrongName { .. })));
    let wide = authority.sign(leaf(&["*.other.example"]));
    assert_eq!(authority.judge(wide, "rooms.other.example").await, Ok(Proof::Pkix));
}

#[tokio::test]
async fn the_common_name_is_no_name() {
    let authority = Authority::new();
    let mut params = leaf(&[]);
    params.distinguished_name.push(DnType::CommonName, "other.example");
    let found = authority.judge(authority.sign(params), "other.example").await;
    assert_eq!(found, Err(Doubt::WrongName { found: "no domain at all".into() }));
}

#[tokio::test]
async fn an_expired_certificate_is_told_with_its_last_day() {
    let authority = Authority::new();
    let mut params = leaf(&["other.example"]);
    params.not_before = OffsetDateTime::now_utc() - Days::days(90);
    params.not_after = OffsetDateTime::now_utc() - Days::days(2);
    let last = params.not_after.date().to_string();
    assert_eq!(authority.judge(authority.sign(params), "other.example").await, Err(Doubt::Expired { until: last }));
}

#[tokio::test]
async fn a_certificate_of_the_future_makes_the_clock_suspect() {
    let authority = Authority::new();
    let mut params = leaf(&["other.example"]);
    params.not_before = OffsetDateTime::now_utc() + Days::days(2);
    let found = authority.judge(authority.sign(params), "other.example").await;
    assert!(matches!(found, Err(Doubt::NotYet { .. })), "{found:?}");
}

#[tokio::test]
async fn another_authority_is_told_by_its_name() {
    let (ours, theirs) = (Authority::new(), Authority::named("Another authority"));
    let found = ours.judge(theirs.sign(leaf(&["other.example"])), "other.example").await;
    let Err(Doubt::UnknownIssuer { issuer }) = found else { panic!("{found:?}") };
    assert!(issuer.contains("Another authority"), "{issuer}");
}

#[tokio::test]
async fn a_self_signed_certificate_is_told_as_such() {
    let key = KeyPair::generate().unwrap();
    let mut params = leaf(&["other.example"]);
    params.distinguished_name.push(DnType::CommonName, "other.example");
    let own = params.self_signed(&key).unwrap().der().clone();
    let found = Authority::new().judge(own, "other.example").await;
    assert_eq!(found, Err(Doubt::UnknownIssuer { issuer: "itself".into() }));
}

#[tokio::test]
async fn the_peers_own_authority_is_the_only_one_for_it() {
    let authority = Authority::new();
    let certificate = authority.sign(leaf(&["third.example"]));
    let peers = peers_with(Table::default(), vec![authority.peer(Policy::Pkix)], Others::default());
    let found = peers.examine("third.example", &[certificate], None).await.found;
    assert!(matches!(found, Err(Doubt::UnknownIssuer { .. })), "{found:?}");
}

/// `[0] EXPLICIT` around text, inside an otherName with this object identifier.
fn other_name(identifier: &[u8], tag: u8, text: &str) -> CustomExtension {
    let element = |tag: u8, content: &[u8]| [&[tag, u8::try_from(content.len()).unwrap()], content].concat();
    let value = element(0xa0, &element(tag, text.as_bytes()));
    let name = element(0xa0, &[element(0x06, identifier), value].concat());
    CustomExtension::from_oid_content(&[2, 5, 29, 17], element(0x30, &name))
}

const SRV_NAME: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 8, 7];
const XMPP_ADDR: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 8, 5];

#[tokio::test]
async fn the_names_made_for_xmpp_count() {
    let authority = Authority::new();
    for (identifier, tag, text) in [(SRV_NAME, 0x16, "_xmpp-server.other.example"), (XMPP_ADDR, 0x0c, "other.example")]
    {
        let mut params = leaf(&[]);
        params.custom_extensions = vec![other_name(identifier, tag, text)];
        assert_eq!(authority.judge(authority.sign(params), "other.example").await, Ok(Proof::Pkix), "{text}");
    }
}

#[tokio::test]
async fn the_name_of_another_service_does_not_count() {
    let authority = Authority::new();
    for text in ["_xmpp-client.other.example", "_imap.other.example", "other.example"] {
        let mut params = leaf(&[]);
        params.custom_extensions = vec![other_name(SRV_NAME, 0x16, text)];
        let found = authority.judge(authority.sign(params), "other.example").await;
        assert!(matches!(found, Err(Doubt::WrongName { .. })), "{text}: {found:?}");
    }
}

#[tokio::test]
async fn an_address_of_an_account_is_no_domain() {
    let authority = Authority::new();
    let mut params = leaf(&[]);
    params.custom_extensions = vec![other_name(XMPP_ADDR, 0x0c, "anna@other.example")];
    assert!(authority.judge(authority.sign(params), "other.example").await.is_err());
}

#[tokio::test]
async fn a_pinned_key_needs_neither_name_nor_date_nor_authority() {
    let key = KeyPair::generate().unwrap();
    let mut params = leaf(&["something.else"]);
    params.not_before = OffsetDateTime::now_utc() - Days::days(90);
    params.not_after = OffsetDateTime::now_utc() - Days::days(2);
    let certificate = params.self_signed(&key).unwrap().der().clone();
    let pin = pin_of(&certificate).unwrap();
    let pinned = |pins: Vec<Pin>| {
        peers_with(Table::default(), vec![Peer { pins, ..peer("other.example", Policy::Pin) }], Others::Refused)
    };
    let chain = [certificate];
    assert_eq!(pinned(vec![pin]).examine("other.example", &chain, None).await.found, Ok(Proof::Pin(pin)));
    let other = pinned(vec![Pin::of_key(b"another key")]);
    assert_eq!(other.examine("other.example", &chain, None).await.found, Err(Doubt::OtherKey { found: pin }));
}

/// DNS, signed, that names a certificate for the host `h.example`.
fn dane_table(record: Tlsa, authentic: bool) -> Table {
    let mut table =
        Table::default().with_service(PLAIN, &[(0, 0, 5269, "h.example")]).with_host("h.example", &["192.0.2.1"]);
    table.tlsa.insert("_5269._tcp.h.example".into(), vec![record]);
    table.authentic = authentic;
    table
}

async fn by_dane(table: Table, chain: &[CertificateDer<'static>]) -> Result<Proof, Doubt> {
    let peers = peers_with(table, vec![peer("other.example", Policy::Dane)], Others::Refused);
    peers.examine("other.example", chain, None).await.found
}

#[tokio::test]
async fn a_key_in_signed_dns_is_believed_and_one_in_plain_dns_is_not() {
    let authority = Authority::new();
    let certificate = authority.sign(leaf(&["h.example"]));
    let record = || Tlsa { usage: 3, selector: 0, matching: 1, data: Sha256::digest(&certificate).to_vec() };
    let chain = [certificate.clone()];
    assert_eq!(by_dane(dane_table(record(), true), &chain).await, Ok(Proof::Dane { usage: 3 }));
    assert_eq!(by_dane(dane_table(record(), false), &chain).await, Err(Doubt::NoTlsa));
    let other = Tlsa { data: vec![0; 32], ..record() };
    assert_eq!(by_dane(dane_table(other, true), &chain).await, Err(Doubt::TlsaDiffers));
}

#[tokio::test]
async fn an_authority_in_signed_dns_certifies_the_host_or_the_domain_and_nobody_else() {
    let authority = Authority::new();
    let record = || Tlsa { usage: 2, selector: 0, matching: 0, data: authority.certificate.to_vec() };
    for (name, expected) in [("h.example", true), ("other.example", true), ("evil.example", false)] {
        let chain = [authority.sign(leaf(&[name])), authority.certificate.clone()];
        assert_eq!(by_dane(dane_table(record(), true), &chain).await.is_ok(), expected, "{name}");
    }
}

#[tokio::test]
async fn a_verdict_for_the_streams_has_its_reason() {
    let authority = Authority::new();
    let peers = peers_with(Table::default(), vec![authority.peer(Policy::Pkix)], Others::Refused);
    let good = [authority.sign(leaf(&["other.example"])), authority.certificate.clone()];
    assert_eq!(peers.judge("other.example", &good, None).await, Verdict::Proven("pkix"));
    let wrong = [authority.sign(leaf(&["evil.example"]))];
    let expected = Verdict::Unproven("its certificate is for evil.example".into());
    assert_eq!(peers.judge("other.example", &wrong, None).await, expected);
}

#[test]
fn settings_that_cannot_be_read_leave_the_old_ones_in_force() {
    let peers = peers_with(Table::default(), Vec::new(), Others::Refused);
    let missing = Peer { ca: Some("/nowhere/ca.pem".into()), ..peer("other.example", Policy::Pkix) };
    assert!(peers.replace(&PeerSettings { peers: vec![missing], others: Others::default() }).is_err());
    assert!(!peers.allows("other.example"));
    peers.replace(&PeerSettings { peers: vec![peer("other.example", Policy::Pkix)], others: Others::Refused }).unwrap();
    assert!(peers.allows("other.example"));
}

#[test]
fn an_address_in_a_certificate_is_no_domain() {
    let authority = Authority::new();
    let mut params = leaf(&[]);
    params.subject_alt_names = vec![SanType::IpAddress("192.0.2.1".parse().unwrap())];
    let names = names::Names::of(&authority.sign(params));
    assert!(!names.cover("192.0.2.1"));
}
