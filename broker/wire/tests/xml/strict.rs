//! What a lax parser would let through: each is refused with the stream error that says why.

use torg_wire::stream_error::StreamCondition::*;
use torg_wire::xml::{Content, Limits, parse_document};

use crate::support::{HEADER, accepted, refused, refused_stream};

#[test]
fn a_document_type_is_restricted_wherever_it_stands() {
    assert_eq!(refused_stream("<!DOCTYPE x [<!ENTITY a 'b'>]><x/>"), RestrictedXml);
    assert_eq!(refused_stream("<?xml version='1.0'?><!DOCTYPE x><x/>"), RestrictedXml);
    assert_eq!(refused("<!DOCTYPE x>"), RestrictedXml);
    assert_eq!(refused("<message><!DOCTYPE x></message>"), RestrictedXml);
}

#[test]
fn the_billion_laughs_end_at_the_first_line() {
    let bomb = "<?xml version='1.0'?><!DOCTYPE lolz [<!ENTITY lol 'lol'><!ENTITY lol1 '&lol;&lol;&lol;'>]>\
                <stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>&lol1;";
    assert_eq!(refused_stream(bomb), RestrictedXml);
}

#[test]
fn processing_instructions_are_restricted() {
    assert_eq!(refused_stream("<?php x?><x/>"), RestrictedXml);
    assert_eq!(refused_stream("<?xml-stylesheet href='x'?><x/>"), RestrictedXml);
    assert_eq!(refused("<?x?>"), RestrictedXml);
    assert_eq!(refused("<message><?x?></message>"), RestrictedXml);
}

#[test]
fn comments_are_restricted() {
    assert_eq!(refused_stream("<!-- x --><x/>"), RestrictedXml);
    assert_eq!(refused("<!-- x -->"), RestrictedXml);
    assert_eq!(refused("<message>a<!-- x -->b</message>"), RestrictedXml);
}

#[test]
fn the_xml_declaration_stands_at_the_very_start_only() {
    assert_eq!(refused_stream(format!(" <?xml version='1.0'?>{HEADER}")), RestrictedXml);
    assert_eq!(refused_stream(format!("<?xml version='1.0'?><?xml version='1.0'?>{HEADER}")), RestrictedXml);
    assert_eq!(refused("<?xml version='1.0'?>"), RestrictedXml);
    assert_eq!(refused("<message><?xml version='1.0'?></message>"), RestrictedXml);
}

#[test]
fn the_xml_declaration_says_version_one_and_utf_8() {
    assert_eq!(refused_stream("<?xml version='1.1'?>"), NotWellFormed);
    assert_eq!(refused_stream("<?xml ?>"), NotWellFormed);
    assert_eq!(refused_stream("<?xml version='1.0'encoding='UTF-8'?>"), NotWellFormed);
    assert_eq!(refused_stream("<?xml version='1.0' encoding='UTF-8' x='y'?>"), NotWellFormed);
    assert_eq!(refused_stream("<?xml version='1.0' encoding='ISO-8859-1'?>"), UnsupportedEncoding);
}

#[test]
fn other_encodings_are_unsupported() {
    assert_eq!(refused_stream([0xFE, 0xFF, 0, b'<']), UnsupportedEncoding);
    assert_eq!(refused(b"<message>\xE4</message>"), UnsupportedEncoding);
    assert_eq!(refused(b"<message a='\xC0\x80'/>"), UnsupportedEncoding);
    assert_eq!(refused(b"<m\xFFssage/>"), UnsupportedEncoding);
}

#[test]
fn only_the_five_predefined_entities_exist() {
    assert_eq!(refused("<message>&nbsp;</message>"), RestrictedXml);
    assert_eq!(refused("<message a='&nbsp;'/>"), RestrictedXml);
    assert_eq!(accepted("<m>&amp;&apos;&gt;&lt;&quot;</m>").text(), "&'><\"");
    assert_eq!(accepted("<m a='&amp;&apos;&gt;&lt;&quot;'/>").attr("a"), Some("&'><\""));
}

