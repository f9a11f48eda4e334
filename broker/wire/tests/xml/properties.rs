//! Property tests: any split, any bytes, any tree, any address.

use proptest::collection::vec;
use proptest::prelude::*;
use torg_wire::ns;
use torg_wire::reader::StreamEvent;
use torg_wire::xml::{Content, Element, Limits, Scope, parse_document};

use crate::support::read;
use crate::{laws, machine, oracle};

/// Pieces of which XML is made, right and wrong.
fn fragments() -> impl Strategy<Value = String> {
    const PIECES: &[&str] = &[
        "<a",
        "<b",
        "<p:c",
        "<s:d",
        "</a>",
        "</b>",
        "</p:c>",
        "</s:d>",
        ">",
        ">",
        "/>",
        "/",
        "<",
        " ",
        "\n",
        "\r",
        "\t",
        " x='1'",
        " y=\"2\"",
        " p:x='3'",
        " q:x='4'",
        " xml:lang='de'",
        " xmlns='urn:a'",
        " xmlns=''",
        " xmlns:p='urn:p'",
        " xmlns:q='urn:p'",
        " xmlns:xml='http://www.w3.org/XML/1998/namespace'",
        "'",
        "\"",
        "=",
        ":",
        "&amp;",
        "&lt;",
        "&#65;",
        "&#x41;",
        "&#13;",
        "&x;",
        "&#0;",
        "&",
        ";",
        "text",
        "\u{E4}\u{1F600}",
        "\u{1}",
        "\u{FFFE}",
        "]]>",
        "]]",
        "<![CDATA[",
        "<![CDATA[x]]>",
        "<!--x-->",
        "<?x?>",
        "<?xml version='1.0'?>",
        "<!DOCTYPE a>",
        "</s:stream>",
        "-",
        "1",
    ];
    vec(proptest::sample::select(PIECES), 0..24).prop_map(|pieces| pieces.concat())
}

/// Fragments that tend to nest rightly.
fn likely_elements() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just(String::from("<a/>")),
        Just(String::from("text &amp; <![CDATA[<more>]]>")),
        fragments(),
        "[ -~\u{A0}-\u{FF}\r\n\t]{0,8}".prop_map(|text| text.replace(['<', '&'], "?")),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let tags = prop_oneof![
            Just(("<a>", "</a>")),
            Just(("<a xmlns='urn:a' x='1\t2'>", "</a >")),
            Just(("<p:c xmlns:p='urn:p' p:x='&lt;'>", "</p:c>")),
            Just(("<b y=\"'>'\">", "</b\n>")),
        ];
        (tags, vec(inner, 0..4)).prop_map(|((start, end), inside)| format!("{start}{}{end}", inside.concat()))
    })
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof!["[ -~]{0,12}", "[<>&'\"\\]\r\n\t ]{0,8}", any::<String>()]
}

fn any_element() -> impl Strategy<Value = Element> {
    const NAMESPACES: &[&str] = &["", ns::CLIENT, ns::STREAMS, ns::XML, "urn:a", "urn:'b' & <c>"];
    const NAMES: &[&str] = &["a", "b", "message", "_1-.x", "\u{E4}\u{3042}"];
    let attributes = vec((proptest::sample::select(NAMESPACES), proptest::sample::select(NAMES), any_text()), 0..4);
    let start = (proptest::sample::select(NAMESPACES), proptest::sample::select(NAMES), attributes)
        .prop_map(|(namespace, name, attributes)| {
            let mut element = Element::new(namespace, name);
            for (namespace, name, value) in attributes {
                element.set_attr_ns(namespace, name, value);
            }
            element
        })
        .boxed();
    start.clone().prop_recursive(4, 32, 5, move |inner| {
        let content = vec(prop_oneof![inner.prop_map(Ok), any_text().prop_map(Err)], 0..5);
        (start.clone(), content).prop_map(|(mut element, content)| {
            for item in content {
                match item {
                    Ok(child) => element.push(child),
                    Err(text) => element.push_text(text),
                }
            }
            element
        })
    })
}

