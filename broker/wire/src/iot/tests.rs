//! Our own examples of every payload, in every generation, and random ones.

use proptest::prelude::*;
use torg_thing::{
    Assignment, Categories, Color, ControlValue, Date, Decimal, EnumValue, Field, FieldName, FieldValue, NodeId,
    NodeRef, NodeState, Partition, Qos, Quantity, Severity, SourceId, Span, TimeOfDay, Timestamp, Unit,
};

use super::concentrator::{Answer, Detail, Operation, Question};
use super::control::{self, Control, ParameterError, Values};
use super::events::{Events, FieldRule, Subscribe};
use super::interfaces::{self, Dialect};
use super::sensor_data::{Accepted, Request, Response, SensorData};
use super::*;
use crate::xep::data_forms::DataForm;
use crate::xml::{Element, Limits, parse_document};

fn xml(text: &str) -> Element {
    parse_document(text, &Limits::CLIENT).unwrap()
}

fn node(id: &str, source: &str, partition: &str) -> NodeRef {
    NodeRef {
        id: NodeId::parse(id).unwrap(),
        source: SourceId::parse(source).unwrap(),
        partition: Partition::parse(partition).unwrap(),
    }
}

fn name(text: &str) -> FieldName {
    FieldName::parse(text).unwrap()
}

fn field(name: &str, value: FieldValue) -> Field {
    Field {
        name: FieldName::parse(name).unwrap(),
        at: "2026-03-01T10:15:00Z".parse().unwrap(),
        value: Some(value),
        categories: Categories::MOMENTARY,
        qos: Qos::AUTOMATIC_READOUT,
        writable: false,
    }
}

fn quantity(value: &str, unit: &str) -> FieldValue {
    FieldValue::Quantity(Quantity { value: value.parse().unwrap(), unit: Unit::new(unit) })
}

fn response(text: &str) -> Response {
    match SensorData::decode(&xml(text)).unwrap().0 {
        SensorData::Response(response) => response,
        other => panic!("{other:?}"),
    }
}

mod sensor_data_elements {
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
}

mod fragments {
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
}

mod event_elements {
    use super::*;

    #[test]
    fn a_subscription_is_read_with_its_rules() {
        let element = xml(
            "<subscribe xmlns='urn:nfi:iot:events:1.0' id='s' m='true' minInt='PT1S' maxInt='PT1M' maxAge='P1D' \
             req='true'><nd id='n' src='plant'/><f n='Power' v='10.5' by='0.5' up='1' dn='2'/><f n='Relay'/></subscribe>",
        );
        let (Events::Subscribe(read), generation) = Events::decode(&element).unwrap() else { panic!("no subscribe") };
        assert_eq!(generation, Generation::Nfi);
        assert_eq!(read.max_interval, Some(Span { minutes: 1, ..Span::default() }));
        assert!(read.request);
        let number = |text: &str| Some(text.parse::<Decimal>().unwrap());
        let power = FieldRule {
            name: name("Power"),
            current: number("10.5"),
            by: number("0.5"),
            up: number("1"),
            down: number("2"),
        };
        assert_eq!(read.rules, [power, FieldRule::any_change(name("Relay"))]);
    }

    #[test]
    fn a_threshold_must_be_positive() {
        for threshold in ["0", "-1", "0.00", "x"] {
            let element = xml(&format!(
                "<subscribe xmlns='urn:nfi:iot:events:1.0' id='s'><f n='a' by='{threshold}'/></subscribe>"
            ));
            assert!(matches!(Events::decode(&element), Err(DecodeError::Invalid { name: "by", .. })), "{threshold}");
        }
    }

    #[test]
    fn subscribe_and_unsubscribe_read_back_as_written() {
        let mut wish = Subscribe::to("s", vec![node("n", "s", "p")]);
        wish.rules.push(FieldRule::any_change(name("a")));
        wish.min_interval = Some(Span { seconds: 1, ..Span::default() });
        for generation in Generation::ALL {
            for payload in [Events::Subscribe(wish.clone()), Events::Unsubscribe("s".into())] {
                assert_eq!(Events::decode(&payload.encode(generation)), Ok((payload, generation)));
            }
        }
    }
}

mod control_elements {
    use super::*;

