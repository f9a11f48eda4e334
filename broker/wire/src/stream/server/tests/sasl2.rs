//! Scripts of the second SASL profile: what is offered, what can be had together with a login, and what breaks it.

use super::*;
use crate::sasl::{
    Failure, ITERATIONS, Mechanism, ScramHash, StoredToken, TokenCheck, TokenMechanism, TokenSlot, base64_decode,
    base64_encode, token_answer, token_message,
};
use crate::secret::Secret;
use crate::stream::TRIES_MAX;
use crate::stream::testing::{BIND, CLIENT, HEADER, World, password};

const AGENT: &str = "<user-agent id='d4565fa7-4d72-4749-b3d3-740edbf87770'><software>Meter</software></user-agent>";
const BIND2: &str = "<bind xmlns='urn:xmpp:bind:0'><tag>meter</tag></bind>";
const PLAIN: &str = "AGFubmEAcGVuY2ls";

/// `<authenticate/>` with this initial response and these wishes.
fn authenticate(mechanism: &str, initial: &str, wishes: &str) -> String {
    format!(
        "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='{mechanism}'>\
         <initial-response>{initial}</initial-response>{wishes}</authenticate>"
    )
}

fn plain(wishes: &str) -> String {
    authenticate("PLAIN", PLAIN, wishes)
}

/// A stream that has seen the offer.
fn offered() -> World {
    let mut world = World::tls();
    world.hears(HEADER);
    world
}

fn token(mechanism: TokenMechanism, text: &str) -> StoredToken {
    let check = TokenCheck::new(mechanism, Secret::new(text.into()));
    StoredToken { id: 11, slot: TokenSlot::Current, mechanism, check, expired: false, count: 0, ageing: false }
}

/// Binding data of the world's connection.
fn binding(mechanism: TokenMechanism) -> Vec<u8> {
    match mechanism {
        TokenMechanism::Exporter => vec![9; 32],
        TokenMechanism::EndPoint => vec![8; 32],
        TokenMechanism::Unbound => Vec::new(),
    }
}

/// A login with the token `one`.
fn fast(mechanism: TokenMechanism, attributes: &str, wishes: &str) -> String {
    let message = token_message("anna", &Secret::new("one".into()), &binding(mechanism));
    let wishes = format!("{AGENT}<fast xmlns='urn:xmpp:fast:0' {attributes}/>{wishes}");
    authenticate(mechanism.name(), &base64_encode(&message), &wishes)
}

#[track_caller]
fn refused(said: &str, condition: &str) {
    let expected =
        format!("<failure xmlns='urn:xmpp:sasl:2'><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/></failure>");
    assert_eq!(said, expected);
}

// --- offer and exchange ----------------------------------------------------------------------------------------------

#[test]
fn both_profiles_offer_the_same_mechanisms_and_the_second_its_extras() {
    let said = World::tls().hears(HEADER);
    let list = |from: &str, to: &str| {
        let part = said.split_once(from).expect(from).1.split_once(to).expect(to).0;
        part.split("</mechanism>").map(|name| name.replace("<mechanism>", "")).collect::<Vec<_>>()
    };
    let classic = list("<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>", "</mechanisms>");
    let second = list("<authentication xmlns='urn:xmpp:sasl:2'>", "<inline>");
    assert_eq!(classic, second);
    let inline = "<inline><bind xmlns='urn:xmpp:bind:0'><inline><feature var='urn:xmpp:sm:3'/>\
                  <feature var='urn:xmpp:carbons:2'/></inline></bind><sm xmlns='urn:xmpp:sm:3'/>\
                  <fast xmlns='urn:xmpp:fast:0'><mechanism>HT-SHA-256-EXPR</mechanism>\
                  <mechanism>HT-SHA-256-ENDP</mechanism><mechanism>HT-SHA-256-NONE</mechanism></fast></inline>\
                  <upgrade xmlns='urn:xmpp:sasl:upgrade:0'>UPGR-SCRAM-SHA-256</upgrade></authentication>";
    assert!(said.contains(inline), "{said}");
}

