use torg_thing::config::{Document, SourceText};

use super::*;

/// The errors of a `[[bridge]]` with these lines, as an operator sees them.
fn errors(text: &str) -> Vec<String> {
    let text = format!("[[bridge]]\nkind = \"modbus\"\nname = \"plant\"\n{text}");
    match parse(&text) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.iter().map(ToString::to_string).collect(),
    }
}

pub(crate) fn parse(text: &str) -> Result<Vec<LineConfig>, Vec<ConfigError>> {
    let source = SourceText::new("torg.toml", text);
    let document = Document::parse(&source)?;
    let section = document.section("bridge[0]", "plant", &["kind", "name"], &[]).unwrap();
    lines(&section)
}

fn line(keys: &str, devices: &str) -> String {
    format!("[[bridge.line]]\nname = \"a\"\n{keys}\n{devices}")
}

fn device(node: &str, unit: u16) -> String {
    format!("[[bridge.line.device]]\nnode = \"{node}\"\nunit = {unit}\nprofile = \"eastron.sdm630\"\n")
}

#[track_caller]
fn one_error(text: &str, place: &str, words: &str) {
    let errors = errors(text);
    assert_eq!(errors.len(), 1, "{errors:#?}");
    assert!(errors[0].contains(place) && errors[0].contains(words), "{errors:#?}");
}

#[test]
fn the_sample_loads() {
    let lines = parse(include_str!("sample.toml")).unwrap();
    let units: Vec<_> = lines.iter().flat_map(|line| &line.devices).map(|device| device.unit).collect();
    assert_eq!((lines.len(), units), (3, vec![7, 8, 1, 9]));
}

#[test]
fn device_keys_override_line_and_profile() {
    let lines = parse(include_str!("sample.toml")).unwrap();
    assert_eq!(lines[1].devices[0].link.timing.timeout, Duration::from_millis(800));
    assert_eq!(lines[1].devices[0].node.partition.as_str(), "cellar");
    assert_eq!(&*lines[1].devices[0].name, "Heat pump");
    assert_eq!(lines[2].settings.timing.pause, Duration::from_millis(20));
}

#[test]
fn a_serial_line_takes_its_settings_from_the_profile_if_it_has_none() {
    let text = format!("[[bridge]]\n{}", line("serial = \"/dev/ttyS0\"", &device("m", 1)));
    let lines = parse(&text).unwrap();
    let Transport::Serial(_, settings) = &lines[0].transport else { panic!("not serial") };
    let factory = &lines[0].devices[0].profile.link().serial;
    assert_eq!(settings.baud, factory.baud[0]);
    assert_eq!(lines[0].settings.timing.character_bits, 10 + u32::from(factory.stop_bits == 2));
}

#[test]
fn a_line_needs_a_transport() {
    one_error(&line("", &device("m", 1)), "bridge[0].line[0]", "one of `serial`, `tcp` and `rtu_over_tcp`");
}

#[test]
fn two_transports_are_one_too_many() {
    let text = line("serial = \"/dev/ttyS0\"\ntcp = \"127.0.0.1:502\"", &device("m", 1));
    one_error(&text, "torg.toml:7:7: bridge[0].line[0].tcp", "only one of");
}

#[test]
fn an_endpoint_is_host_and_port() {
    for endpoint in ["127.0.0.1", ":502", "host:0", "host:65536", "host:x"] {
        one_error(&line(&format!("tcp = \"{endpoint}\""), &device("m", 1)), "line[0].tcp", "host:port");
    }
    assert_eq!(errors(&line("tcp = \"[::1]:65535\"", &device("m", 1))), [""; 0]);
}

#[test]
fn the_same_endpoint_twice_is_one_line() {
    let second = line("tcp = \"127.0.0.1:502\"", &device("n", 2)).replace("\"a\"", "\"b\"");
    let text = line("tcp = \"127.0.0.1:502\"", &device("m", 1)) + &second;
    one_error(&text, "bridge[0].line[1]", "the same endpoint");
}

#[test]
fn a_node_or_line_name_is_taken_once() {
    let text = line("tcp = \"127.0.0.1:502\"", &(device("m", 1) + &device("m", 2)));
    one_error(&text, "line[0].device[1].node", "taken by line[0].device[0].node");
    let text = line("tcp = \"h:1\"", "") + &line("tcp = \"h:2\"", "");
    one_error(&text, "line[1].name", "taken by line[0].name");
}

#[test]
fn a_unit_is_taken_once_on_a_line() {
    let text = line("tcp = \"127.0.0.1:502\"", &(device("m", 1) + &device("n", 1)));
    one_error(&text, "line[0].device[1].unit", "taken by");
}

#[test]
fn units_are_1_to_247_on_serial_and_0_to_255_on_tcp() {
    for (unit, serial, tcp) in [(0, 1, 0), (1, 0, 0), (247, 0, 0), (248, 1, 0), (255, 1, 0), (256, 1, 1)] {
        assert_eq!(errors(&line("serial = \"/dev/ttyS0\"", &device("m", unit))).len(), serial, "serial {unit}");
        assert_eq!(errors(&line("rtu_over_tcp = \"h:1\"", &device("m", unit))).len(), serial, "rtu {unit}");
        assert_eq!(errors(&line("tcp = \"h:1\"", &device("m", unit))).len(), tcp, "tcp {unit}");
    }
}

#[test]
fn an_unknown_profile_gets_a_suggestion() {
    let text = line("tcp = \"h:1\"", &device("m", 1).replace("sdm630", "smd630"));
    one_error(&text, "line[0].device[0].profile", "did you mean `eastron.sdm630`?");
}

#[test]
fn serial_keys_do_not_belong_on_tcp() {
    for key in ["baud = 9600", "parity = \"even\"", "stop_bits = 1", "echo = true"] {
        one_error(&line(&format!("tcp = \"h:1\"\n{key}"), &device("m", 1)), "line[0].", "only serial lines");
    }
}

#[test]
fn an_unknown_key_gets_a_suggestion_and_every_mistake_is_told() {
    let text = line("tpc = \"h:1\"\nbaud = 1", &device("m", 1));
    let errors = errors(&text);
    assert_eq!(errors.len(), 2, "{errors:#?}");
    assert!(errors[0].contains("did you mean `tcp`?"), "{errors:#?}");
}
