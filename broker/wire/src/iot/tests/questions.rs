//! Questions about nodes and data sources.

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
