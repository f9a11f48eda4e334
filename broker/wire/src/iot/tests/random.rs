//! Random payloads read back as written, and no element makes a decoder panic.

use super::*;

fn any_name() -> impl Strategy<Value = String> {
    "[ -~äß€]{1,20}"
}

fn any_value() -> impl Strategy<Value = Option<FieldValue>> {
    let text = || "[ -~äß\t\n]{0,20}".prop_map(|text: String| std::sync::Arc::<str>::from(text));
    let span = (any::<bool>(), 0u32..99, 0u32..99, 0u32..99, 0u32..99, 0u32..99, 0u32..99, 0u32..1_000_000).prop_map(
        |(negative, years, months, days, hours, minutes, seconds, micros)| Span {
            negative: negative && years + months + days + hours + minutes + seconds + micros > 0,
            years,
            months,
            days,
            hours,
            minutes,
            seconds,
            micros,
        },
    );
    prop_oneof![
        Just(None),
        any::<bool>().prop_map(|value| Some(FieldValue::Boolean(value))),
        (1i32..9999, 1u8..13, 1u8..29).prop_map(|(y, m, d)| Some(FieldValue::Date(Date::try_new(y, m, d).unwrap()))),
        any_time().prop_map(|at| Some(FieldValue::DateTime(at))),
        span.prop_map(|span| Some(FieldValue::Duration(span))),
        (text(), text()).prop_map(|(value, kind)| Some(FieldValue::Enumeration(EnumValue { value, kind }))),
        any::<i32>().prop_map(|value| Some(FieldValue::Int32(value))),
        any::<i64>().prop_map(|value| Some(FieldValue::Int64(value))),
        (any::<i64>(), 0u8..19, text()).prop_map(|(mantissa, decimals, unit)| Some(FieldValue::Quantity(Quantity {
            value: Decimal::try_new(i128::from(mantissa), decimals).unwrap(),
            unit: Unit::new(&unit),
        }))),
        text().prop_map(|value| Some(FieldValue::Text(value))),
        (0u8..24, 0u8..60, 0u8..60, 0u32..1_000_000)
            .prop_map(|(h, m, s, f)| Some(FieldValue::Time(TimeOfDay::try_new(h, m, s, f).unwrap()))),
    ]
}

fn any_time() -> impl Strategy<Value = Timestamp> {
    // Years 0001 to 9999.
    (-62_135_596_800_000_000i64..253_402_300_800_000_000).prop_map(Timestamp::from_micros)
}

fn any_field() -> impl Strategy<Value = Field> {
    (any_name(), any_value(), any_time(), 0usize..64, 0usize..16384, any::<bool>()).prop_map(
        |(name, value, at, categories, qos, writable)| {
            let pick = |bits: usize, index: usize| bits >> index & 1 == 1;
            let mut found = Field {
                name: FieldName::parse(&name).unwrap(),
                at,
                categories: Categories::NONE,
                qos: if value.is_none() { Qos::MISSING } else { Qos::NONE },
                value,
                writable,
            };
            for (index, (flag, _)) in Categories::FLAGS.into_iter().enumerate().filter(|(i, _)| pick(categories, *i)) {
                let _ = index;
                found.categories = found.categories.union(flag);
            }
            for (index, (flag, _)) in Qos::FLAGS.into_iter().enumerate().filter(|(i, _)| pick(qos, *i)) {
                let _ = index;
                found.qos = found.qos.union(flag);
            }
            found
        },
    )
}

