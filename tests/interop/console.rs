//! The listeners `https`, `http` and `admin` of the running appliance, as strangers find them: what is there, for whom, and what becomes of
//! requests that are meant to mislead. Prometheus' own parser reads the metrics.

use std::{
    fs,
    io::{Read, Write},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::Command,
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    plant::bridges,
    support::{
        child::Child,
        peer, repository,
        site::{DOMAIN, Site, port, torg_command},
        tls::{self, body, dial, exchange, get, get_bare},
    },
};

const WEBSOCKET: &str = "/xmpp-websocket";

/// An appliance with these listeners and sections, in a folder of its own.
struct Own {
    torg: Child,
    folder: TempDir,
}

impl Own {
    fn start(listen: &str, more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let token = folder.path().join("token");
        fs::write(&token, format!("{TOKEN}\n")).unwrap();
        fs::set_permissions(&token, fs::Permissions::from_mode(0o600)).unwrap();
        let text = format!(
            "[broker]\ndomain = \"{DOMAIN}\"\n[broker.listen]\nc2s = [\"127.0.0.1:0\"]\nc2s_tls = []\n{listen}\n\
             [store]\npath = \"torg.db\"\n{more}"
        );
        fs::write(folder.path().join("torg.toml"), text).unwrap();
        let mut run = torg_command();
        run.args(["run", "--print-addresses", "--config"]).arg(folder.path().join("torg.toml"));
        let torg = Child::start("torg run", &mut run);
        torg.line("READY", |line| line == "READY");
        Self { torg, folder }
    }

    fn port(&self, kind: &str) -> u16 {
        port(&self.torg, kind)
    }

    fn authority(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }
}

const TOKEN: &str = "only-for-administrators";

/// The status code of an answer.
fn code(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_else(|| panic!("no answer: {answer:?}"))
}

