//! From files to a checked configuration, or to every mistake in them.
//!
//! `torg.toml` comes first, then `conf.d/*.toml` beside it in the order of their names. Bridges and profile paths of
//! all files are added up; every other section stands in exactly one file, so that nobody wonders which one counts.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use torg_core::limits::{Limits, Rate};
use torg_core::tls::{CertificateFiles, DeviceAuthority};
use torg_thing::config::{ConfigError, Document, SourceText, drop_consequences};
use torg_thing::{BridgeKind, Clock as _, SystemClock};
use torg_wire::jid::BareJid;
use torg_wire::xep::server_info::Contacts;

use super::bridges::{bridges, has_bridge};
use super::checked::{self, BrokerConfig, ConcentratorConfig, Config, RemoteConfig, Settings, TlsFiles};
use super::components;
use super::listen::{listeners, one_port_one_kind};
use super::peers;
use super::raw::{
    Raw, RawBroker, RawConcentrator, RawContact, RawFormat, RawLevel, RawLimits, RawListen, RawLog, RawRegistration,
    RawServerInfo, RawTls,
};
use super::web;
use crate::telemetry::{Format, Level, Log};

/// Most files read from `conf.d`: a fleet tool writes a handful; more is a wrong directory.
pub const CONF_D_FILES_MAX: usize = 256;

/// Database file if `[store]` names none.
const STORE_DEFAULT: &str = "torg.db";

