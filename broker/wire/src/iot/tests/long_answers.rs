//! Long answers in several stanzas.

use super::*;

fn many(limit: usize, count: usize) -> Vec<Response> {
    let meter = node("Meter & <7>", "plant", "p");
    let mut fragments = Fragments::new("id'1", limit);
    let mut all = Vec::new();
    for index in 0..count {
        let value = FieldValue::Text("'\"<>&\n".repeat(index % 40).into());
        let flags = Qos::FLAGS.iter().fold(Qos::NONE, |set, (flag, _)| set.union(*flag));
        let field = Field { categories: Categories::ALL, qos: flags, writable: true, ..field("F", value) };
        all.extend(fragments.field(Some(&meter), field));
        all.extend(fragments.error(Some(&meter), Timestamp::from_micros(1), "<".repeat(index % 30)));
    }
    all.push(fragments.finish());
    all
}

#[test]
fn no_fragment_exceeds_the_limit_and_nothing_is_lost() {
    let fragments = many(4096, 300);
    assert!(fragments.len() > 10);
    for fragment in &fragments {
        let bytes = SensorData::Response(fragment.clone()).encode(Generation::Ieee).to_string().len();
        assert!(bytes <= 4096, "{bytes}");
    }
    assert_eq!(fragments.iter().flat_map(Response::fields).count(), 300);
    assert_eq!(fragments.iter().flat_map(Response::errors).count(), 300);
}

#[test]
fn only_the_last_fragment_completes() {
    let fragments = many(4096, 100);
    let more: Vec<bool> = fragments.iter().map(|fragment| fragment.more).collect();
    assert!(more.split_last().is_some_and(|(last, rest)| !last && rest.iter().all(|more| *more)));
}

#[test]
fn no_fragment_has_more_elements_than_brokers_let_pass() {
    let mut fragments = Fragments::new("1", 1 << 20);
    let meter = node("m", "", "");
    let mut all = Vec::new();
    for second in 0..3000 {
        let field = Field { at: Timestamp::from_micros(second), ..field("F", FieldValue::Int32(1)) };
        all.extend(fragments.field(Some(&meter), field));
    }
    all.push(fragments.finish());
    fn count(element: &Element) -> usize {
        1 + element.children().map(count).sum::<usize>()
    }
    let counts: Vec<_> =
        all.iter().map(|part| count(&SensorData::Response(part.clone()).encode(Generation::Nfi))).collect();
    assert!(counts.iter().all(|count| *count <= 1800), "{counts:?}");
    assert_eq!(counts.len(), 4);
}

#[test]
fn small_fields_fill_a_fragment_well() {
    let mut fragments = Fragments::new("1", 64 * 1024);
    let meter = node("meter-7", "plant", "");
    let mut first = None;
    for index in 0.. {
        let value = quantity("230.10", "V");
        first = fragments.field(Some(&meter), field(&format!("Voltage L{index}"), value));
        if first.is_some() {
            break;
        }
    }
    let bytes = SensorData::Response(first.unwrap()).encode(Generation::Nfi).to_string().len();
    assert!(bytes > 24 * 1024, "{bytes}");
}

#[test]
fn a_field_larger_than_the_limit_stands_alone() {
    let fragments = many(100, 3);
    assert!(fragments.iter().all(|fragment| fragment.fields().count() + fragment.errors().count() <= 1));
}