/// The element behind a header that declares what the scope says.
fn read_in(scope: &Scope<'_>, element: &Element) -> Element {
    let mut stream = format!("<s:stream xmlns='{}' xmlns:s='{}'", scope.default_namespace(), ns::STREAMS);
    for (prefix, namespace) in scope.prefixes() {
        stream.push_str(&format!(" xmlns:{prefix}='{namespace}'"));
    }
    stream.push('>');
    element.write_to(&mut stream, scope);
    match read(stream.as_bytes(), Limits::CLIENT) {
        (mut events, None) => match events.pop() {
            Some(StreamEvent::Element(element)) => element,
            other => panic!("{other:?} from {stream}"),
        },
        (_, Some(error)) => panic!("{error} from {stream}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_read_the_same_however_they_are_split(bytes in vec(any::<u8>(), 0..200)) {
        laws::check_split(&bytes);
    }

    #[test]
    fn any_markup_is_read_the_same_however_it_is_split(seed in any::<[u8; 8]>(), xml in likely_elements()) {
        laws::check_split(&[&seed[..], xml.as_bytes()].concat());
    }

    #[test]
    fn any_bytes_are_read_as_rxml_reads_them(bytes in vec(any::<u8>(), 0..200)) {
        oracle::compare(&bytes);
    }

    #[test]
    fn any_fragments_are_read_as_rxml_reads_them(xml in fragments()) {
        oracle::compare(xml.as_bytes());
    }

    #[test]
    fn any_markup_is_read_as_rxml_reads_it(xml in likely_elements()) {
        oracle::compare(xml.as_bytes());
    }

    #[test]
    fn a_written_tree_is_read_back_equal(element in any_element()) {
        let written = element.to_string();
        prop_assert_eq!(parse_document(&written, &Limits::CLIENT), Ok(element), "{}", written);
    }

    #[test]
    fn a_tree_written_into_a_stream_is_read_back_equal(element in any_element()) {
        prop_assert_eq!(&read_in(&Scope::CLIENT, &element), &element);
        prop_assert_eq!(&read_in(&Scope::with_default(ns::CLIENT), &element), &element);
    }

    #[test]
    fn a_tree_has_no_empty_and_no_neighbouring_texts(element in any_element()) {
        fn check(element: &Element) {
            let texts: Vec<Option<&str>> = element.content().iter().map(Content::as_text).collect();
            assert!(texts.windows(2).all(|pair| pair.iter().any(Option::is_none)));
            assert!(texts.iter().flatten().all(|text| !text.is_empty()));
            element.children().for_each(check);
        }
        check(&element);
    }

    #[test]
    fn any_text_keeps_the_laws_of_addresses(text in any::<String>()) {
        laws::check_jid(&text);
    }

    #[test]
    fn likely_addresses_keep_the_laws_of_addresses(text in "([a-zA-Z0-9.\u{E4}\u{DF}\u{130}\u{FF21}\u{3A3}'&]{0,6}@)?[a-zA-Z0-9.\u{E4}\u{DF}\u{3002}\\-]{1,12}(/\\PC{0,8})?") {
        laws::check_jid(&text);
    }
}

/// Pieces of which a negotiation is made, right and wrong.
fn negotiation() -> impl Strategy<Value = String> {
    const PIECES: &[&str] = &[
        "<?xml version='1.0'?><stream:stream to='site.example' version='1.0' xmlns='jabber:client' \
         xmlns:stream='http://etherx.jabber.org/streams'>",
        "<stream:stream to='site.example' version='1.0' xmlns='jabber:client' \
         xmlns:stream='http://etherx.jabber.org/streams' from='anna@site.example' xml:lang='de'>",
        "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
        "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-256'>biwsbj1hbm5hLHI9YWJj</auth>",
        "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-256'/>",
        "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGFubmEAcGVuY2ls</auth>",
        "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>",
        "<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>biwsbj1hbm5hLHI9YWJj</response>",
        "<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>Yz1iaXdzLHI9YWJjLHA9QUFBQQ==</response>",
        "<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>",
        "<abort xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>",
        "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>",
        "<iq type='set' id='1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>",
        "<message to='bob@site.example'><body>Hi</body></message>",
        "<stream:error><reset xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>",
        "</stream:stream>",
        "\n",
        "<",
        "x",
    ];
    // Half of the time what a good client would say next, so that the later steps are reached too.
    let script = [0, 2, 0, 3, 8];
    (0..=script.len(), vec(0..PIECES.len(), 0..8)).prop_map(move |(good, rest)| {
        let good = script.into_iter().take(good);
        good.chain(rest).filter_map(|piece| PIECES.get(piece).copied()).collect()
    })
}

proptest! {
    #[test]
    fn the_stream_machine_keeps_its_laws(text in negotiation()) {
        machine::check(text.as_bytes());
    }
}
