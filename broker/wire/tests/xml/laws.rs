//! Laws that hold for any input, written once for property tests, fuzz targets and the corpus.

use torg_wire::jid::{BareJid, Jid, LocalPart, PART_BYTES_MAX, ResourcePart};
use torg_wire::reader::{StreamEvent, StreamReader};
use torg_wire::stream_error::StreamError;
use torg_wire::xml::Limits;

type Outcome = (Vec<StreamEvent>, Option<StreamError>);

/// However the bytes are split, a stream says the same. The first eight bytes choose how to split the rest.
///
/// # Panics
/// If it does not.
pub(crate) fn check_split(input: &[u8]) {
    let (seed, bytes) = input.split_at(input.len().min(8));
    let seed = seed.iter().fold(1_u64, |seed, byte| (seed << 8) | u64::from(*byte));
    let header = b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>";
    for stream in [bytes.to_vec(), [header, bytes].concat()] {
        for limits in [Limits::BEFORE_LOGIN, Limits { bytes: 64, depth: 3, elements: 5, attributes: 2, bindings: 4 }] {
            let whole = read_in_pieces(&stream, limits, |rest| rest);
            assert_eq!(read_in_pieces(&stream, limits, |_| 1), whole, "byte by byte");
            let mut state = seed;
            let pieces = read_in_pieces(&stream, limits, |_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                1 + usize::try_from(state >> 59).unwrap_or(0)
            });
            assert_eq!(pieces, whole, "in pieces");
        }
    }
}

fn read_in_pieces(mut bytes: &[u8], limits: Limits, mut length: impl FnMut(usize) -> usize) -> Outcome {
    let mut reader = StreamReader::new(limits);
    let mut events = Vec::new();
    while !bytes.is_empty() {
        let (piece, rest) = bytes.split_at(length(bytes.len()).min(bytes.len()));
        reader.feed(piece);
        bytes = rest;
        loop {
            match reader.next_event() {
                Ok(Some(event)) => events.push(event),
                Ok(None) => break,
                Err(error) => return (events, Some(error)),
            }
        }
    }
    (events, None)
}

/// An address that parses is prepared: it reads back as itself, and its parts fit together and within their limits.
///
/// # Panics
/// If it is not.
pub(crate) fn check_jid(text: &str) {
    let Ok(jid) = Jid::parse(text) else { return };
    assert_eq!(Jid::parse(jid.as_str()).as_ref(), Ok(&jid), "{text:?} read back");
    let parts = [jid.local(), Some(jid.domain()), jid.resource()];
    for part in parts.into_iter().flatten() {
        assert!((1..=PART_BYTES_MAX).contains(&part.len()), "{text:?}: part of {} bytes", part.len());
    }
    let local = jid.local().map(|local| format!("{local}@")).unwrap_or_default();
    let resource = jid.resource().map(|resource| format!("/{resource}")).unwrap_or_default();
    assert_eq!(format!("{local}{}{resource}", jid.domain()), jid.as_str());
    assert_eq!(jid.to_bare().as_str(), jid.bare_str());
    assert_eq!(jid.to_full().is_some(), jid.is_full());
    if let Ok(account) = BareJid::parse_new_account(jid.bare_str()) {
        assert_eq!(account, jid.to_bare(), "an account is spelled as it is routed");
        assert!(LocalPart::parse_new_account(account.local().unwrap_or_default()).is_ok());
    }
    if let Some(Ok(resource)) = jid.resource().map(ResourcePart::parse_new_session) {
        assert_eq!(Some(resource.as_str()), jid.resource());
    }
}