    #[test]
    fn every_kind_of_parameter_is_read_and_written() {
        let element = xml(
            "<set xmlns='urn:nf:iot:ctr:1.0' dt='t'><b n='b' v='1'/><nd id='n'/><cl n='cl' v='FF800010'/>\
             <d n='d' v='2026-02-28'/><db n='db' v='1.50'/><dr n='dr' v='PT5M'/><dt n='dt' v='2026-01-01T00:00:00'/>\
             <e n='e' v='Auto' t='Mode'/><i n='i' v='7'/><l n='l' v='8'/><s n='s' v='a&#10;b'/><t n='t' v='06:30:00'/></set>",
        );
        let (payload, generation) = Control::decode(&element).unwrap();
        let Control::Set(set) = &payload else { panic!("not a set") };
        assert_eq!(set.nodes, [node("n", "", "")]);
        let Values::Simple(values) = &set.values else { panic!("not simple") };
        assert_eq!(values.len(), 11);
        assert_eq!(values[0], Assignment { parameter: name("b"), value: ControlValue::Boolean(true) });
        assert_eq!(values[1].value, ControlValue::Color("FF800010".parse::<Color>().unwrap()));
        assert_eq!(Control::decode(&payload.encode(generation)), Ok((payload.clone(), generation)));
    }

    #[test]
    fn an_unknown_child_of_an_order_is_refused() {
        for child in ["<q n='a' v='1'/>", "<b xmlns='urn:x' n='a' v='1'/>", "<b n='a' v='maybe'/>", "<b v='1'/>"] {
            let element = xml(&format!("<set xmlns='urn:nfi:iot:ctr:1.0'>{child}</set>"));
            assert!(Control::decode(&element).is_err(), "{child}");
        }
    }

    #[test]
    fn a_form_must_be_a_submitted_one_and_stand_alone() {
        let form = |kind: &str| format!("<x xmlns='jabber:x:data' type='{kind}'/>");
        for (children, good) in [
            (form("submit"), true),
            (form("form"), false),
            (form("submit") + &form("submit"), false),
            (form("submit") + "<b n='a' v='1'/>", false),
        ] {
            let element = xml(&format!("<set xmlns='urn:nfi:iot:ctr:1.0'>{children}</set>"));
            assert_eq!(Control::decode(&element).is_ok(), good, "{children}");
        }
    }

    #[test]
    fn everything_reads_back_as_written() {
        let form = DataForm::submit().with_value("Relay", "true");
        let nodes = vec![node("n", "s", "p")];
        for generation in Generation::ALL {
            for payload in [
                Control::FormRequest(control::FormRequest { nodes: nodes.clone(), tokens: Tokens::default() }),
                Control::Response(control::Response { nodes: nodes.clone(), parameters: vec![name("Relay")] }),
                Control::Set(control::Set {
                    nodes: nodes.clone(),
                    values: Values::Form(form.clone()),
                    tokens: Tokens { user: Some("u".into()), ..Tokens::default() },
                }),
            ] {
                assert_eq!(Control::decode(&payload.encode(generation)), Ok((payload, generation)));
            }
        }
    }

    #[test]
    fn a_parameter_error_is_written_with_both_names_and_read_with_either() {
        let problem = ParameterError { parameter: "Relay".into(), text: "No.".into() };
        let element = problem.encode(Generation::Nf);
        assert_eq!((element.attr("var"), element.attr("n")), (Some("Relay"), Some("Relay")));
        for attribute in ["var", "n"] {
            let text = format!("<paramError xmlns='urn:nf:iot:ctr:1.0' {attribute}='Relay'>No.</paramError>");
            assert_eq!(ParameterError::decode(&xml(&text)), Some(problem.clone()));
        }
    }

    #[test]
    fn a_parameter_group_is_written_with_both_names_and_read_with_either() {
        let element = control::parameter_group(Generation::Nfi, "g");
        assert_eq!((element.attr("n"), element.attr("name")), (Some("g"), Some("g")));
        for attribute in ["n", "name"] {
            let element = xml(&format!("<pGroup xmlns='urn:nfi:iot:ctr:1.0' {attribute}='g'/>"));
            assert_eq!(control::decode_parameter_group(&element), Some("g"));
        }
    }
}

mod concentrator_elements {
    use super::*;

