use proptest::prelude::*;
use torg_thing::config::SourceText;
use torg_thing::{ControlValue, Date};

use super::*;
use crate::check::check;
use crate::checked::{Profile, Table};
use crate::encode::{EncodeError, Payload, WriteRequest};

/// A profile with one point `P`.
fn profile(point: &str) -> Profile {
    let text = format!(
        "[profile]\nid = \"acme.x\"\nversion = \"1.0.0\"\nprotocol = \"modbus\"\nlicense = \"CC0-1.0\"\n\
         device = {{ vendor = \"Acme\", models = [\"X\"] }}\nsources = {{ a = \"one\", b = \"two\" }}\n\
         [points]\nP = {{ {point} }}\n"
    );
    check(&SourceText::new("x.toml", text)).unwrap_or_else(|errors| panic!("{point}: {}", errors[0]))
}

/// Decodes words with a point of the table `holding`; the value as a field shows it, or "missing".
fn decoded(point: &str, words: &[u16]) -> Result<String, DecodeError> {
    let profile = profile(&format!("table = \"holding\", address = 0, {point}"));
    let reading = profile.points()[0].decode(Raw::Words(words))?;
    Ok(reading.value.map_or("missing".to_owned(), |value| value.to_string()))
}

fn shows(point: &str, words: &[u16], expected: &str) {
    assert_eq!(decoded(point, words).as_deref(), Ok(expected), "{point} {words:04X?}");
}

