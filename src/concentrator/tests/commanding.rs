//! Commands and queries, on one node and on several, and the messages that a command acknowledges.

use super::*;
use crate::concentrator::commands::RUNNING_PER_CALLER_MAX;
use torg_thing::{
    Cell, Column, CommandKind, CommandSummary, ControlParameter, ControlValue, NodeMessage, ParameterKind, Range,
    Report, Severity, Table,
};
use torg_wire::iot::Generation;
use torg_wire::iot::concentrator::{Answer, CommandInfo, Notice, Progress, QueryProgress};
use torg_wire::xep::data_forms::DataForm;

const NS: &str = "urn:nfi:iot:concentrator:1.0";

/// What invented nodes do when they are commanded.
pub(super) async fn execute(command: &str, out: ReportSender) -> Result<(), NodeError> {
    let silent = NodeError::DeviceSilent { waited: Duration::from_millis(500) };
    let record = |row: usize| vec![Cell::Int64(row.try_into().unwrap()), Cell::Void];
    let parts = match command {
        "broken" => return Err(silent),
        "calibrate" | "wink" => return Ok(()),
        "panic" => panic!("invented"),
        "endless" => {
            out.send(Report::Status("Looking.".to_owned())).await.unwrap_or_default();
            std::future::pending::<()>().await;
            Vec::new()
        }
        "fails" => {
            out.send(Report::Status("Looking.".to_owned())).await.unwrap_or_default();
            return Err(silent);
        }
        "long" => vec![Report::Records { table: "t".to_owned(), records: (0..1501).map(record).collect() }],
        "golden" => golden(),
        "wide" => vec![Report::Title("x".repeat(300_000))],
        _ => vec![
            Report::Title("Devices".to_owned()),
            Report::Table(Table {
                id: "t".to_owned(),
                name: "Found".to_owned(),
                columns: vec![Column { id: "a".to_owned(), ..Column::default() }],
            }),
            Report::Records { table: "t".to_owned(), records: vec![vec![Cell::Text("meter-7".to_owned())]] },
            Report::TableDone("t".to_owned()),
        ],
    };
    for part in parts {
        out.send(part).await.unwrap_or_default();
    }
    Ok(())
}

/// Every part that a report can have, with every kind of cell: what the wire's golden elements hold.
fn golden() -> Vec<Report> {
    let text = include_str!("../../../broker/wire/src/iot/golden/concentrator.xml");
    let all = parse_document(text, &Limits::CLIENT).unwrap();
    let notices = all.child(NS, "notices").unwrap().children().map(|notice| Notice::decode(notice).unwrap().0);
    let parts = notices.filter_map(|notice| match notice {
        Notice::Query(progress) => Some(progress.parts),
        _ => None,
    });
    let reports = parts.flatten().filter_map(|part| match part {
        Progress::Report(report) => Some(report),
        _ => None,
    });
    reports.collect()
}

fn offset() -> ControlParameter {
    ControlParameter {
        name: name("Offset"),
        kind: ParameterKind::Int32,
        range: Some(Range { min: Some(0.into()), max: Some(10.into()), values: Vec::new() }),
        label: "".into(),
        description: "".into(),
    }
}

/// Knows simple commands, one with a parameter, and queries.
fn device(id: &str) -> Fake {
    let mut node = Fake::new(id, Vec::new());
    let simple = ["wink", "broken"].map(|id| CommandSummary::new(id, id, CommandKind::Simple));
    let query = ["scan", "endless", "fails", "golden", "long", "panic", "wide"]
        .map(|id| CommandSummary::new(id, id, CommandKind::Query));
    let calibrate = CommandSummary::new("calibrate", "Calibrate", CommandKind::Parametrized);
    let calibrate = CommandSummary { parameters: vec![offset()], confirmation: "Sure?".into(), ..calibrate };
    node.about_mut().commands = simple.into_iter().chain(query).chain([calibrate]).collect();
    node
}

async fn world() -> (World, Arc<Fake>) {
    let world = World::new().await;
    let node = world.add(device("d"));
    (world, node)
}

