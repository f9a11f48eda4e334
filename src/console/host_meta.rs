//! Where clients find the WebSocket (XEP-0156), answers to HTTP-01 (RFC 8555 §8.3), and the way from `http` to `https`.

use hyper::header;
use hyper::{StatusCode, Uri};
use serde_json::json;
use torg_wire::xml::{Element, Scope};

use super::Console;
use super::http::{Answer, text, typed, with};

/// Path of the XML form (RFC 6415 §2).
pub(super) const XML: &str = "/.well-known/host-meta";
/// Path of the JSON form (RFC 6415 §3).
pub(super) const JSON: &str = "/.well-known/host-meta.json";
/// What paths of HTTP-01 begin with.
pub(super) const CHALLENGES: &str = "/.well-known/acme-challenge/";

/// Relation of a WebSocket (XEP-0156 §3).
const WEBSOCKET: &str = "urn:xmpp:alt-connections:websocket";
const XRD: &str = "http://docs.oasis-open.org/ns/xri/xrd-1.0";

pub(super) fn xml(console: &Console) -> Answer {
    let Some(url) = &console.websocket else { return nowhere() };
    let link = Element::new(XRD, "Link").with_attr("rel", WEBSOCKET).with_attr("href", url);
    let mut body = b"<?xml version='1.0' encoding='utf-8'?>\n".to_vec();
    Element::new(XRD, "XRD").with_child(link).write_to(&mut body, &Scope::DOCUMENT);
    open(typed(StatusCode::OK, "application/xrd+xml", body))
}

pub(super) fn json(console: &Console) -> Answer {
    let Some(url) = &console.websocket else { return nowhere() };
    open(typed(StatusCode::OK, "application/json", json!({"links": [{"rel": WEBSOCKET, "href": url}]}).to_string()))
}

fn nowhere() -> Answer {
    text(StatusCode::NOT_FOUND, "No WebSocket is offered.")
}

/// Scripts of any page may read it (XEP-0156 §3): it is public.
fn open(answer: Answer) -> Answer {
    with(answer, header::ACCESS_CONTROL_ALLOW_ORIGIN, "*")
}

pub(super) fn challenge(console: &Console, path: &str) -> Answer {
    let token = path.strip_prefix(CHALLENGES).unwrap_or_default();
    match console.challenges.http(token) {
        Some(answer) => typed(StatusCode::OK, "application/octet-stream", answer),
        None => text(StatusCode::NOT_FOUND, "No such challenge."),
    }
}

/// Always to our own domain: what a request calls us could be anybody.
pub(super) fn redirect(console: &Console, asked: &Uri) -> Answer {
    let Some(port) = console.https_port else { return text(StatusCode::NOT_FOUND, "There is nothing here.") };
    let port = if port == 443 { String::new() } else { format!(":{port}") };
    let path = asked.path_and_query().map_or("/", |path| path.as_str());
    let path = if path.starts_with('/') { path } else { "/" };
    let to = format!("https://{}{port}{path}", console.domain);
    with(text(StatusCode::PERMANENT_REDIRECT, format!("Ask {to}")), header::LOCATION, &to)
}
