//! Files of user data that move between servers (XEP-0227): reading them account by account, and the keys in them.
//!
//! Read as a stream: never more than one account is held, within [`USER_LIMITS`]. What an account's data mean is for the services that
//! keep them. Not here: `<include/>` of other files, which [`Event::Other`] shows.
#![warn(clippy::indexing_slicing, clippy::as_conversions, clippy::arithmetic_side_effects)]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::framer::{Frame, Framer};
use crate::ns;
use crate::sasl::{ScramHash, StoredKeys};
use crate::stream_error::StreamError;
use crate::xml::{Declarations, Element, Limits, Scope, checked_text, malformed, parse_element, parse_open_tag_within};

/// What one account may take up: full offline storage, roster and personal nodes of ours, three times over.
pub const USER_LIMITS: Limits =
    Limits { bytes: 32 * 1024 * 1024, depth: 72, elements: 400_000, attributes: 64, bindings: 64 };

/// What a file says, in its order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The accounts of this domain follow; as written.
    Host(String),
    /// An account.
    User(Element),
    /// Something else, which is not understood here: its namespace and name.
    Other(String),
    /// The end of the file.
    End,
}

/// Reads a file. Feed, then take events until there is none; a file that was fed whole must have come to [`Event::End`].
#[derive(Debug)]
pub struct Reader {
    framer: Framer,
    outer: Declarations,
    inner: Declarations,
    stage: Stage,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Document,
    Hosts,
    Users,
    End,
}

impl Default for Reader {
    fn default() -> Self {
        let (outer, inner) = (Declarations::new(), Declarations::new());
        Reader { framer: Framer::new(USER_LIMITS), outer, inner, stage: Stage::Document }
    }
}

impl Reader {
    /// Appends bytes of the file.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.framer.feed(bytes);
    }

    /// The next event, or `None` until more is fed.
    ///
    /// # Errors
    /// It is not such a file, or not well-formed, or too large. It is final.
    pub fn next_event(&mut self) -> Result<Option<Event>, StreamError> {
        loop {
            match self.stage {
                Stage::End => {
                    return if self.framer.is_blank() { Ok(None) } else { Err(malformed("More than one element.")) };
                }
                Stage::Hosts => match self.at_end()? {
                    None => return Ok(None),
                    Some(true) => {
                        self.stage = Stage::End;
                        return Ok(Some(Event::End));
                    }
                    Some(false) => {}
                },
                Stage::Document | Stage::Users => {}
            }
            if let Some(event) = self.frame()? {
                return Ok(event);
            }
        }
    }

    /// One frame: `None` if it was only a step, `Some(None)` if more bytes are needed.
    fn frame(&mut self) -> Result<Option<Option<Event>>, StreamError> {
        let (stage, scope) = (self.stage, &self.inner);
        let found = match self.framer.next_frame()? {
            None => return Ok(Some(None)),
            Some(Frame::Close) => {
                self.framer.restart();
                self.stage = Stage::Hosts;
                return Ok(None);
            }
            Some(Frame::Element(bytes)) => {
                let user = checked_text(bytes).and_then(|text| parse_element(text, scope, &USER_LIMITS))?;
                return Ok(Some(Some(match user.is(ns::PIE, "user") {
                    true => Event::User(user),
                    false => Event::Other(format!("{} in {}", user.name(), user.namespace().as_str())),
                })));
            }
            Some(Frame::Header(bytes)) => parse_open_tag_within(checked_text(bytes)?, &self.outer, &USER_LIMITS),
        };
        let (element, scope) = found.map_err(|error| self.framer.fail(error))?;
        match (stage, element.attr("jid")) {
            (Stage::Document, _) if element.is(ns::PIE, "server-data") => {
                self.framer.restart();
                (self.outer, self.stage) = (scope, Stage::Hosts);
                Ok(None)
            }
            (Stage::Hosts, Some(jid)) if element.is(ns::PIE, "host") => {
                let jid = jid.to_owned();
                (self.inner, self.stage) = (scope, Stage::Users);
                Ok(Some(Some(Event::Host(jid))))
            }
            (Stage::Hosts, _) => Err(self.framer.fail(malformed("Only hosts are understood inside of server-data."))),
            _ => Err(self.framer.fail(malformed("Not a file of user data: it does not begin with server-data."))),
        }
    }

    /// Whether the end tag of the file comes next; `None` until that can be told.
    fn at_end(&mut self) -> Result<Option<bool>, StreamError> {
        let waiting = self.framer.waiting().trim_ascii_start();
        match (waiting, waiting.iter().position(|byte| *byte == b'>')) {
            ([] | [b'<'], _) => Ok(None),
            ([b'<', b'/', ..], None) if waiting.len() < NAME_BYTES_MAX => Ok(None),
            ([b'<', b'/', ..], Some(end)) => {
                let name = waiting.get(2..end).unwrap_or_default().trim_ascii_end();
                let after = end.saturating_add(1);
                let is_blank = waiting.get(after..).unwrap_or_default().trim_ascii().is_empty();
                let local = name.rsplit(|byte| *byte == b':').next();
                if local != Some(b"server-data") || !is_blank {
                    return Err(self.framer.fail(malformed("End tag without its start tag.")));
                }
                self.framer = Framer::new(USER_LIMITS);
                Ok(Some(true))
            }
            ([b'<', b'/', ..], None) => Err(self.framer.fail(malformed("End tag without its start tag."))),
            _ => Ok(Some(false)),
        }
    }
}

