//! One HTTP request on a connection and its answer, or the turn to a WebSocket.

use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Incoming};
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, Version};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;
use torg_core::Place;
use torg_wire::stream::Secured;

use super::listen::place_behind_proxy;
use super::websocket::{self, WebSocket};
use super::{Console, WEBSOCKET_PATH, admin, host_meta};

/// Bytes of a request line and its headers: browsers send about 1 KiB, and nothing here needs cookies.
const HEADER_BYTES_MAX: usize = 8 * 1024;
/// Headers of a request.
const HEADERS_MAX: usize = 64;
/// Time for a request to arrive.
const HEADERS_WITHIN: Duration = Duration::from_secs(10);
/// Time for a request and its answer; a slow reader is cut off.
const EXCHANGE_WITHIN: Duration = Duration::from_secs(30);

/// Which listener a connection came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Metrics, health, status; beyond the loopback with a token.
    Admin,
    /// Without TLS, from anywhere.
    Http,
    /// With TLS, from anywhere.
    Https,
    /// Through the socket beside the store.
    Local,
    /// Without TLS, on a loopback address: behind a proxy that has it.
    Proxied,
}

/// Where a connection comes from and what it has.
pub(super) struct Peer {
    pub(super) address: Option<IpAddr>,
    /// What TLS of our own knows.
    pub(super) secured: Option<Secured>,
    pub(super) place: Option<Place>,
    pub(super) begun: Instant,
}

/// An answer that is whole.
pub(super) type Answer = Response<Full<Bytes>>;

/// A WebSocket was agreed on; the address is the client's, as far as a proxy told it.
struct Turn {
    forwarded: Option<IpAddr>,
}

/// Answers one request, or turns into a WebSocket and serves that to its end.
pub(super) async fn serve<S>(console: Arc<Console>, kind: Kind, io: S, peer: Peer) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let turn: Arc<Mutex<Option<Turn>>> = Arc::default();
    let address = peer.address;
    let service = {
        let (console, turn) = (Arc::clone(&console), Arc::clone(&turn));
        service_fn(move |request: Request<Incoming>| {
            let (console, turn) = (Arc::clone(&console), Arc::clone(&turn));
            async move { Ok::<_, Infallible>(answer(&console, kind, address, &request, &turn).await) }
        })
    };
    let connection = http1::Builder::new()
        .max_headers(HEADERS_MAX)
        .max_header_size(HEADER_BYTES_MAX)
        .max_buf_size(HEADER_BYTES_MAX)
        .header_read_timeout(HEADERS_WITHIN)
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(io), service)
        .without_shutdown();
    let done = timeout(EXCHANGE_WITHIN, connection).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?;
    let parts = done.map_err(io::Error::other)?;
    let mut io = parts.io.into_inner();
    let turn = turn.lock().unwrap_or_else(PoisonError::into_inner).take();
    let Some(turn) = turn else { return io.shutdown().await };
    let place = match kind {
        Kind::Proxied => {
            drop(peer.place); // from here on the client is counted, and only until it has logged in
            place_behind_proxy(&console, turn.forwarded)
        }
        _ => peer.place,
    };
    let Some(place) = place else { return Ok(()) };
    let codec = WebSocket::new(parts.read_buf, peer.secured.is_none());
    let secured = peer.secured.filter(|_| console.channel_binding).unwrap_or_default();
    console.entrance.serve(io, codec, secured, place, peer.begun).await;
    Ok(())
}

