//! Readouts: what is asked, what is answered.

use super::*;

#[test]
fn a_request_is_read_with_all_its_attributes() {
    let element = xml("<req xmlns='urn:nf:iot:sd:1.0' id='a1' m='1' s='TRUE' h='no' from='2026-03-01T00:00:00Z' \
         to='2026-03-01T12:00:00+02:00' when='2026-03-02T00:00:00.1234567Z' st='s1 s2' ut=''>\
         <nd id='meter-7' src='plant'/><f n='Energy'/><nd id='meter-8' src='plant' pt='p'/></req>");
    let (payload, generation) = SensorData::decode(&element).unwrap();
    assert_eq!(generation, Generation::Nf);
    let SensorData::Request(request) = payload else { panic!("not a request") };
    assert_eq!(request.categories, Categories::MOMENTARY.union(Categories::STATUS));
    assert_eq!(request.to.unwrap().to_string(), "2026-03-01T10:00:00Z");
    assert_eq!(request.when.unwrap().to_string(), "2026-03-02T00:00:00.123456Z");
    assert_eq!(request.nodes, [node("meter-7", "plant", ""), node("meter-8", "plant", "p")]);
    assert_eq!(request.fields, [name("Energy")]);
    assert_eq!(request.tokens.service.as_deref(), Some("s1 s2"));
    assert_eq!(request.tokens.user, None);
}

#[test]
fn a_request_without_a_category_means_all() {
    let element = xml("<req xmlns='urn:nfi:iot:sd:1.0' id='a'/>");
    let SensorData::Request(request) = SensorData::decode(&element).unwrap().0 else { panic!("not a request") };
    assert_eq!(request.categories, Categories::ALL);
}

#[test]
fn an_attribute_that_is_missing_is_named() {
    let problem = SensorData::decode(&xml("<req xmlns='urn:nfi:iot:sd:1.0'/>")).unwrap_err();
    assert_eq!(problem.to_string(), "The attribute id of req is missing.");
}

#[test]
fn a_malformed_time_is_refused() {
    let element = xml("<req xmlns='urn:nfi:iot:sd:1.0' id='a' from='yesterday'/>");
    let problem = SensorData::decode(&element).unwrap_err();
    assert_eq!(problem.to_string(), "The from of req is not a valid dateTime.");
}

#[test]
fn an_element_of_another_interface_is_unknown() {
    for text in ["<req xmlns='urn:nfi:iot:ctr:1.0' id='a'/>", "<ask xmlns='urn:nfi:iot:sd:1.0' id='a'/>"] {
        assert!(matches!(SensorData::decode(&xml(text)), Err(DecodeError::Unknown { .. })));
    }
}

#[test]
fn unknown_children_and_attributes_are_tolerated() {
    let element = xml("<req xmlns='urn:nfi:iot:sd:1.0' id='a' new='x'><future/><nd xmlns='urn:other' id='x'/>\
         <nd id='n' colour='red'/></req>");
    let SensorData::Request(request) = SensorData::decode(&element).unwrap().0 else { panic!("not a request") };
    assert_eq!(request.nodes, [node("n", "", "")]);
}

#[test]
fn a_response_is_written_as_the_schema_wants_it() {
    let mut response = Response::empty("9f2c");
    let meter = node("Meter7", "MeteringTopology", "");
    response.push_field(Some(&meter), field("Energy", quantity("1234.50", "kWh")));
    response.push_field(Some(&meter), Field { writable: true, ..field("Relay", FieldValue::Boolean(true)) });
    response.push_error(Some(&meter), field("x", FieldValue::Boolean(true)).at, "Flow register timed out.");
    assert_eq!(
        SensorData::Response(response).encode(Generation::Nfi),
        xml("<resp xmlns='urn:nfi:iot:sd:1.0' id='9f2c'><nd id='Meter7' src='MeteringTopology'>\
             <ts v='2026-03-01T10:15:00Z'><q n='Energy' v='1234.50' u='kWh' m='true' ar='true'/>\
             <b n='Relay' v='true' m='true' ar='true' ctr='true'/><err>Flow register timed out.</err></ts></nd></resp>")
    );
}

