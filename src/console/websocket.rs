//! WebSocket below a stream of messages (RFC 6455, RFC 7395): the agreement in HTTP, and the codec between its frames and the machine.
//!
//! # Why
//! `tungstenite`, used without its own input and output: frames go in and out of buffers here, so that the connection's loop, with its
//! limits, is the one of TCP, and the size of a message can be what the machine allows at this moment: 10,000 bytes before login.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, StatusCode, Version};
use torg_core::Codec;
use torg_wire::stream::{MESSAGE_END, ServerStream};
use torg_wire::stream_error::{StreamCondition, StreamError};
use tungstenite::Utf8Bytes;
use tungstenite::handshake::derive_accept_key;
use tungstenite::protocol::frame::CloseFrame;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::protocol::{Message, Role, WebSocketConfig, WebSocketContext};

use super::http::{Answer, text, typed, with};

/// The subprotocol (RFC 7395 §3.1).
const SUBPROTOCOL: &str = "xmpp";
/// The version of WebSocket (RFC 6455 §4.1).
const VERSION: &str = "13";
/// Length of the client's key: 16 bytes in base64 (RFC 6455 §4.1).
const KEY_CHARS: usize = 24;
/// Bytes taken at once from what was received; held by each connection.
const READ: usize = 1024;
/// How often a proxy is shown that the connection is alive; nginx gives up after 60 s of silence.
const PING_EVERY: Duration = Duration::from_secs(50);

/// Whether the client may have a WebSocket: the answer 101 to give, or why not.
#[expect(clippy::result_large_err, reason = "both are answers, given once for each connection")]
pub(super) fn agree<B>(request: &Request<B>, origins: &BTreeSet<String>) -> Result<Answer, Answer> {
    let headers = request.headers();
    if request.method() != Method::GET
        || request.version() != Version::HTTP_11
        || !lists(headers, header::UPGRADE, "websocket")
    {
        let answer = text(StatusCode::UPGRADE_REQUIRED, "This is for XMPP over WebSocket (RFC 7395).");
        return Err(with(with(answer, header::UPGRADE, "websocket"), header::CONNECTION, "upgrade, close"));
    }
    if headers.get(header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != VERSION) {
        let answer = text(StatusCode::UPGRADE_REQUIRED, "Only version 13 is spoken here.");
        return Err(with(answer, header::SEC_WEBSOCKET_VERSION, VERSION));
    }
    let key = headers.get(header::SEC_WEBSOCKET_KEY).filter(|key| key.len() == KEY_CHARS);
    let (true, Some(key)) = (lists(headers, header::CONNECTION, "upgrade"), key) else {
        return Err(text(StatusCode::BAD_REQUEST, "The request for a WebSocket is not complete."));
    };
    if !lists(headers, header::SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL) {
        return Err(text(StatusCode::BAD_REQUEST, "The subprotocol must be xmpp."));
    }
    let origin = headers.get(header::ORIGIN);
    if !origins.is_empty() && origin.is_some_and(|origin| !origin.to_str().is_ok_and(|origin| origins.contains(origin)))
    {
        return Err(text(StatusCode::FORBIDDEN, "Scripts of this page may not connect."));
    }
    let mut answer = typed(StatusCode::SWITCHING_PROTOCOLS, "text/plain", Bytes::new());
    answer.headers_mut().clear();
    let answer = with(answer, header::CONNECTION, "upgrade");
    let answer = with(answer, header::UPGRADE, "websocket");
    let answer = with(answer, header::SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL);
    Ok(with(answer, header::SEC_WEBSOCKET_ACCEPT, &derive_accept_key(key.as_bytes())))
}

/// Whether a header that is a list has this element.
fn lists(headers: &HeaderMap, name: HeaderName, wanted: &str) -> bool {
    let texts = headers.get_all(name).into_iter().filter_map(|value: &HeaderValue| value.to_str().ok());
    texts.flat_map(|text| text.split(',')).any(|one| one.trim().eq_ignore_ascii_case(wanted))
}

/// The server's side of a WebSocket that was agreed on.
pub(super) struct WebSocket {
    context: WebSocketContext,
    pipe: Pipe,
    /// Nothing more is read: the peer has ended it or broken a rule.
    ended: bool,
    /// When to ping next; `None` if nobody in between needs that.
    ping: Option<Instant>,
}