#[test]
fn broken_references_are_malformed() {
    for broken in ["&", "& ", "&;", "&amp", "&#;", "&#x;", "&#x", "&#xZ;", "&#-1;", "&#+65;", "&#X41;", "&am p;", "&1;"]
    {
        assert_eq!(refused(format!("<m>{broken}</m>")), NotWellFormed, "{broken} in text");
        assert_eq!(refused(format!("<m a='{broken}'/>")), NotWellFormed, "{broken} in a value");
    }
}

#[test]
fn character_references_name_xml_characters() {
    assert_eq!(accepted("<m>&#65;&#x41;&#x1F600;&#0000000065;</m>").text(), "AA\u{1F600}A");
    for bad in ["&#0;", "&#1;", "&#x1F;", "&#xFFFE;", "&#xFFFF;", "&#xD800;", "&#x110000;", "&#99999999999999;"] {
        assert_eq!(refused(format!("<m>{bad}</m>")), NotWellFormed, "{bad} in text");
        assert_eq!(refused(format!("<m a='{bad}'/>")), NotWellFormed, "{bad} in a value");
    }
}

#[test]
fn raw_characters_outside_xml_are_malformed() {
    for bad in ["\u{0}", "\u{1}", "\u{8}", "\u{B}", "\u{1F}", "\u{FFFE}", "\u{FFFF}"] {
        assert_eq!(refused(format!("<m>{bad}</m>")), NotWellFormed, "{bad:?} in text");
        assert_eq!(refused(format!("<m a='{bad}'/>")), NotWellFormed, "{bad:?} in a value");
        assert_eq!(refused(format!("<m><![CDATA[{bad}]]></m>")), NotWellFormed, "{bad:?} in CDATA");
    }
}

#[test]
fn undeclared_prefixes_are_bad() {
    assert_eq!(refused("<p:m/>"), BadNamespacePrefix);
    assert_eq!(refused("<m p:a='b'/>"), BadNamespacePrefix);
    assert_eq!(refused("<m><a xmlns:p='urn:p'/><p:b/></m>"), BadNamespacePrefix);
}

#[test]
fn an_attribute_is_given_once() {
    assert_eq!(refused("<m a='1' a='2'/>"), NotWellFormed);
    assert_eq!(refused("<m xmlns='a' xmlns='a'/>"), NotWellFormed);
    assert_eq!(refused("<m xmlns:p='a' xmlns:p='b'/>"), NotWellFormed);
}

#[test]
fn an_attribute_is_given_once_whatever_its_prefix() {
    assert_eq!(refused("<m xmlns:p='urn:x' xmlns:q='urn:x' p:b='1' q:b='2'/>"), NotWellFormed);
    assert_eq!(accepted("<m xmlns:p='urn:x' p:b='1' b='2'/>").attr("b"), Some("2"));
}

#[test]
fn a_less_than_sign_is_no_part_of_a_value_or_tag() {
    assert_eq!(refused("<m a='<'/>"), NotWellFormed);
    assert_eq!(refused("<m a='<x/>'/>"), NotWellFormed);
    assert_eq!(refused("<m <a/>"), NotWellFormed);
    assert_eq!(refused("<m></m <a/>"), NotWellFormed);
}

#[test]
fn a_greater_than_sign_is_part_of_a_value() {
    assert_eq!(accepted("<m a='>' b=\"'/>\"/>").attr("a"), Some(">"));
}

#[test]
fn names_are_names() {
    for name in ["1a", "-a", ".a", "a!", "a\u{D7}b", "", "a/b", "a&b"] {
        assert_eq!(refused(format!("<{name} x='y'/>")), NotWellFormed, "element {name}");
        assert_eq!(refused(format!("<m {name}='y'/>")), NotWellFormed, "attribute {name}");
    }
}

#[test]
fn a_name_has_one_colon_at_most_and_not_at_its_ends() {
    for name in ["a:b:c", ":a", "a:", ":", "stream:", "stream:1"] {
        assert_eq!(refused(format!("<{name}/>")), NotWellFormed, "element {name}");
        assert_eq!(refused(format!("<m {name}='y'/>")), NotWellFormed, "attribute {name}");
    }
}