/// Bytes in which an end tag must end.
const NAME_BYTES_MAX: usize = 1_024;

/// What a file of this domain begins with.
#[must_use]
pub fn begin(domain: &str) -> Vec<u8> {
    let mut out = b"<?xml version='1.0' encoding='UTF-8'?>\n<server-data xmlns='urn:xmpp:pie:0'>\n".to_vec();
    let mut host = Vec::new();
    Element::new(ns::PIE, "host").with_attr("jid", domain).write_to(&mut host, &Scope::DOCUMENT);
    // An element without content ends in `/>`.
    host.truncate(host.len().saturating_sub(2));
    out.extend(host);
    out.extend(b">\n");
    out
}

/// An account of the file.
#[must_use]
pub fn user(user: &Element) -> Vec<u8> {
    let mut out = Vec::new();
    user.write_to(&mut out, &Scope::DOCUMENT);
    out.push(b'\n');
    out
}

/// What a file ends with.
pub const END: &[u8] = b"</host>\n</server-data>\n";

/// Keys as a file carries them (XEP-0227 "SCRAM credentials").
#[must_use]
pub fn scram_element(keys: &StoredKeys) -> Element {
    let part = |name, text: String| Element::new(ns::PIE_SCRAM, name).with_text(text);
    Element::new(ns::PIE_SCRAM, "scram-credentials")
        .with_attr("mechanism", format!("SCRAM-{}", keys.hash().name().to_ascii_uppercase()))
        .with_child(part("iter-count", keys.iterations().to_string()))
        .with_child(part("salt", STANDARD.encode(keys.salt())))
        .with_child(part("server-key", STANDARD.encode(keys.server_key())))
        .with_child(part("stored-key", STANDARD.encode(keys.stored_key())))
}

/// Keys from a file; `None` if they are of a hash that is not known, or not well-formed.
#[must_use]
pub fn scram_keys(element: &Element) -> Option<StoredKeys> {
    let hash = ScramHash::parse(&element.attr("mechanism")?.strip_prefix("SCRAM-")?.to_ascii_lowercase())?;
    let text = |name| element.child_text(ns::PIE_SCRAM, name).map(|text| text.trim().to_owned());
    let bytes = |name| STANDARD.decode(text(name)?).ok();
    let iterations = text("iter-count")?.parse().ok().filter(|count| *count <= ITERATIONS_MAX)?;
    StoredKeys::from_parts(hash, bytes("salt")?, iterations, &bytes("stored-key")?, &bytes("server-key")?).ok()
}

