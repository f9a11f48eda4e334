use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::*;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Site {
    broker: Broker,
    #[serde(default)]
    bridge: Vec<BridgeHead>,
    #[serde(default)]
    #[expect(dead_code, reason = "only its check matters")]
    labels: BTreeMap<String, u8>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only their checks matter")]
struct Broker {
    domain: String,
    #[schemars(range(min = 1, max = 100))]
    sessions: Option<u16>,
    ratio: Option<f64>,
    parity: Option<Parity>,
    password: Option<u8>,
    port: Option<Port>,
    #[schemars(length(min = 1, max = 2))]
    listen: Option<Vec<String>>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Parity {
    /// Even parity.
    Even,
    None,
    Odd,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged, deny_unknown_fields)]
#[expect(dead_code, reason = "only its check matters")]
enum Port {
    Number(u16),
    Pair { low: u16, high: u16 },
}

/// The app checks the head of each bridge; the rest is the bridge's own.
#[derive(Debug, Deserialize, JsonSchema)]
struct BridgeHead {
    kind: String,
    name: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Modbus {
    line: Vec<Line>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Line {
    tcp: String,
    #[serde(default)]
    device: Vec<Device>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Device {
    node: Name,
    unit: u8,
}

/// A text that checks itself while it is read.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String")]
struct Name(String);

impl TryFrom<String> for Name {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        if text.contains('/') { Err("a node name has no slash".to_owned()) } else { Ok(Self(text)) }
    }
}

fn errors_of(text: &str) -> Vec<ConfigError> {
    let source = SourceText::new("torg.toml", text);
    match Document::parse(&source) {
        Ok(document) => document.check::<Site>().err().unwrap_or_default(),
        Err(errors) => errors,
    }
}

fn lines_of(text: &str) -> Vec<String> {
    errors_of(text).iter().map(ToString::to_string).collect()
}

#[test]
fn a_right_text_is_read() {
    let source = SourceText::new(
        "torg.toml",
        "[broker]\ndomain = \"a\"\nsessions = 1\nratio = 2\nport = { low = 1, high = 2 }\n",
    );
    let site: Site = Document::parse(&source).unwrap().check().unwrap();
    assert_eq!(site.broker.domain, "a");
    assert!(site.bridge.is_empty());
}

#[test]
fn every_mistake_is_told_at_once_in_the_order_of_the_text() {
    let text = "[broker]\nsesions = 3\ndomain = 7\nparity = \"evne\"\nratio = \"x\"\n[[bridge]]\nkind = \"modbus\"\n[label]\nx = 1\n";
    assert_eq!(
        lines_of(text),
        [
            "torg.toml:2:1: broker.sesions: unknown key; did you mean `sessions`?",
            "torg.toml:3:10: broker.domain: wrong type: found 7, expected a string",
            "torg.toml:4:10: broker.parity: unknown value: found \"evne\", expected \"none\", \"odd\" or \"even\"; did you mean `even`?",
            "torg.toml:5:9: broker.ratio: wrong type: found \"x\", expected a number",
            "torg.toml:6:1: bridge[0].name: missing key; expected a string",
            "torg.toml:8:2: label: unknown key; did you mean `labels`?",
        ]
    );
}

#[test]
fn an_unknown_key_with_no_near_one_lists_the_known_ones() {
    let errors = errors_of("[broker]\ndomain = \"a\"\ncolour = 1\n");
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0].suggestion, None);
    assert!(errors[0].allowed.as_deref().unwrap().starts_with("one of "));
    assert_eq!((errors[0].line, errors[0].column), (3, 1));
}

#[test]
fn a_missing_table_is_a_missing_key() {
    assert_eq!(lines_of(""), ["torg.toml:1:1: broker: missing key; expected a table"]);
}

#[test]
fn limits_hold_at_below_and_above() {
    for (value, fits) in
        [("0", false), ("1", true), ("100", true), ("101", false), ("-1", false), ("99999999999999999999", false)]
    {
        let found = lines_of(&format!("[broker]\ndomain = \"a\"\nsessions = {value}\n"));
        assert_eq!(found.is_empty(), fits, "{value}: {found:?}");
        if !fits {
            assert_eq!(
                found,
                [format!(
                    "torg.toml:3:12: broker.sessions: out of range: found {value}, expected an integer from 1 to 100"
                )]
            );
        }
    }
    for (value, fits) in [("[]", false), ("[\"a\"]", true), ("[\"a\", \"b\"]", true), ("[\"a\", \"b\", \"c\"]", false)]
    {
        assert_eq!(lines_of(&format!("[broker]\ndomain = \"a\"\nlisten = {value}\n")).is_empty(), fits, "{value}");
    }
}

#[test]
fn a_duplicate_key_is_told_beside_other_mistakes() {
    let found = lines_of("[broker]\ndomain = \"a\"\ndomain = \"b\"\nsesions = 1\n");
    assert_eq!(
        found,
        [
            "torg.toml:3:1: domain: duplicate key",
            "torg.toml:4:1: broker.sesions: unknown key; did you mean `sessions`?"
        ]
    );
}

#[test]
fn a_text_that_is_not_toml_says_where() {
    let errors = errors_of("[broker\ndomain = \"a\"\n");
    assert_eq!(errors[0].problem, Problem::Syntax);
    assert_eq!(errors[0].line, 1);
}

#[test]
fn the_value_of_a_secret_is_never_shown() {
    let errors = errors_of("[broker]\ndomain = \"a\"\npassword = \"hunter2\"\n");
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0].found, None);
    assert!(!format!("{errors:?} {}", errors[0]).contains("hunter2"));
    assert!(!serde_json::to_string(&errors).unwrap().contains("hunter2"));
}

