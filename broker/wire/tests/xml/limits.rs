//! Every limit at, below and above; before and after login.

use torg_wire::reader::StreamReader;
use torg_wire::stream_error::StreamCondition;
use torg_wire::xml::{Limits, parse_document};

use crate::support::{HEADER, drain, read};

/// Is this element let through behind the header?
fn passes(xml: &str, limits: Limits) -> bool {
    let (events, error) = read(format!("{HEADER}{xml}").as_bytes(), limits);
    match error {
        None => {
            assert_eq!(events.len(), 2, "{xml}");
            true
        }
        Some(error) => {
            assert_eq!(error.condition(), StreamCondition::PolicyViolation, "{xml}");
            false
        }
    }
}

const ALL: [Limits; 3] = [Limits::BEFORE_LOGIN, Limits::CLIENT, Limits::SERVER];

#[test]
fn the_promised_numbers_are_in_force() {
    let numbers = |l: Limits| (l.bytes, l.depth, l.elements);
    assert_eq!(numbers(Limits::BEFORE_LOGIN), (10_000, 8, 64));
    assert_eq!(numbers(Limits::CLIENT), (262_144, 64, 2_000));
    assert_eq!(numbers(Limits::SERVER), (524_288, 64, 2_000));
    assert_eq!((Limits::CLIENT.attributes, Limits::CLIENT.bindings), (64, 64));
}

#[test]
fn bytes_of_an_element_are_bounded() {
    for limits in ALL {
        let of_length = |length: usize| format!("<m>{}</m>", "x".repeat(length - 7));
        assert!(passes(&of_length(limits.bytes - 1), limits));
        assert!(passes(&of_length(limits.bytes), limits));
        assert!(!passes(&of_length(limits.bytes + 1), limits));
    }
}

#[test]
fn bytes_of_an_attribute_value_are_bounded() {
    for limits in ALL {
        let of_length = |length: usize| format!("<m a='{}'/>", "x".repeat(length - 9));
        assert!(passes(&of_length(limits.bytes), limits));
        assert!(!passes(&of_length(limits.bytes + 1), limits));
    }
}

#[test]
fn bytes_of_a_stream_header_are_bounded() {
    for limits in ALL {
        let of_length = |length: usize| {
            let header = HEADER.trim_end_matches('>');
            format!("{header} to='{}'>", "x".repeat(length - header.len() - 7))
        };
        let accepted = |header: String| read(header.as_bytes(), limits).1.is_none();
        assert!(accepted(of_length(limits.bytes)));
        assert!(!accepted(of_length(limits.bytes + 1)));
    }
}

#[test]
fn depth_is_bounded() {
    for limits in ALL {
        let nested = |depth: usize| format!("{}{}", "<m>".repeat(depth), "</m>".repeat(depth));
        let leaf = |depth: usize| format!("{}<m/>{}", "<m>".repeat(depth - 1), "</m>".repeat(depth - 1));
        for xml in [nested, leaf] {
            assert!(passes(&xml(limits.depth - 1), limits));
            assert!(passes(&xml(limits.depth), limits));
            assert!(!passes(&xml(limits.depth + 1), limits));
        }
    }
}

#[test]
fn elements_are_bounded() {
    for limits in ALL {
        let siblings = |elements: usize| format!("<m>{}</m>", "<n/>".repeat(elements - 1));
        assert!(passes(&siblings(limits.elements - 1), limits));
        assert!(passes(&siblings(limits.elements), limits));
        assert!(!passes(&siblings(limits.elements + 1), limits));
    }
}

#[test]
fn elements_are_counted_per_stanza() {
    let limits = Limits::BEFORE_LOGIN;
    let stanza = format!("<m>{}</m>", "<n/>".repeat(limits.elements - 1));
    let (events, error) = read(format!("{HEADER}{}", stanza.repeat(5)).as_bytes(), limits);
    assert_eq!((events.len(), error), (6, None));
}

#[test]
fn attributes_are_bounded() {
    for limits in ALL {
        let with = |count: usize| {
            let attributes: String = (0..count).map(|n| format!(" a{n}='x'")).collect();
            format!("<m{attributes}/>")
        };
        assert!(passes(&with(limits.attributes - 1), limits));
        assert!(passes(&with(limits.attributes), limits));
        assert!(!passes(&with(limits.attributes + 1), limits));
    }
}

#[test]
fn namespace_declarations_are_bounded() {
    for limits in ALL {
        // The header declares two.
        let with = |count: usize| {
            let declarations: String = (0..count - 2).map(|n| format!(" xmlns:p{n}='urn:x'")).collect();
            format!("<m{declarations}/>")
        };
        assert!(passes(&with(limits.bindings - 1), limits));
        assert!(passes(&with(limits.bindings), limits));
        assert!(!passes(&with(limits.bindings + 1), limits));
    }
}

#[test]
fn namespace_declarations_end_with_their_element() {
    let sibling = "<a xmlns:p='urn:x' xmlns:q='urn:y'/>";
    assert!(passes(&format!("<m>{}</m>", sibling.repeat(60)), Limits::BEFORE_LOGIN));
}

#[test]
fn a_short_prefix_does_not_multiply_a_long_name() {
    // Each <p:a/> would be written with its own declaration of the long name.
    let limits = Limits::CLIENT;
    let xml = |uses: usize| {
        let name = "n".repeat(limits.bytes / 10);
        format!("<m xmlns:p='{name}'>{}</m>", "<p:a/>".repeat(uses))
    };
    assert!(passes(&xml(9), limits));
    assert!(!passes(&xml(11), limits));
    let attributes = |uses: usize| {
        let name = "n".repeat(limits.bytes / 10);
        format!("<m xmlns:p='{name}'>{}</m>", "<a p:b=''/>".repeat(uses))
    };
    assert!(passes(&attributes(9), limits));
    assert!(!passes(&attributes(11), limits));
}

#[test]
fn white_space_between_stanzas_is_not_held() {
    let mut reader = StreamReader::new(Limits::BEFORE_LOGIN);
    reader.feed(HEADER.as_bytes());
    assert_eq!(drain(&mut reader).0.len(), 1);
    for _ in 0..100 {
        reader.feed(&[b' '; 1_000]);
        assert_eq!(drain(&mut reader), (vec![], None));
        assert!(reader.is_empty());
    }
}

#[test]
fn higher_limits_count_from_login_on() {
    let stanza = format!("<m>{}</m>", "x".repeat(20_000));
    let mut reader = StreamReader::new(Limits::BEFORE_LOGIN);
    reader.feed(HEADER.as_bytes());
    drain(&mut reader);

    reader.set_limits(Limits::CLIENT);
    reader.feed(stanza.as_bytes());

    assert_eq!(drain(&mut reader).0.len(), 1);
}

#[test]
fn a_document_is_held_to_the_same_limits() {
    let limits = Limits::BEFORE_LOGIN;
    let of_length = |length: usize| format!("<m>{}</m>", "x".repeat(length - 7));
    assert!(parse_document(of_length(limits.bytes), &limits).is_ok());
    let error = parse_document(of_length(limits.bytes + 1), &limits).unwrap_err();
    assert_eq!(error.condition(), StreamCondition::PolicyViolation);
}