#[test]
fn a_login_without_wishes_leads_to_binding_without_a_restart() {
    let mut world = offered();
    let said = world.hears(&plain(""));
    let success = "<success xmlns='urn:xmpp:sasl:2'><authorization-identifier>anna@site.example\
                   </authorization-identifier></success><stream:features><bind ";
    assert!(said.starts_with(success), "{said}");
    assert!(world.hears(BIND).contains("<jid>anna@site.example/phone</jid>"));
    world.hears("<message to='bob@site.example'><body>Hi</body></message>");
    assert_eq!(world.stanzas.len(), 1);
}

#[test]
fn a_resource_comes_with_the_login() {
    let mut world = offered();
    let said = world.hears(&plain(&[AGENT, BIND2].concat()));
    let jid = world.stream.jid().expect("bound").clone();
    assert_eq!(jid.resource().strip_prefix("meter/").map(str::len), Some(24), "{jid}");
    let success = format!(
        "<success xmlns='urn:xmpp:sasl:2'><authorization-identifier>{jid}</authorization-identifier>\
         <bound xmlns='urn:xmpp:bind:0'/></success><stream:features>"
    );
    assert!(said.starts_with(&success) && !said.contains("xmpp-bind"), "{said}");
    world.hears("<message to='bob@site.example'><body>Hi</body></message>");
    assert_eq!(world.stanzas.len(), 1);
}

#[test]
fn the_resource_says_nothing_of_the_installation_and_is_another_each_time() {
    let bind = |seed: u8| {
        let mut world = World::with(|settings, _, now| {
            ServerStream::direct_tls(settings, Seed::new([seed; 32]), crate::stream::testing::secured(), now)
        });
        world.hears(&[HEADER, &plain(&format!("{AGENT}<bind xmlns='urn:xmpp:bind:0'/>"))].concat());
        world.stream.jid().expect("bound").resource().to_owned()
    };
    let (one, other) = (bind(1), bind(2));
    assert_ne!(one, other);
    assert!(one.len() == 24 && !one.contains("d4565fa7"));
}

#[test]
fn challenges_and_responses_are_in_the_namespace_of_the_profile() {
    let mut world = offered();
    let said = world.hears(&authenticate("SCRAM-SHA-256", &base64_encode(b"n,,n=anna,r=abc"), ""));
    let challenge = said.strip_prefix("<challenge xmlns='urn:xmpp:sasl:2'>").expect("a challenge");
    let challenge = base64_decode(challenge.strip_suffix("</challenge>").expect("its end")).expect("base64");
    let challenge = String::from_utf8(challenge).expect("text");
    // XEP-0474: the hash of what this very stream has offered.
    assert!(challenge.starts_with("r=abc") && challenge.contains(",i=10000,h="), "{challenge}");
    refused(&world.hears("<response xmlns='urn:xmpp:sasl:2'>Yz1iaXdz</response>"), "malformed-request");
    assert!(world.hears(&plain("")).starts_with("<success"), "another attempt on the same stream");
}

#[test]
fn a_client_may_give_up_and_begin_again() {
    let mut world = offered();
    world.hears(&authenticate("SCRAM-SHA-256", &base64_encode(b"n,,n=anna,r=abc"), ""));
    refused(&world.hears("<abort xmlns='urn:xmpp:sasl:2'><text>I changed my mind.</text></abort>"), "aborted");
    assert!(world.hears(&plain("")).starts_with("<success"));
}

#[test]
fn what_cannot_be_read_is_refused_in_the_words_of_the_profile() {
    let cases = [
        (authenticate("NOSUCH", "", ""), "invalid-mechanism"),
        ("<authenticate xmlns='urn:xmpp:sasl:2'/>".to_owned(), "invalid-mechanism"),
        (authenticate("PLAIN", "!", ""), "incorrect-encoding"),
        (authenticate("PLAIN", "", ""), "malformed-request"),
        (plain("<resume xmlns='urn:xmpp:sm:3' previd='x'/>"), "malformed-request"),
        (plain("<fast xmlns='urn:xmpp:fast:0' count='-1'/>"), "malformed-request"),
        (plain("<fast xmlns='urn:xmpp:fast:0' invalidate='perhaps'/>"), "malformed-request"),
    ];
    for (request, condition) in cases {
        refused(&offered().hears(&request), condition);
    }
}

