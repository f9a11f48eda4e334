//! Streams in a line.

use torg_wire::reader::{StreamEvent, StreamReader};
use torg_wire::stream_error::{StreamCondition, StreamError};
use torg_wire::xml::{Element, Limits};

/// A client's stream header.
pub(crate) const HEADER: &str =
    "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>";

/// Everything a reader says about the bytes, fed in one piece.
pub(crate) fn read(bytes: &[u8], limits: Limits) -> (Vec<StreamEvent>, Option<StreamError>) {
    let mut reader = StreamReader::new(limits);
    reader.feed(bytes);
    drain(&mut reader)
}

/// Everything a reader has to say now.
pub(crate) fn drain(reader: &mut StreamReader) -> (Vec<StreamEvent>, Option<StreamError>) {
    let mut events = Vec::new();
    loop {
        match reader.next_event() {
            Ok(Some(event)) => events.push(event),
            Ok(None) => return (events, None),
            Err(error) => return (events, Some(error)),
        }
    }
}

/// The element that stands behind the header.
pub(crate) fn accepted(xml: &str) -> Element {
    match read(format!("{HEADER}{xml}").as_bytes(), Limits::CLIENT) {
        (events, None) => match &events[..] {
            [StreamEvent::Open(_), StreamEvent::Element(element)] => element.clone(),
            other => panic!("not one element: {other:?} from {xml}"),
        },
        (_, Some(error)) => panic!("{error} for {xml}"),
    }
}

/// The error for what stands behind the header.
pub(crate) fn refused(xml: impl AsRef<[u8]>) -> StreamCondition {
    refused_stream([HEADER.as_bytes(), xml.as_ref()].concat())
}

/// The error for a whole stream.
pub(crate) fn refused_stream(bytes: impl AsRef<[u8]>) -> StreamCondition {
    match read(bytes.as_ref(), Limits::CLIENT) {
        (_, Some(error)) => error.condition(),
        (events, None) => panic!("accepted as {events:?}: {}", String::from_utf8_lossy(bytes.as_ref())),
    }
}
