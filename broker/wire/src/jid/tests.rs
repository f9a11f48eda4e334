use std::collections::HashMap;

use super::*;

fn jid(text: &str) -> Jid {
    Jid::parse(text).unwrap()
}

#[test]
fn an_address_has_up_to_three_parts() {
    let full = jid("juliet@example.com/balcony");
    assert_eq!((full.local(), full.domain(), full.resource()), (Some("juliet"), "example.com", Some("balcony")));
    let bare = jid("juliet@example.com");
    assert_eq!((bare.local(), bare.domain(), bare.resource()), (Some("juliet"), "example.com", None));
    let domain = jid("example.com");
    assert_eq!((domain.local(), domain.domain(), domain.resource()), (None, "example.com", None));
    let service = jid("example.com/service");
    assert_eq!((service.local(), service.domain(), service.resource()), (None, "example.com", Some("service")));
}

/// The examples of RFC 7622 §3.5, table 1.
#[test]
fn the_examples_of_the_standard_are_addresses() {
    for text in [
        "juliet@example.com",
        "juliet@example.com/foo",
        "juliet@example.com/foo bar",
        "juliet@example.com/foo@bar",
        "foo\\20bar@example.com",
        "fussball@example.com",
        "fu\u{DF}ball@example.com",
        "\u{3C0}@example.com",
        "king@example.com/\u{265A}",
        "example.com",
        "example.com/foobar",
        "a.example.com/b@example.net",
    ] {
        assert!(Jid::parse(text).is_ok(), "{text}");
    }
}

/// The examples of RFC 7622 §3.5, table 2, as far as RFC 6122 agrees.
#[test]
fn the_counterexamples_of_the_standard_are_none() {
    for text in [
        "\"juliet\"@example.com",
        "foo bar@example.com",
        "@example.com",
        "@example.com/",
        "juliet@",
        "/foobar",
        "juliet@example.com/",
        "",
        "@",
        "/",
        "a@b@c",
    ] {
        assert!(Jid::parse(text).is_err(), "{text}");
    }
}

#[test]
fn the_first_slash_begins_the_resource() {
    let address = jid("a.example/b@c/d");
    assert_eq!((address.local(), address.domain(), address.resource()), (None, "a.example", Some("b@c/d")));
}

#[test]
fn spelling_in_capitals_is_the_same_account() {
    assert_eq!(jid("Anna@Site.EXAMPLE/Phone"), jid("anna@site.example/Phone"));
    assert_ne!(jid("anna@site.example/Phone"), jid("anna@site.example/phone"));
    assert_eq!(jid("\u{C4}NNA@site.example"), jid("\u{E4}nna@site.example"));
}

#[test]
fn characters_that_split_addresses_are_not_in_a_local_part() {
    for c in ['"', '&', '\'', '/', ':', '<', '>', ' ', '\u{0}', '\u{7F}', '\u{A0}', '\u{200B}', '\u{FF20}'] {
        let parsed = Jid::parse(&format!("a{c}b@example.com"));
        assert!(!parsed.is_ok_and(|jid| jid.local().is_some_and(|l| l != "ab")), "{c:?}");
    }
}

#[test]
fn parts_have_1023_bytes_at_most() {
    for (length, fits) in [(1022, true), (1023, true), (1024, false)] {
        let part = "x".repeat(length);
        assert_eq!(Jid::parse(&format!("{part}@example.com")).is_ok(), fits);
        assert_eq!(Jid::parse(&format!("a@example.com/{part}")).is_ok(), fits);
        let labels = vec!["x".repeat(63); 15].join(".");
        let domain = format!("{labels}.{}.{}", "x".repeat(31), "x".repeat(length - 992));
        assert_eq!(domain.len(), length);
        assert_eq!(Jid::parse(&domain).is_ok(), fits, "domain of {length}");
    }
}