#[test]
fn failed_logins_of_both_profiles_count_together() {
    let mut world = offered();
    world.hears("<abort xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>");
    for _ in 1..TRIES_MAX {
        assert!(world.closed.is_none());
        world.hears(&authenticate("PLAIN", &base64_encode(b"\0anna\0crayon"), ""));
    }
    assert_eq!(world.fault(), "policy-violation");
}

#[test]
fn nothing_else_may_be_said_during_an_exchange() {
    for other in ["<message/>", "<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>", &plain("")] {
        let mut world = offered();
        world.hears(&authenticate("SCRAM-SHA-256", &base64_encode(b"n,,n=anna,r=abc"), ""));
        world.hears(other);
        assert_eq!(world.fault(), "not-authorized", "{other}");
    }
}

#[test]
fn a_second_login_ends_the_stream() {
    for wishes in ["", BIND2] {
        let mut world = offered();
        world.hears(&plain(wishes));
        world.hears(&plain(""));
        assert!(matches!(world.closed, Some(Why::Fault(_))), "{wishes}");
    }
}

#[test]
fn before_tls_it_is_refused() {
    let mut world = World::plain();
    world.hears(HEADER);
    refused(&world.hears(&plain("")), "encryption-required");
}

#[test]
fn who_opened_the_stream_as_somebody_must_log_in_as_that_one() {
    let from = |from: &str| HEADER.replace("to='site", &format!("from='{from}' to='site"));
    let login = |header: &str| {
        let mut world = World::tls();
        world.hears(header);
        (world.hears(&plain(BIND2)), world)
    };
    refused(&login(&from("bob@site.example")).0, "invalid-authzid");
    for same in ["anna@site.example", "Anna@Site.Example/x", "site.example"] {
        assert!(login(&from(same)).0.starts_with("<success"), "{same}");
    }
    let mut world = World::tls();
    world.hears(&from("anna@other.example"));
    assert_eq!(world.fault(), "invalid-from");
}

#[test]
fn no_wish_is_fulfilled_after_a_failure() {
    let mut world = offered();
    let wishes = format!("{AGENT}{BIND2}<request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-NONE'/>");
    world.hears(&authenticate("PLAIN", &base64_encode(b"\0anna\0crayon"), &wishes));
    assert!(world.uses.is_empty() && world.stream.jid().is_none() && world.mechanism.is_none());
}

#[test]
fn a_session_that_cannot_be_had_fails_the_login_for_now() {
    let mut world = offered();
    world.conflict = true;
    refused(&world.hears(&plain(BIND2)), "temporary-auth-failure");
    assert!(world.hears(&plain(BIND2)).starts_with("<success"));
}

#[test]
fn a_tag_that_cannot_be_part_of_an_address_is_refused() {
    let tag = |text: &str| plain(&format!("<bind xmlns='urn:xmpp:bind:0'><tag>{text}</tag></bind>"));
    refused(&offered().hears(&tag("a\u{7f}b")), "malformed-request");
    refused(&offered().hears(&tag(&"a".repeat(1_023 - 24))), "malformed-request");
    assert!(offered().hears(&tag(&"a".repeat(1_023 - 25))).starts_with("<success"));
}

#[test]
fn larger_stanzas_are_allowed_from_the_login_on() {
    let large = format!("<message><body>{}</body></message>", "a".repeat(20_000));
    let mut world = offered();
    world.hears(&plain(BIND2));
    world.hears(&large);
    assert_eq!(world.stanzas.len(), 1);
    let mut world = offered();
    world.hears(&large);
    assert_eq!(world.fault(), "policy-violation");
}

// --- sessions and what they begin with -------------------------------------------------------------------------------

#[test]
fn a_session_begins_managed_and_hands_on_its_other_wishes() {
    let mut world = offered();
    let wishes = "<bind xmlns='urn:xmpp:bind:0'><enable xmlns='urn:xmpp:sm:3' resume='true'/>\
                  <enable xmlns='urn:xmpp:carbons:2'/></bind>";
    let said = world.hears(&plain(wishes));
    let bound =
        "<bound xmlns='urn:xmpp:bind:0'><enabled xmlns='urn:xmpp:sm:3' resume='true' id='the-id' max='600'/></bound>";
    assert!(said.contains(bound), "{said}");
    assert_eq!(world.hears("<r xmlns='urn:xmpp:sm:3'/>"), "<a xmlns='urn:xmpp:sm:3' h='7'/>");
    assert!(matches!(world.inline.as_slice(), [carbons] if carbons.is(crate::ns::CARBONS, "enable")));
}

