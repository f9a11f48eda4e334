//! The web and its certificates: what may be said about them, and every mistake with its place and what was meant.

use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::acme::Challenge;

const OPEN: &str = "[broker]\ndomain = \"site.example\"\n[broker.listen]\n";

/// The errors of these lines in `[broker.listen]`, from line 4 on, and of the sections behind them.
fn mistakes(listen: &str, sections: &str) -> Vec<String> {
    errors(&format!("{OPEN}{listen}\n{sections}"))
}

/// Each is one mistake, in this line, and is told with these words.
fn told(table: &[(&str, &str, u32, &[&str])]) {
    for (listen, sections, line, words) in table {
        let found = mistakes(listen, sections);
        let place = format!("torg.toml:{line}:");
        assert_eq!(found.len(), 1, "{listen}\n{sections}: {found:?}");
        assert!(found[0].starts_with(&place), "{place} {found:?}");
        for word in *words {
            assert!(found[0].contains(word), "{word} in {found:?}");
        }
    }
}

/// A file with this text and mode, and its place as TOML.
fn file(text: &str, mode: u32) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    let text = format!("{:?}", path.display().to_string());
    (folder, text)
}

#[test]
fn without_listeners_there_is_no_web() {
    let web = parse("torg.toml", SMALL, KINDS).unwrap().settings.broker.web;
    assert_eq!(web, WebConfig::default());
}

#[test]
fn the_web_has_its_listeners_pages_and_address() {
    let text = format!(
        "{OPEN}https = [\"0.0.0.0:443\"]\nhttp = [\"[::]:80\"]\nadmin = [\"127.0.0.1:5290\"]\n[broker.web]\n\
         websocket = \"wss://site.example/xmpp-websocket\"\norigins = [\"https://app.site.example\", \"http://localhost:8080\"]\n\
         channel_binding = true\n"
    );
    let web = parse("torg.toml", &text, KINDS).unwrap().settings.broker.web;
    assert_eq!((web.https.len(), web.http.len(), web.admin.len()), (1, 1, 1));
    assert_eq!(web.websocket.as_deref(), Some("wss://site.example/xmpp-websocket"));
    assert!(web.channel_binding && web.origins.contains("http://localhost:8080"));
}

#[test]
fn every_mistake_about_a_listener_of_the_web_has_its_place() {
    told(&[
        ("https = [\"443\"]", "", 4, &["broker.listen.https[0]", "\"443\" is not an address", "127.0.0.1:443"]),
        ("https = [\"*:443\"]", "", 4, &["did you mean", "0.0.0.0:443"]),
        ("http = [\"localhost\"]", "", 4, &["broker.listen.http[0]", "127.0.0.1:80"]),
        ("admin = [\"127.0.0.1\"]", "", 4, &["broker.listen.admin[0]", "127.0.0.1:5290"]),
        ("https = [\"127.0.0.1:443\", \"127.0.0.1:443\"]", "", 4, &["https[1]", "listed twice"]),
        ("https = [\"127.0.0.1:5443\"]\nhttp = [\"127.0.0.1:5443\"]", "", 5, &["http[0]", "is in https too"]),
        ("https = [\"0.0.0.0:5223\"]", "", 4, &["https[0]", "is in c2s_tls too"]),
        ("s2s_tls = [\"0.0.0.0:443\"]\nhttps = [\"0.0.0.0:443\"]", "", 5, &["https[0]", "is in s2s_tls too"]),
        ("admin = [\"0.0.0.0:5290\"]", "", 4, &["admin[0]", "reached from other machines", "127.0.0.1:5290"]),
        ("htps = [\"0.0.0.0:443\"]", "", 4, &["htps", "https"]),
    ]);
}

#[test]
fn every_mistake_about_the_web_has_its_place() {
    let https = "https = [\"127.0.0.1:5443\"]";
    told(&[
        (https, "[broker.web]\norigns = []", 6, &["origns", "origins"]),
        (
            https,
            "[broker.web]\norigins = [\"app.example\"]",
            6,
            &["origins[0]", "is no origin", "https://app.site.example"],
        ),
        (https, "[broker.web]\norigins = [\"https://App.example/\"]", 6, &["did you mean", "`https://app.example`"]),
        (https, "[broker.web]\norigins = [\"https://app.example:443\"]", 6, &["did you mean", "`https://app.example`"]),
        (https, "[broker.web]\norigins = [\"https://*.example\"]", 6, &["is no origin"]),
        (
            https,
            "[broker.web]\nwebsocket = \"ws://site.example/\"",
            6,
            &["no address of a protected WebSocket", "wss://HOST/PATH"],
        ),
        (https, "[broker.web]\nwebsocket = \"wss://\"", 6, &["no address of a protected WebSocket"]),
        (https, "[broker.web]\nchannel_binding = \"yes\"", 6, &["channel_binding"]),
        ("", "[broker.web]\norigins = [\"https://app.example\"]", 6, &["has no effect", "https or http"]),
        ("", "[broker.web]\nwebsocket = \"wss://site.example/x\"", 6, &["has no effect", "https or http"]),
        ("http = [\"127.0.0.1:0\"]", "[broker.web]\nchannel_binding = true", 6, &["has no effect", "no https"]),
        (
            "admin = [\"127.0.0.1:0\"]",
            "[broker.web]\nadmin_token_file = \"missing\"",
            6,
            &["admin_token_file", "cannot be read", "openssl rand"],
        ),
    ]);
}