#[test]
fn the_limit_counts_bytes_after_preparation() {
    let wide = "\u{E4}".repeat(511);
    assert!(Jid::parse(&format!("{wide}x@example.com")).is_ok());
    assert_eq!(Jid::parse(&format!("{wide}xx@example.com")), Err(JidError::TooLong(Part::Local)));
    assert_eq!(Jid::parse(&format!("a@example.com/{wide}xx")), Err(JidError::TooLong(Part::Resource)));
}

#[test]
fn a_label_has_63_bytes_at_most() {
    for (length, fits) in [(62, true), (63, true), (64, false)] {
        assert_eq!(Jid::parse(&format!("{}.example", "x".repeat(length))).is_ok(), fits);
    }
}

#[test]
fn a_domain_is_compared_in_unicode_form() {
    assert_eq!(jid("a@xn--mnchen-3ya.example"), jid("a@m\u{FC}nchen.example"));
    assert_eq!(jid("a@M\u{DC}NCHEN.example").domain(), "m\u{FC}nchen.example");
    assert_eq!(jid("a@site\u{3002}example").domain(), "site.example");
}

#[test]
fn a_final_dot_means_nothing() {
    assert_eq!(jid("a@site.example."), jid("a@site.example"));
    assert!(Jid::parse("a@.").is_err());
    assert!(Jid::parse("a@site..").is_err());
}

#[test]
fn domains_are_host_names() {
    for bad in ["a..b", "-a", "a-", "a_b", "a b", "a,b", ".", "a.-b.c", "xn--\u{E4}", "xn--a-\u{E4}", "[", "]", "a:1"] {
        assert!(Jid::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn ip_literals_are_domains() {
    assert_eq!(jid("a@127.0.0.1/x").domain(), "127.0.0.1");
    assert_eq!(jid("a@[::1]/x").domain(), "[::1]");
    assert_eq!(jid("[2001:DB8:0::1]"), jid("[2001:db8::1]"));
    for bad in ["[::1", "[]", "[127.0.0.1]", "[::1]x", "[g::1]"] {
        assert!(Jid::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_new_account_is_spelled_the_same_by_old_and_new_servers() {
    assert!(BareJid::parse_new_account("anna@site.example").is_ok());
    assert!(BareJid::parse_new_account("\u{E4}nna@site.example").is_ok());
    // Stringprep folds the sharp s to two letters, PRECIS keeps it.
    assert_eq!(BareJid::parse_new_account("fu\u{DF}ball@site.example"), Err(JidError::Ambiguous(Part::Local)));
    // PRECIS refuses compatibility characters, stringprep maps them.
    assert!(BareJid::parse_new_account("\u{2163}@site.example").is_err());
    assert_eq!(BareJid::parse_new_account("site.example"), Err(JidError::Empty(Part::Local)));
    assert!(BareJid::parse_new_account("anna@site.example/x").is_err());
}

#[test]
fn a_new_account_in_capitals_is_the_account_in_small_letters() {
    assert_eq!(BareJid::parse_new_account("Anna@site.example"), BareJid::parse("anna@site.example"));
}

#[test]
fn a_new_session_is_named_the_same_by_old_and_new_servers() {
    assert!(ResourcePart::parse_new_session("meter room").is_ok());
    assert_eq!(ResourcePart::parse_new_session("\u{2163}"), Err(JidError::Ambiguous(Part::Resource)));
}

#[test]
fn bare_and_full_are_different_types() {
    assert_eq!(BareJid::parse("a@b/c"), Err(JidError::UnexpectedResource));
    assert_eq!(FullJid::parse("a@b"), Err(JidError::MissingResource));
    let full = FullJid::parse("a@b/c").unwrap();
    assert_eq!(full.to_bare().with_resource(&ResourcePart::parse("c").unwrap()), full);
    assert_eq!(full.as_jid().to_domain().as_str(), "b");
}

#[test]
fn a_bare_address_is_found_by_text() {
    let mut map = HashMap::new();
    map.insert(BareJid::parse("a@b").unwrap(), 1);
    assert_eq!(map.get(jid("a@b/c").bare_str()), Some(&1));
}
