//! The administrators' listener: metrics, health, status. It only tells; nothing can be changed here.

use std::net::IpAddr;

use hyper::header::{self, HeaderMap};
use hyper::{Request, StatusCode};
use serde_json::json;
use subtle::ConstantTimeEq as _;

use super::Console;
use super::http::{Answer, Kind, text, typed, with};
use super::metrics;
use super::status::Status;

pub(super) async fn answer<B>(console: &Console, kind: Kind, address: Option<IpAddr>, request: &Request<B>) -> Answer {
    if let Some(refused) = refusal(console, kind, address, request.headers()) {
        return refused;
    }
    let status = || console.vitals.status(console.domain.as_str());
    match request.uri().path() {
        "/metrics" => typed(StatusCode::OK, metrics::KIND, metrics::text(&status().await)),
        "/healthz" => {
            let Status { reasons, degraded, .. } = status().await;
            let (code, word) = match (reasons.is_empty(), degraded.is_empty()) {
                (true, true) => (StatusCode::OK, "ready"),
                // It serves: whoever would send its clients elsewhere would only lose them what still works.
                (true, false) => (StatusCode::OK, "degraded"),
                (false, _) => (StatusCode::SERVICE_UNAVAILABLE, "not ready"),
            };
            let reasons: Vec<String> = reasons.into_iter().chain(degraded).collect();
            typed(code, "application/json", json!({"status": word, "reasons": reasons}).to_string())
        }
        // Whoever hears this hears it from a process that runs.
        "/healthz/live" => typed(StatusCode::OK, "application/json", json!({"status": "live"}).to_string()),
        "/status" => match serde_json::to_vec(&status().await) {
            Ok(body) => typed(StatusCode::OK, "application/json", body),
            Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
        },
        _ => text(StatusCode::NOT_FOUND, "Known here: /metrics, /healthz, /healthz/live, /status"),
    }
}

/// Why this request gets nothing. The file of the local socket is for its owner only, which is proof enough.
fn refusal(console: &Console, kind: Kind, address: Option<IpAddr>, headers: &HeaderMap) -> Option<Answer> {
    if kind == Kind::Local {
        return None;
    }
    match &console.admin_token {
        Some(token) if !bears(headers, token.expose()) => {
            let answer = text(StatusCode::UNAUTHORIZED, "This needs the token of administrators.");
            Some(with(answer, header::WWW_AUTHENTICATE, "Bearer"))
        }
        Some(_) => None,
        None if address.is_some_and(|address| !address.is_loopback()) => {
            Some(text(StatusCode::FORBIDDEN, "Without a token only this machine is answered."))
        }
        // A page of a stranger whose name leads to this machine says that name here (DNS rebinding).
        None if !names_this_machine(headers) => {
            Some(text(StatusCode::FORBIDDEN, "Ask for localhost or an IP address."))
        }
        None => None,
    }
}

fn bears(headers: &HeaderMap, token: &str) -> bool {
    let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
    shown.is_some_and(|shown| shown.ct_eq(token.as_bytes()).into())
}

fn names_this_machine(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST).and_then(|value| value.to_str().ok()) else { return true };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.parse::<u16>().is_ok() => name,
        _ => host,
    };
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    name.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(value: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, value.parse().unwrap());
        names_this_machine(&headers)
    }

    #[test]
    fn this_machine_is_named_by_address_or_as_localhost() {
        for good in ["localhost", "LOCALHOST:5290", "127.0.0.1:5290", "[::1]:5290", "[::1]", "192.0.2.1"] {
            assert!(host(good), "{good}");
        }
        for bad in ["evil.example", "evil.example:5290", "localhost.evil.example", "127.0.0.1.evil.example:80", ""] {
            assert!(!host(bad), "{bad}");
        }
    }

    #[test]
    fn a_token_must_be_whole() {
        let shown = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, value.parse().unwrap());
            bears(&headers, "secret")
        };
        assert!(shown("Bearer secret"));
        for bad in ["Bearer secre", "Bearer secret1", "secret", "Basic secret", "Bearer "] {
            assert!(!shown(bad), "{bad}");
        }
        assert!(!bears(&HeaderMap::new(), "secret"));
    }
}