/// Reads and checks the configuration at `path`, with the bridges in `kinds`.
///
/// # Errors
/// Every mistake in every file, in the order of the files and lines.
pub fn load(path: &Path, kinds: &[&'static BridgeKind]) -> Result<Config, Vec<ConfigError>> {
    let mut errors = Vec::new();
    let mut sources = Vec::new();
    for file in std::iter::once(Ok(path.to_owned())).chain(conf_d(path)) {
        match file.and_then(|file| SourceText::read(&file)) {
            Ok(source) => sources.push(source),
            Err(error) if sources.is_empty() && !path.exists() => {
                let sample = format!("a file such as `torg config sample > {}` makes", path.display());
                errors.push(error.allowed(sample));
            }
            Err(error) => errors.push(error),
        }
    }
    check(&sources, kinds, errors)
}

/// Checks a configuration from memory; relative paths start at the current directory.
///
/// # Errors
/// Every mistake in it.
pub fn parse(name: &str, text: &str, kinds: &[&'static BridgeKind]) -> Result<Config, Vec<ConfigError>> {
    check(&[SourceText::new(name, text)], kinds, Vec::new())
}

/// The files of `conf.d` beside `path`, by name.
fn conf_d(path: &Path) -> Vec<Result<PathBuf, ConfigError>> {
    let directory = path.parent().unwrap_or(Path::new("")).join("conf.d");
    let unreadable = |error: std::io::Error| {
        ConfigError::unreadable(directory.display().to_string(), format!("cannot be read: {error}"))
    };
    let entries = match std::fs::read_dir(&directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => return vec![Err(unreadable(error))],
    };
    let mut files = Vec::new();
    for entry in entries {
        match entry.map(|entry| entry.path()) {
            Ok(file) if file.extension().is_some_and(|extension| extension == "toml") => files.push(file),
            Ok(_) => {}
            Err(error) => return vec![Err(unreadable(error))],
        }
    }
    if files.len() > CONF_D_FILES_MAX {
        let message = format!("holds {} files; at most {CONF_D_FILES_MAX} are read", files.len());
        return vec![Err(ConfigError::unreadable(directory.display().to_string(), message))];
    }
    files.sort();
    files.into_iter().map(Ok).collect()
}

fn check(
    sources: &[SourceText],
    kinds: &[&'static BridgeKind],
    mut errors: Vec<ConfigError>,
) -> Result<Config, Vec<ConfigError>> {
    let mut documents = Vec::new();
    for source in sources {
        match Document::parse(source) {
            Ok(document) => documents.push(document),
            Err(found) => errors.extend(found),
        }
    }
    // With a file missing, what it would have said must not be told as missing.
    let all_files = errors.is_empty();
    let settings = settings(&documents, all_files, &mut errors);
    let bridges = bridges(&documents, kinds, &mut errors);
    if let Some(Settings { concentrator: None, .. }) = settings
        && let Some((document, _)) = documents.iter().zip(sources).find(|(document, _)| has_bridge(document))
    {
        let message = "needs a [concentrator] section with the address under which its nodes are reached";
        errors.push(document.error_at("bridge[0]", message));
    }
    match settings {
        Some(settings) if errors.is_empty() => Ok(Config { settings, bridges }),
        _ => {
            let order = |error: &ConfigError| sources.iter().position(|source| source.name() == &*error.file);
            errors.sort_by_key(|error| (order(error), error.line, error.column));
            drop_consequences(&mut errors);
            Err(errors)
        }
    }
}

/// A section with the document in which it stands.
type Placed<'d, 's, T> = Option<(&'d Document<'s>, T)>;

/// Every section but the bridges. `None` if something in them is wrong.
fn settings(documents: &[Document<'_>], all_files: bool, errors: &mut Vec<ConfigError>) -> Option<Settings> {
    let before = errors.len();
    let (mut broker, mut store, mut concentrator, mut log) = (None, None, None, None);
    let mut whole = all_files;
    for document in documents {
        // Wrong places are stood in for, so that what else is wrong can be told at once.
        let (raw, found) = document.examine::<Raw>();
        errors.extend(found);
        let Some(raw) = raw else {
            whole = false;
            continue;
        };
        only_once(&mut broker, document, "broker", raw.broker, errors);
        only_once(&mut store, document, "store", raw.store, errors);
        only_once(&mut concentrator, document, "concentrator", raw.concentrator, errors);
        only_once(&mut log, document, "log", raw.log, errors);
    }
    if !whole {
        return None;
    }
    let main = documents.first()?;
    let store = match store {
        Some((document, store)) => path(document, "store.path", &store.path, errors),
        None => main.source().directory().join(STORE_DEFAULT),
    };
    let broker = match broker {
        Some((document, raw)) => check_broker(document, raw, errors),
        None => {
            let message = "needs a [broker] section with the domain it serves";
            errors.push(main.error_at("broker", message).allowed("domain = \"site.example\""));
            None
        }
    }?;
    let concentrator = concentrator.map(|(document, raw)| check_concentrator(document, raw, &broker, errors));
    let log = log.map_or_else(Log::default, |(_, raw)| check_log(&raw));
    let concentrator = match concentrator {
        Some(None) => return None,
        Some(Some(concentrator)) => Some(concentrator),
        None => None,
    };
    (errors.len() == before).then_some(Settings { broker, store, concentrator, log })
}

/// Keeps a section, and refuses it a second time.
fn only_once<'d, 's, T>(
    slot: &mut Placed<'d, 's, T>,
    document: &'d Document<'s>,
    key: &str,
    section: Option<T>,
    errors: &mut Vec<ConfigError>,
) {
    match (slot.as_ref(), section) {
        (Some((first, _)), Some(_)) => {
            let message = format!("stands in {} already; keep it in one file", first.source().name());
            errors.push(document.error_at(key, message));
        }
        (None, Some(section)) => *slot = Some((document, section)),
        (_, None) => {}
    }
}

fn check_broker(document: &Document<'_>, raw: RawBroker, errors: &mut Vec<ConfigError>) -> Option<BrokerConfig> {
    let domain = match BareJid::parse(&raw.domain) {
        Ok(domain) if domain.local().is_none() => Some(domain),
        Ok(domain) => {
            let error = document.error_at("broker.domain", format!("is an account, not a domain: found \"{domain}\""));
            errors.push(error.suggest(Some(domain.domain())));
            None
        }
        Err(error) => {
            errors.push(document.error_at("broker.domain", format!("is not a domain: {error}")));
            None
        }
    };
    let admins = accounts(document, "broker.admins", &raw.admins, domain.as_ref(), errors);
    if let Some(domain) = &domain {
        for (index, admin) in raw.admins.iter().enumerate() {
            let foreign = |admin: BareJid| admin.local().is_some() && admin.domain() != domain.domain();
            let foreign = BareJid::parse(admin).is_ok_and(foreign);
            if foreign {
                let message = format!("\"{admin}\" is not an account of the domain {domain}");
                errors.push(document.error_at(&format!("broker.admins[{index}]"), message));
            }
        }
    }
    let RawListen { c2s, c2s_tls, s2s, s2s_tls, https, http, admin, component } = raw.listen;
    if [&c2s, &c2s_tls].iter().all(|list| list.as_ref().is_some_and(Vec::is_empty)) {
        errors.push(document.error_at("broker.listen", "leaves no way to connect: c2s and c2s_tls are both empty"));
    }
    let c2s = listeners(document, "broker.listen.c2s", c2s, 5222, errors);
    let c2s_tls = listeners(document, "broker.listen.c2s_tls", c2s_tls, 5223, errors);
    let parts = peers::RawParts {
        s2s: s2s.map(|list| listeners(document, "broker.listen.s2s", Some(list), 5269, errors)),
        s2s_tls: s2s_tls.map(|list| listeners(document, "broker.listen.s2s_tls", Some(list), 5270, errors)),
        federation: raw.federation,
        peers: raw.peer,
    };
    let federation = peers::check(document, parts, domain.as_ref(), errors);
    let client_ca = raw.auth.client_ca.as_deref().map(|text| check_client_ca(document, text, errors));
    let web = [("https", https, 443), ("http", http, 80), ("admin", admin, 5290)].map(|(key, list, port)| {
        listeners(document, &format!("broker.listen.{key}"), Some(list.unwrap_or_default()), port, errors)
    });
    let web = web::check_web(document, raw.web, web, errors);
    let has_files = raw.tls.is_some();
    let acme = raw.acme.map(|acme| web::check_acme(document, acme, domain.as_ref(), &web, has_files, errors));
    let component = component.unwrap_or_default();
    let component = listeners(document, "broker.listen.component", Some(component), 5347, errors);
    let services = domain.as_ref().map(checked::own_services).unwrap_or_default();
    let taken = components::Taken { own: domain.as_ref(), services: &services, federation: federation.as_ref() };
    let components = components::check(document, component, &raw.component, &taken, errors);
    let (s2s, s2s_tls) = federation.as_ref().map_or((&[][..], &[][..]), |on| (&on.s2s, &on.s2s_tls));
    let kinds = [
        ("c2s", &c2s[..]),
        ("c2s_tls", &c2s_tls),
        ("s2s", s2s),
        ("s2s_tls", s2s_tls),
        ("https", &web.https),
        ("http", &web.http),
        ("admin", &web.admin),
        ("component", &components.listen),
    ];
    one_port_one_kind(document, &kinds, errors);
    let contacts = check_contacts(document, raw.contact, errors);
    let tls = raw.tls.map(|tls| check_tls(document, &tls, domain.as_ref(), errors));
    Some(BrokerConfig {
        domain: domain?,
        admins,
        c2s,
        c2s_tls,
        tls,
        scram_sha_1: raw.auth.scram_sha_1,
        plain: raw.auth.plain,
        tokens: raw.auth.tokens.unwrap_or(true),
        downgrade_protection: raw.auth.downgrade_protection.unwrap_or(true),
        client_ca,
        limits: limits(&raw.limits),
        open_registration: matches!(raw.registration, Some(RawRegistration::Open)),
        public_server_info: matches!(raw.server_info, Some(RawServerInfo::Public)),
        contacts,
        federation,
        components,
        web,
        acme: acme.flatten(),
    })
}

/// Addresses that a click must lead somewhere from (XEP-0157 §3).
fn check_contacts(document: &Document<'_>, raw: RawContact, errors: &mut Vec<ConfigError>) -> Contacts {
    let RawContact { abuse, admin, feedback, sales, security, status, support } = raw;
    let mut check = |role: &str, uris: Vec<String>| {
        for (index, uri) in uris.iter().enumerate() {
            let is_uri = ["mailto:", "xmpp:", "https:", "tel:"].iter().any(|scheme| uri.starts_with(scheme));
            if !is_uri {
                let message = format!("is no address to write to: found \"{uri}\"");
                let error = document.error_at(&format!("broker.contact.{role}[{index}]"), message);
                errors.push(error.suggest(Some(format!("mailto:{uri}").as_str())));
            }
        }
        uris
    };
    Contacts {
        abuse: check("abuse", abuse),
        admin: check("admin", admin),
        feedback: check("feedback", feedback),
        sales: check("sales", sales),
        security: check("security", security),
        status: check("status", status),
        support: check("support", support),
    }
}

/// The limits, with the broker's own where none is given. What is given for all classes never narrows those of administrators,
/// services and peers; what is given for a class counts as it is.
fn limits(raw: &RawLimits) -> Limits {
    let mut limits = Limits::default();
    for (class, raw_class, is_wide) in [
        (&mut limits.thing, &raw.thing, false),
        (&mut limits.person, &raw.person, false),
        (&mut limits.admin, &raw.admin, true),
        (&mut limits.service, &raw.service, true),
        (&mut limits.peer, &raw.peer, true),
    ] {
        let general = |given: Option<u32>, usual: u32| match given {
            Some(given) if is_wide => given.max(usual),
            Some(given) => given,
            None => usual,
        };
        class.rate = Rate {
            per_second: raw_class.bytes_per_second.unwrap_or(general(raw.bytes_per_second, class.rate.per_second)),
            burst: raw_class.burst_bytes.unwrap_or(general(raw.burst_bytes, class.rate.burst)),
        };
        class.requests_per_second = raw_class.requests_per_second.unwrap_or(class.requests_per_second);
        class.subscriptions_per_minute = raw_class.subscriptions_per_minute.unwrap_or(class.subscriptions_per_minute);
    }
    let number = |given: Option<u32>, usual: usize| given.and_then(|n| usize::try_from(n).ok()).unwrap_or(usual);
    limits.sessions_per_account = raw.sessions_per_account.map_or(limits.sessions_per_account, usize::from);
    limits.streams_per_peer = raw.streams_per_peer.map_or(limits.streams_per_peer, usize::from);
    limits.unauthenticated = number(raw.unauthenticated, limits.unauthenticated);
    limits.unauthenticated_per_address = number(raw.unauthenticated_per_address, limits.unauthenticated_per_address);
    limits
}

fn check_tls(
    document: &Document<'_>,
    raw: &RawTls,
    domain: Option<&BareJid>,
    errors: &mut Vec<ConfigError>,
) -> TlsFiles {
    let before = errors.len();
    let certificate = path(document, "broker.tls.certificate", &raw.certificate, errors);
    let key = path(document, "broker.tls.key", &raw.key, errors);
    for (at, file) in [("broker.tls.certificate", &certificate), ("broker.tls.key", &key)] {
        if let Err(error) = std::fs::File::open(file) {
            errors.push(document.error_at(at, format!("{} cannot be read: {error}", file.display())));
        }
    }
    let files = CertificateFiles { certificate, key };
    if let Some(domain) = domain
        && errors.len() == before
        && let Err(error) = files.load(domain.domain(), SystemClock.now())
    {
        let text = error.to_string();
        // Which of the two is to blame is known by the file that the text names.
        let names = |file: &Path| text.contains(&file.display().to_string());
        let at = if names(&files.key) && !names(&files.certificate) { "key" } else { "certificate" };
        errors.push(document.error_at(&format!("broker.tls.{at}"), text));
    }
    TlsFiles { certificate: files.certificate, key: files.key }
}

/// The authority of device certificates.
fn check_client_ca(document: &Document<'_>, text: &str, errors: &mut Vec<ConfigError>) -> PathBuf {
    let file = path(document, "broker.auth.client_ca", text, errors);
    if let Err(error) = DeviceAuthority::load(&file) {
        errors.push(document.error_at("broker.auth.client_ca", error.to_string()));
    }
    file
}

fn check_concentrator(
    document: &Document<'_>,
    raw: RawConcentrator,
    broker: &BrokerConfig,
    errors: &mut Vec<ConfigError>,
) -> Option<ConcentratorConfig> {
    let domain = &broker.domain;
    let friends = accounts(document, "concentrator.friends", &raw.friends, Some(domain), errors);
    let before = errors.len();
    // Whoever makes the account of a friend first would be the friend.
    for (index, friend) in raw.friends.iter().enumerate().filter(|_| broker.open_registration) {
        if BareJid::parse(friend).is_ok_and(|friend| friend.domain() == domain.domain()) {
            let message = format!("\"{friend}\" could be made by anybody: registration is open");
            let error = document.error_at(&format!("concentrator.friends[{index}]"), message);
            errors.push(error.allowed("friends of this domain need broker.registration = \"closed\""));
        }
    }
    let remote = check_remote(document, &raw, errors);
    let jid = account(document, "concentrator.jid", &raw.jid, Some(domain), errors)?;
    if raw.server.is_none() && jid.domain() != domain.domain() {
        let message = format!("\"{jid}\" is not an account of the domain {domain}");
        let suggestion = jid.local().map(|local| format!("{local}@{domain}"));
        errors.push(document.error_at("concentrator.jid", message).suggest(suggestion));
    }
    (errors.len() == before).then_some(ConcentratorConfig { jid, friends, remote })
}

/// The broker on another machine, if one is named; its keys belong together.
fn check_remote(document: &Document<'_>, raw: &RawConcentrator, errors: &mut Vec<ConfigError>) -> Option<RemoteConfig> {
    let Some(server) = &raw.server else {
        for (key, value) in [("password_file", &raw.password_file), ("ca", &raw.ca)] {
            if value.is_some() {
                let message = "is only for a broker on another machine, and no server is named";
                errors.push(document.error_at(&format!("concentrator.{key}"), message));
            }
        }
        return None;
    };
    let port = server.rsplit_once(':').map(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    if port != Some(true) {
        let error = document.error_at("concentrator.server", format!("\"{server}\" has no port"));
        let error = error.allowed("HOST:PORT, such as broker.example:5222");
        errors.push(error.suggest(Some(format!("{server}:5222")).filter(|_| !server.contains(':'))));
    }
    let readable = |key: &str, text: &str, errors: &mut Vec<ConfigError>| {
        let key = format!("concentrator.{key}");
        let file = path(document, &key, text, errors);
        if let Err(error) = std::fs::File::open(&file) {
            errors.push(document.error_at(&key, format!("{} cannot be read: {error}", file.display())));
        }
        file
    };
    let ca = raw.ca.as_deref().map(|text| readable("ca", text, errors));
    let Some(password_file) = &raw.password_file else {
        let message = "needs password_file, the file with its password at that server";
        errors.push(document.error_at("concentrator.server", message));
        return None;
    };
    let password_file = readable("password_file", password_file, errors);
    Some(RemoteConfig { server: server.clone(), password_file, ca })
}

/// A list of accounts, most likely of our `domain`.
fn accounts(
    document: &Document<'_>,
    key: &str,
    texts: &[String],
    domain: Option<&BareJid>,
    errors: &mut Vec<ConfigError>,
) -> BTreeSet<BareJid> {
    let parsed = texts
        .iter()
        .enumerate()
        .filter_map(|(index, text)| account(document, &format!("{key}[{index}]"), text, domain, errors));
    parsed.collect()
}

/// An account: a bare JID with a local part, most likely of our `domain`.
fn account(
    document: &Document<'_>,
    key: &str,
    text: &str,
    domain: Option<&BareJid>,
    errors: &mut Vec<ConfigError>,
) -> Option<BareJid> {
    let (message, suggestion) = match BareJid::parse(text) {
        Ok(jid) if jid.local().is_some() => return Some(jid),
        Ok(jid) => {
            // A name alone, which the domain is to be added to.
            let whole = domain.filter(|_| !text.contains('.')).map(|domain| format!("{jid}@{domain}"));
            (format!("\"{jid}\" is a domain, not an account"), whole)
        }
        Err(error) => {
            let bare = text.split_once('/').map(|(bare, _)| bare.to_owned());
            (format!("\"{text}\" is not an account: {error}"), bare)
        }
    };
    errors.push(document.error_at(key, message).allowed("an address such as anna@site.example").suggest(suggestion));
    None
}

fn check_log(raw: &RawLog) -> Log {
    let level = match raw.level {
        Some(RawLevel::Error) => Level::Error,
        Some(RawLevel::Warn) => Level::Warn,
        Some(RawLevel::Info) | None => Level::Info,
        Some(RawLevel::Debug) => Level::Debug,
        Some(RawLevel::Trace) => Level::Trace,
    };
    let format = match raw.format {
        Some(RawFormat::Full) | None => Format::Full,
        Some(RawFormat::Journal) => Format::Journal,
    };
    Log { level, format }
}

/// A path; a relative one starts at the directory of the file that names it.
pub(super) fn path(document: &Document<'_>, key: &str, text: &str, errors: &mut Vec<ConfigError>) -> PathBuf {
    if text.is_empty() {
        errors.push(document.error_at(key, "is empty").allowed("a path"));
    }
    document.source().directory().join(text)
}
