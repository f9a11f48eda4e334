//! The web and its certificates: the listeners `https`, `http` and `admin`, the sections `[broker.web]` and `[broker.acme]`.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;
use torg_thing::config::{ConfigError, Document};
use torg_wire::jid::BareJid;
use torg_wire::secret::Secret;

use super::read::path;
use super::secret::read_secret;
use crate::acme::{AcmeConfig, Challenge};

/// Most names in one certificate; authorities allow 100.
const DOMAINS_MAX: usize = 100;

/// XMPP in the browser, and who may look at the appliance from elsewhere.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawWeb {
    /// Address of the WebSocket as clients see it, if a proxy stands in front. Default: that of the first https listener.
    pub(super) websocket: Option<String>,
    /// Web pages whose scripts may connect, such as `"https://app.site.example"`. Default: any, since accounts are protected by
    /// their login and not by cookies.
    #[serde(default)]
    pub(super) origins: Vec<String>,
    /// Offers channel binding over WebSocket too. No browser can do it, and Stanza, which takes the best mechanism by its name, then fails.
    /// Default: false.
    #[serde(default)]
    pub(super) channel_binding: bool,
    /// File with the token that requests to the admin listener must bear, in its first line, with at least 16 characters; nobody else may
    /// read the file. Needed beyond the loopback.
    pub(super) admin_token_file: Option<String>,
}

/// Certificates from an authority such as Let's Encrypt.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAcme {
    /// URL of the authority's directory. Default: that of Let's Encrypt.
    pub(super) directory: Option<String>,
    /// Mail address for the authority's warnings.
    pub(super) contact: Option<String>,
    /// Names in the certificate. Default: the broker's domain, which must be among them.
    #[serde(default)]
    pub(super) domains: Vec<String>,
    /// How to prove that they are ours. Default: "tls-alpn-01".
    pub(super) challenge: Option<RawChallenge>,
    /// PEM file with the authority to trust for the directory itself. Default: those the system trusts.
    pub(super) ca: Option<String>,
}

/// How to prove that a name is ours.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
pub(super) enum RawChallenge {
    /// On the listener http, which the authority reaches at port 80.
    #[serde(rename = "http-01")]
    Http01,
    /// On the listener https, which the authority reaches at port 443.
    #[serde(rename = "tls-alpn-01")]
    TlsAlpn01,
}

/// The listeners of the web and what they need.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct WebConfig {
    /// Listeners for WebSocket and host-meta inside TLS.
    pub https: Vec<SocketAddr>,
    /// Listeners without TLS: redirect, HTTP-01, and on loopback addresses a proxy.
    pub http: Vec<SocketAddr>,
    /// Listeners for metrics, health and status.
    pub admin: Vec<SocketAddr>,
    /// Address of the WebSocket as clients see it.
    pub websocket: Option<String>,
    /// Web pages whose scripts may connect; empty means any.
    pub origins: BTreeSet<String>,
    /// Channel binding is offered over WebSocket too.
    pub channel_binding: bool,
    /// File with the administrators' token.
    pub admin_token_file: Option<PathBuf>,
}

/// How the operator comes to a token.
const ADVICE: &str = "a file with a secret of its own, such as: (umask 077; openssl rand -base64 24 > admin.token)";

impl WebConfig {
    /// The administrators' token, if there is one.
    ///
    /// # Errors
    /// What is wrong with its file.
    pub fn admin_token(&self) -> Result<Option<Secret<String>>, String> {
        self.admin_token_file.as_deref().map(read_secret).transpose()
    }
}

/// The directory of Let's Encrypt.
const DIRECTORY: &str = "https://acme-v02.api.letsencrypt.org/directory";

/// Checks `[broker.web]` with the listeners that were read already.
pub(super) fn check_web(
    document: &Document<'_>,
    raw: Option<RawWeb>,
    [https, http, admin]: [Vec<SocketAddr>; 3],
    errors: &mut Vec<ConfigError>,
) -> WebConfig {
    let raw = raw.unwrap_or_default();
    for (index, origin) in raw.origins.iter().enumerate() {
        let meant = as_browsers_say(origin);
        if meant.as_ref() != Some(origin) {
            let error =
                document.error_at(&format!("broker.web.origins[{index}]"), format!("\"{origin}\" is no origin"));
            let error = error.allowed("scheme and host as browsers say them, such as https://app.site.example");
            errors.push(error.suggest(meant));
        }
    }
    if let Some(url) = &raw.websocket
        && !url.strip_prefix("wss://").is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'))
    {
        let error =
            document.error_at("broker.web.websocket", format!("\"{url}\" is no address of a protected WebSocket"));
        errors.push(error.allowed("wss://HOST/PATH"));
    }
    let admin_token_file = raw.admin_token_file.map(|text| {
        let file = path(document, "broker.web.admin_token_file", &text, errors);
        if let Err(text) = read_secret(&file) {
            errors.push(document.error_at("broker.web.admin_token_file", text).allowed(ADVICE));
        }
        file
    });
    let no_web = https.is_empty() && http.is_empty();
    for (key, is_idle, needs) in [
        ("websocket", raw.websocket.is_some() && no_web, "https or http"),
        ("origins", !raw.origins.is_empty() && no_web, "https or http"),
        ("channel_binding", raw.channel_binding && https.is_empty(), "https"),
        ("admin_token_file", admin_token_file.is_some() && admin.is_empty(), "admin"),
    ] {
        if is_idle {
            let message = format!("has no effect: [broker.listen] names no {needs}");
            errors.push(document.error_at(&format!("broker.web.{key}"), message));
        }
    }
    for (index, address) in admin.iter().enumerate().filter(|(_, address)| !address.ip().is_loopback()) {
        if admin_token_file.is_none() {
            let message =
                format!("{address} can be reached from other machines, so it needs [broker.web] admin_token_file");
            let error = document.error_at(&format!("broker.listen.admin[{index}]"), message);
            errors.push(error.suggest(Some(format!("127.0.0.1:{}", address.port()))));
        }
    }
    let origins = raw.origins.into_iter().collect();
    let channel_binding = raw.channel_binding;
    WebConfig { https, http, admin, websocket: raw.websocket, origins, channel_binding, admin_token_file }
}