#[test]
fn each_integer_type_is_read_with_its_sign() {
    shows(r#"type = "u16""#, &[0xFFFF], "65535");
    shows(r#"type = "s16""#, &[0xFFFF], "-1");
    shows(r#"type = "s16""#, &[0x8000], "-32768");
    shows(r#"type = "u32""#, &[0xFFFF, 0xFFFF], "4294967295");
    shows(r#"type = "s32""#, &[0x8000, 0x0000], "-2147483648");
    shows(r#"type = "u64""#, &[0xFFFF; 4], "18446744073709551615");
    shows(r#"type = "s64""#, &[0x8000, 0, 0, 0], "-9223372036854775808");
    shows(r#"type = "u8hi""#, &[0x80FF], "128");
    shows(r#"type = "u8lo""#, &[0x80FE], "254");
    shows(r#"type = "s8hi""#, &[0x80FF], "-128");
    shows(r#"type = "s8lo""#, &[0x80FE], "-2");
}

#[test]
fn integers_become_the_smallest_field_type_that_holds_them() {
    let value = |kind: &str, words: &[u16]| {
        profile(&format!("table = \"input\", address = 0, type = \"{kind}\"")).points()[0]
            .decode(Raw::Words(words))
            .unwrap()
            .value
    };
    assert_eq!(value("u16", &[1]), Some(FieldValue::Int32(1)));
    assert_eq!(value("s32", &[0, 1]), Some(FieldValue::Int32(1)));
    assert_eq!(value("u32", &[0, 1]), Some(FieldValue::Int64(1)));
    assert_eq!(value("s64", &[0, 0, 0, 1]), Some(FieldValue::Int64(1)));
    assert!(matches!(value("u64", &[0, 0, 0, 1]), Some(FieldValue::Quantity(_))));
}

#[test]
fn the_four_orders_give_the_same_number() {
    for (order, words) in [
        ("{}", [0x0102, 0x0304]),
        ("{ word = \"little\" }", [0x0304, 0x0102]),
        ("{ byte = \"little\" }", [0x0201, 0x0403]),
        ("{ word = \"little\", byte = \"little\" }", [0x0403, 0x0201]),
    ] {
        shows(&format!(r#"type = "u32", order = {order}"#), &words, "16909060");
    }
}

#[test]
fn floats_of_each_width_show_the_decimals_asked() {
    shows(r#"type = "f32", unit = "V", decimals = 1"#, &[0x4366, 0x199A], "230.1 V");
    shows(r#"type = "f32", decimals = 0"#, &[0x4366, 0x199A], "230");
    shows(r#"type = "f64", decimals = 2"#, &[0x406C, 0xC333, 0x3333, 0x3333], "230.10");
    shows(r#"type = "f16", decimals = 2"#, &[0x3C00], "1.00");
    shows(r#"type = "f16", decimals = 3"#, &[0xC480], "-4.500");
    shows(r#"type = "f16", decimals = 8"#, &[0x0001], "0.00000006");
    shows(r#"type = "f32", scale = 0.001, unit = "kW", decimals = 4"#, &[0x4640, 0xE6B7], "12.3457 kW");
}

#[test]
fn a_float_that_is_no_number_is_an_error_unless_it_means_missing() {
    for words in [[0x7FC0, 0], [0x7F80, 0], [0xFF80, 0], [0x7F80, 1], [0xFFFF, 0xFFFF]] {
        assert_eq!(decoded(r#"type = "f32", decimals = 1"#, &words), Err(DecodeError::DeviceNotFinite), "{words:X?}");
    }
    let both = r#"type = "f32", decimals = 1, missing = ["nan", "inf"]"#;
    for words in [[0x7FC0, 0], [0x7F80, 0], [0xFF80, 0], [0x7F80, 1], [0xFFFF, 0xFFFF]] {
        shows(both, &words, "missing");
    }
    assert_eq!(decoded(r#"type = "f16", decimals = 1"#, &[0x7C00]), Err(DecodeError::DeviceNotFinite));
    assert_eq!(decoded(r#"type = "f16", decimals = 1"#, &[0x7C01]), Err(DecodeError::DeviceNotFinite));
}

#[test]
fn a_nan_in_the_wrong_word_order_is_missing_too_but_a_number_that_looks_alike_is_not() {
    let point = r#"type = "f32", decimals = 1, missing = ["nan"]"#;
    shows(point, &[0x0000, 0x7FC0], "missing");
    // 230.5 V: its low word could begin a NaN, but the whole is none of the usual patterns.
    shows(point, &[0x4366, 0x7FC1], "230.5");
}

#[test]
fn a_float_that_needs_too_many_digits_is_an_error() {
    assert_eq!(decoded(r#"type = "f32", decimals = 3"#, &[0x7F7F, 0xFFFF]), Err(DecodeError::DeviceTooLarge));
}

#[test]
fn sentinels_mean_missing_in_the_order_of_the_point() {
    shows(r#"type = "u16", missing = [0xFFFF]"#, &[0xFFFF], "missing");
    shows(r#"type = "u16", missing = ["max"]"#, &[0xFFFF], "missing");
    shows(r#"type = "s16", missing = ["max", 0x8000]"#, &[0x7FFF], "missing");
    shows(r#"type = "s16", missing = ["max", 0x8000]"#, &[0x8000], "missing");
    shows(r#"type = "s32", missing = ["max"]"#, &[0x7FFF, 0xFFFF], "missing");
    shows(r#"type = "s32", missing = ["max"]"#, &[0xFFFF, 0x7FFF], "-32769");
    shows(r#"type = "s32", missing = ["max"], order = { word = "little" }"#, &[0xFFFF, 0x7FFF], "missing");
    shows(r#"type = "u64", scale = 0.01, missing = ["max"]"#, &[0xFFFF; 4], "missing");
}

#[test]
fn a_missing_value_is_marked_and_never_a_number() {
    let profile = profile(r#"table = "input", address = 0, type = "u16", unit = "W", missing = ["max"]"#);
    let field = profile.points()[0].field(Raw::Words(&[0xFFFF]), Timestamp::from_micros(7)).unwrap();
    assert_eq!(field.value, None);
    assert_eq!(field.qos, Qos::MISSING);
    assert_eq!(field.at, Timestamp::from_micros(7));
    assert!(!field.writable);
}

#[test]
fn scaling_is_exact_and_rounds_once() {
    shows(r#"type = "u16", scale = 0.1, unit = "V""#, &[2301], "230.1 V");
    shows(r#"type = "u16", divide = 10, unit = "V""#, &[2301], "230.1 V");
    shows(r#"type = "u64", scale = 0.01, unit = "kWh""#, &[0xFFFF; 4], "184467440737095516.15 kWh");
    shows(r#"type = "u16", scale = 0.1, offset = -40, unit = "°C""#, &[650], "25.0 °C");
    shows(r#"type = "u16", divide = 3, decimals = 2"#, &[1], "0.33");
    shows(r#"type = "u16", divide = 3, offset = 0.005, decimals = 2"#, &[2], "0.67");
    shows(r#"type = "u16", scale = 0.5, decimals = 0"#, &[5], "2");
    shows(r#"type = "u16", scale = 0.5, decimals = 0"#, &[7], "4");
    shows(r#"type = "s16", scale = 10, unit = "W""#, &[0xFFFF], "-10 W");
}

#[test]
fn bits_of_a_register_are_cut_out() {
    shows(r#"type = "u16", bits = "4:4""#, &[0xABCD], "12");
    shows(r#"type = "u16", bits = "0:16""#, &[0xABCD], "43981");
    shows(r#"type = "u16", bits = "15:1""#, &[0x8000], "true");
    shows(r#"type = "u32", bits = "31:1""#, &[0x7FFF, 0xFFFF], "false");
    shows(r#"type = "u64", bits = "0:64""#, &[0, 0, 0, 9], "9");
    shows(r#"type = "u16", bits = "8:4", scale = 0.5, unit = "%""#, &[0x0F00], "7.5 %");
}

#[test]
fn enumerations_show_names_and_refuse_what_has_none() {
    let point = r#"type = "s16", enum = { -1 = "Fault", 0 = "Off", 0x10 = "On" }"#;
    shows(point, &[0xFFFF], "Fault");
    shows(point, &[0x0010], "On");
    assert_eq!(decoded(point, &[1]), Err(DecodeError::DeviceUnknownValue(1)));
}

#[test]
fn binary_coded_decimals_are_read_and_wrong_digits_refused() {
    shows(r#"type = "bcd16""#, &[0x1234], "1234");
    shows(r#"type = "bcd32", scale = 0.01, unit = "m³""#, &[0x1234, 0x5678], "123456.78 m³");
    assert_eq!(decoded(r#"type = "bcd16""#, &[0x12A4]), Err(DecodeError::DeviceDigits(0x12A4)));
}

#[test]
fn texts_end_at_nul_and_lose_blanks_at_the_end() {
    shows(r#"type = "string", length = 4"#, &[0x4232, 0x3320, 0x2000, 0x4141], "B23");
    shows(r#"type = "string", length = 2, order = { byte = "little" }"#, &[0x3242, 0x0033], "B23");
    shows(r#"type = "string", length = 1"#, &[0xB0E4], "°ä");
    shows(r#"type = "string", length = 1"#, &[0x0000], "");
    assert_eq!(decoded(r#"type = "string", length = 1"#, &[0x4107]), Err(DecodeError::DeviceText));
}

#[test]
fn numbers_that_are_names_and_raw_registers_become_texts() {
    shows(r#"type = "u32", as = "text""#, &[0x00BC, 0x614E], "12345678");
    shows(r#"type = "raw", length = 2"#, &[0x00BC, 0x614E], "00BC614E");
}

#[test]
fn a_value_outside_its_valid_range_is_an_error() {
    let point = r#"type = "u16", unit = "V", valid = [10, 600]"#;
    assert!(decoded(point, &[9]).is_err());
    shows(point, &[10], "10 V");
    shows(point, &[600], "600 V");
    let error = decoded(point, &[601]).unwrap_err();
    assert_eq!(error.to_string(), "601 is outside the valid range, 10 to 600");
    assert!(decoded(r#"type = "s16", valid = [0, 1]"#, &[0xFFFF]).is_err());
}

#[test]
fn the_wrong_number_of_registers_is_the_callers_mistake() {
    for words in [&[][..], &[1], &[1, 2, 3]] {
        assert_eq!(
            decoded(r#"type = "u32""#, words),
            Err(DecodeError::CallerLength { expected: 2, found: words.len() })
        );
    }
    let coil = profile(r#"table = "coil", address = 0"#);
    assert_eq!(coil.points()[0].decode(Raw::Words(&[1])), Err(DecodeError::CallerTable));
    assert_eq!(coil.points()[0].decode(Raw::Bits(&[])), Err(DecodeError::CallerLength { expected: 1, found: 0 }));
    let register = profile(r#"table = "input", address = 0, type = "u16""#);
    assert_eq!(register.points()[0].decode(Raw::Bits(&[true])), Err(DecodeError::CallerTable));
}

fn request(point: &str, value: ControlValue) -> Result<WriteRequest, EncodeError> {
    profile(point).points()[0].encode(&value)
}

fn double(text: &str) -> ControlValue {
    ControlValue::Double(text.parse().unwrap())
}

#[test]
fn a_coil_is_set_with_the_function_of_the_profile() {
    for (write, code) in [("{}", 5), ("{ function = 15 }", 15)] {
        let point = format!(r#"table = "coil", address = 3, write = {write}"#);
        let request = request(&point, ControlValue::Boolean(true)).unwrap();
        assert_eq!((request.address, request.function.code(), request.payload), (3, code, Payload::Coil(true)));
    }
}

#[test]
fn a_number_is_written_in_the_order_of_the_point() {
    let point = r#"table = "holding", address = 2, type = "f32", decimals = 0, unit = "min", order = { word = "little" }, write = { range = [0, 60] }"#;
    let request = request(point, double("15")).unwrap();
    assert_eq!(request.function.code(), 16);
    assert_eq!(request.payload, Payload::Registers(vec![0x0000, 0x4170]));
}

#[test]
fn an_out_of_range_or_mistyped_value_is_refused_before_the_bus() {
    let point =
        r#"table = "holding", address = 2, type = "s16", scale = 0.5, unit = "°C", write = { range = [-10, 30] }"#;
    assert_eq!(request(point, double("-10.0")).unwrap().payload, Payload::Registers(vec![0xFFEC]));
    assert_eq!(request(point, double("30")).unwrap().payload, Payload::Registers(vec![60]));
    for text in ["-10.5", "30.5"] {
        assert!(matches!(request(point, double(text)), Err(EncodeError::AskerControl(_))), "{text}");
    }
    assert!(matches!(request(point, ControlValue::Boolean(true)), Err(EncodeError::AskerControl(_))));
    assert!(matches!(request(point, ControlValue::Int32(3)), Err(EncodeError::AskerControl(_))));
    let date = ControlValue::Date(Date::try_new(2026, 1, 1).unwrap());
    assert!(matches!(request(point, date), Err(EncodeError::AskerControl(_))));
}

#[test]
fn a_value_between_two_steps_is_refused_not_rounded() {
    let point =
        r#"table = "holding", address = 2, type = "s16", scale = 0.5, unit = "°C", write = { range = [-10, 30] }"#;
    let error = request(point, double("20.3")).unwrap_err();
    assert_eq!(error.to_string(), "20.3 cannot be represented by the device, the step is 0.5");
}

#[test]
fn bits_are_written_without_touching_their_neighbours() {
    let point = r#"table = "holding", address = 2, type = "u16", bits = "4:2", enum = { 0 = "A", 3 = "B" }, write = { function = 22 }"#;
    let value = |name: &str| ControlValue::Enumeration(EnumValue { value: name.into(), kind: "acme.x.P".into() });
    let request = request(point, value("B")).unwrap();
    assert_eq!(request.payload, Payload::Masked { and: 0xFFCF, or: 0x0030 });
    assert!(self::request(point, value("C")).is_err());
}

#[test]
fn a_point_without_write_is_read_only() {
    let point = r#"table = "holding", address = 2, type = "u16""#;
    assert_eq!(request(point, ControlValue::Int32(1)), Err(EncodeError::AskerReadOnly));
}

/// Every type that has a layout of its own, with and without the extras that change its meaning.
const POINTS: &[&str] = &[
    r#"type = "u16""#,
    r#"type = "s16", scale = 0.1, offset = 3, missing = ["max"]"#,
    r#"type = "u32", divide = 7, decimals = 3"#,
    r#"type = "s32", order = { word = "little" }"#,
    r#"type = "u64", scale = 0.000001"#,
    r#"type = "s64", divide = 1000"#,
    r#"type = "u64", bits = "5:40""#,
    r#"type = "f16", decimals = 4"#,
    r#"type = "f32", decimals = 3, missing = ["nan", "inf"]"#,
    r#"type = "f64", decimals = 6, scale = 0.001"#,
    r#"type = "bcd16""#,
    r#"type = "bcd32", scale = 0.01"#,
    r#"type = "u8hi""#,
    r#"type = "s8lo""#,
    r#"type = "string", length = 3"#,
    r#"type = "raw", length = 3"#,
    r#"type = "u16", enum = { 1 = "a", 2 = "b" }"#,
    r#"type = "u16", bits = "3:1""#,
];

fn profiles() -> Vec<Profile> {
    POINTS.iter().map(|point| profile(&format!("table = \"input\", address = 0, {point}"))).collect()
}

proptest! {
    #[test]
    fn no_registers_make_the_decoder_panic(words in proptest::collection::vec(any::<u16>(), 0..6)) {
        thread_local! { static PROFILES: Vec<Profile> = profiles(); }
        PROFILES.with(|profiles| {
            for profile in profiles {
                let point = &profile.points()[0];
                let _ = point.decode(Raw::Words(&words));
                if let Some(exact) = words.get(..usize::from(point.count())) {
                    let _ = point.decode(Raw::Words(exact));
                }
            }
        });
    }

    #[test]
    fn an_integer_that_was_written_is_read_back(raw in any::<i16>(), little in any::<bool>()) {
        let order = if little { "little" } else { "big" };
        let profile = profile(&format!(
            r#"table = "holding", address = 0, type = "s32", scale = 0.25, offset = 1.5, unit = "A",
               order = {{ word = "{order}", byte = "{order}" }}, write = {{ range = [-20000, 20000] }}"#
        ).replace('\n', " "));
        let point = &profile.points()[0];
        let value = Decimal::from(i32::from(raw)).checked_mul("0.25".parse().unwrap()).unwrap();
        let value = value.checked_add("1.5".parse().unwrap()).unwrap();
        let Payload::Registers(words) = point.encode(&ControlValue::Double(value)).unwrap().payload else { panic!() };
        let read = point.decode(Raw::Words(&words)).unwrap().value.unwrap();
        prop_assert_eq!(read, FieldValue::Quantity(Quantity { value, unit: point.unit() }));
    }

    #[test]
    fn a_float_that_was_written_is_read_back(tenths in -99_999_i64..=99_999) {
        thread_local! {
            static PROFILE: Profile = profile(
                r#"table = "holding", address = 0, type = "f32", decimals = 1, write = { range = [-10000, 10000] }"#,
            );
        }
        let value = Decimal::try_new(tenths.into(), 1).unwrap();
        let read = PROFILE.with(|profile| {
            let point = &profile.points()[0];
            let request = point.encode(&ControlValue::Double(value)).unwrap();
            let Payload::Registers(words) = request.payload else { panic!() };
            point.decode(Raw::Words(&words)).unwrap().value.unwrap()
        });
        prop_assert_eq!(read.to_string(), value.to_string());
    }

    #[test]
    fn digits_that_were_written_are_read_back(number in 0_i32..=99_999_999) {
        thread_local! {
            static PROFILE: Profile =
                profile(r#"table = "holding", address = 0, type = "bcd32", write = { range = [0, 99999999] }"#);
        }
        let read = PROFILE.with(|profile| {
            let point = &profile.points()[0];
            let Payload::Registers(words) = point.encode(&ControlValue::Int32(number)).unwrap().payload else { panic!() };
            point.decode(Raw::Words(&words)).unwrap().value
        });
        prop_assert_eq!(read, Some(FieldValue::Int32(number)));
    }

    #[test]
    fn every_name_of_a_bit_slice_survives_the_write(value in 0_u16..4, before in any::<u16>()) {
        thread_local! {
            static PROFILE: Profile = profile(
                r#"table = "holding", address = 0, type = "u16", bits = "6:2", enum = { 0 = "a", 1 = "b", 2 = "c", 3 = "d" }, write = {}"#,
            );
        }
        let name = ["a", "b", "c", "d"][usize::from(value)];
        let asked = EnumValue { value: name.into(), kind: "acme.x.P".into() };
        let (read, after) = PROFILE.with(|profile| {
            let point = &profile.points()[0];
            let request = point.encode(&ControlValue::Enumeration(asked.clone())).unwrap();
            let Payload::Masked { and, or } = request.payload else { panic!() };
            let after = (before & and) | (or & !and);
            (point.decode(Raw::Words(&[after])).unwrap().value, after)
        });
        prop_assert_eq!(read, Some(FieldValue::Enumeration(asked)));
        prop_assert_eq!(before & !0x00C0, after & !0x00C0);
    }
}

#[test]
fn every_shipped_point_survives_any_two_patterns() {
    let library = crate::Library::shipped();
    for id in library.ids() {
        let profile = library.load(id).unwrap();
        for point in profile.points() {
            for pattern in [0x0000, 0xFFFF, 0x7FFF, 0x8000, 0x7FC0] {
                let words = vec![pattern; usize::from(point.count())];
                let bits = vec![pattern != 0; usize::from(point.count())];
                let raw = if point.table() <= Table::Discrete { Raw::Bits(&bits) } else { Raw::Words(&words) };
                let _ = point.decode(raw);
            }
        }
    }
}
