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