fn runs(node: &Fake) -> Vec<String> {
    node.runs.lock().unwrap().iter().map(|run| run.id.to_string()).collect()
}

async fn request(world: &World, kind: &str, name: &str, rest: &str) {
    world.ask(kind, &format!("<{name} xmlns='{NS}' {rest}")).await;
}

/// Anna starts a query and is told that it runs.
async fn query(world: &mut World, command: &str, id: &str) {
    request(world, "set", "executeNodeQuery", &format!("id='d' command='{command}' queryId='{id}'/>")).await;
    world.expect_result("").await;
    assert_eq!(progress(world).await.parts, [Progress::Started]);
}

async fn progress(world: &mut World) -> QueryProgress {
    let message = world.next().await;
    assert_eq!(message.to().unwrap().as_str(), "anna@a.example/x");
    match Notice::decode(message.payload().unwrap()).unwrap() {
        (Notice::Query(progress), Generation::Nfi) => progress,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn commands_are_listed_in_the_words_of_each_generation() {
    for (space, spelling) in [("nfi", "Parameterized"), ("nf", "Parametrized"), ("ieee", "Parametrized")] {
        let (mut world, _) = world().await;
        world.ask("get", &format!("<getNodeCommands xmlns='urn:{space}:iot:concentrator:1.0' id='d'/>")).await;
        let answer = world.next().await;
        let expected =
            format!("<command command='calibrate' name='Calibrate' type='{spelling}' confirmationString='Sure?'/>");
        assert!(answer.to_string().contains(&expected), "{answer}");
    }
}

#[tokio::test(start_paused = true)]
async fn nodes_share_the_commands_that_mean_the_same_on_all() {
    let (mut world, _) = world().await;
    let mut other = device("e");
    other.about_mut().commands.retain(|command| *command.id != *"wink");
    if let Some(calibrate) = other.about_mut().commands.last_mut() {
        calibrate.parameters.clear();
    }
    world.add(other);
    request(&world, "get", "getCommonNodeCommands", "><nd id='d'/><nd id='e'/></getCommonNodeCommands>").await;
    let Answer::Commands(commands) = Answer::decode(world.next().await.payload().unwrap()).unwrap().0 else {
        panic!("no commands")
    };
    let ids: Vec<_> = commands.iter().map(|command: &CommandInfo| command.id.as_str()).collect();
    assert_eq!(ids, ["broken", "scan", "endless", "fails", "golden", "long", "panic", "wide"]);
}

#[tokio::test(start_paused = true)]
async fn a_simple_command_is_run_and_then_answered() {
    let (mut world, node) = world().await;
    request(&world, "set", "executeNodeCommand", "id='d' command='wink'/>").await;
    world.expect_result("").await;
    assert_eq!(runs(&node), ["wink"]);
}

#[tokio::test(start_paused = true)]
async fn a_command_that_fails_is_an_error() {
    let (mut world, _) = world().await;
    request(&world, "set", "executeNodeCommand", "id='d' command='broken'/>").await;
    world.expect_error("recipient-unavailable", "wait").await;
}

#[tokio::test(start_paused = true)]
async fn a_command_gets_the_parameters_of_its_form() {
    let (mut world, node) = world().await;
    request(&world, "get", "getCommandParameters", "id='d' command='calibrate'/>").await;
    let form = DataForm::decode(world.next().await.payload().unwrap()).unwrap();
    let field = form.field("Offset").unwrap();
    assert!(field.required && !field.not_same);
    for value in ["0", "10"] {
        let form = DataForm::submit().with_value("Offset", value).encode();
        let rest = format!("id='d' command='calibrate'>{form}</executeNodeCommand>");
        request(&world, "set", "executeNodeCommand", &rest).await;
        world.expect_result("").await;
    }
    let runs = node.runs.lock().unwrap();
    let told: Vec<_> = runs.iter().flat_map(|run| &run.parameters).map(|set| set.value.clone()).collect();
    assert_eq!(told, [ControlValue::Int32(0), ControlValue::Int32(10)]);
}

#[tokio::test(start_paused = true)]
async fn a_form_with_mistakes_comes_back_in_the_error() {
    for (value, complaint) in [
        (Some("11"), "Allowed is 0 to 10, asked was 11."),
        (Some("x"), "The parameter has another type."),
        (None, "A value is needed."),
    ] {
        let (mut world, node) = world().await;
        let form = value.map_or(DataForm::submit(), |value| DataForm::submit().with_value("Offset", value)).encode();
        let rest = format!("id='d' command='calibrate'>{form}</executeNodeCommand>");
        request(&world, "set", "executeNodeCommand", &rest).await;
        let answer = world.next().await;
        let error = answer.error().unwrap();
        assert_eq!((error.condition().name(), error.kind().name()), ("not-acceptable", "modify"));
        let element = answer.child("jabber:client", "error").unwrap();
        let form = element.children().find_map(DataForm::decode).unwrap_or_else(|| panic!("{answer}"));
        let field = form.field("Offset").unwrap();
        assert_eq!((field.error.as_deref(), field.value()), (Some(complaint), value));
        assert!(runs(&node).is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn what_does_not_fit_the_command_is_refused() {
    let (mut world, node) = world().await;
    let form = DataForm::submit().encode().to_string();
    for (kind, name, rest, condition) in [
        ("set", "executeNodeCommand", "id='d' command='dance'/>".to_owned(), "item-not-found"),
        ("set", "executeNodeCommand", "id='x' command='wink'/>".to_owned(), "item-not-found"),
        ("set", "executeNodeCommand", "id='d' command='scan'/>".to_owned(), "bad-request"),
        ("set", "executeNodeCommand", "id='d' command='calibrate'/>".to_owned(), "bad-request"),
        ("set", "executeNodeCommand", format!("id='d' command='wink'>{form}</executeNodeCommand>"), "bad-request"),
        ("set", "executeNodeQuery", "id='d' command='wink' queryId='q'/>".to_owned(), "bad-request"),
        ("get", "executeNodeCommand", "id='d' command='wink'/>".to_owned(), "bad-request"),
        ("set", "getNodeCommands", "id='d'/>".to_owned(), "bad-request"),
        ("get", "getCommandParameters", "id='d' command='wink'/>".to_owned(), "bad-request"),
        ("get", "getCommonNodeCommands", "/>".to_owned(), "bad-request"),
        ("set", "abortNodeQuery", "id='d' command='scan' queryId='q'/>".to_owned(), "item-not-found"),
    ] {
        request(&world, kind, name, &rest).await;
        let answer = world.next().await;
        assert_eq!(answer.error().map(|error| error.condition().name()), Some(condition), "{name} {rest}");
    }
    assert!(runs(&node).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_stranger_is_forbidden_before_anything_else() {
    let (mut world, node) = world().await;
    for id in ["d", "x"] {
        let command = format!("<executeNodeCommand xmlns='{NS}' id='{id}' command='wink'/>");
        world.ask_as("stranger@s.example/x", "set", &command).await;
        world.expect_error("forbidden", "auth").await;
    }
    assert!(runs(&node).is_empty());
}

#[tokio::test(start_paused = true)]
async fn several_nodes_are_commanded_in_either_kind_of_iq_and_each_has_its_outcome() {
    for kind in ["set", "get"] {
        let (mut world, node) = world().await;
        world.add(device("e"));
        let rest = "command='wink'><nd id='d'/><nd id='e'/></executeCommonNodeCommand>";
        request(&world, kind, "executeCommonNodeCommand", rest).await;
        world
            .expect_result(&format!(
                "<partialExecution xmlns='{NS}'><result>true</result><result>true</result></partialExecution>"
            ))
            .await;
        assert_eq!(runs(&node), ["wink"]);
        request(&world, kind, "executeCommonNodeCommand", &rest.replace("wink", "broken")).await;
        let failed = "<result error='No answer within 500 ms.'>false</result>";
        world.expect_result(&format!("<partialExecution xmlns='{NS}'>{failed}{failed}</partialExecution>")).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_query_tells_its_report_in_numbered_messages() {
    let (mut world, _) = world().await;
    query(&mut world, "scan", "q1").await;
    let mut all = Vec::new();
    while all.last() != Some(&Progress::Done) {
        let told = progress(&mut world).await;
        assert_eq!((told.query.as_str(), told.number, told.node.source.as_str()), ("q1", 2 + all.len() as u32, ""));
        all.extend(told.parts);
    }
    let names: Vec<_> = all.iter().map(|part| format!("{part:?}").chars().take(15).collect::<String>()).collect();
    assert_eq!(names, ["Report(Title(\"D", "Report(Table(Ta", "Report(Records ", "Report(TableDon", "Done"]);
    world.expect_silence().await;
}

#[tokio::test(start_paused = true)]
async fn every_part_of_a_report_arrives_as_the_node_told_it() {
    let (mut world, _) = world().await;
    query(&mut world, "golden", "q1").await;
    let mut told = Vec::new();
    loop {
        match progress(&mut world).await.parts.as_slice() {
            [Progress::Report(report)] => told.push(report.clone()),
            [Progress::Done] => break,
            other => panic!("{other:?}"),
        }
    }
    assert!(told.len() > 10, "{told:?}");
    assert_eq!(told, golden());
}

#[tokio::test(start_paused = true)]
async fn a_query_can_be_aborted_and_its_id_used_again() {
    let (mut world, _) = world().await;
    query(&mut world, "endless", "q1").await;
    assert!(matches!(progress(&mut world).await.parts.as_slice(), [Progress::Report(Report::Status(_))]));
    request(&world, "set", "executeNodeQuery", "id='d' command='scan' queryId='q1'/>").await;
    world.expect_error("conflict", "cancel").await;
    request(&world, "set", "abortNodeQuery", "id='d' command='scan' queryId='q1'/>").await;
    world.expect_error("item-not-found", "cancel").await;
    request(&world, "set", "abortNodeQuery", "id='d' command='endless' queryId='q1'/>").await;
    world.expect_result("").await;
    assert_eq!(progress(&mut world).await.parts, [Progress::Aborted]);
    world.expect_silence().await;
    query(&mut world, "endless", "q1").await;
}

#[tokio::test(start_paused = true)]
async fn a_query_that_fails_says_why_and_ends_as_aborted() {
    for (command, why) in
        [("fails", "No answer within 500 ms."), ("panic", "The query failed because of an internal error.")]
    {
        let (mut world, _) = world().await;
        query(&mut world, command, "q1").await;
        loop {
            match progress(&mut world).await.parts.as_slice() {
                [Progress::Report(Report::Status(_))] => {}
                [Progress::Report(Report::Message(message))] => {
                    assert_eq!(message.text, why);
                    break;
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(progress(&mut world).await.parts, [Progress::Aborted]);
    }
}

#[tokio::test(start_paused = true)]
async fn an_endless_query_ends_after_an_hour() {
    let (mut world, _) = world().await;
    query(&mut world, "endless", "q1").await;
    let begin = Instant::now();
    assert!(matches!(progress(&mut world).await.parts.as_slice(), [Progress::Report(Report::Status(_))]));
    let end = tokio::time::timeout(Duration::from_secs(4000), world.outbound.recv()).await.unwrap().unwrap();
    assert!(end.to_string().contains("The query took too long."), "{end}");
    assert_eq!(begin.elapsed().as_secs(), 3600);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_told_of_the_query_of_one_who_has_gone() {
    let (mut world, _) = world().await;
    query(&mut world, "endless", "q1").await;
    progress(&mut world).await;
    world.send("<presence type='unavailable' from='anna@a.example/x' to='gw@a.example/1'/>").await;
    world.expect_silence().await;
}

#[tokio::test(start_paused = true)]
async fn one_sender_may_run_a_few_queries_and_no_more() {
    let (mut world, _) = world().await;
    for index in 0..RUNNING_PER_CALLER_MAX {
        query(&mut world, "endless", &format!("q{index}")).await;
        progress(&mut world).await;
    }
    request(&world, "set", "executeNodeQuery", "id='d' command='endless' queryId='more'/>").await;
    world.expect_error("resource-constraint", "wait").await;
}

#[tokio::test(start_paused = true)]
async fn a_query_on_several_nodes_is_started_on_all_or_none_and_aborted_on_all() {
    let (mut world, _) = world().await;
    world.add(device("e"));
    let on = |nodes: &str, name: &str| format!("command='endless' queryId='q'>{nodes}</{name}>");
    let (both, name) = ("<nd id='d'/><nd id='e'/>", "executeCommonNodeQuery");
    request(&world, "set", name, &on("<nd id='d'/><nd id='e'/><nd id='d' src='plant'/>", name)).await;
    world.expect_error("conflict", "cancel").await;
    request(&world, "get", name, &on(both, name)).await;
    let done = "<result>true</result><result>true</result>";
    world.expect_result(&format!("<partialExecution xmlns='{NS}'>{done}</partialExecution>")).await;
    for _ in 0..4 {
        assert_eq!(progress(&mut world).await.query, "q");
    }
    request(&world, "set", "abortCommonNodeQuery", &on(both, "abortCommonNodeQuery")).await;
    world.expect_result("").await;
    for _ in 0..2 {
        assert_eq!(progress(&mut world).await.parts, [Progress::Aborted]);
    }
}

#[tokio::test(start_paused = true)]
async fn many_records_come_in_several_messages_and_what_is_too_large_is_left_out_with_a_word() {
    let (mut world, _) = world().await;
    query(&mut world, "long", "q1").await;
    let mut rows = 0;
    loop {
        match progress(&mut world).await.parts.as_slice() {
            [Progress::Report(Report::Records { records, .. })] => {
                assert!(records.len() <= 500);
                rows += records.len();
            }
            [Progress::Done] => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(rows, 1501);
    query(&mut world, "wide", "q2").await;
    let told = progress(&mut world).await;
    assert!(matches!(told.parts.as_slice(), [Progress::Report(Report::Message(_))]), "{told:?}");
    assert_eq!(told.number, 2);
}

#[tokio::test(start_paused = true)]
async fn messages_are_acknowledged_by_a_command_that_is_there_while_it_is_needed() {
    let mut world = World::new().await;
    world.add(Fake::new("d", Vec::new()));
    let report = |world: &World, severity, seconds| {
        let message = NodeMessage { at: at(seconds), severity, event: "Clock", text: "Late.".to_owned() };
        world.tree.report(&address("d"), message);
    };
    let acknowledge = "id='d' command='AcknowledgeMessages'/>";
    request(&world, "set", "executeNodeCommand", acknowledge).await;
    world.expect_error("item-not-found", "cancel").await;
    for (severity, seconds, before, after) in [
        (Severity::Warning, 1, "WarningUnsigned", "WarningSigned"),
        (Severity::Warning, 2, "WarningSigned", "WarningSigned"),
        (Severity::Error, 3, "ErrorUnsigned", "ErrorSigned"),
    ] {
        report(&world, severity, seconds);
        assert_eq!(state(&mut world).await, (before.to_owned(), before != after));
        if before != after {
            request(&world, "set", "executeNodeCommand", acknowledge).await;
            world.expect_result("").await;
        }
        assert_eq!(state(&mut world).await, (after.to_owned(), false));
    }
    world.tree.clear(&address("d"), "Clock");
    assert_eq!(state(&mut world).await, ("None".to_owned(), false));
    report(&world, Severity::Warning, 4);
    assert_eq!(state(&mut world).await, ("WarningUnsigned".to_owned(), true));
}

/// The state of the node, and whether it has commands.
async fn state(world: &mut World) -> (String, bool) {
    request(world, "get", "getNode", "id='d'/>").await;
    let answer = world.next().await;
    let info = answer.payload().unwrap();
    (info.attr("state").unwrap().to_owned(), info.attr("hasCommands") == Some("true"))
}