#[test]
fn a_token_of_administrators_is_long_and_nobody_else_s() {
    for (text, mode, problem) in [
        ("0123456789abcdef\n", 0o600, None),
        ("0123456789abcdef\n", 0o440, None),
        ("0123456789abcdef\n", 0o644, Some("chmod 600")),
        ("0123456789abcde\n", 0o600, Some("fewer than 16")),
    ] {
        let (_folder, path) = file(text, mode);
        let found = mistakes("admin = [\"0.0.0.0:5290\"]", &format!("[broker.web]\nadmin_token_file = {path}"));
        match problem {
            None => assert_eq!(found, Vec::<String>::new()),
            Some(problem) => assert!(found.len() == 1 && found[0].contains(problem), "{found:?}"),
        }
        assert!(!found.concat().contains("0123456789"), "the token itself is never shown");
    }
}

#[test]
fn certificates_are_ordered_at_a_known_authority_for_the_own_domain_unless_told_otherwise() {
    let text = format!("{OPEN}https = [\"0.0.0.0:443\"]\n[broker.acme]\n");
    let acme = parse("torg.toml", &text, KINDS).unwrap().settings.broker.acme.unwrap();
    assert_eq!(acme.directory, "https://acme-v02.api.letsencrypt.org/directory");
    assert_eq!((acme.domains, acme.challenge), (vec!["site.example".to_owned()], Challenge::TlsAlpn01));
}

#[test]
fn further_names_come_behind_the_own_domain() {
    let names = "domains = [\"pubsub.site.example\", \"site.example\"]";
    let text = format!("{OPEN}http = [\"0.0.0.0:80\"]\n[broker.acme]\nchallenge = \"http-01\"\n{names}\n");
    let acme = parse("torg.toml", &text, KINDS).unwrap().settings.broker.acme.unwrap();
    assert_eq!(
        (acme.domains.concat(), acme.challenge),
        ("site.examplepubsub.site.example".to_owned(), Challenge::Http01)
    );
}

#[test]
fn every_mistake_about_orders_of_certificates_has_its_place() {
    let https = "https = [\"0.0.0.0:443\"]";
    told(&[
        ("", "[broker.acme]", 5, &["broker.acme", "[broker.listen] https, and there is none"]),
        (https, "[broker.acme]\nchallenge = \"http-01\"", 6, &["challenge", "[broker.listen] http, and there is none"]),
        (https, "[broker.acme]\nchallenge = \"dns-01\"", 6, &["dns-01", "tls-alpn-01"]),
        (https, "[broker.acme]\ndirectory = \"http://ca.example/dir\"", 6, &["is no https address", "did you mean"]),
        (https, "[broker.acme]\ncontact = \"admin\"", 6, &["contact", "no mail address", "admin@site.example"]),
        (https, "[broker.acme]\ncontact = \"mailto:admin@site.example\"", 6, &["contact", "no mail address"]),
        (https, "[broker.acme]\nca = \"missing.pem\"", 6, &["broker.acme.ca", "cannot be read"]),
        (
            https,
            "[broker.acme]\ndomains = [\"other.example\"]",
            6,
            &["leaves out the broker's own domain site.example"],
        ),
        (https, "[broker.acme]\ndomains = [\"site.example\", \"a@site.example\"]", 6, &["domains[1]", "is no domain"]),
        (https, "[broker.acme]\ndomains = [\"site.example\", \"192.0.2.1\"]", 6, &["domains[1]", "is no domain"]),
        (
            https,
            "[broker.acme]\ndomains = [\"site.example\", \"b.example\", \"B.example\"]",
            6,
            &["domains[2]", "listed twice"],
        ),
        (https, "[broker.acme]\ndirctory = \"x\"", 6, &["dirctory", "directory"]),
    ]);
}

#[test]
fn a_certificate_has_one_source() {
    let found = mistakes(
        "https = [\"0.0.0.0:443\"]",
        "[broker.tls]\ncertificate = \"a.pem\"\nkey = \"a.key\"\n[broker.acme]\ncontact = \"a@site.example\"",
    );
    assert!(
        found.iter().any(|error| error.starts_with("torg.toml:8:") && error.contains("exclude each other")),
        "{found:?}"
    );
}

#[test]
fn an_address_gets_no_certificate_from_an_authority() {
    let found = errors("[broker]\ndomain = \"192.0.2.1\"\n[broker.listen]\nhttps = [\"0.0.0.0:443\"]\n[broker.acme]\n");
    assert!(found.iter().any(|error| error.contains("192.0.2.1 is an address")), "{found:?}");
}

#[test]
fn a_change_of_the_web_needs_a_restart() {
    let settings = |more: &str| parse("torg.toml", &format!("{OPEN}{more}"), KINDS).unwrap().settings;
    let before = settings("https = [\"127.0.0.1:5443\"]\n");
    for (after, key) in [
        ("https = [\"127.0.0.1:5444\"]\n", "broker.listen.https"),
        ("https = [\"127.0.0.1:5443\"]\nhttp = [\"127.0.0.1:5280\"]\n", "broker.listen.http"),
        ("https = [\"127.0.0.1:5443\"]\nadmin = [\"127.0.0.1:5290\"]\n", "broker.listen.admin"),
        ("https = [\"127.0.0.1:5443\"]\n[broker.web]\norigins = [\"https://a.example\"]\n", "broker.web"),
        ("https = [\"127.0.0.1:5443\"]\n[broker.acme]\n", "broker.acme"),
    ] {
        let needed = needs_restart(&before, &settings(after));
        assert_eq!(needed.iter().map(|needed| needed.key).collect::<Vec<_>>(), [key]);
    }
}