/// Received bytes not yet looked at, and bytes to send.
#[derive(Default)]
struct Pipe {
    received: Vec<u8>,
    taken: usize,
    out: Vec<u8>,
}

impl WebSocket {
    /// `read` came behind the request already. Proxies are pinged.
    pub(super) fn new(read: Bytes, behind_proxy: bool) -> WebSocket {
        let config = WebSocketConfig::default().read_buffer_size(READ).write_buffer_size(0);
        WebSocket {
            context: WebSocketContext::new(Role::Server, Some(config)),
            pipe: Pipe { received: read.to_vec(), ..Pipe::default() },
            ended: false,
            // The first call of `wake` sets the pace.
            ping: behind_proxy.then(Instant::now),
        }
    }

    fn refuse(&mut self, machine: &mut ServerStream, condition: StreamCondition, why: &'static str) {
        self.ended = true;
        machine.close_with_error(StreamError::new(condition).with_text(why));
    }
}

impl Codec for WebSocket {
    fn receive(&mut self, _: &mut ServerStream, bytes: &[u8]) {
        self.pipe.give(bytes);
    }

    fn advance(&mut self, machine: &mut ServerStream) -> bool {
        while !self.ended {
            let most = machine.message_bytes_max();
            self.context.set_config(|config| {
                config.max_message_size = Some(most);
                config.max_frame_size = Some(most);
            });
            match self.context.read(&mut self.pipe) {
                Ok(Message::Text(text)) => machine.receive_message(text.as_bytes()),
                Ok(Message::Binary(_)) => self.refuse(machine, StreamCondition::BadFormat, "Messages are text."),
                Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => continue,
                Err(tungstenite::Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Err(tungstenite::Error::Capacity(_)) => {
                    self.refuse(machine, StreamCondition::PolicyViolation, "Too many bytes in one message.");
                }
                Err(tungstenite::Error::Utf8(_)) => {
                    self.refuse(machine, StreamCondition::UnsupportedEncoding, "Not UTF-8.");
                }
                Ok(Message::Close(_)) | Err(_) => {
                    self.ended = true;
                    machine.end_of_input();
                }
            }
            return true;
        }
        false
    }

    fn owes(&self) -> bool {
        !self.pipe.out.is_empty()
    }

    fn encode(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        // A peer that has closed its side hears nothing more; what a session had for it goes back to the session.
        if !out.is_empty() && !self.context.can_write() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        for message in out.split(|byte| *byte == MESSAGE_END).filter(|message| !message.is_empty()) {
            let text = Utf8Bytes::try_from(Bytes::copy_from_slice(message)).map_err(io::Error::other)?;
            self.context.write(&mut self.pipe, Message::Text(text)).map_err(io::Error::other)?;
        }
        *out = std::mem::take(&mut self.pipe.out);
        Ok(())
    }

    fn farewell(&mut self, out: &mut Vec<u8>) {
        // Once the peer has closed it, this only brings out our own answer to that.
        let reason = Utf8Bytes::from_static("");
        let _ = self.context.close(&mut self.pipe, Some(CloseFrame { code: CloseCode::Normal, reason }));
        out.append(&mut self.pipe.out);
    }

    fn deadline(&self) -> Option<Instant> {
        self.ping.filter(|_| !self.ended)
    }

    fn wake(&mut self, now: Instant) {
        let Some(due) = self.ping.filter(|due| *due <= now) else { return };
        self.ping = due.max(now).checked_add(PING_EVERY);
        if self.context.can_write() {
            let _ = self.context.write(&mut self.pipe, Message::Ping(Bytes::new())); // into memory
        }
    }
}

impl Pipe {
    fn give(&mut self, bytes: &[u8]) {
        self.received.drain(..self.taken);
        self.taken = 0;
        self.received.extend_from_slice(bytes);
    }
}

impl Read for Pipe {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let left = self.received.get(self.taken..).unwrap_or_default();
        if left.is_empty() {
            (self.received, self.taken) = (Vec::new(), 0); // an idle connection holds nothing
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = left.len().min(into.len());
        for (to, from) in into.iter_mut().zip(left) {
            *to = *from;
        }
        self.taken = self.taken.saturating_add(count);
        Ok(count)
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
#[path = "websocket_tests.rs"]
mod tests;