#[test]
fn of_several_shapes_the_one_meant_tells_its_mistakes() {
    assert_eq!(
        lines_of("[broker]\ndomain = \"a\"\nport = { low = 1, hihg = 2 }\n"),
        ["torg.toml:3:19: broker.port.hihg: unknown key; did you mean `high`?"]
    );
    assert_eq!(
        lines_of("[broker]\ndomain = \"a\"\nport = \"x\"\n"),
        ["torg.toml:3:8: broker.port: wrong type: found \"x\", expected an integer from 0 to 65535 or a table"]
    );
}

#[test]
fn values_of_a_map_are_checked_too() {
    assert_eq!(
        lines_of("[broker]\ndomain = \"a\"\n[labels]\n\"Voltage L1\" = 256\n"),
        ["torg.toml:4:16: labels.\"Voltage L1\": out of range: found 256, expected an integer from 0 to 255"]
    );
}

#[test]
fn errors_are_facts_for_machines_too() {
    let json = serde_json::to_value(errors_of("[broker]\ndomain = \"a\"\nsesions = 3\n")).unwrap();
    assert_eq!(
        json,
        serde_json::json!([{"file": "torg.toml", "line": 3, "column": 1, "key": "broker.sesions", "problem": "unknown-key",
            "message": "unknown key", "suggestion": "sessions"}])
    );
}

const TWO_BRIDGES: &str = "\
[broker]
domain = \"a\"
[[bridge]]
kind = \"modbus\"
name = \"plant\"
[[bridge.line]]
tcp = \"127.0.0.1:502\"
[[bridge.line.device]]
node = \"meter-7\"
unit = 7
[[bridge]]
kind = \"modbus\"
name = \"roof\"
[[bridge.line]]
tpc = \"127.0.0.1:503\"
[[bridge.line]]
tcp = \"127.0.0.1:504\"
[[bridge.line.device]]
node = \"meter/8\"
unit = 300
";

#[test]
fn a_section_is_checked_with_the_places_of_the_whole_text() {
    let source = SourceText::new("torg.toml", TWO_BRIDGES);
    let document = Document::parse(&source).unwrap();
    let paths = [PathBuf::from("profiles")];
    let site: Site = document.check().unwrap();
    assert_eq!((site.bridge[1].kind.as_str(), site.bridge[1].name.as_str()), ("modbus", "roof"));

    let first = document.section("bridge[0]", "plant", &["kind", "name"], &paths).unwrap();
    let parsed: Modbus = first.parse().unwrap();
    assert_eq!((parsed.line[0].tcp.as_str(), parsed.line[0].device[0].unit), ("127.0.0.1:502", 7));
    assert_eq!(parsed.line[0].device[0].node.0, "meter-7");
    assert_eq!(first.name(), "plant");
    assert_eq!(first.profile_paths(), paths);

    let second = document.section("bridge[1]", "roof", &["kind", "name"], &paths).unwrap();
    let errors: Vec<String> = second.parse::<Modbus>().unwrap_err().iter().map(ToString::to_string).collect();
    assert_eq!(
        errors,
        [
            "torg.toml:15:1: bridge[1].line[0].tpc: unknown key; did you mean `tcp`?",
            "torg.toml:20:8: bridge[1].line[1].device[0].unit: out of range: found 300, expected an integer from 0 to 255",
        ]
    );
}