/// Most iterations that are taken over: a client must be able to do them in seconds.
const ITERATIONS_MAX: u32 = 10_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "<?xml version='1.0' encoding='UTF-8'?>\n<server-data xmlns='urn:xmpp:pie:0' xmlns:x='urn:example'>\n  \
        <host jid='capulet.com'><user name='juliet'><x:more/><query xmlns='jabber:iq:roster'/></user>\n<x:thing/></host>\n  \
        <host jid='montague.net' xmlns:y='urn:y'><user name='romeo'><y:z/></user></host>\n</server-data>\n";

    fn read(file: &str, step: usize) -> Result<Vec<Event>, StreamError> {
        let mut reader = Reader::default();
        let mut events = Vec::new();
        for bytes in file.as_bytes().chunks(step) {
            reader.feed(bytes);
            while let Some(event) = reader.next_event()? {
                events.push(event);
            }
        }
        Ok(events)
    }

    #[test]
    fn hosts_and_accounts_come_in_order_however_the_file_is_cut() {
        let whole = read(FILE, FILE.len()).unwrap();
        let names = whole.iter().map(|event| match event {
            Event::Host(jid) => format!("host {jid}"),
            Event::User(user) => {
                let children: Vec<_> = user.children().map(|child| child.namespace().as_str()).collect();
                format!("user {} {}", user.attr("name").unwrap(), children.join(" "))
            }
            Event::Other(what) => what.clone(),
            Event::End => "end".to_owned(),
        });
        assert_eq!(
            names.collect::<Vec<_>>(),
            [
                "host capulet.com",
                "user juliet urn:example jabber:iq:roster",
                "thing in urn:example",
                "host montague.net",
                "user romeo urn:y",
                "end"
            ]
        );
        for step in [1, 2, 3, 7, 64] {
            assert_eq!(read(FILE, step).unwrap(), whole, "{step}");
        }
    }

    #[test]
    fn what_is_no_such_file_is_refused() {
        let wrong = [
            "<stream xmlns='urn:xmpp:pie:0'>",
            "<server-data xmlns='urn:other'>",
            "<server-data xmlns='urn:xmpp:pie:0'><user name='x'/>",
            "<server-data xmlns='urn:xmpp:pie:0'><host>",
            "<server-data xmlns='urn:xmpp:pie:0'></host>",
            "<server-data xmlns='urn:xmpp:pie:0'></server-data><more/>",
            "<server-data xmlns='urn:xmpp:pie:0'><host jid='a'><user>&unknown;</user>",
            "<!DOCTYPE x><server-data xmlns='urn:xmpp:pie:0'>",
            "<server-data xmlns='urn:xmpp:pie:0'><host jid='a'><!-- x --></host>",
            "just text",
        ];
        for file in wrong {
            assert!(read(file, file.len()).is_err(), "{file}");
        }
    }

    #[test]
    fn a_file_that_is_cut_off_has_no_end() {
        for length in 0..FILE.trim_end().len() {
            let events = read(&FILE[..length], length.max(1)).unwrap();
            assert!(!events.contains(&Event::End), "{length}");
        }
    }

    #[test]
    fn keys_come_back_as_they_were() {
        let keys = StoredKeys::from_parts(ScramHash::Sha256, b"salt".to_vec(), 10_000, &[1; 32], &[2; 32]).unwrap();
        assert_eq!(scram_element(&keys).attr("mechanism"), Some("SCRAM-SHA-256"));
        assert_eq!(scram_keys(&scram_element(&keys)), Some(keys));
        let other = Element::new(ns::PIE_SCRAM, "scram-credentials").with_attr("mechanism", "SCRAM-MD5");
        assert_eq!(scram_keys(&other), None);
    }

    #[test]
    fn what_is_written_is_read() {
        let account = Element::new(ns::PIE, "user").with_attr("name", "anna & bob");
        let file = [begin("site.example"), user(&account), END.to_vec()].concat();
        let events = read(std::str::from_utf8(&file).unwrap(), 5).unwrap();
        assert_eq!(events, [Event::Host("site.example".into()), Event::User(account), Event::End]);
    }
}