    fn operations() -> Vec<Operation> {
        let meter = || node("n", "s", "p");
        let source = || SourceId::parse("s").unwrap();
        let detail = Detail { parameters: true, messages: false };
        vec![
            Operation::AllDataSources,
            Operation::AllNodes { source: source(), derived_from: vec!["a".into(), "b".into()], detail },
            Operation::Ancestors(meter(), detail),
            Operation::Capabilities,
            Operation::ChildDataSources(source()),
            Operation::ChildNodes(meter(), Detail::FULL),
            Operation::ContainsNode(meter()),
            Operation::ContainsNodes(vec![meter(), node("m", "", "")]),
            Operation::Node(meter(), Detail::default()),
            Operation::NodeInheritance(meter()),
            Operation::Nodes(vec![meter()], detail),
            Operation::RootDataSources,
            Operation::RootNodes(source(), detail),
        ]
    }

    #[test]
    fn every_operation_reads_back_as_written_in_every_generation() {
        for generation in Generation::ALL {
            for operation in operations() {
                let question = Question { lang: Some("de".into()), ..Question::of(operation) };
                assert_eq!(Question::decode(&question.encode(generation)), Ok((question, generation)));
            }
        }
    }

    #[test]
    fn the_list_of_names_is_the_list_of_operations() {
        let mut names: Vec<_> = operations().iter().map(Operation::name).collect();
        names.sort_unstable();
        assert_eq!(names, Operation::NAMES);
    }

    #[test]
    fn an_operation_of_an_old_generation_is_unknown() {
        let element = xml("<getIndices xmlns='urn:nfi:iot:concentrator:1.0' src='s'/>");
        assert_eq!(Question::decode(&element), Err(DecodeError::Unknown { element: "getIndices".into() }));
    }

    fn info() -> NodeInfo {
        NodeInfo {
            kind: Some("modbus.device".into()),
            display_name: Some("Meter".into()),
            state: NodeState::WarningUnsigned,
            has_children: true,
            is_readable: true,
            is_controllable: true,
            sniffable: true,
            local_id: Some("7".into()),
            parent: Some(Parent { id: NodeId::parse("line").unwrap(), partition: Partition::parse("p").unwrap() }),
            last_changed: Some("2026-03-01T10:00:00Z".parse().unwrap()),
            parameters: vec![
                Parameter { id: "Address".into(), name: "Adresse".into(), value: ParameterValue::Int32(3) },
                Parameter { id: "b".into(), name: "b".into(), value: ParameterValue::Boolean(true) },
                Parameter { id: "c".into(), name: "c".into(), value: ParameterValue::Color("112233".parse().unwrap()) },
                Parameter { id: "d".into(), name: "d".into(), value: ParameterValue::Double("1.50".parse().unwrap()) },
                Parameter { id: "s".into(), name: "s".into(), value: ParameterValue::Text("<x>".into()) },
            ],
            messages: vec![Message {
                at: "2026-03-01T10:00:00Z".parse().unwrap(),
                severity: Severity::Warning,
                event_id: Some("DeviceSilent".into()),
                text: "No answer.".into(),
            }],
            ..NodeInfo::new(node("n", "s", "p"))
        }
    }

    #[test]
    fn every_answer_reads_back_as_written_in_every_generation() {
        let source = DataSource {
            source: SourceId::parse("s").unwrap(),
            name: "S".into(),
            has_children: false,
            last_changed: Some("2026-03-01T10:00:00Z".parse().unwrap()),
        };
        for generation in Generation::ALL {
            for answer in [
                Answer::Bool(true),
                Answer::Bools(vec![true, false]),
                Answer::DataSources(vec![source.clone()]),
                Answer::Inheritance { base_classes: vec!["a".into()], interfaces: Vec::new() },
                Answer::NodeInfo(Box::new(info())),
                Answer::NodeInfos(vec![info(), NodeInfo::new(node("m", "", ""))]),
                Answer::Strings(vec!["getNode".into()]),
            ] {
                assert_eq!(Answer::decode(&answer.encode(generation)), Ok((answer, generation)));
            }
        }
    }

    #[test]
    fn required_attributes_of_a_node_are_written_even_when_false() {
        let element = Answer::NodeInfo(Box::new(NodeInfo::new(node("n", "", "")))).encode(Generation::Nfi);
        assert_eq!((element.attr("state"), element.attr("hasChildren")), (Some("None"), Some("false")));
        assert_eq!(element.attr("src"), None);
    }
}

mod small_interfaces {
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
}

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
        let _ = Synchronization::decode(&element);
        let _ = interfaces::decode_request(&element);
        let _ = interfaces::decode_answer(&element);
        let _ = DataForm::decode(&element);
        let _ = ParameterError::decode(&element);
    }
}