#[test]
fn a_text_that_checks_itself_is_told_with_its_place() {
    let source = SourceText::new("torg.toml", TWO_BRIDGES.replace("300", "3").replace("tpc", "tcp"));
    let document = Document::parse(&source).unwrap();
    let section = document.section("bridge[1]", "roof", &["kind", "name"], &[]).unwrap();
    let errors: Vec<String> = section.parse::<Modbus>().unwrap_err().iter().map(ToString::to_string).collect();
    assert_eq!(errors, ["torg.toml:19:8: bridge[1].line[1].device[0].node: a node name has no slash"]);
}

#[test]
fn later_checks_point_at_the_key_or_the_table_around_it() {
    let source = SourceText::new("torg.toml", TWO_BRIDGES);
    let document = Document::parse(&source).unwrap();
    let section = document.section("bridge[1]", "roof", &["kind", "name"], &[]).unwrap();
    let place = |error: ConfigError| (error.line, error.column, error.key.into_string());
    assert_eq!(
        place(section.error_at("line[1].device[0].unit", "taken")),
        (20, 8, "bridge[1].line[1].device[0].unit".to_owned())
    );
    assert_eq!(
        place(section.error_at("line[1].device[0].profile", "x")),
        (18, 1, "bridge[1].line[1].device[0].profile".to_owned())
    );
    assert_eq!(place(document.error_at("broker", "x")), (1, 2, "broker".to_owned()));
    assert_eq!(place(document.error_at("broker.listen", "x")), (1, 2, "broker.listen".to_owned()));
    assert_eq!(place(document.error_at("", "x")), (1, 1, String::new()));
    let error = document.unknown_at("bridge[0].kind", "no such bridge", ["modbuss", "mbus"]);
    assert_eq!(
        error.to_string(),
        "torg.toml:4:8: bridge[0].kind: no such bridge: found \"modbus\"; did you mean `modbuss`?"
    );
}

#[test]
fn a_path_in_odd_characters_survives_its_notation() {
    let source = SourceText::new("p.toml", "[points]\n\"a.b\\\"[0]\" = { x = 1 }\n");
    let document = Document::parse(&source).unwrap();
    let error = document.error_at(&format!("points.{}.x", quote_key("a.b\"[0]")), "bad");
    assert_eq!((error.line, error.column), (2, 20));
    assert_eq!(&*error.key, "points.\"a.b\\\"[0]\".x");
}

#[test]
fn columns_count_characters_not_bytes() {
    assert_eq!(errors_of("[broker]\ndomain = \"a\"\nport = { \"åäö\" = 1, low = 1, high = 2 }\n")[0].column, 10);
    assert_eq!(errors_of("[broker]\ndomain = \"a\"\nlisten = [\"åäö\", 1]\n")[0].column, 18);
}