#[test]
fn every_kind_of_field_is_read() {
    let response = response(
        "<resp xmlns='urn:ieee:iot:sd:1.0' id='1' more='true'><nd id='n'><ts v='2026-03-01T10:15:00'>\
         <b n='b' v='On'/><d n='d' v='2026-02-28'/><dt n='dt' v='2026-02-28T23:59:59.5+01:00'/>\
         <dr n='dr' v='P1DT2H'/><e n='e' v='Open' t='Valve'/><i n='i' v='-2147483648'/>\
         <l n='l' v='9223372036854775807'/><q n='q' v='1.50E2' u='°C'/><s n='s' v=' x '/>\
         <t n='t' v='23:59:59.25'/></ts></nd></resp>",
    );
    assert!(response.more);
    let values: Vec<_> = response.fields().map(|(_, field)| field.value.clone().unwrap()).collect();
    assert_eq!(
        values,
        [
            FieldValue::Boolean(true),
            FieldValue::Date(Date::try_new(2026, 2, 28).unwrap()),
            FieldValue::DateTime("2026-02-28T22:59:59.5Z".parse().unwrap()),
            FieldValue::Duration(Span { days: 1, hours: 2, ..Span::default() }),
            FieldValue::Enumeration(EnumValue { value: "Open".into(), kind: "Valve".into() }),
            FieldValue::Int32(i32::MIN),
            FieldValue::Int64(i64::MAX),
            quantity("150", "°C"),
            FieldValue::Text(" x ".into()),
            FieldValue::Time(TimeOfDay::try_new(23, 59, 59, 250_000).unwrap()),
        ]
    );
}

#[test]
fn trailing_zeros_of_a_quantity_are_kept() {
    let read = response(
        "<resp xmlns='urn:nfi:iot:sd:1.0' id='1'><ts v='2026-03-01T10:15:00Z'><q n='a' v='21.50'/></ts></resp>",
    );
    let (node, field) = read.fields().next().unwrap();
    assert_eq!((node, field.value.clone()), (None, Some(quantity("21.50", ""))));
}

#[test]
fn every_quality_flag_and_category_is_read_and_written() {
    let all = Field {
        categories: Categories::ALL,
        qos: Qos::FLAGS.iter().fold(Qos::NONE, |set, (flag, _)| set.union(*flag)),
        ..field("a", FieldValue::Boolean(false))
    };
    let mut response = Response::empty("1");
    response.push_field(None, all);
    let element = SensorData::Response(response.clone()).encode(Generation::Nf);
    let written = element.first_child().unwrap().first_child().unwrap();
    assert_eq!(written.attr("all"), None);
    assert_eq!(written.attributes().len(), 2 + 6 + 14);
    assert_eq!(SensorData::decode(&element), Ok((SensorData::Response(response), Generation::Nf)));
}

#[test]
fn a_missing_value_is_never_a_number() {
    let mut response = Response::empty("1");
    response.push_field(None, Field { value: None, qos: Qos::MISSING, ..field("a", FieldValue::Boolean(false)) });
    let element = SensorData::Response(response.clone()).encode(Generation::Nfi);
    let written = element.first_child().unwrap().first_child().unwrap();
    assert_eq!((written.attr("v"), written.attr("ms")), (Some("NaN"), Some("true")));
    assert_eq!(SensorData::decode(&element), Ok((SensorData::Response(response), Generation::Nfi)));
}

#[test]
fn a_field_that_cannot_be_read_is_an_error_beside_the_others() {
    let read = response(
        "<resp xmlns='urn:nfi:iot:sd:1.0' id='1'><ts v='2026-03-01T10:15:00Z'>\
         <i n='a' v='2147483648'/><i n='b' v='2147483647'/><err>Late.</err></ts></resp>",
    );
    assert_eq!(read.fields().count(), 1);
    let errors: Vec<_> = read.errors().map(|(_, _, text)| text).collect();
    assert_eq!(errors, ["Field a: The v of i is not a valid 32-bit integer.", "Late."]);
}

#[test]
fn localization_and_extensions_of_a_field_are_tolerated() {
    let read = response(
        "<resp xmlns='urn:nfi:iot:sd:1.0' id='1'><ts v='2026-03-01T10:15:00Z'>\
         <q n='Input 5' v='1' lns='NS' loc='2||5'><x a='b'><c xmlns='urn:c'/></x></q></ts></resp>",
    );
    assert_eq!(read.fields().next().unwrap().1.name, name("Input 5"));
}

#[test]
fn short_elements_are_read_and_written_in_every_generation() {
    for generation in Generation::ALL {
        for payload in [
            SensorData::Accepted(Accepted { id: "1".into(), queued: true }),
            SensorData::Accepted(Accepted { id: "1".into(), queued: false }),
            SensorData::Cancel("1".into()),
            SensorData::Done("1".into()),
            SensorData::Started("1".into()),
        ] {
            let element = payload.encode(generation);
            assert_eq!(*element.namespace(), *generation.namespace(Interface::SensorData));
            assert_eq!(SensorData::decode(&element), Ok((payload, generation)));
        }
    }
}
