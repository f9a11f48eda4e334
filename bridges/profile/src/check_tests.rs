use torg_thing::config::{ConfigError, SourceText};

use super::*;
use crate::vectors::run_vectors;

const METER: &str = r#"
[profile]
id = "acme.meter"
version = "1.0.0"
protocol = "modbus"
license = "CC0-1.0"
device = { vendor = "Acme", models = ["M1"] }
sources = { manual = "Acme manual", second = "Another project" }
interfaces = ["urn:nfi:iot:hi:meter:electricity:1.0"]
i18n = { en = "Meter", sv = "Mätare" }
[points]
"Voltage L1" = { table = "input", address = 0, type = "f32", unit = "V", decimals = 1, valid = [0, 600], missing = ["nan"] }
"Energy" = { table = "input", address = 0x48, type = "f32", unit = "kWh", decimals = 3, monotonic = true }
[points."Demand Period"]
table = "holding"
address = 2
type = "f32"
decimals = 0
unit = "min"
category = "status"
write = { function = 16, range = [0, 60], privilege = "configure" }
[[test]]
input = { 0x0000 = "4366199A", 0x0048 = "4640E6B7" }
holding = { 2 = "42700000" }
expect = { "Voltage L1" = "230.1 V", "Energy" = "12345.679 kWh", "Demand Period" = "60 min" }
[[test]]
set = { "Demand Period" = "15" }
holding = { 2 = "41700000" }
"#;

fn checked(text: &str) -> Result<Profile, Vec<ConfigError>> {
    check(&SourceText::new("acme.toml", text))
}

fn errors_of(text: &str) -> Vec<String> {
    checked(text).err().unwrap_or_default().iter().map(ToString::to_string).collect()
}

#[test]
fn a_right_profile_is_read() {
    let profile = checked(METER).unwrap();
    assert_eq!((profile.id(), profile.title("sv"), profile.title("fr")), ("acme.meter", "Mätare", "Meter"));
    assert_eq!(profile.points().len(), 3);
}

#[test]
fn its_vectors_run() {
    for result in run_vectors(&checked(METER).unwrap()) {
        assert!(result.passed(), "{result:?}");
    }
}

#[test]
fn every_mistake_is_told_at_once() {
    let text = METER
        .replace("decimals = 1, valid", "decimal = 1, valid")
        .replace("version = \"1.0.0\"", "version = 1")
        .replace("type = \"f32\", unit = \"kWh\"", "type = \"f23\", unit = \"kWh\"");
    assert_eq!(
        errors_of(&text),
        [
            "acme.toml:4:11: profile.version: wrong type: found 1, expected a string",
            "acme.toml:12:74: points.\"Voltage L1\".decimal: unknown key; did you mean `decimals`?",
            "acme.toml:13:54: points.Energy.type: unknown value: found \"f23\", expected \"bcd16\", \"bcd32\", \"bit\", \
             \"f16\", \"f32\", \"f64\", \"s16\", \"s32\", \"s64\", \"u16\", \"u32\", \"u64\", \"raw\", \"s8hi\", \"s8lo\", \"string\", \"u8hi\" or \
             \"u8lo\"; did you mean `f32`?",
        ]
    );
}

#[test]
fn mistakes_of_form_and_of_meaning_are_told_together_without_consequences() {
    let text = METER
        .replace("version = \"1.0.0\"", "version = \"1.0\"")
        .replace("decimals = 1, valid", "decimal = 1, valid")
        .replace("values", "value")
        .replace("range = [0, 60]", "range = [60, 0]")
        .replace("address = 0x48", "address = 70000");
    assert_eq!(
        errors_of(&text),
        [
            "acme.toml:4:11: profile.version: is written `major.minor.patch`, for instance `1.0.0`",
            "acme.toml:12:74: points.\"Voltage L1\".decimal: unknown key; did you mean `decimals`?",
            "acme.toml:13:41: points.Energy.address: addresses end at 65535; for numbers such as 40001 set `notation = \"modicon\"`",
            "acme.toml:21:34: points.\"Demand Period\".write.range: has the larger number first",
        ]
    );
}