#[test]
fn a_former_session_is_resumed_and_a_wish_for_a_new_one_passed_over() {
    let mut world = offered();
    let said = world.hears(&plain(&format!("{BIND2}<resume xmlns='urn:xmpp:sm:3' previd='the-id' h='2'/>")));
    let expected = "<success xmlns='urn:xmpp:sasl:2'><authorization-identifier>anna@site.example/phone\
                    </authorization-identifier><resumed xmlns='urn:xmpp:sm:3' previd='the-id' h='5'/></success>";
    assert_eq!(said, expected, "and no features");
    assert!(world.mechanism.is_none(), "nothing was bound");
    assert_eq!(world.hears("<r xmlns='urn:xmpp:sm:3'/>"), "<a xmlns='urn:xmpp:sm:3' h='7'/>");
}

#[test]
fn a_session_that_is_gone_is_replaced_in_the_same_flight() {
    let mut world = offered();
    let said = world.hears(&plain(&format!("{BIND2}<resume xmlns='urn:xmpp:sm:3' previd='gone' h='2'/>")));
    assert!(said.contains("<failed xmlns='urn:xmpp:sm:3' h='3'><item-not-found"), "{said}");
    assert!(said.contains("<bound xmlns='urn:xmpp:bind:0'/>") && world.stream.jid().is_some(), "{said}");
    let mut world = offered();
    let said = world.hears(&plain("<resume xmlns='urn:xmpp:sm:3' previd='gone' h='2'/>"));
    assert!(said.contains("<failed") && said.contains("<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>"), "{said}");
}

// --- tokens ----------------------------------------------------------------------------------------------------------

#[test]
fn a_token_of_each_kind_logs_in_and_the_server_proves_that_it_knows_it() {
    for mechanism in TokenMechanism::ALL {
        let mut world = offered();
        world.tokens = vec![token(mechanism, "one")];
        let said = world.hears(&fast(mechanism, "", BIND2));
        let answer = base64_encode(&token_answer(&Secret::new("one".into()), &binding(mechanism)));
        let success = format!("<success xmlns='urn:xmpp:sasl:2'><additional-data>{answer}</additional-data>");
        assert!(said.starts_with(&success), "{said}");
        assert_eq!(world.mechanism, Some(Mechanism::Token(mechanism)));
        assert!(world.uses.is_empty(), "nothing is to be written");
        assert!(!said.contains("<token"));
    }
}

#[test]
fn a_token_is_of_no_use_with_another_mechanism_installation_or_profile() {
    for issued in TokenMechanism::ALL {
        for used in TokenMechanism::ALL.into_iter().filter(|used| *used != issued) {
            let mut world = offered();
            world.tokens = vec![token(issued, "one")];
            refused(&world.hears(&fast(used, "", "")), "not-authorized");
        }
    }
    let login = fast(TokenMechanism::Unbound, "", "");
    let cases = [
        (login.replace(CLIENT, "other"), "not-authorized"),
        (login.replace(AGENT, ""), "invalid-mechanism"),
        (login.replace("<fast xmlns='urn:xmpp:fast:0' />", ""), "invalid-mechanism"),
    ];
    for (login, condition) in cases {
        let mut world = offered();
        world.tokens = vec![token(TokenMechanism::Unbound, "one")];
        refused(&world.hears(&login), condition);
    }
    let said = offered().hears("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='HT-SHA-256-NONE'/>");
    assert!(said.contains("<invalid-mechanism/>"), "{said}");
}

#[test]
fn a_token_is_given_after_any_login_that_asks_for_one() {
    let mut world = offered();
    let wish = "<request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-EXPR'/>";
    let said = world.hears(&plain(&[AGENT, BIND2, wish].concat()));
    assert!(said.contains("<token xmlns='urn:xmpp:fast:0' expiry='2026-03-08T20:00:00Z' token='fresh'/>"), "{said}");
    let [asked] = world.uses.as_slice() else { panic!("{:?}", world.uses) };
    assert_eq!((asked.used, asked.issue), (None, Some(TokenMechanism::Exporter)));
    assert_eq!(asked.client.as_str(), CLIENT);
}

