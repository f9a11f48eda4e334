//! The comparison with `rxml`, an independent parser of the same XML profile. Used by the corpus test and by the fuzz targets.
//!
//! Both must accept or refuse the same bytes and see the same trees. Intended differences:
//! - limits: ours bounds bytes, depth, elements, attributes, declarations; the comparison runs without them;
//! - what XMPP forbids beyond XML: text between stanzas (`bad-format`), headers of other namespaces (`invalid-namespace`);
//! - names with characters from U+FDF0 to U+FFFD: the standard allows them (XML 1.0 §2.3), the tables of rxml lack the range;
//! - a carriage return alone in an attribute value: rxml refuses or loses it, so it gets the input with line ends already
//!   made line feeds, as XML 1.0 §2.11 says a parser does first;
//! - white space before a document without XML declaration: allowed (XML 1.0 §2.8, prolog), refused by rxml, so it is not shown;
//! - the default namespace declared twice in one tag: an attribute given twice (XML 1.0 §3.1), which rxml lets through;
//! - `standalone` in the XML declaration: rxml wants `encoding` before it and `yes` in it, the standard does not;
//! - bytes after the end of the stream: ours ignores them, rxml reports them;
//! - an unfinished token at the end of input: ours may already refuse what rxml still waits for, if nothing could save it;
//! - an unfinished element at the end of input: rxml may already report an error that ours reports when the element ends.

use std::collections::BTreeMap;

use rxml::error::EndOrError;
use rxml::{Event, Parse, WithOptions};
use torg_wire::reader::{StreamEvent, StreamReader};
use torg_wire::stream_error::{StreamCondition, StreamError};
use torg_wire::xml::{Content, Element, Limits, Scope, parse_document};

/// No limit that a fuzzer reaches.
const UNLIMITED: Limits =
    Limits { bytes: 1 << 30, depth: 1 << 20, elements: 1 << 20, attributes: 1 << 20, bindings: 1 << 20 };

const HEADER: &str = "<s:stream xmlns='jabber:client' xmlns:s='http://etherx.jabber.org/streams' version='1.0'>";

/// Compares the two parsers on the input as a document, as a stream, and as what follows a stream header.
///
/// # Panics
/// If they disagree, or if writing and reading an accepted tree changes it.
pub(crate) fn compare(input: &[u8]) {
    compare_document(input);
    compare_stream(input);
    compare_stream(&[HEADER.as_bytes(), input].concat());
}

/// An element in neutral form.
#[derive(Clone, Debug, Default, PartialEq)]
struct Tree {
    name: (String, String),
    attributes: BTreeMap<(String, String), String>,
    content: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Text(String),
    Tree(Tree),
}

impl Tree {
    fn push_text(&mut self, text: &str) {
        match self.content.last_mut() {
            Some(Part::Text(last)) => last.push_str(text),
            _ if text.is_empty() => {}
            _ => self.content.push(Part::Text(text.into())),
        }
    }
}

impl From<&Element> for Tree {
    fn from(element: &Element) -> Self {
        let name = |namespace: &str, name: &str| (namespace.to_owned(), name.to_owned());
        Tree {
            name: name(element.namespace().as_str(), element.name()),
            attributes: element
                .attributes()
                .iter()
                .map(|a| (name(a.namespace().as_str(), a.name()), a.value().to_owned()))
                .collect(),
            content: element
                .content()
                .iter()
                .map(|content| match content {
                    Content::Element(child) => Part::Tree(child.into()),
                    Content::Text(text) => Part::Text(text.to_string()),
                })
                .collect(),
        }
    }
}

/// How reading ended.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    /// The root was closed.
    Closed,
    /// More could come.
    Waiting,
    /// An error.
    Refused,
}

/// What rxml made of the bytes.
#[derive(Debug)]
struct Seen {
    declared: bool,
    /// Text directly inside the root that is more than white space written as such.
    text_in_root: bool,
    root: Option<Tree>,
    children: Vec<Tree>,
    end: End,
    error: Option<String>,
    /// It stopped at what the standard allows; see above.
    beyond_standard: bool,
}