/// A header of an answer.
fn header<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    let lines = answer.lines().take_while(|line| !line.is_empty());
    lines
        .filter_map(|line| line.split_once(": "))
        .find(|(one, _)| one.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

/// A request for a WebSocket, with these headers on top.
fn upgrade(more: &str) -> String {
    format!(
        "GET {WEBSOCKET} HTTP/1.1\r\nHost: {DOMAIN}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: xmpp\r\n{more}\r\n"
    )
}

#[test]
fn beyond_the_loopback_http_shows_proofs_and_leads_to_https_and_nothing_else() {
    let own = Own::start("http = [\"0.0.0.0:0\"]\nhttps = [\"127.0.0.1:0\"]", "");
    let (http, https) = (own.port("http"), own.port("https"));
    for path in ["/", WEBSOCKET, "/.well-known/host-meta", "/metrics", "/status", "/a?b=c", "//evil.example/"] {
        let answer = get_bare(http, "evil.example", path);
        assert_eq!(code(&answer), 308, "{path}");
        assert_eq!(header(&answer, "location"), Some(format!("https://{DOMAIN}:{https}{path}").as_str()));
    }
    assert_eq!(code(&exchange(dial(http), &upgrade(""))), 308, "no WebSocket without TLS");
    assert_eq!(code(&get_bare(http, DOMAIN, "/.well-known/acme-challenge/unknown")), 404);
    let absolute = format!("GET http://evil.example/x HTTP/1.1\r\nHost: {DOMAIN}\r\n\r\n");
    assert_eq!(
        header(&exchange(dial(http), &absolute), "location"),
        Some(format!("https://{DOMAIN}:{https}/x").as_str())
    );
}

#[test]
fn https_has_host_meta_and_a_websocket_and_nothing_else() {
    let site = Site::start("", &[], &[]);
    let (port, authority) = (site.port("https"), site.authority());
    let url = format!("wss://{DOMAIN}:{port}{WEBSOCKET}");
    let xml = get(port, DOMAIN, &authority, "/.well-known/host-meta");
    assert_eq!(header(&xml, "content-type"), Some("application/xrd+xml"));
    assert!(body(&xml).contains(&format!("href='{url}'")), "{xml}");
    let answer = get(port, DOMAIN, &authority, "/.well-known/host-meta.json");
    let found: Value = serde_json::from_str(body(&answer)).unwrap();
    assert_eq!(found["links"][0]["href"], url);
    for answer in [&xml, &answer] {
        assert_eq!((code(answer), header(answer, "access-control-allow-origin")), (200, Some("*")), "{answer}");
    }
    for path in [
        "/",
        "/metrics",
        "/status",
        "/.well-known/acme-challenge/x",
        "/../torg.toml",
        "/%2e%2e/torg.toml",
        "/xmpp-websocket/",
    ] {
        let answer = get(port, DOMAIN, &authority, path);
        assert_eq!((code(&answer), header(&answer, "access-control-allow-origin")), (404, None), "{path}");
    }
    assert_eq!(code(&get(port, DOMAIN, &authority, WEBSOCKET)), 426);
    // Another protocol by ALPN ends in the handshake: no page of a browser is talked into XMPP, nor a proof into a page.
    for alpn in ["xmpp-client", "acme-tls/1", "h2"] {
        assert!(tls::secure(dial(port), DOMAIN, &authority, alpn).is_err(), "{alpn}");
    }
}

#[test]
fn only_pages_of_named_origins_get_a_websocket() {
    let own = Own::start("http = [\"127.0.0.1:0\"]", "[broker.web]\norigins = [\"https://app.example\"]\n");
    let ask = |more: &str| {
        let mut socket = dial(own.port("http"));
        socket.write_all(upgrade(more).as_bytes()).unwrap();
        let mut head = [0; 12];
        socket.read_exact(&mut head).unwrap();
        code(&String::from_utf8_lossy(&head))
    };
    assert_eq!(ask("Origin: https://app.example\r\n"), 101);
    assert_eq!(ask(""), 101, "no page at all");
    for origin in [
        "https://evil.example",
        "http://app.example",
        "https://app.example:444",
        "https://app.example.evil.example",
        "null",
    ] {
        assert_eq!(ask(&format!("Origin: {origin}\r\n")), 403, "{origin}");
    }
}

#[test]
fn requests_that_two_could_read_differently_are_refused_and_the_rest_of_the_connection_is_not_read() {
    let site = Site::start("", &[], &[]);
    let second = format!("GET /.well-known/host-meta HTTP/1.1\r\nHost: {DOMAIN}\r\n\r\n");
    let host = format!("Host: {DOMAIN}\r\n");
    let begin = "GET /.well-known/host-meta.json HTTP/1.1\r\n";
    for (what, request, expected) in [
        ("a body", format!("{begin}{host}Content-Length: {}\r\n\r\n{second}", second.len()), 400),
        ("a body in chunks", format!("{begin}{host}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n{second}"), 400),
        (
            "both lengths",
            format!("{begin}{host}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n{second}"),
            400,
        ),
        ("two lengths", format!("{begin}{host}Content-Length: 0\r\nContent-Length: 5\r\n\r\n{second}"), 400),
        ("two hosts", format!("{begin}{host}Host: evil.example\r\n\r\n{second}"), 400),
        ("no host", format!("{begin}\r\n{second}"), 400),
        ("a header that goes on", format!("{begin}{host}A: b\r\n c\r\n\r\n{second}"), 400),
        ("a space before the colon", format!("{begin}{host}Content-Length : 5\r\n\r\n{second}"), 400),
        ("another method", format!("POST /.well-known/host-meta.json HTTP/1.1\r\n{host}\r\n{second}"), 405),
        ("a tunnel", format!("CONNECT evil.example:443 HTTP/1.1\r\n{host}\r\n{second}"), 405),
        ("an upgrade with a body", upgrade("Content-Length: 3\r\n") + "abc", 400),
        ("an upgrade in HTTP/1.0", upgrade("").replace("HTTP/1.1", "HTTP/1.0"), 426),
        ("many headers", format!("{begin}{host}{}\r\n", "A: b\r\n".repeat(100)), 431),
        ("long headers", format!("{begin}{host}A: {}\r\n\r\n", "b".repeat(10_000)), 431),
        ("two requests at once", format!("{begin}{host}\r\n{second}"), 200),
    ] {
        let answer = exchange(dial(site.port("http")), &request);
        assert_eq!(code(&answer), expected, "{what}: {answer}");
        assert_eq!(answer.matches("HTTP/1.").count(), 1, "{what}: {answer}");
    }
}

#[test]
fn connections_that_never_ask_are_few_and_short() {
    let own =
        Own::start("https = [\"127.0.0.1:0\"]\nhttp = [\"127.0.0.1:0\"]", "[broker.limits]\nunauthenticated = 3\n");
    let mut slow: Vec<_> = ["", "GET ", "GET / HTTP/1.1\r\nHost: a\r\n"]
        .iter()
        .map(|begin| {
            let mut socket = dial(own.port("http"));
            socket.write_all(begin.as_bytes()).unwrap();
            socket
        })
        .collect();
    // All places are taken: the next one is not even listened to.
    let mut next = dial(own.port("https"));
    assert_eq!(next.read(&mut [0]).unwrap_or(0), 0);
    for socket in &mut slow {
        let mut rest = Vec::new();
        let _ = socket.read_to_end(&mut rest);
        assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 408 "), "{}", String::from_utf8_lossy(&rest));
    }
    assert_eq!(code(&get_bare(own.port("http"), DOMAIN, "/nothing")), 308, "their places are free again");
}

#[test]
fn administrators_on_this_machine_need_no_token_and_pages_of_strangers_get_nothing() {
    let site = Site::start("", &[], &["anna"]);
    let port = site.port("admin");
    for path in ["/metrics", "/healthz", "/healthz/live", "/status"] {
        let answer = get_bare(port, DOMAIN, path);
        assert_eq!((code(&answer), header(&answer, "access-control-allow-origin")), (200, None), "{answer}");
        assert!(!answer.contains("anna"), "no account is named: {answer}");
        assert_eq!(code(&get_bare(port, "evil.example", path)), 403, "a name of a stranger that leads here");
    }
    assert_eq!(code(&get_bare(port, DOMAIN, "/")), 404);
    let change = format!("POST /status HTTP/1.1\r\nHost: {DOMAIN}\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(code(&exchange(dial(port), &change)), 405);
    assert_eq!(code(&exchange(dial(port), &upgrade(""))), 404);
}

#[test]
fn administrators_elsewhere_come_inside_tls_with_the_token() {
    let own = Own::start("admin = [\"0.0.0.0:0\"]", "[broker.web]\nadmin_token_file = \"token\"\n");
    let ask = |more: &str| {
        let stream = tls::secure(dial(own.port("admin")), DOMAIN, &own.authority(), "http/1.1").unwrap();
        exchange(stream, &format!("GET /status HTTP/1.1\r\nHost: {DOMAIN}\r\n{more}\r\n"))
    };
    for wrong in
        ["", "Authorization: Bearer only-for-administrator\r\n", "Authorization: Basic only-for-administrators\r\n"]
    {
        let answer = ask(wrong);
        assert_eq!((code(&answer), header(&answer, "www-authenticate")), (401, Some("Bearer")), "{wrong}");
    }
    let answer = ask(&format!("Authorization: Bearer {TOKEN}\r\n"));
    assert_eq!(code(&answer), 200);
    assert!(!answer.contains(TOKEN), "no secret is told");
    let bare = exchange(
        dial(own.port("admin")),
        &format!("GET /status HTTP/1.1\r\nHost: {DOMAIN}\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"),
    );
    assert!(!bare.starts_with("HTTP"), "never without TLS");
}

#[test]
fn prometheus_reads_the_metrics() {
    // A line that nobody is at.
    let site = Site::start(&bridges("127.0.0.1:9"), &[], &[]);
    let answer = get_bare(site.port("admin"), DOMAIN, "/metrics");
    assert_eq!(header(&answer, "content-type"), Some("application/openmetrics-text; version=1.0.0; charset=utf-8"));
    let mut command = Command::new(peer("venv/bin/python"));
    let mut reader = Child::start("prometheus_client", command.arg(repository("tests/peers/metrics.py")));
    reader.write(body(&answer));
    reader.close_stdin();
    let families: Value = serde_json::from_str(reader.succeed().trim()).unwrap();
    for (name, kind) in [
        ("torg_build", "info"),
        ("torg_sessions", "gauge"),
        ("torg_connections_accepted", "counter"),
        ("torg_received_bytes", "counter"),
        ("torg_store_free_bytes", "gauge"),
        ("torg_peer_links", "gauge"),
        ("torg_line_up", "gauge"),
        ("torg_certificate_expiry_timestamp_seconds", "gauge"),
    ] {
        assert_eq!(families[name], json!(kind), "{name} in {families}");
    }
}