#[test]
fn white_space_stands_between_attributes() {
    assert_eq!(refused("<m b='1'c='2'/>"), NotWellFormed);
    assert_eq!(refused("<m xmlns='a'xmlns:p='b'/>"), NotWellFormed);
}

#[test]
fn attributes_have_quoted_values() {
    for bad in ["a", "a=", "a=b", "a='b", "a=b'", "a='b\"", "='b'", "a 'b'", "a=='b'", "a='b'=", "/", "a='b'/ "] {
        let xml = format!("<m {bad}></m>'></m>");
        assert_eq!(refused(xml), NotWellFormed, "{bad}");
    }
}

#[test]
fn white_space_may_stand_around_the_equals_sign_and_before_the_end() {
    let element = accepted("<m\ta\n=\r'1'  b =\t\"2\" ></m >");
    assert_eq!((element.attr("a"), element.attr("b")), (Some("1"), Some("2")));
}

#[test]
fn white_space_does_not_stand_before_the_name() {
    assert_eq!(refused("< m/>"), NotWellFormed);
    assert_eq!(refused("<m></ m>"), NotWellFormed);
    assert_eq!(refused("<m / ></m>"), NotWellFormed);
}

#[test]
fn a_prefix_is_never_bound_to_nothing() {
    assert_eq!(refused("<m xmlns:p=''/>"), NotWellFormed);
    assert_eq!(accepted("<m xmlns=''/>").namespace(), &"");
}

#[test]
fn the_prefix_xml_means_what_it_means() {
    let xml = "http://www.w3.org/XML/1998/namespace";
    assert_eq!(accepted("<m xml:lang='en'/>").lang(), Some("en"));
    assert_eq!(accepted(&format!("<m xmlns:xml='{xml}' xml:lang='en'/>")).lang(), Some("en"));
    assert_eq!(refused("<m xmlns:xml='urn:x'/>"), NotWellFormed);
    assert_eq!(refused(format!("<m xmlns:p='{xml}'/>")), NotWellFormed);
    assert_eq!(refused(format!("<m xmlns='{xml}'/>")), NotWellFormed);
}

#[test]
fn the_prefix_xmlns_declares_and_nothing_else() {
    let xmlns = "http://www.w3.org/2000/xmlns/";
    assert_eq!(refused("<m xmlns:xmlns='urn:x'/>"), NotWellFormed);
    assert_eq!(refused(format!("<m xmlns:xmlns='{xmlns}'/>")), NotWellFormed);
    assert_eq!(refused(format!("<m xmlns:p='{xmlns}'/>")), NotWellFormed);
    assert_eq!(refused(format!("<m xmlns='{xmlns}'/>")), NotWellFormed);
    assert_eq!(refused("<xmlns:m/>"), BadNamespacePrefix);
}

#[test]
fn cdata_end_is_no_part_of_text() {
    assert_eq!(refused("<m>]]></m>"), NotWellFormed);
    assert_eq!(accepted("<m>]]&gt;</m>").text(), "]]>");
    assert_eq!(accepted("<m a=']]>'/>").attr("a"), Some("]]>"));
}

#[test]
fn cdata_is_text() {
    let element = accepted("<m>a<![CDATA[<b>&amp;]] ]>\r\n]]]]><![CDATA[>]]>c</m>");
    assert_eq!(element.text(), "a<b>&amp;]] ]>\n]]>c");
    assert!(matches!(element.content(), [Content::Text(_)]));
}

#[test]
fn broken_markup_is_malformed() {
    assert_eq!(refused("<m><![CDAT[x]]></m>"), NotWellFormed);
    assert_eq!(refused("<m><![cdata[x]]></m>"), NotWellFormed);
    assert_eq!(refused("<m><!x></m>"), NotWellFormed);
}