#[test]
fn without_an_installation_or_a_mechanism_of_ours_there_is_no_token() {
    let wish = |name: &str| format!("<request-token xmlns='urn:xmpp:fast:0' mechanism='{name}'/>");
    for wishes in
        [wish("HT-SHA-256-EXPR"), format!("{AGENT}{}", wish("HT-SHA-512-EXPR")), format!("{AGENT}{}", wish("PLAIN"))]
    {
        let mut world = offered();
        let said = world.hears(&plain(&wishes));
        assert!(said.starts_with("<success") && !said.contains("<token") && world.uses.is_empty(), "{wishes}");
    }
}

#[test]
fn an_old_token_is_renewed_with_the_login_and_a_new_or_doubled_one_noted() {
    let current = || token(TokenMechanism::Unbound, "one");
    let other = StoredToken { id: 12, slot: TokenSlot::New, ..token(TokenMechanism::Unbound, "two") };
    let cases = [
        (vec![StoredToken { ageing: true, ..current() }], true),
        (vec![StoredToken { slot: TokenSlot::New, ..current() }], false),
        (vec![current(), other], false),
    ];
    for (tokens, renewed) in cases {
        let mut world = offered();
        world.tokens = tokens;
        let said = world.hears(&fast(TokenMechanism::Unbound, "", ""));
        assert_eq!(said.contains("token='fresh'"), renewed, "{said}");
        assert_eq!(world.uses.first().and_then(|asked| asked.used).map(|used| used.id), Some(11));
    }
}

#[test]
fn whoever_has_only_a_token_gets_no_better_one() {
    for (wish, expected) in [("HT-SHA-256-EXPR", None), ("HT-SHA-256-NONE", Some(TokenMechanism::Unbound))] {
        let mut world = offered();
        world.tokens = vec![token(TokenMechanism::Unbound, "one")];
        let wish = format!("<request-token xmlns='urn:xmpp:fast:0' mechanism='{wish}'/>");
        world.hears(&fast(TokenMechanism::Unbound, "", &wish));
        assert_eq!(world.uses.first().and_then(|asked| asked.issue), expected);
    }
}

#[test]
fn a_client_that_logs_out_for_good_has_its_token_forgotten() {
    let mut world = offered();
    world.tokens = vec![StoredToken { ageing: true, ..token(TokenMechanism::Unbound, "one") }];
    let said = world.hears(&fast(TokenMechanism::Unbound, "invalidate='true'", ""));
    assert!(said.starts_with("<success") && !said.contains("<token"), "{said}");
    let asked = world.uses.first().expect("asked");
    assert!(asked.issue.is_none() && asked.used.is_some_and(|used| used.invalidate));
}

#[test]
fn a_count_is_checked_and_kept() {
    let login = |count: &str| {
        let mut world = offered();
        world.tokens = vec![StoredToken { count: 7, ..token(TokenMechanism::Exporter, "one") }];
        let said = world.hears(&fast(TokenMechanism::Exporter, &format!("count='{count}'"), ""));
        (said, world.uses.first().and_then(|asked| asked.used).and_then(|used| used.count))
    };
    refused(&login("7").0, "not-authorized");
    let (said, count) = login("8");
    assert!(said.starts_with("<success"), "{said}");
    assert_eq!(count, Some(8));
}

#[test]
fn an_expired_token_says_so() {
    let mut world = offered();
    world.tokens = vec![StoredToken { expired: true, ..token(TokenMechanism::Exporter, "one") }];
    refused(&world.hears(&fast(TokenMechanism::Exporter, "", "")), "credentials-expired");
}

