//! Personal events across servers (XEP-0163): who wants to know says so in its capabilities (XEP-0115), hears what is published from
//! then on, and at its presence what was published last. And both directions over one stream (XEP-0288).

use serde_json::json;

use super::{
    OURS, Pair, THEIRS, Tls, befriend, converse,
    servers::{Program, Proof, Server, peer_section},
    world::{Kind, World},
};

const WANTED: &str = "urn:example:weather+notify";

fn events_pass(program: Program) {
    let pair = Pair::start(program, Proof::Certificate, Tls::Starttls);
    let (mut anna, mut eva) = pair.users();
    let (ours, theirs) = (format!("anna@{OURS}"), format!("eva@{THEIRS}"));
    befriend(&mut anna, &ours, &mut eva, &theirs);
    befriend(&mut eva, &theirs, &mut anna, &ours);
    for (user, friend) in [(&mut anna, format!("{theirs}/desk")), (&mut eva, format!("{ours}/desk"))] {
        let features = user.order(json!({"do": "features", "to": friend})).expect("a friend answers");
        assert!(features.as_array().is_some_and(|list| list.contains(&json!(WANTED))), "{features}");
    }

    anna.publishes("rain");
    eva.reads(&ours, "rain");
    eva.publishes("sun");
    anna.reads(&theirs, "sun");

    // The last item greets who comes.
    let phone = pair.theirs.user_at("eva", "phone", false);
    phone.reads(&ours, "rain");
    let phone = pair.ours.user_at("anna", "phone", false);
    phone.reads(&theirs, "sun");
}

#[test]
fn events_pass_to_and_from_prosody() {
    events_pass(Program::Prosody);
}

#[test]
fn events_pass_to_and_from_ejabberd() {
    events_pass(Program::Ejabberd);
}

/// Only one of the two is found by DNS, so that all goes over the stream which the other one opens.
fn over_one_stream(we_are_found: bool) {
    let world = World::new();
    let certificate = |domain: &str| world.certificate(domain, Kind::Good);
    let (program, proof) = (Program::ProsodyBidi, Proof::Certificate);
    let theirs = Server::start(&world, program, THEIRS, "eva", &certificate(THEIRS), proof, "");
    let peer = peer_section(THEIRS, &world.ca(), proof);
    let ours = Server::start(&world, Program::Torg, OURS, "anna", &certificate(OURS), proof, &peer);
    let (mut anna, mut eva) = (ours.user("anna"), theirs.user("eva"));
    if we_are_found {
        world.dns.server(OURS, ours.s2s, 0);
        eva.order(json!({"do": "ping", "to": OURS})).expect("they open the stream");
    } else {
        world.dns.server(THEIRS, theirs.s2s, 0);
        anna.order(json!({"do": "ping", "to": THEIRS})).expect("we open the stream");
    }
    converse(&mut anna, &mut eva);
}

#[test]
fn all_goes_over_the_stream_that_prosody_has_opened() {
    over_one_stream(true);
}

#[test]
fn all_goes_over_the_stream_that_we_have_opened_to_prosody() {
    over_one_stream(false);
}