#[test]
fn an_unreadable_file_is_named() {
    let error = SourceText::read(std::path::Path::new("/nonexistent/torg.toml")).unwrap_err();
    assert!(error.to_string().starts_with("/nonexistent/torg.toml: cannot be read: "), "{error}");
    assert_eq!(error.line, 0);
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only its check matters")]
struct Tagged {
    engine: Engine,
    #[serde(default)]
    codes: BTreeMap<u16, String>,
    secret: Option<Name>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
#[expect(dead_code, reason = "only its check matters")]
enum Engine {
    Sqlite { path: String },
    Postgres { host: String, port: u16 },
}

fn tagged(text: &str) -> Vec<String> {
    let source = SourceText::new("t.toml", text);
    let checked = Document::parse(&source).unwrap().check::<Tagged>();
    checked.err().unwrap_or_default().iter().map(ToString::to_string).collect()
}

#[test]
fn a_tag_chooses_the_shape_that_tells_its_mistakes() {
    assert!(tagged("engine = { kind = \"sqlite\", path = \"a\" }").is_empty());
    assert_eq!(
        tagged("engine = { kind = \"postgres\", host = \"a\", prot = 1 }"),
        ["t.toml:1:43: engine.prot: unknown key; did you mean `port`?"]
    );
}

#[test]
fn a_wrong_or_missing_tag_is_told_instead_of_everything_else() {
    assert_eq!(
        tagged("engine = { kind = \"sqlit\", host = 1 }"),
        [
            "t.toml:1:19: engine.kind: unknown value: found \"sqlit\", expected \"sqlite\" or \"postgres\"; did you mean `sqlite`?"
        ]
    );
    assert_eq!(
        tagged("engine = { path = \"a\" }"),
        ["t.toml:1:10: engine.kind: missing key; expected \"sqlite\" or \"postgres\""]
    );
}

#[test]
fn maps_with_numbers_as_keys_are_checked() {
    let with = |codes: &str| tagged(&format!("engine = {{ kind = \"sqlite\", path = \"a\" }}\n[codes]\n{codes}\n"));
    assert!(with("0 = \"a\"\n65535 = \"b\"").is_empty());
    assert_eq!(with("1 = 2"), ["t.toml:3:5: codes.1: wrong type: found 2, expected a string"]);
    assert_eq!(with("x = \"a\""), ["t.toml:3:1: codes.x: unknown key; expected a whole number as key"]);
}

#[test]
fn what_serde_says_of_a_secret_is_not_repeated() {
    let found = tagged("secret = \"hunter/2\"\nengine = { kind = \"sqlite\", path = \"a\" }");
    assert_eq!(found, ["t.toml:1:10: secret: is not a valid value"]);
}

#[test]
fn a_text_with_mistakes_is_still_read_to_find_more_of_them() {
    let text = TWO_BRIDGES.replace("meter/8", "meter-7");
    let source = SourceText::new("torg.toml", text);
    let document = Document::parse(&source).unwrap();
    let section = document.section("bridge[1]", "roof", &["kind", "name"], &[]).unwrap();
    let (modbus, errors) = section.examine::<Modbus>();
    assert_eq!(errors.len(), 2);
    let modbus = modbus.unwrap();
    assert_eq!((modbus.line[0].tcp.as_str(), modbus.line[1].tcp.as_str()), ("", "127.0.0.1:504"));
    assert_eq!((modbus.line[1].device[0].node.0.as_str(), modbus.line[1].device[0].unit), ("meter-7", 0));
}

#[test]
fn what_a_check_finds_in_a_right_text_is_what_the_examination_gives() {
    let source =
        SourceText::new("torg.toml", "[broker]\ndomain = \"a\"\nratio = 0.5\nlisten = [\"x\"]\n[labels]\na = 7\n");
    let document = Document::parse(&source).unwrap();
    let (site, errors) = document.examine::<Site>();
    assert!(errors.is_empty());
    assert_eq!(format!("{site:?}"), format!("{:?}", Some(document.check::<Site>().unwrap())));
}

#[test]
fn every_kind_of_mistake_can_be_read_past() {
    for wrong in [
        "sessions = \"x\"",
        "sessions = 0",
        "parity = \"evne\"",
        "parity = 1",
        "ratio = []",
        "port = \"x\"",
        "port = { low = 1 }",
        "port = { low = 1, high = 70000, mid = 2 }",
        "listen = []",
        "listen = [1, \"a\"]",
        "listen = \"a\"",
        "unknown = 1979-05-27T07:32:00Z",
        "unknown = { a = [1, 2.5, true] }",
    ] {
        let source = SourceText::new("torg.toml", format!("[broker]\ndomain = \"site\"\n{wrong}\n"));
        let document = Document::parse(&source).unwrap();
        let (site, errors) = document.examine::<Site>();
        assert!(!errors.is_empty(), "{wrong}");
        assert_eq!(site.expect(wrong).broker.domain, "site");
    }
}

#[test]
fn consequences_of_a_mistake_are_not_told_but_other_mistakes_are() {
    let source = SourceText::new("torg.toml", TWO_BRIDGES);
    let document = Document::parse(&source).unwrap();
    let section = document.section("bridge[1]", "roof", &["kind", "name"], &[]).unwrap();
    let (_, mut errors) = section.examine::<Modbus>();
    let kept: Vec<ConfigError> = errors.clone();
    errors.push(section.error_at("line[0]", "one of `serial` and `tcp` must be given"));
    errors.push(section.error_at("line[1].device[0].unit", "is taken"));
    errors.push(section.error_at("line[1].device[0].node", "is taken"));
    errors.push(section.error_at("line[1].device[0].node", "is taken"));
    drop_consequences(&mut errors);
    assert_eq!(errors.len(), 3);
    assert_eq!(errors[..2], kept[..]);
    assert_eq!(&*errors[2].key, "bridge[1].line[1].device[0].node");
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_check_panic(text in "([a-z\\[\\]=\"{}.,# 0-9-]|\\n|broker|domain|bridge){0,60}") {
        errors_of(&text);
        let source = SourceText::new("torg.toml", text);
        if let Ok(document) = Document::parse(&source) {
            let (site, errors) = document.examine::<Site>();
            proptest::prop_assert_eq!(document.check::<Site>().is_ok(), site.is_some() && errors.is_empty());
        }
    }
}
