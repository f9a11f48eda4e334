//! The concentrator's elements against golden ones, which a check against the published schemas reads too.

use torg_thing::{Alignment, Cell, CommandKind, NodeId, NodeRef, Partition, Report, SourceId};

use super::*;
use crate::iot::NodeInfo;
use crate::xml::{Limits, parse_document};

const GOLDEN: &str = include_str!("../golden/concentrator.xml");

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

/// The golden elements of one kind, as a peer of this generation writes them.
fn golden(kind: &str, generation: Generation) -> Vec<Element> {
    let namespace = generation.namespace(Interface::Concentrator);
    let mut text = GOLDEN.replace("urn:nfi:iot:concentrator:1.0", namespace);
    if generation != Generation::Nfi {
        text = text.replace("Parameterized", "Parametrized");
    }
    let all = xml(&text);
    let kind = all.child(namespace, kind).unwrap();
    kind.children().cloned().collect()
}

fn question(text: &str) -> Result<Operation, DecodeError> {
    Question::decode(&xml(&text.replacen(' ', " xmlns='urn:nfi:iot:concentrator:1.0' ", 1)))
        .map(|(question, _)| question.operation)
}

#[test]
fn every_question_reads_back_as_written_in_every_generation() {
    for generation in Generation::ALL {
        for element in golden("questions", generation) {
            let (question, found) = Question::decode(&element).unwrap();
            assert_eq!((question.encode(generation), found), (element, generation));
        }
    }
}

#[test]
fn every_answer_reads_back_as_written_in_every_generation() {
    for generation in Generation::ALL {
        for element in golden("answers", generation) {
            let (answer, found) = Answer::decode(&element).unwrap();
            // A list of interfaces is written even when it is empty.
            assert_eq!((answer.encode(generation), found), (element, generation));
        }
    }
}

#[test]
fn every_notice_reads_back_as_written_in_every_generation() {
    for generation in Generation::ALL {
        for element in golden("notices", generation) {
            let (notice, found) = Notice::decode(&element).unwrap();
            assert_eq!((notice.encode(generation), found), (element, generation));
        }
    }
}

#[test]
fn the_lists_of_names_are_the_operations_there_are() {
    let mut found: Vec<_> =
        golden("questions", Generation::Nfi).iter().map(|element| element.name().to_owned()).collect();
    found.sort_unstable();
    found.dedup();
    let mut names =
        [&Browse::NAMES[..], &Commands::NAMES, &Edit::NAMES, &Sniffers::NAMES, &SourceEvents::NAMES].concat();
    names.sort_unstable();
    assert_eq!(found, names);
}

#[test]
fn each_list_of_names_is_in_alphabetical_order() {
    for names in [&Browse::NAMES[..], &Commands::NAMES, &Edit::NAMES, &Sniffers::NAMES, &SourceEvents::NAMES] {
        assert!(names.is_sorted(), "{names:?}");
    }
}

#[test]
fn what_changes_something_comes_in_a_set() {
    for element in golden("questions", Generation::Nfi) {
        let operation = Question::decode(&element).unwrap().0.operation;
        let name = operation.name();
        let expected = match name {
            "executeCommonNodeCommand" | "executeCommonNodeQuery" => Method::Either,
            name if name.starts_with("get") || name.starts_with("contains") => Method::Get,
            _ => Method::Set,
        };
        assert_eq!(operation.method(), expected, "{name}");
    }
}

#[test]
fn an_operation_of_an_old_generation_is_unknown() {
    assert_eq!(question("<getIndices src='s'/>"), Err(DecodeError::Unknown { element: "getIndices".into() }));
}

#[test]
fn one_node_and_a_list_of_one_are_different_questions() {
    let one = question("<getNodeCommands id='n' src='s'/>").unwrap();
    assert_eq!(one, Commands::List(Nodes::One(node("n", "s", ""))).into());
    let list = question("<getCommonNodeCommands ><nd id='n' src='s'/></getCommonNodeCommands>").unwrap();
    assert_eq!(list, Commands::List(Nodes::Several(vec![node("n", "s", "")])).into());
}

#[test]
fn a_change_without_its_form_is_refused() {
    for text in [
        "<setNodeParametersAfterEdit id='n'/>",
        "<setCommonNodeParametersAfterEdit ><nd id='n'/></setCommonNodeParametersAfterEdit>",
        "<createNewNode id='n' type='t'/>",
        "<setNodeParametersAfterEdit id='n'><x xmlns='jabber:x:data' type='form'/></setNodeParametersAfterEdit>",
        "<executeNodeCommand id='n' command='c'><x xmlns='jabber:x:data' type='cancel'/></executeNodeCommand>",
    ] {
        assert!(matches!(question(text), Err(DecodeError::Invalid { name: "x", .. })), "{text}");
    }
}

#[test]
fn a_subscription_lives_at_least_a_second() {
    for ttl in ["0", "-1", "", "x", "1.5"] {
        let refused = question(&format!("<subscribe src='s' ttl='{ttl}'/>"));
        assert!(matches!(refused, Err(DecodeError::Invalid { name: "ttl", .. })), "{ttl}");
    }
    assert!(question("<subscribe src='s' ttl='1'/>").is_ok());
    assert!(matches!(question("<subscribe src='s'/>"), Err(DecodeError::Missing { name: "ttl", .. })));
}