fn any_element() -> impl Strategy<Value = Element> {
    let names = prop::sample::select(vec![
        "req",
        "resp",
        "nd",
        "ts",
        "q",
        "b",
        "d",
        "dt",
        "dr",
        "e",
        "i",
        "l",
        "s",
        "t",
        "err",
        "cancel",
        "started",
        "accepted",
        "done",
        "subscribe",
        "unsubscribe",
        "f",
        "set",
        "getForm",
        "p",
        "cl",
        "db",
        "x",
        "field",
        "value",
        "nodeInfo",
        "nodeInfos",
        "message",
        "int",
        "string",
        "bool",
        "bools",
        "getNode",
        "getNodes",
        "getAllNodes",
        "dataSource",
        "dataSources",
        "inheritance",
        "strings",
        "getInterfaces",
        "interface",
        "page",
        "section",
        "command",
        "commands",
        "column",
        "createNewNode",
        "executeNodeQuery",
        "newRecords",
        "newTable",
        "nodeAdded",
        "nodeStatusChanged",
        "queryProgress",
        "record",
        "rxBin",
        "sniff",
    ]);
    let namespaces = prop::sample::select(vec![
        "urn:nfi:iot:sd:1.0",
        "urn:nf:iot:events:1.0",
        "urn:ieee:iot:ctr:1.0",
        "urn:nfi:iot:concentrator:1.0",
        "urn:nfi:iot:hi:1.0",
        "urn:nfi:iot:synchronization:1.0",
        "jabber:x:data",
        "http://jabber.org/protocol/xdata-layout",
    ]);
    let attributes = prop::collection::vec(
        (
            prop::sample::select(vec![
                "id",
                "src",
                "pt",
                "n",
                "v",
                "u",
                "m",
                "all",
                "more",
                "from",
                "when",
                "by",
                "minInt",
                "state",
                "name",
                "value",
                "type",
                "var",
                "hasChildren",
                "timestamp",
                "t",
                "command",
                "queryId",
                "seqNr",
                "snifferId",
                "tableId",
                "ts",
                "ttl",
            ]),
            prop_oneof!["[ -~]{0,12}", "-?[0-9]{1,30}(\\.[0-9]{0,30})?", Just("true".to_owned())],
        ),
        0..6,
    );
    let leaf = (names, namespaces, attributes, "[ -~]{0,12}").prop_map(|(name, ns, attributes, text)| {
        let mut element = Element::new(ns, name).with_text(text);
        for (name, value) in attributes {
            element.set_attr(name, value);
        }
        element
    });
    leaf.prop_recursive(4, 40, 6, |inner| {
        (inner.clone(), prop::collection::vec(inner, 0..6))
            .prop_map(|(element, children)| element.with_children(children))
    })
}

proptest! {
    #[test]
    fn any_readout_reads_back_as_written(fields in prop::collection::vec(any_field(), 0..12), which in 0usize..3) {
        let mut response = Response::empty("id");
        let nodes = [None, Some(node("a", "s", "")), Some(node("b", "", "p"))];
        for (index, field) in fields.into_iter().enumerate() {
            // Without a node, all moments of the device itself stand together.
            response.push_field(nodes[1 + index / 3 % 2].as_ref(), field);
        }
        let generation = Generation::ALL[which];
        let element = SensorData::Response(response.clone()).encode(generation);
        let parsed = parse_document(element.to_string(), &Limits::CLIENT).unwrap();
        prop_assert_eq!(SensorData::decode(&parsed), Ok((SensorData::Response(response), generation)));
    }

    #[test]
    fn any_request_reads_back_as_written(
        id in any_name(),
        names in prop::collection::vec(any_name(), 0..4),
        from in prop::option::of(any_time()),
        when in prop::option::of(any_time()),
        m in any::<bool>(),
    ) {
        let mut request = Request::of(id, vec![node("n", "s", "p")]);
        request.fields = names.iter().map(|text| name(text)).collect();
        (request.from, request.when) = (from, when);
        if m {
            request.categories = Categories::MOMENTARY;
        }
        let payload = SensorData::Request(request);
        prop_assert_eq!(SensorData::decode(&payload.encode(Generation::Nf)), Ok((payload, Generation::Nf)));
    }

    #[test]
    fn no_element_makes_a_decoder_panic(element in any_element()) {
        let _ = SensorData::decode(&element);
        let _ = Events::decode(&element);
        let _ = Control::decode(&element);
        let _ = Question::decode(&element);
        let _ = Answer::decode(&element);
        let _ = Notice::decode(&element);
        let _ = Synchronization::decode(&element);
        let _ = interfaces::decode_request(&element);
        let _ = interfaces::decode_answer(&element);
        let _ = DataForm::decode(&element);
        let _ = ParameterError::decode(&element);
    }
}