/// The whole table of what there is.
async fn answer(
    console: &Console,
    kind: Kind,
    address: Option<IpAddr>,
    request: &Request<Incoming>,
    turn: &Mutex<Option<Turn>>,
) -> Answer {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return with(text(StatusCode::METHOD_NOT_ALLOWED, "Only GET is known here."), header::ALLOW, "GET, HEAD");
    }
    if let Some(refused) = misleading(request) {
        return refused;
    }
    let path = request.uri().path();
    match kind {
        Kind::Admin | Kind::Local => admin::answer(console, kind, address, request).await,
        Kind::Http | Kind::Proxied if path.starts_with(host_meta::CHALLENGES) => host_meta::challenge(console, path),
        Kind::Https | Kind::Proxied => match path {
            WEBSOCKET_PATH => match websocket::agree(request, &console.origins) {
                Ok(agreed) => {
                    let forwarded = forwarded(request.headers());
                    *turn.lock().unwrap_or_else(PoisonError::into_inner) = Some(Turn { forwarded });
                    agreed
                }
                Err(refused) => refused,
            },
            host_meta::XML => host_meta::xml(console),
            host_meta::JSON => host_meta::json(console),
            _ if kind == Kind::Proxied => host_meta::redirect(console, request.uri()),
            _ => text(StatusCode::NOT_FOUND, "There is nothing here."),
        },
        Kind::Http => host_meta::redirect(console, request.uri()),
    }
}

/// What a proxy in front and we could understand differently: a body, which nothing here has, so that it might be taken for another
/// request or for frames of a WebSocket; and more than one host, or none (RFC 9112 §3.2).
fn misleading<B: Body>(request: &Request<B>) -> Option<Answer> {
    let hosts = request.headers().get_all(header::HOST).iter().count();
    if !request.body().is_end_stream() {
        return Some(text(StatusCode::BAD_REQUEST, "Requests have no body here."));
    }
    if hosts > 1 || (hosts == 0 && request.version() == Version::HTTP_11) {
        return Some(text(StatusCode::BAD_REQUEST, "A request names one host."));
    }
    None
}

/// The client as the proxy in front saw it: the last address of the list, for the ones before are the client's own words.
fn forwarded(headers: &HeaderMap) -> Option<IpAddr> {
    let list = headers.get_all("x-forwarded-for").iter().next_back()?.to_str().ok()?;
    list.rsplit(',').next()?.trim().parse().ok()
}

/// An answer in words.
pub(super) fn text(status: StatusCode, text: impl Into<String>) -> Answer {
    let mut body: String = text.into();
    body.push('\n');
    typed(status, "text/plain; charset=utf-8", body)
}

/// An answer of that media type. Whoever asks gets one answer and then the end of the connection.
pub(super) fn typed(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}

/// The answer with one header more.
pub(super) fn with(mut answer: Answer, name: HeaderName, value: &str) -> Answer {
    if let Ok(value) = HeaderValue::from_str(value) {
        answer.headers_mut().insert(name, value);
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forwarded_for(values: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("x-forwarded-for", value.parse().unwrap());
        }
        forwarded(&headers).map(|address| address.to_string())
    }

    #[test]
    fn the_address_that_the_proxy_itself_saw_counts() {
        assert_eq!(forwarded_for(&["203.0.113.7"]).as_deref(), Some("203.0.113.7"));
        assert_eq!(forwarded_for(&["10.0.0.1, 203.0.113.7"]).as_deref(), Some("203.0.113.7"));
        assert_eq!(forwarded_for(&["10.0.0.1", "2001:db8::1"]).as_deref(), Some("2001:db8::1"));
    }

    #[test]
    fn what_is_no_address_is_none() {
        assert_eq!(forwarded_for(&[]), None);
        assert_eq!(forwarded_for(&["unknown"]), None);
        assert_eq!(forwarded_for(&["203.0.113.7, "]), None);
    }

    fn is_misleading(body: &'static str, version: Version, hosts: &[&str]) -> bool {
        let mut request = Request::new(Full::new(Bytes::from_static(body.as_bytes())));
        *request.version_mut() = version;
        for host in hosts {
            request.headers_mut().append(header::HOST, host.parse().unwrap());
        }
        misleading(&request).is_some_and(|answer| answer.status() == StatusCode::BAD_REQUEST)
    }

    #[test]
    fn a_request_has_one_host_and_no_body() {
        assert!(!is_misleading("", Version::HTTP_11, &["site.example"]));
        assert!(!is_misleading("", Version::HTTP_10, &[]), "HTTP/1.0 knew no hosts");
        assert!(is_misleading("", Version::HTTP_11, &[]));
        assert!(is_misleading("", Version::HTTP_11, &["site.example", "other.example"]));
        assert!(is_misleading("x", Version::HTTP_11, &["site.example"]));
    }
}