#[test]
fn events_are_wanted_unless_they_are_declined() {
    let Operation::SourceEvents(SourceEvents::Unsubscribe { kinds, .. }) =
        question("<unsubscribe src='s' nodeAdded='0' nodeUpdated='yes'/>").unwrap()
    else {
        panic!("not an unsubscribe")
    };
    assert_eq!(kinds, EventKinds::ALL.without(EventKind::Added.into()));
}

#[test]
fn kinds_of_events_are_sets() {
    let two = EventKinds::from(EventKind::Added).union(EventKind::Removed.into());
    let found: Vec<_> = EventKind::ALL.into_iter().filter(|kind| two.contains(*kind)).collect();
    assert_eq!(found, [EventKind::Added, EventKind::Removed]);
    assert!(two.without(two).is_empty());
}

#[test]
fn either_spelling_of_parametrized_is_read() {
    for spelling in ["Parameterized", "Parametrized"] {
        let text = format!(
            "<commands xmlns='urn:nf:iot:concentrator:1.0'><command command='c' name='C' type='{spelling}'/></commands>"
        );
        let Answer::Commands(commands) = Answer::decode(&xml(&text)).unwrap().0 else { panic!("no commands") };
        assert_eq!(commands, [CommandInfo::new("c", "C", CommandKind::Parametrized)]);
    }
}

#[test]
fn progress_that_is_not_counted_has_the_number_zero() {
    let text = "<queryProgress xmlns='urn:nfi:iot:concentrator:1.0' queryId='q' id='n'><queryStarted/></queryProgress>";
    let Notice::Query(progress) = Notice::decode(&xml(text)).unwrap().0 else { panic!("no progress") };
    assert_eq!((progress.number, progress.parts), (0, vec![Progress::Started]));
}

#[test]
fn parts_of_a_report_that_are_not_known_are_left_out() {
    let text = "<queryProgress xmlns='urn:nfi:iot:concentrator:1.0' queryId='q' id='n' seqNr='1'><chart/>\
                <status message='a'/></queryProgress>";
    let Notice::Query(progress) = Notice::decode(&xml(text)).unwrap().0 else { panic!("no progress") };
    assert_eq!(progress.parts, [Progress::Report(Report::Status("a".into()))]);
}

#[test]
fn a_cell_that_is_not_known_fails_its_record() {
    let text = "<queryProgress xmlns='urn:nfi:iot:concentrator:1.0' queryId='q' id='n' seqNr='1'>\
                <newRecords tableId='t'><record><matrix/></record></newRecords></queryProgress>";
    assert_eq!(Notice::decode(&xml(text)), Err(DecodeError::Unknown { element: "matrix".into() }));
}

#[test]
fn columns_and_cells_mean_what_they_say() {
    let notices = golden("notices", Generation::Nfi);
    let decoded = notices.iter().filter_map(|element| match Notice::decode(element).unwrap().0 {
        Notice::Query(progress) => Some(progress.parts),
        _ => None,
    });
    let parts: Vec<_> = decoded.flatten().collect();
    let table = parts.iter().find_map(|part| match part {
        Progress::Report(Report::Table(table)) => Some(table),
        _ => None,
    });
    let columns: Vec<_> = table.unwrap().columns.iter().map(|column| (column.alignment, column.decimals)).collect();
    let expected = [(Some(Alignment::Left), None), (Some(Alignment::Center), None), (Some(Alignment::Right), Some(2))];
    assert_eq!(columns, expected);
    let records = parts.iter().find_map(|part| match part {
        Progress::Report(Report::Records { records, .. }) => Some(records),
        _ => None,
    });
    let first = records.unwrap().first().unwrap();
    assert_eq!(first, &[Cell::Text("meter-7".into()), Cell::Void, Cell::Double("1.50".parse().unwrap())]);
}

#[test]
fn bytes_of_a_line_are_read_through_white_space() {
    let text = "<sniff xmlns='urn:nf:iot:concentrator:1.0' snifferId='s' timestamp='2026-03-01T10:00:00Z'>\
                <rxBin> AA\n H/ </rxBin></sniff>";
    let Notice::Sniff(sniff) = Notice::decode(&xml(text)).unwrap().0 else { panic!("no sniff") };
    assert_eq!(sniff.seen, [Sniffed::ReceivedBytes(vec![0, 1, 255])]);
    let text = text.replace("AA\n H/", "!");
    assert!(matches!(Notice::decode(&xml(&text)), Err(DecodeError::Invalid { expected: "base64", .. })));
}

#[test]
fn required_attributes_of_a_node_are_written_even_when_false() {
    let element = Answer::NodeInfo(Box::new(NodeInfo::new(node("n", "", "")))).encode(Generation::Nfi);
    assert_eq!((element.attr("state"), element.attr("hasChildren")), (Some("None"), Some("false")));
    assert_eq!(element.attr("src"), None);
}
