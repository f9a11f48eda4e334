//! Harmonized interfaces, and the time.

use super::*;
use synchronization::{Counter, Synchronization};

#[test]
fn interfaces_are_told_in_the_words_they_were_asked_in() {
    for dialect in Dialect::ALL {
        let asked = interfaces::request(dialect, Some(&node("n", "s", "")));
        assert_eq!(interfaces::decode_request(&asked), Ok((Some(node("n", "s", "")), dialect)));
        let answer = interfaces::answer(dialect, ["urn:nfi:iot:hi:meter:electricity:1.0"]);
        assert_eq!(interfaces::decode_answer(&answer).unwrap(), ["urn:nfi:iot:hi:meter:electricity:1.0"]);
    }
    assert_eq!(
        interfaces::answer(Dialect::Interoperability, ["a"]),
        xml(
            "<getInterfacesResponse xmlns='urn:xmpp:iot:interoperability'><interface name='a'/></getInterfacesResponse>"
        )
    );
}

#[test]
fn interfaces_of_the_device_itself_have_no_node() {
    let asked = xml("<getInterfaces xmlns='urn:nfi:iot:hi:1.0'/>");
    assert_eq!(interfaces::decode_request(&asked), Ok((None, Dialect::Harmonized)));
}

#[test]
fn the_time_reads_back_as_written() {
    let response = synchronization::Response {
        at: "2026-03-01T10:15:00.123456Z".parse().unwrap(),
        counter: Some(Counter { ticks: 5, frequency: 1_000_000 }),
    };
    for generation in Generation::ALL {
        for payload in [
            Synchronization::Request,
            Synchronization::Response(response),
            Synchronization::SourceRequest,
            Synchronization::SourceResponse("clock@a.example".into()),
        ] {
            assert_eq!(Synchronization::decode(&payload.encode(generation)), Ok((payload, generation)));
        }
    }
}