#[test]
fn a_login_by_token_that_cannot_be_noted_fails_and_one_by_password_goes_on() {
    let mut world = offered();
    world.tokens = vec![token(TokenMechanism::Exporter, "one")];
    let login = fast(TokenMechanism::Exporter, "count='1'", "");
    for (answer, condition) in [(None, "temporary-auth-failure"), (Some(Failure::NotAuthorized), "not-authorized")] {
        world.silent = true;
        world.hears(&login);
        let question = world.asked.pop().expect("the tokens");
        world.answers(question);
        world.pump();
        assert!(matches!(world.asked.pop(), Some(Output::UseToken(_))));
        match answer {
            None => world.stream.store_failed(world.now),
            Some(failure) => world.stream.token_used(Err(failure), world.now),
        }
        world.said.clear();
        world.pump();
        refused(&world.said, condition);
    }
    let mut world = offered();
    world.silent = true;
    world.hears(&plain(&format!("{AGENT}<request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-NONE'/>")));
    for _ in 0..2 {
        let question = world.asked.pop().expect("a question");
        world.answers(question);
        world.pump();
    }
    assert!(matches!(world.asked.pop(), Some(Output::UseToken(_))));
    world.stream.store_failed(world.now);
    world.pump();
    assert!(world.said.contains("<success") && !world.said.contains("<token"), "{}", world.said);
}

// --- keys for a better hash ------------------------------------------------------------------------------------------

const UPGRADE: &str = "<upgrade xmlns='urn:xmpp:sasl:upgrade:0'>UPGR-SCRAM-SHA-256</upgrade>";
const NEXT: &str = "<next xmlns='urn:xmpp:sasl:2' task='UPGR-SCRAM-SHA-256'/>";

fn hash(bytes: &[u8]) -> String {
    let text = base64_encode(bytes);
    format!("<task-data xmlns='urn:xmpp:sasl:2'><hash xmlns='urn:xmpp:scram-upgrade:0'>{text}</hash></task-data>")
}

/// A stream on which anna, who lacks keys for SHA-256, has just logged in.
fn upgrading() -> World {
    let mut world = offered();
    world.upgrade = Some(ScramHash::Sha256);
    let said = world.hears(&plain(&[UPGRADE, BIND2].concat()));
    let asked = "<continue xmlns='urn:xmpp:sasl:2'><tasks><task>UPGR-SCRAM-SHA-256</task></tasks></continue>";
    assert_eq!(said, asked);
    world
}

#[test]
fn a_client_brings_the_keys_that_its_account_lacks() {
    let mut world = upgrading();
    let said = world.hears(NEXT);
    let start = "<task-data xmlns='urn:xmpp:sasl:2'><salt xmlns='urn:xmpp:scram-upgrade:0' iterations='10000'>";
    let salt = said.strip_prefix(start).and_then(|rest| rest.split_once('<')).expect("a salt").0;
    let salt = base64_decode(salt).expect("base64");
    let mut salted = [0; 32];
    pbkdf2::pbkdf2_hmac::<sha2::Sha256>(b"pencil", &salt, ITERATIONS, &mut salted);
    let said = world.hears(&hash(&salted));
    assert!(said.starts_with("<success") && said.contains("<bound"), "{said}");
    assert!(world.stored.is_some_and(|keys| keys.verify(&password())));
}

#[test]
fn keys_are_asked_for_only_if_they_lack_and_the_client_offered_them() {
    assert!(offered().hears(&plain(UPGRADE)).starts_with("<success"));
    let mut world = offered();
    world.upgrade = Some(ScramHash::Sha256);
    assert!(world.hears(&plain("")).starts_with("<success"));
}

#[test]
fn a_task_that_fails_or_is_given_up_leaves_nobody_logged_in() {
    let other = NEXT.replace("SHA-256", "SHA-512");
    let abort = "<abort xmlns='urn:xmpp:sasl:2'/>";
    let cases: [(&[&str], &str); 4] = [
        (&[&other], "malformed-request"),
        (&[abort], "aborted"),
        (&[NEXT, &hash(&[1; 31])], "malformed-request"),
        (&[NEXT, abort], "aborted"),
    ];
    for (steps, condition) in cases {
        let mut world = upgrading();
        let said = steps.iter().map(|step| world.hears(step)).last().expect("a step");
        refused(&said, condition);
        assert!(world.stored.is_none() && world.stream.jid().is_none());
    }
}

#[test]
fn nothing_but_the_task_may_follow() {
    for other in ["<message/>", &plain(""), &hash(&[1; 32]), BIND] {
        let mut world = upgrading();
        world.hears(other);
        assert_eq!(world.fault(), "not-authorized", "{other}");
        assert!(world.stored.is_none());
    }
}