/// Checks `[broker.acme]`.
pub(super) fn check_acme(
    document: &Document<'_>,
    raw: RawAcme,
    domain: Option<&BareJid>,
    web: &WebConfig,
    has_files: bool,
    errors: &mut Vec<ConfigError>,
) -> Option<AcmeConfig> {
    if has_files {
        errors.push(
            document.error_at("broker.acme", "and [broker.tls] exclude each other: one says where the certificate is"),
        );
    }
    let directory = raw.directory.unwrap_or_else(|| DIRECTORY.to_owned());
    if !directory.starts_with("https://") {
        let message = format!("\"{directory}\" is no https address");
        errors.push(document.error_at("broker.acme.directory", message).suggest(Some(DIRECTORY.to_owned())));
    }
    let challenge = match raw.challenge {
        Some(RawChallenge::Http01) => Challenge::Http01,
        Some(RawChallenge::TlsAlpn01) | None => Challenge::TlsAlpn01,
    };
    let (needs, has) = match challenge {
        Challenge::Http01 => ("http", !web.http.is_empty()),
        Challenge::TlsAlpn01 => ("https", !web.https.is_empty()),
    };
    if !has {
        let message = format!("is answered on [broker.listen] {needs}, and there is none");
        errors.push(document.error_at("broker.acme.challenge", message));
    }
    if raw.contact.as_ref().is_some_and(|mail| !mail.contains('@') || mail.contains(':')) {
        let error = document.error_at("broker.acme.contact", "is no mail address");
        errors.push(error.allowed("an address such as admin@site.example"));
    }
    let ca = raw.ca.map(|text| readable(document, "broker.acme.ca", &text, errors));
    let domain = domain?;
    if is_address(domain.domain()) {
        let message = format!("orders certificates for names, and {domain} is an address");
        errors.push(document.error_at("broker.acme", message));
    }
    let mut domains = vec![domain.domain().to_owned()];
    for (index, name) in raw.domains.iter().enumerate() {
        match BareJid::parse(name) {
            Ok(jid) if jid.local().is_none() && jid.as_str() == domain.as_str() => {}
            Ok(jid) if jid.local().is_none() && domains.iter().any(|known| known == jid.domain()) => errors.push(
                document.error_at(&format!("broker.acme.domains[{index}]"), format!("\"{name}\" is listed twice")),
            ),
            Ok(jid) if jid.local().is_none() && !is_address(jid.domain()) => domains.push(jid.domain().to_owned()),
            _ => errors
                .push(document.error_at(&format!("broker.acme.domains[{index}]"), format!("\"{name}\" is no domain"))),
        }
    }
    if !raw.domains.is_empty() && !raw.domains.iter().any(|name| name == domain.domain()) {
        let message = format!("leaves out the broker's own domain {domain}");
        errors.push(document.error_at("broker.acme.domains", message));
    }
    if domains.len() > DOMAINS_MAX {
        errors.push(document.error_at("broker.acme.domains", format!("has more than {DOMAINS_MAX} names")));
    }
    Some(AcmeConfig { directory, contact: raw.contact, domains, challenge, ca })
}

fn is_address(domain: &str) -> bool {
    domain.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok()
}

fn readable(document: &Document<'_>, key: &str, text: &str, errors: &mut Vec<ConfigError>) -> PathBuf {
    let file = path(document, key, text, errors);
    if let Err(error) = std::fs::File::open(&file) {
        errors.push(document.error_at(key, format!("{} cannot be read: {error}", file.display())));
    }
    file
}

/// Scheme, host, perhaps a port and nothing behind, as a browser says it: in lower case and without the port that goes without saying
/// (RFC 6454 §6.2). `None` if it is none.
fn as_browsers_say(text: &str) -> Option<String> {
    let text = text.to_ascii_lowercase();
    let (scheme, rest) = text.split_once("://")?;
    let usual = match scheme {
        "https" => ":443",
        "http" => ":80",
        _ => return None,
    };
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.strip_suffix(usual).unwrap_or(authority);
    let is_host = !host.is_empty() && !host.contains(['@', ' ', '*', '\\']);
    is_host.then(|| format!("{scheme}://{host}"))
}