/// Line ends as a parser sees them: `\r\n` and `\r` are `\n`.
fn with_line_feeds(input: &[u8]) -> Vec<u8> {
    let mut before = 0;
    let mut out = Vec::with_capacity(input.len());
    for byte in input {
        match byte {
            b'\n' if before == b'\r' => {}
            b'\r' => out.push(b'\n'),
            _ => out.push(*byte),
        }
        before = *byte;
    }
    out
}

fn ask_rxml(input: &[u8]) -> Seen {
    let normal = with_line_feeds(input);
    let mut input = match normal.iter().position(|b| !b" \t\n".contains(b)) {
        Some(at) if !normal[at..].starts_with(b"<?") => &normal[at..],
        _ => &normal[..],
    };
    let options = rxml::Options { max_token_length: 1 << 30, ..rxml::Options::default() };
    let mut parser = rxml::Parser::with_options(options);
    let mut seen = Seen {
        declared: false,
        text_in_root: false,
        root: None,
        children: vec![],
        end: End::Waiting,
        error: None,
        beyond_standard: false,
    };
    let mut open: Vec<Tree> = Vec::new();
    loop {
        match parser.parse(&mut input, true) {
            Ok(Some(Event::XmlDeclaration(..))) => seen.declared = true,
            Ok(Some(Event::StartElement(_, (namespace, name), attributes))) => {
                let attributes = attributes
                    .iter()
                    .map(|((namespace, name), value)| {
                        ((namespace.as_str().to_owned(), name.to_string()), value.to_owned())
                    })
                    .collect();
                let tree = Tree { name: (namespace.as_str().into(), name.to_string()), attributes, content: vec![] };
                if open.is_empty() {
                    seen.root = Some(tree.clone());
                }
                open.push(tree);
            }
            Ok(Some(Event::Text(_, text))) => {
                if let [root] = &mut open[..] {
                    root.push_text(&text);
                    seen.text_in_root = true;
                } else if let Some(innermost) = open.last_mut() {
                    innermost.push_text(&text);
                }
            }
            Ok(Some(Event::EndElement(_))) => {
                let Some(done) = open.pop() else { continue };
                match &mut open[..] {
                    [] => {
                        seen.root = Some(done);
                        seen.end = End::Closed;
                    }
                    [root] => {
                        seen.children.push(done.clone());
                        root.content.push(Part::Tree(done));
                    }
                    [.., parent] => parent.content.push(Part::Tree(done)),
                }
            }
            Ok(None) => return seen,
            Err(EndOrError::NeedMoreData) => return seen,
            Err(EndOrError::Error(error)) => {
                let gap = '\u{FDF0}'..='\u{FFFD}';
                seen.beyond_standard = matches!(error, rxml::Error::UnexpectedChar(_, c, _) if gap.contains(&c));
                seen.error = Some(format!("{error:?}"));
                if seen.end != End::Closed && !matches!(error, rxml::Error::InvalidEof(_)) {
                    seen.end = End::Refused;
                }
                return seen;
            }
        }
    }
}

fn compare_document(input: &[u8]) {
    let theirs = ask_rxml(input);
    if theirs.declared || theirs.beyond_standard {
        return;
    }
    let they_accept = theirs.end == End::Closed && theirs.error.is_none();
    match parse_document(input, &UNLIMITED) {
        Ok(element) => {
            assert!(they_accept, "ours accepts {element}, rxml says {:?}", theirs.error);
            assert_eq!(Some(Tree::from(&element)), theirs.root);
            check_round_trip(&element);
        }
        Err(_) if declares_default_twice(input) => {}
        Err(error) => assert!(!they_accept, "ours says {error}, rxml accepts {:?}", theirs.root),
    }
}