/// A profile with these points and nothing else wrong.
fn with_points(points: &str) -> String {
    format!(
        "[profile]\nid = \"acme.x\"\nversion = \"1.0.0\"\nprotocol = \"modbus\"\nlicense = \"CC0-1.0\"\n\
         device = {{ vendor = \"Acme\", models = [\"X\"] }}\nsources = {{ a = \"one\", b = \"two\" }}\n[points]\n{points}\n"
    )
}

/// Line of the first point in [`with_points`].
const FIRST: u32 = 9;

/// Checks that one wrong point gives exactly one error, at a key of the point, with a message.
fn refused(point: &str, key: &str, message: &str) {
    let errors = checked(&with_points(&format!("\"P\" = {{ {point} }}"))).err().unwrap_or_default();
    let told: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(errors.len(), 1, "{point}: {told:#?}");
    let path = if key.is_empty() { "points.P".to_owned() } else { format!("points.P.{key}") };
    assert_eq!((&*errors[0].key, errors[0].line), (path.as_str(), FIRST), "{told:?}");
    assert!(errors[0].message.contains(message), "{point}: {told:?}");
}

fn accepted(point: &str) -> Profile {
    match checked(&with_points(&format!("\"P\" = {{ {point} }}"))) {
        Ok(profile) => profile,
        Err(errors) => panic!("{point}: {}", errors[0]),
    }
}