#[test]
fn end_tags_match_their_start_tags() {
    assert_eq!(refused("<m></n>"), NotWellFormed);
    assert_eq!(refused("<m><n></m></n>"), NotWellFormed);
    assert_eq!(refused("<m xmlns:p='urn:x' xmlns:q='urn:x'><p:a></q:a></m>"), NotWellFormed);
    assert_eq!(refused("<m></m x='y'>"), NotWellFormed);
    assert_eq!(refused("</stream:strea>"), NotWellFormed);
    assert_eq!(refused("</stream>"), NotWellFormed);
    assert_eq!(refused_stream("</m>"), NotWellFormed);
}

#[test]
fn text_stands_inside_stanzas_only() {
    assert_eq!(refused("x"), BadFormat);
    assert_eq!(refused("<m/>&#32;"), BadFormat);
    assert_eq!(refused("<![CDATA[x]]>"), BadFormat);
    assert_eq!(refused_stream(format!("x{HEADER}")), NotWellFormed);
}

#[test]
fn a_document_is_one_element_and_nothing_else() {
    let condition = |xml: &str| parse_document(xml, &Limits::CLIENT).unwrap_err().condition();
    assert!(parse_document(" <a/>\n", &Limits::CLIENT).is_ok());
    assert_eq!(condition("<a/><b/>"), NotWellFormed);
    assert_eq!(condition("<a/>x"), NotWellFormed);
    assert_eq!(condition("x<a/>"), NotWellFormed);
    assert_eq!(condition("<a>"), NotWellFormed);
    assert_eq!(condition("<a><b></a>"), NotWellFormed);
    assert_eq!(condition("<a"), NotWellFormed);
    assert_eq!(condition("<a/>&amp;"), NotWellFormed);
    assert_eq!(condition("<a/><![CDATA[]]>"), NotWellFormed);
    assert_eq!(condition("\u{FEFF}<a/>"), NotWellFormed);
    assert_eq!(condition(""), NotWellFormed);
    assert_eq!(condition("</a>"), NotWellFormed);
}

#[test]
fn white_space_in_values_becomes_spaces() {
    let element = accepted("<m a='1\t2\n3\r4\r\n5' b='&#9;&#10;&#13;&#32;'/>");
    assert_eq!(element.attr("a"), Some("1 2 3 4 5"));
    assert_eq!(element.attr("b"), Some("\t\n\r "));
}

#[test]
fn line_ends_become_line_feeds() {
    assert_eq!(accepted("<m>1\r\n2\r3\n4\r\r\n5&#13;6</m>").text(), "1\n2\n3\n4\n\n5\r6");
}

#[test]
fn declarations_end_with_their_element() {
    let element = accepted("<m><a xmlns='urn:a'><b xmlns='urn:b'/><c/></a><d/></m>");
    assert_eq!(element.to_string(), "<m xmlns='jabber:client'><a xmlns='urn:a'><b xmlns='urn:b'/><c/></a><d/></m>");
}

#[test]
fn a_declaration_counts_for_the_whole_tag_it_stands_in() {
    let element = accepted("<p:m p:a='1' xmlns:p='urn:p'/>");
    assert_eq!(element.attr_ns("urn:p", "a"), Some("1"));
    assert!(element.is("urn:p", "m"));
}

#[test]
fn a_stanza_smuggled_in_text_stays_text() {
    let element = accepted("<message><body>&lt;/body>&lt;/message>&lt;iq/></body></message>");
    let written = element.to_string();
    assert_eq!(written.matches("<iq").count(), 0, "{written}");
}

#[test]
fn a_namespace_is_declared_once_in_a_tag() {
    assert_eq!(refused("<message xmlns='jabber:client' xmlns='jabber:client'/>"), NotWellFormed);
    assert_eq!(refused("<message xmlns:p='a' xmlns:p='a'/>"), NotWellFormed);
}

#[test]
fn a_declaration_of_an_empty_prefix_is_none_of_the_default_namespace() {
    assert_eq!(refused("<message xmlns:='jabber:client'/>"), NotWellFormed);
    assert_eq!(refused("<message xmlns:\t='jabber:client'/>"), NotWellFormed);
}