fn check_round_trip(element: &Element) {
    let written = element.to_string();
    let again = parse_document(&written, &UNLIMITED);
    assert_eq!(again.as_ref(), Ok(element), "read back from {written}");
    assert_eq!(again.map(|e| e.to_string()), Ok(written), "written twice");
    let in_stream = [HEADER.as_bytes(), &element.to_bytes(&Scope::with_default("jabber:client"))].concat();
    let (events, end, _) = ask_ours(&in_stream);
    assert_eq!((events.len(), end), (2, End::Waiting));
    assert_eq!(events.last(), Some(&StreamEvent::Element(element.clone())));
}

fn ask_ours(input: &[u8]) -> (Vec<StreamEvent>, End, Option<StreamError>) {
    let mut reader = StreamReader::new(UNLIMITED);
    reader.feed(input);
    let mut events = Vec::new();
    loop {
        match reader.next_event() {
            Ok(Some(StreamEvent::Close)) => return (events, End::Closed, None),
            Ok(Some(event)) => events.push(event),
            Ok(None) => return (events, End::Waiting, None),
            Err(error) => return (events, End::Refused, Some(error)),
        }
    }
}

fn compare_stream(input: &[u8]) {
    let theirs = ask_rxml(input);
    if theirs.beyond_standard {
        return;
    }
    let (events, end, error) = ask_ours(input);
    let ours: Vec<Tree> = events
        .iter()
        .filter_map(|event| match event {
            StreamEvent::Element(element) => Some(Tree::from(element)),
            StreamEvent::Open(_) | StreamEvent::Close => None,
        })
        .collect();
    match error.map(|error| error.condition()) {
        None => {
            assert!(!theirs.text_in_root || only_white_space(&theirs), "ours let text between stanzas through");
            if end == End::Closed {
                assert_eq!(theirs.end, End::Closed, "rxml says {:?}", theirs.error);
            } else {
                assert_ne!(theirs.end, End::Closed, "ours still waits");
            }
            assert_eq!(ours, theirs.children);
        }
        Some(StreamCondition::BadFormat | StreamCondition::InvalidNamespace) => {
            assert!(theirs.children.starts_with(&ours));
        }
        Some(_) if mentions_standalone(input) || declares_default_twice(input) => {}
        Some(condition) => {
            assert_ne!(theirs.end, End::Closed, "ours says {condition}, rxml accepts");
            assert_eq!(ours, theirs.children);
            if theirs.end == End::Waiting {
                check_hopeless(input, ours.len(), condition);
            }
        }
    }
    for event in &events {
        if let StreamEvent::Element(element) = event {
            check_round_trip(element);
        }
    }
}

/// Ours refused where rxml waits for the rest of a token: no rest may make it acceptable.
fn check_hopeless(input: &[u8], children: usize, condition: StreamCondition) {
    const RESTS: [&str; 10] =
        [">", "/>", "'/>", "\"/>", "='1'/>", ";</a>", "]]></a>", "></a>", "-->", " xmlns:p='u' xmlns:q='v' x='y'/>"];
    for rest in RESTS {
        let theirs = ask_rxml(&[input, rest.as_bytes()].concat());
        let hopeless = theirs.end != End::Closed && theirs.children.len() == children;
        assert!(hopeless, "ours says {condition} too early, rxml accepts with {rest}");
    }
}

fn only_white_space(seen: &Seen) -> bool {
    // Text of an open root is lost with it; only a closed root can be judged.
    seen.end != End::Closed
        || seen.root.iter().flat_map(|root| &root.content).all(|part| match part {
            Part::Text(text) => text.trim_matches([' ', '\t', '\r', '\n']).is_empty(),
            Part::Tree(_) => true,
        })
}

fn mentions_standalone(input: &[u8]) -> bool {
    input.starts_with(b"<?xml") && input.windows(10).any(|w| w == b"standalone")
}

/// Whether one tag seems to declare the default namespace twice. A value that looks like a declaration counts too; that only
/// leaves an input unjudged which ours has refused.
fn declares_default_twice(input: &[u8]) -> bool {
    let declaration = |after: &str| after.trim_start_matches([' ', '\t', '\r', '\n']).starts_with('=');
    String::from_utf8_lossy(input)
        .split('<')
        .any(|tag| tag.split("xmlns").skip(1).filter(|a| declaration(a)).count() > 1)
}