#[test]
fn an_address_past_the_end_of_a_table_is_refused() {
    accepted(r#"table = "input", address = 65535, type = "u16""#);
    accepted(r#"table = "input", address = 65532, type = "u64""#);
    refused(r#"table = "input", address = 65536, type = "u16""#, "address", "addresses end at 65535");
    refused(r#"table = "input", address = 65533, type = "u64""#, "address", "past address 65535");
    refused(r#"table = "holding", address = 400001, type = "u16""#, "address", "modicon");
}

#[test]
fn modicon_numbers_are_turned_into_addresses() {
    for (table, written, address) in [
        ("coil", 1, 0),
        ("coil", 65_536, 65_535),
        ("discrete", 10_001, 0),
        ("discrete", 100_001, 0),
        ("input", 30_001, 0),
        ("input", 39_999, 9998),
        ("input", 365_536, 65_535),
        ("holding", 40_003, 2),
        ("holding", 400_003, 2),
    ] {
        let kind = if table == "coil" || table == "discrete" { "bit" } else { "u16" };
        let text = with_points(&format!("P = {{ table = \"{table}\", address = {written}, type = \"{kind}\" }}"));
        let text = text.replace("protocol =", "notation = \"modicon\"\nprotocol =");
        assert_eq!(checked(&text).unwrap().points()[0].address(), address, "{table} {written}");
    }
}

#[test]
fn modicon_numbers_of_another_table_are_refused() {
    for (table, written) in [
        ("coil", 0),
        ("coil", 65_537),
        ("discrete", 20_000),
        ("input", 30_000),
        ("input", 40_001),
        ("holding", 0),
        ("holding", 50_000),
        ("holding", 465_537),
    ] {
        let kind = if table == "coil" || table == "discrete" { "bit" } else { "u16" };
        let text = with_points(&format!("P = {{ table = \"{table}\", address = {written}, type = \"{kind}\" }}"));
        let errors = errors_of(&text.replace("protocol =", "notation = \"modicon\"\nprotocol ="));
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert!(errors[0].contains("in modicon notation"), "{errors:?}");
    }
}

#[test]
fn a_value_longer_than_one_read_is_refused() {
    accepted(r#"table = "input", address = 0, type = "string", length = 125"#);
    refused(r#"table = "input", address = 0, type = "string", length = 126"#, "length", "out of range");
    let limited = with_points(r#"P = { table = "input", address = 0, type = "string", length = 9 }"#);
    let errors = errors_of(&limited.replace("[points]", "[link]\nlimits = { read = 8 }\n[points]"));
    assert!(errors[0].contains("is 9, but one read of this device takes at most 8"), "{errors:?}");
}

#[test]
fn types_and_tables_must_fit() {
    refused(r#"table = "input", address = 0"#, "type", "registers need a type");
    refused(r#"table = "input", address = 0, type = "bit""#, "type", "for coils and discrete inputs");
    refused(r#"table = "coil", address = 0, type = "u16""#, "type", "is always `bit`");
    refused(r#"table = "coil", address = 0, bits = "0:1""#, "bits", "no sense for a single bit");
    refused(r#"table = "input", address = 0, type = "string""#, "length", "is needed");
    refused(r#"table = "input", address = 0, type = "u16", length = 2"#, "length", "follows from the type");
    refused(r#"table = "input", address = 0, type = "s16", bits = "0:4""#, "bits", "unsigned type");
}

#[test]
fn bit_slices_stay_inside_the_value() {
    accepted(r#"table = "input", address = 0, type = "u16", bits = "0:16""#);
    accepted(r#"table = "input", address = 0, type = "u32", bits = "31:1""#);
    for bits in ["0:17", "16:1", "1:0", "3", "a:b", ""] {
        refused(&format!(r#"table = "input", address = 0, type = "u16", bits = "{bits}""#), "bits", "shift:width");
    }
}

#[test]
fn scaling_must_be_possible_and_say_its_digits() {
    refused(r#"table = "input", address = 0, type = "f32", unit = "V""#, "decimals", "floating-point");
    refused(r#"table = "input", address = 0, type = "u16", divide = 3"#, "decimals", "needed when `divide`");
    refused(r#"table = "input", address = 0, type = "u16", divide = 0, decimals = 1"#, "divide", "may not be 0");
    refused(r#"table = "input", address = 0, type = "u16", scale = 0"#, "scale", "may not be 0");
    refused(r#"table = "input", address = 0, type = "string", length = 2, unit = "V""#, "unit", "no sense for a text");
    refused(r#"table = "coil", address = 0, scale = 2"#, "scale", "no sense for a single bit");
    refused(r#"table = "input", address = 0, type = "f32", decimals = 13"#, "decimals", "out of range");
}

#[test]
fn sentinels_must_fit_the_type() {
    accepted(r#"table = "input", address = 0, type = "u16", missing = [0xFFFF, "max"]"#);
    refused(
        r#"table = "input", address = 0, type = "u16", missing = [0x10000]"#,
        "missing[0]",
        "wider than the 16 bits",
    );
    refused(r#"table = "input", address = 0, type = "u16", missing = ["nan"]"#, "missing[0]", "for floating-point");
    refused(
        r#"table = "input", address = 0, type = "f32", decimals = 1, missing = ["max"]"#,
        "missing[0]",
        "for integers",
    );
    refused(r#"table = "coil", address = 0, missing = [1]"#, "missing[0]", "no sense");
}

#[test]
fn enumerations_and_flags_must_be_whole_and_inside() {
    refused(r#"table = "input", address = 0, type = "u16", enum = { a = "x" }"#, "enum.a", "not a whole number");
    refused(r#"table = "input", address = 0, type = "u16", enum = { 1 = "x", 0x1 = "y" }"#, "enum.1", "a name already");
    refused(r#"table = "input", address = 0, type = "f32", enum = { 1 = "x" }"#, "enum", "integer type");
    refused(r#"table = "input", address = 0, type = "u16", flags = { 16 = "x" }"#, "flags.16", "from 0 to 15");
    refused(r#"table = "input", address = 0, type = "s16", flags = { 1 = "x" }"#, "flags", "unsigned type");
    refused(r#"table = "input", address = 0, type = "u16", enum_type = "t""#, "enum_type", "needs `enum`");
}

#[test]
fn flags_become_fields_of_their_own() {
    let profile = accepted(
        r#"table = "input", address = 7, type = "u16", category = "status", flags = { 0 = "Filter", 3 = { name = "Overheat", qos = "error" } }"#,
    );
    let names: Vec<&str> = profile.points().iter().map(|point| point.name().as_str()).collect();
    assert_eq!(names, ["P, Filter", "P, Overheat"]);
    let hot = profile.points()[1].decode(crate::Raw::Words(&[0b1000])).unwrap();
    assert_eq!(hot.value, Some(torg_thing::FieldValue::Boolean(true)));
    assert!(hot.qos.contains(torg_thing::Qos::ERROR));
    let cold = profile.points()[1].decode(crate::Raw::Words(&[0b0001])).unwrap();
    assert!(!cold.qos.contains(torg_thing::Qos::ERROR));
}

#[test]
fn repeated_points_are_numbered_and_moved() {
    let profile = checked(&with_points(
        r#""Channel %1%" = { table = "input", address = 10, type = "u32", repeat = { count = 3, stride = 4, first = 0 } }"#,
    ))
    .unwrap();
    let found: Vec<(String, u16)> =
        profile.points().iter().map(|point| (point.name().to_string(), point.address())).collect();
    assert_eq!(found, [("Channel 0".to_owned(), 10), ("Channel 1".to_owned(), 14), ("Channel 2".to_owned(), 18)]);
}

#[test]
fn repetition_and_numbers_in_names_belong_together() {
    refused(r#"table = "input", address = 0, type = "u16", repeat = { count = 2, stride = 1 }"#, "repeat", "`%1%`");
    let errors = errors_of(&with_points(r#""C %1%" = { table = "input", address = 0, type = "u16" }"#));
    assert!(errors[0].contains("needs `repeat`"), "{errors:?}");
    let errors = errors_of(&with_points(
        r#""C %1%" = { table = "input", address = 65534, type = "u16", repeat = { count = 3, stride = 1 } }"#,
    ));
    assert!(errors[0].contains("past address 65535"), "{errors:?}");
}

#[test]
fn two_ways_to_one_name_are_refused() {
    let errors = errors_of(&with_points(
        "\"C %1%\" = { table = \"input\", address = 0, type = \"u16\", repeat = { count = 2, stride = 1 } }\n\
         \"C 2\" = { table = \"input\", address = 9, type = \"u16\" }",
    ));
    assert_eq!(errors, ["acme.toml:8:2: points: give the field \"C 2\" twice, through `repeat` or `flags`"]);
}

#[test]
fn a_point_with_one_source_must_say_that_it_is_unconfirmed() {
    refused(r#"table = "input", address = 0, type = "u16", sources = ["a"]"#, "", "has only one source (a)");
    refused(r#"table = "input", address = 0, type = "u16", sources = ["a", "a"]"#, "", "has only one source (a");
    refused(
        r#"table = "input", address = 0, type = "u16", sources = ["a", "c"]"#,
        "sources[1]",
        "no key of `profile.sources`",
    );
    refused(r#"table = "input", address = 0, type = "u16", sources = []"#, "sources", "at least one");
    let profile = accepted(r#"table = "input", address = 0, type = "u16", sources = ["a"], unconfirmed = true"#);
    assert!(profile.points()[0].summary().unconfirmed);
}

#[test]
fn writes_must_be_possible_and_bounded() {
    refused(
        r#"table = "input", address = 0, type = "u16", write = { range = [0, 1] }"#,
        "write",
        "not possible in the table input",
    );
    refused(r#"table = "holding", address = 0, type = "u16", write = {}"#, "write", "needs `range` or `values`");
    refused(
        r#"table = "holding", address = 0, type = "u16", write = { range = [2, 1] }"#,
        "write.range",
        "larger number first",
    );
    refused(
        r#"table = "holding", address = 0, type = "u16", write = { range = [0, 65536] }"#,
        "write.range[1]",
        "does not fit",
    );
    refused(
        r#"table = "holding", address = 0, type = "u16", write = { range = [-1, 9] }"#,
        "write.range[0]",
        "does not fit",
    );
    refused(
        r#"table = "holding", address = 0, type = "u16", scale = 0.5, write = { values = [0.5, 0.7] }"#,
        "write.values[1]",
        "step is 0.5",
    );
    refused(
        r#"table = "holding", address = 0, type = "u16", write = { as = "boolean", range = [0, 1] }"#,
        "write.as",
        "does not fit",
    );
    refused(
        r#"table = "holding", address = 0, type = "string", length = 2, write = {}"#,
        "write",
        "not possible for this type",
    );
    refused(r#"table = "coil", address = 0, write = { function = 6 }"#, "write.function", "5 or 15");
    refused(r#"table = "coil", address = 0, write = { range = [0, 1] }"#, "write.range", "no sense");
    refused(
        r#"table = "holding", address = 0, type = "u32", write = { function = 6, range = [0, 1] }"#,
        "write.function",
        "16 for several",
    );
    refused(
        r#"table = "holding", address = 0, type = "u16", bits = "0:2", enum = { 0 = "A", 4 = "B" }, write = {}"#,
        "enum",
        "does not fit",
    );
    accepted(r#"table = "holding", address = 0, type = "u16", write = { range = [0, 65535] }"#);
}

#[test]
fn what_is_written_stays_inside_the_table_and_the_limits() {
    accepted(r#"table = "holding", address = 0, type = "u32", write = { address = 65534, range = [0, 1] }"#);
    refused(
        r#"table = "holding", address = 0, type = "u32", write = { address = 65535, range = [0, 1] }"#,
        "write.address",
        "past address 65535",
    );
    refused(
        r#"table = "holding", address = 0, type = "u32", write = { address = 70000, range = [0, 1] }"#,
        "write.address",
        "addresses end at 65535",
    );
    refused(
        r#"table = "holding", address = 0, type = "u16", write = { range = [0, 1], unlock = [{ address = 65536, value = 1 }] }"#,
        "write.unlock[0].address",
        "addresses end",
    );
    let text = with_points(r#"P = { table = "holding", address = 0, type = "u32", write = { range = [0, 1] } }"#);
    let errors = errors_of(&text.replace("[points]", "[link]\nlimits = { write = 1 }\n[points]"));
    assert!(errors[0].ends_with("takes 2 registers, but one write of this device at most 1"), "{errors:?}");
}

#[test]
fn a_child_is_recognised_like_its_parent_unless_it_says_otherwise() {
    let point = "A = { table = \"input\", address = 1, type = \"u16\" }";
    let parent = generation(0, None, point).replace("[points]", "[identify]\nunique = \"A\"\n[points]");
    let child = generation(1, Some("acme.g0@1"), "");
    let other = generation(2, Some("acme.g0@1"), "")
        .replace("[points]", "[identify]\nall = [{ point = \"A\", min = 1 }]\n[points]");
    let (_folder, library) = family(&[("p.toml", &parent), ("c.toml", &child), ("o.toml", &other)]);
    assert_eq!(load(&library, "acme.g1").unwrap().identify().unique.as_ref().map(|name| name.as_str()), Some("A"));
    let other = load(&library, "acme.g2").unwrap();
    assert_eq!((other.identify().unique.clone(), other.identify().all.len()), (None, 1));
}

#[test]
fn holes_are_checked() {
    let text = with_points(r#"P = { table = "input", address = 12, type = "u32" }"#);
    let with = |hole: &str| errors_of(&text.replace("[points]", &format!("[link]\nno_read = [{hole}]\n[points]")));
    assert!(with(r#"{ table = "input", from = 14, to = 20 }"#).is_empty());
    assert!(with(r#"{ table = "holding", from = 0, to = 20 }"#).is_empty());
    assert!(with(r#"{ table = "input", from = 13, to = 13 }"#)[0].contains("lies in `link.no_read`"));
    assert!(with(r#"{ table = "input", from = 30, to = 29 }"#)[0].contains("before `from`"));
}

#[test]
fn groups_must_fit_one_request() {
    let text = with_points(
        "A = { table = \"input\", address = 0, type = \"u16\", read_with = \"g\" }\n\
         B = { table = \"input\", address = 124, type = \"u16\", read_with = \"g\" }",
    );
    assert!(errors_of(&text).is_empty());
    let errors = errors_of(&text.replace("124", "125"));
    assert_eq!(errors, ["acme.toml:8:2: points: of the group \"g\" do not fit one request of 125"]);
}

#[test]
fn intervals_are_read_at_and_refused_outside_their_limits() {
    let with = |text: &str| checked(&METER.replace("[points]", &format!("[poll]\nfast = \"{text}\"\n[points]")));
    for (text, ms) in [("100ms", 100), ("2s", 2000), ("5m", 300_000), ("24h", 86_400_000)] {
        assert_eq!(with(text).unwrap().poll().fast, std::time::Duration::from_millis(ms), "{text}");
    }
    for text in ["99ms", "25h", "2", "s", "-1s", "2 s", "1.5s", ""] {
        let errors = with(text).unwrap_err();
        assert_eq!(&*errors[0].key, "poll.fast", "{text}");
    }
}

#[test]
fn the_head_is_checked() {
    for (from, to, message) in [
        ("id = \"acme.meter\"", "id = \"Acme Meter\"", "is written `maker.model`"),
        ("version = \"1.0.0\"", "version = \"1.0\"", "is written `major.minor.patch`"),
        ("interfaces =", "remove = [\"x\"]\ninterfaces =", "only makes sense together with `extends`"),
        ("protocol = \"modbus\"", "protocol = \"modbuss\"", "did you mean `modbus`?"),
        ("license = \"CC0-1.0\"", "", "profile.license: missing key"),
    ] {
        let errors = errors_of(&METER.replace(from, to));
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert!(errors[0].contains(message), "{errors:?}");
    }
}

#[test]
fn a_profile_that_lies_about_an_interface_does_not_load() {
    let errors = errors_of(&METER.replace("\"Energy\"", "\"Enregy\""));
    assert!(
        errors.iter().any(|error| error.ends_with("meter:electricity:1.0: needs the field \"Energy\"")),
        "{errors:?}"
    );
    let errors = errors_of(&METER.replace("monotonic = true", "category = \"status\""));
    assert_eq!(
        errors,
        [
            "acme.toml:9:15: profile.interfaces[0]: urn:nfi:iot:hi:meter:electricity:1.0: the field \"Energy\" must have the category m"
        ]
    );
    let errors = errors_of(&METER.replace("meter:electricity:1.0", "actuator:digitalOutputs:1.0"));
    assert!(errors[0].ends_with("needs the control parameter \"Digital Output %1%\""), "{errors:?}");
}

#[test]
fn the_optional_parts_of_an_interface_must_fit_too() {
    let power = "[points]\n\"Power\" = { table = \"coil\", address = 0 }";
    let errors = errors_of(&METER.replace("[points]", power));
    assert!(errors[0].ends_with("the field \"Power\" must be a quantity"), "{errors:?}");
}

#[test]
fn a_misspelt_interface_gets_a_suggestion_and_a_foreign_one_is_left_alone() {
    let errors = errors_of(&METER.replace("meter:electricity", "meter:electrcity"));
    assert!(errors[0].ends_with("did you mean `urn:nfi:iot:hi:meter:electricity:1.0`?"), "{errors:?}");
    assert!(errors_of(&METER.replace("urn:nfi:iot:hi:meter:electricity:1.0", "urn:acme:meter:1")).is_empty());
    assert_eq!(errors_of(&METER.replace("meter:electricity:1.0", "meter:electricity:2.0")).len(), 1);
}

#[test]
fn what_a_vector_says_of_an_unknown_point_is_refused() {
    let errors = errors_of(&METER.replace("\"Energy\" = \"12345", "\"Enrgy\" = \"12345"));
    assert_eq!(errors, ["acme.toml:25:48: test[0].expect.Enrgy: no such point; did you mean `Energy`?"]);
}

#[test]
fn images_of_vectors_are_checked() {
    for (row, message) in [
        ("0x0000 = \"436619\"", "four hexadecimal digits"),
        ("0x0000 = \"\"", "four hexadecimal digits"),
        ("0x0000 = \"xyz0\"", "four hexadecimal digits"),
        ("0x0000 = \"4366199A\", 1 = \"0000\"", "overlaps another row"),
        ("65536 = \"0000\"", "addresses end at 65535"),
        ("65535 = \"00000000\"", "past address 65535"),
        ("a = \"0000\"", "is not an address"),
    ] {
        let errors = errors_of(&METER.replace("0x0000 = \"4366199A\"", row));
        assert_eq!(errors.len(), 1, "{row}: {errors:?}");
        assert!(errors[0].contains(message), "{row}: {errors:?}");
    }
}

#[test]
fn a_vector_that_is_wrong_fails() {
    for (from, to) in [("230.1 V", "230.2 V"), ("230.1 V", "missing"), ("\"15\"", "\"20\""), ("\"15\"", "\"61\"")] {
        let results = run_vectors(&checked(&METER.replace(from, to)).unwrap());
        assert!(results.iter().any(|result| !result.passed()), "{from} as {to}");
    }
}

#[test]
fn identification_is_checked() {
    let with = |text: &str| errors_of(&METER.replace("[points]", &format!("[identify]\n{text}\n[points]")));
    assert!(with(r#"all = [{ point = "Energy", min = 0 }]"#).is_empty());
    assert!(with(r#"any = [{ mei_vendor = "Acme*" }, { table = "holding", address = 1, in = [7] }]"#).is_empty());
    assert!(with(r#"all = [{ point = "Enrgy", min = 0 }]"#)[0].ends_with("did you mean `Energy`?"));
    assert!(with(r#"unique = "Serial""#)[0].contains("no such point"));
    assert!(with(r#"any = [{ table = "coil", address = 1, in = [7] }]"#)[0].contains("must hold registers"));
    assert!(with(r#"any = [{ table = "holding", adress = 1, in = [7] }]"#)[0].contains("did you mean `address`?"));
}

/// A family in a folder of its own: name of the file and text.
fn family(files: &[(&str, &str)]) -> (tempfile::TempDir, Library) {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let library = Library::with_folders(&[folder.path().to_owned()]).unwrap();
    (folder, library)
}

fn generation(number: usize, extends: Option<&str>, points: &str) -> String {
    let extends = extends.map(|parent| format!("extends = \"{parent}\"\n")).unwrap_or_default();
    with_points(points)
        .replace("acme.x", &format!("acme.g{number}"))
        .replace("protocol =", &format!("{extends}protocol ="))
}

fn load(library: &Library, id: &str) -> Result<Profile, Vec<ConfigError>> {
    check_in(library.source(id).unwrap(), library)
}

#[test]
fn a_child_replaces_removes_and_adds_points() {
    let parent = generation(
        0,
        None,
        "A = { table = \"input\", address = 1, type = \"u16\" }\nB = { table = \"input\", address = 2, type = \"u16\" }",
    );
    let child = generation(
        1,
        Some("acme.g0@1"),
        "A = { table = \"input\", address = 9, type = \"u16\" }\nC = { table = \"input\", address = 3, type = \"u16\" }",
    );
    let child = child.replace("protocol =", "remove = [\"B\"]\nprotocol =");
    let (_folder, library) = family(&[("p.toml", &parent), ("c.toml", &child)]);
    let profile = load(&library, "acme.g1").unwrap();
    let found: Vec<(&str, u16)> =
        profile.points().iter().map(|point| (point.name().as_str(), point.address())).collect();
    assert_eq!(found, [("C", 3), ("A", 9)]);
}

#[test]
fn removing_what_is_not_there_gets_a_suggestion() {
    let parent = generation(0, None, "\"Energy\" = { table = \"input\", address = 1, type = \"u16\" }");
    let child = generation(1, Some("acme.g0@1"), "").replace("protocol =", "remove = [\"Enegy\"]\nprotocol =");
    let (_folder, library) = family(&[("p.toml", &parent), ("c.toml", &child)]);
    let errors = load(&library, "acme.g1").unwrap_err();
    assert!(errors[0].to_string().ends_with("did you mean `Energy`?"), "{}", errors[0]);
}

#[test]
fn four_ancestors_are_followed_and_a_fifth_is_refused() {
    let texts: Vec<String> = (0..6)
        .map(|number| match number {
            0 => generation(0, None, "A = { table = \"input\", address = 1, type = \"u16\" }"),
            _ => generation(number, Some(&format!("acme.g{}@1", number - 1)), ""),
        })
        .collect();
    let names: Vec<String> = (0..6).map(|number| format!("g{number}.toml")).collect();
    let files: Vec<(&str, &str)> = names.iter().map(String::as_str).zip(texts.iter().map(String::as_str)).collect();
    let (_folder, library) = family(&files);
    assert_eq!(load(&library, "acme.g4").unwrap().ancestors().count(), 4);
    let errors = load(&library, "acme.g5").unwrap_err();
    assert_eq!(errors.len(), 1);
    assert!(errors[0].to_string().contains("at most 4 ancestors"), "{}", errors[0]);
}

#[test]
fn a_circle_of_parents_is_named() {
    let first = generation(0, Some("acme.g1@1"), "");
    let second = generation(1, Some("acme.g0@1"), "");
    let (_folder, library) = family(&[("a.toml", &first), ("b.toml", &second)]);
    let errors = load(&library, "acme.g0").unwrap_err();
    assert!(errors[0].message.contains("makes a circle: acme.g0 extends acme.g1 extends acme.g0"), "{}", errors[0]);
    let alone = generation(0, Some("acme.g0@1"), "");
    let (_folder, library) = family(&[("a.toml", &alone)]);
    assert!(load(&library, "acme.g0").unwrap_err()[0].message.contains("makes a circle"));
}

#[test]
fn a_parent_of_another_major_version_is_refused() {
    let parent = generation(0, None, "A = { table = \"input\", address = 1, type = \"u16\" }");
    for (extends, message) in
        [("acme.g0@2", "has version 1.0.0, not 2"), ("acme.g0", "is written"), ("acme.g9@1", "no such profile")]
    {
        let child = generation(1, Some(extends), "");
        let (_folder, library) = family(&[("p.toml", &parent), ("c.toml", &child)]);
        let errors = load(&library, "acme.g1").unwrap_err();
        assert!(errors[0].message.contains(message), "{}", errors[0]);
        assert_eq!(&*errors[0].key, "profile.extends");
    }
}

#[test]
fn a_mistake_in_a_parent_is_told_with_the_parents_file() {
    let parent = generation(0, None, "A = { table = \"input\", adress = 1, type = \"u16\" }");
    let child = generation(1, Some("acme.g0@1"), "");
    let (_folder, library) = family(&[("parent.toml", &parent), ("child.toml", &child)]);
    let errors = load(&library, "acme.g1").unwrap_err();
    assert!(errors[0].file.ends_with("parent.toml"), "{}", errors[0]);
}

#[test]
fn vectors_of_a_parent_stay_true_for_what_the_child_kept() {
    let parent = generation(
        0,
        None,
        "A = { table = \"input\", address = 1, type = \"u16\" }\nB = { table = \"input\", address = 2, type = \"u16\" }",
    );
    let parent = format!("{parent}[[test]]\ninput = {{ 1 = \"0007 0008\" }}\nexpect = {{ A = \"7\", B = \"8\" }}\n");
    let child = generation(1, Some("acme.g0@1"), "A = { table = \"input\", address = 2, type = \"u16\" }");
    let (_folder, library) = family(&[("p.toml", &parent), ("c.toml", &child)]);
    let results = run_vectors(&load(&library, "acme.g1").unwrap());
    assert_eq!(results.len(), 1);
    assert!(results[0].passed() && results[0].point.as_str() == "B", "{results:?}");
}

#[test]
fn link_settings_are_inherited_one_by_one() {
    let parent = generation(0, None, "").replace(
        "[points]",
        "[link]\nserial = { baud = [19200], parity = \"even\" }\nlimits = { read = 50, gap = 4 }\n[points]",
    );
    let child = generation(1, Some("acme.g0@1"), "").replace("[points]", "[link]\nserial = { parity = \"odd\" }\norder = { word = \"little\" }\n[points]\nA = { table = \"input\", address = 1, type = \"u32\" }");
    let (_folder, library) = family(&[("p.toml", &parent), ("c.toml", &child)]);
    let profile = load(&library, "acme.g1").unwrap();
    let link = profile.link();
    assert_eq!((link.serial.baud.as_slice(), link.serial.parity), ([19_200].as_slice(), Parity::Odd));
    assert_eq!((link.limits.read, link.limits.gap), (50, Gap::Fixed(4)));
    assert_eq!(profile.points()[0].order().word, Endian::Little);
}

proptest::proptest! {
    #[test]
    fn no_profile_text_makes_the_check_panic(
        at in 0..METER.len(), length in 0_usize..12, insert in "[a-z0-9\\[\\]{}=\", .\\n-]{0,6}"
    ) {
        let end = (at + length).min(METER.len());
        if METER.is_char_boundary(at) && METER.is_char_boundary(end) {
            let _ = checked(&format!("{}{insert}{}", &METER[..at], &METER[end..]));
        }
    }
}
