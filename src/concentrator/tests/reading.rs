//! Readouts in every reply pattern.

use super::*;
use crate::concentrator::readout::{OPEN_PER_CALLER_MAX, RUNNING_MAX};
use torg_wire::iot::{Generation, Interface, SensorData};

const POWER: &str =
    "<nd id='meter-7'><ts v='2026-03-01T10:15:00Z'><q n='Power' v='21.50' u='W' m='true' ar='true'/></ts></nd>";

fn seconds(count: u64) -> Step {
    Step::Wait(Duration::from_secs(count))
}

fn quick() -> Fake {
    Fake::new("meter-7", vec![Step::Fields(vec![power("21.50")])])
}

fn slow() -> Fake {
    Fake::new("meter-7", vec![seconds(5), Step::Fields(vec![power("21.50")])])
}

#[tokio::test(start_paused = true)]
async fn a_quick_node_is_answered_at_once() {
    let mut world = World::new().await;
    world.add(quick());
    world.ask("get", "<req xmlns='urn:nfi:iot:sd:1.0' id='1' m='true'><nd id='meter-7'/></req>").await;
    world.expect_result(&format!("<resp xmlns='urn:nfi:iot:sd:1.0' id='1'>{POWER}</resp>")).await;
    world.expect_silence().await;
}

#[tokio::test(start_paused = true)]
async fn a_request_may_be_a_set_as_well() {
    let mut world = World::new().await;
    world.add(quick());
    world.ask("set", "<req xmlns='urn:nfi:iot:sd:1.0' id='1'><nd id='meter-7'/></req>").await;
    world.expect_result(&format!("<resp xmlns='urn:nfi:iot:sd:1.0' id='1'>{POWER}</resp>")).await;
}

#[tokio::test(start_paused = true)]
async fn every_generation_gets_the_same_content_in_its_own_namespace() {
    for generation in Generation::ALL {
        let namespace = generation.namespace(Interface::SensorData);
        let mut world = World::new().await;
        world.add(quick());
        world.ask("get", &format!("<req xmlns='{namespace}' id='1'><nd id='meter-7'/></req>")).await;
        world.expect_result(&format!("<resp xmlns='{namespace}' id='1'>{POWER}</resp>")).await;
    }
}

#[tokio::test(start_paused = true)]
async fn messages_of_a_slow_readout_are_in_the_generation_asked() {
    for generation in Generation::ALL {
        let namespace = generation.namespace(Interface::SensorData);
        let mut world = World::new().await;
        world.add(slow());
        world.ask("get", &format!("<req xmlns='{namespace}' id='1'><nd id='meter-7'/></req>")).await;
        world.expect_result(&format!("<started xmlns='{namespace}' id='1'/>")).await;
        world.expect_message(&format!("<resp xmlns='{namespace}' id='1'>{POWER}</resp>")).await;
        world.expect_silence().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_as_quick_as_allowed_is_answered_at_once() {
    for (extra, expected) in [(0, "resp"), (1, "started")] {
        let mut world = World::new().await;
        let limit = Config::default().quick_reply;
        let wait = limit - Duration::from_millis(1) + Duration::from_millis(2 * extra);
        world.add(Fake::new("meter-7", vec![Step::Wait(wait), Step::Fields(vec![power("1")])]));
        world.ask("get", "<req xmlns='urn:nfi:iot:sd:1.0' id='1'><nd id='meter-7'/></req>").await;
        assert_eq!(world.next().await.payload().unwrap().name(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_readout_without_data_ends_with_done() {
    let mut world = World::new().await;
    world.add(Fake::new("meter-7", vec![seconds(5)]));
    world.ask("get", "<req xmlns='urn:nfi:iot:sd:1.0' id='1'><nd id='meter-7'/></req>").await;
    world.expect_result("<started xmlns='urn:nfi:iot:sd:1.0' id='1'/>").await;
    world.expect_message("<done xmlns='urn:nfi:iot:sd:1.0' id='1'/>").await;
}

#[tokio::test(start_paused = true)]
async fn a_quick_readout_without_data_is_an_empty_response() {
    let mut world = World::new().await;
    world.add(Fake::new("meter-7", Vec::new()));
    world.ask("get", "<req xmlns='urn:nfi:iot:sd:1.0' id='1'><nd id='meter-7'/></req>").await;
    world.expect_result("<resp xmlns='urn:nfi:iot:sd:1.0' id='1'/>").await;
}

#[tokio::test(start_paused = true)]
async fn data_that_is_there_is_not_held_back_for_slow_nodes() {
    let mut world = World::new().await;
    world.add(slow());
    world.add(Fake::new("meter-8", vec![seconds(60), Step::Fields(vec![power("2")])]));
    world.ask("get", "<req xmlns='urn:nfi:iot:sd:1.0' id='1'><nd id='meter-8'/><nd id='meter-7'/></req>").await;
    world.expect_result("<started xmlns='urn:nfi:iot:sd:1.0' id='1'/>").await;
    world.expect_message(&format!("<resp xmlns='urn:nfi:iot:sd:1.0' id='1' more='true'>{POWER}</resp>")).await;
    let last = world.next().await;
    assert_eq!(last.payload().unwrap().attr("more"), None);
}

#[tokio::test(start_paused = true)]
async fn a_readout_in_the_future_is_accepted_then_started_then_made() {
    let mut world = World::new().await;
    world.add(quick());
    let when = at(150);
    world.ask("get", &format!("<req xmlns='urn:nf:iot:sd:1.0' id='1' when='{when}'><nd id='meter-7'/></req>")).await;
    let begin = Instant::now();
    world.expect_result("<accepted xmlns='urn:nf:iot:sd:1.0' id='1' queued='true'/>").await;
    world.expect_message("<started xmlns='urn:nf:iot:sd:1.0' id='1'/>").await;
    assert!(begin.elapsed() >= Duration::from_secs(149), "{:?}", begin.elapsed());
    world.expect_message(&format!("<resp xmlns='urn:nf:iot:sd:1.0' id='1'>{POWER}</resp>")).await;
}

#[tokio::test(start_paused = true)]
async fn a_time_that_has_passed_means_now() {
    let mut world = World::new().await;
    world.add(quick());
    world
        .ask("get", "<req xmlns='urn:nfi:iot:sd:1.0' id='1' when='2020-01-01T00:00:00Z'><nd id='meter-7'/></req>")
        .await;
    world.expect_result(&format!("<resp xmlns='urn:nfi:iot:sd:1.0' id='1'>{POWER}</resp>")).await;
}

#[tokio::test(start_paused = true)]
async fn a_readout_years_ahead_is_refused() {
    let mut world = World::new().await;
    world.add(quick());
    world
        .ask("get", "<req xmlns='urn:nfi:iot:sd:1.0' id='1' when='2036-01-01T00:00:00Z'><nd id='meter-7'/></req>")
        .await;
    world.expect_error("bad-request", "modify").await;
}

#[tokio::test(start_paused = true)]
async fn one_readout_more_than_may_run_is_queued() {
    let mut world = World::new().await;
    world.add(Fake::new("meter-7", vec![seconds(5), Step::Fields(vec![power("1")])]));
    for id in 0..=RUNNING_MAX {
        world.ask("get", &format!("<req xmlns='urn:nfi:iot:sd:1.0' id='{id}'><nd id='meter-7'/></req>")).await;
        tokio::task::yield_now().await;
    }
    world.expect_result(&format!("<accepted xmlns='urn:nfi:iot:sd:1.0' id='{RUNNING_MAX}' queued='true'/>")).await;
    let mut completed = 0;
    for _ in 0..(2 * RUNNING_MAX + 2) {
        let payload = world.next().await.payload().unwrap().clone();
        completed += usize::from(matches!(SensorData::decode(&payload), Ok((SensorData::Response(_), _))));
    }
    assert_eq!(completed, RUNNING_MAX + 1);
    world.expect_silence().await;
}

#[tokio::test(start_paused = true)]
async fn one_readout_more_than_a_sender_may_have_is_turned_away() {
    let mut world = World::new().await;
    world.add(quick());
    let when = at(1000);
    for id in 0..=OPEN_PER_CALLER_MAX {
        world
            .ask("get", &format!("<req xmlns='urn:nfi:iot:sd:1.0' id='{id}' when='{when}'><nd id='meter-7'/></req>"))
            .await;
        assert!(id == OPEN_PER_CALLER_MAX || world.next().await.payload().unwrap().name() == "accepted");
    }
    world.expect_error("resource-constraint", "wait").await;
}

#[tokio::test(start_paused = true)]
async fn much_data_comes_in_fragments_cut_between_fields() {
    let mut world = World::with(Config { fragment_bytes: 2000, ..Config::default() }).await;
    let fields: Vec<_> = (0..100).map(|index| field(&format!("F{index}"), "1.0", "W", Categories::MOMENTARY)).collect();
    world.add(Fake::new("meter-7", vec![Step::Fields(fields)]));
    world.ask("get", "<req xmlns='urn:nfi:iot:sd:1.0' id='1'><nd id='meter-7'/></req>").await;
    let (mut names, mut count) = (Vec::new(), 0);
    loop {
        let stanza = world.next().await;
        count += 1;
        assert_eq!(stanza.kind().name(), if count == 1 { "iq" } else { "message" });
        let payload = stanza.payload().unwrap();
        assert!(payload.to_string().len() <= 2000);
        let Ok((SensorData::Response(response), _)) = SensorData::decode(payload) else { panic!("{stanza}") };
        names.extend(response.fields().map(|(_, field)| field.name.to_string()));
        if !response.more {
            break;
        }
    }
    assert!(count > 3);
    assert_eq!(names, (0..100).map(|index| format!("F{index}")).collect::<Vec<_>>());
    world.expect_silence().await;
}

#[tokio::test(start_paused = true)]
async fn a_dead_node_is_an_error_beside_the_data_of_a_live_one() {
    let mut world = World::new().await;
    world.add(quick());
    let silent = NodeError::DeviceSilent { waited: Duration::from_millis(500) };
    world.add(Fake::new("meter-8", vec![Step::Wait(Duration::from_millis(500)), Step::End(silent)]));
    world.ask("get", "<req xmlns='urn:nfi:iot:sd:1.0' id='1'><nd id='meter-8'/><nd id='meter-7'/></req>").await;
    world
        .expect_result(&format!(
            "<resp xmlns='urn:nfi:iot:sd:1.0' id='1'>{POWER}<nd id='meter-8'><ts v='2026-03-01T10:15:00.500Z'>\
             <err>No answer within 500 ms.</err></ts></nd></resp>"
        ))
        .await;
}

#[tokio::test(start_paused = true)]
async fn fields_that_fail_are_named_beside_those_that_do_not() {
    let mut world = World::new().await;
    let exception = NodeError::DeviceException { code: 2, meaning: "illegal data address" };
    let steps = vec![Step::Failure(vec![name("Flow")], exception), Step::Fields(vec![power("21.50")])];
    world.add(Fake::new("meter-7", steps));
    world.ask("get", "<req xmlns='urn:nfi:iot:sd:1.0' id='1'><nd id='meter-7'/></req>").await;
    world
        .expect_result(
            "<resp xmlns='urn:nfi:iot:sd:1.0' id='1'><nd id='meter-7'><ts v='2026-03-01T10:15:00Z'>\
             <q n='Power' v='21.50' u='W' m='true' ar='true'/>\
             <err>Flow: the device answered with exception 2 (illegal data address).</err></ts></nd></resp>",
        )
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_node_whose_code_fails_is_an_error_and_the_readout_completes() {
    let mut world = World::new().await;
    world.add(Fake::new("meter-7", vec![Step::Panic]));
    world.ask("get", "<req xmlns='urn:nfi:iot:sd:1.0' id='1'><nd id='meter-7'/></req>").await;
    world
        .expect_result(
            "<resp xmlns='urn:nfi:iot:sd:1.0' id='1'><nd id='meter-7'><ts v='2026-03-01T10:15:00Z'>\
             <err>The node could not be read because of an internal error.</err></ts></nd></resp>",
        )
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_node_that_never_ends_is_given_up() {
    let mut world = World::new().await;
    world.add(Fake::new("meter-7", vec![Step::Fields(vec![power("21.50")]), seconds(100_000)]));
    world.ask("get", "<req xmlns='urn:nfi:iot:sd:1.0' id='1'><nd id='meter-7'/></req>").await;
    world.expect_result("<started xmlns='urn:nfi:iot:sd:1.0' id='1'/>").await;
    world.expect_message(&format!("<resp xmlns='urn:nfi:iot:sd:1.0' id='1' more='true'>{POWER}</resp>")).await;
    let last = world.next().await;
    assert!(last.to_string().contains("<err>The node did not finish in time.</err>"), "{last}");
}

#[tokio::test(start_paused = true)]
async fn a_node_without_fields_is_an_error() {
    let mut world = World::new().await;
    let mut line = Fake::new("line", Vec::new());
    line.about_mut().fields.clear();
    let line = world.add(line);
    world.ask("get", "<req xmlns='urn:nfi:iot:sd:1.0' id='1'><nd id='line'/></req>").await;
    let answer = world.next().await;
    assert!(answer.to_string().contains("<err>The node has no fields to read.</err>"), "{answer}");
    assert!(line.reads.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_request_without_nodes_reads_none_and_says_so() {
    let mut world = World::new().await;
    world.ask("get", "<req xmlns='urn:nfi:iot:sd:1.0' id='1'/>").await;
    world
        .expect_result(
            "<resp xmlns='urn:nfi:iot:sd:1.0' id='1'><ts v='2026-03-01T10:15:00Z'><err>No node was named.</err></ts></resp>",
        )
        .await;
}

#[tokio::test(start_paused = true)]
async fn more_nodes_than_are_read_at_a_time_are_all_read() {
    let mut world = World::new().await;
    let mut asked = String::new();
    for index in 0..50 {
        world.add(Fake::new(&format!("n{index}"), vec![seconds(1), Step::Fields(vec![power("1")])]));
        asked.push_str(&format!("<nd id='n{index}'/>"));
    }
    world.ask("get", &format!("<req xmlns='urn:nfi:iot:sd:1.0' id='1'>{asked}</req>")).await;
    world.expect_result("<started xmlns='urn:nfi:iot:sd:1.0' id='1'/>").await;
    let mut found = BTreeSet::new();
    loop {
        let stanza = world.next().await;
        let Ok((SensorData::Response(response), _)) = SensorData::decode(stanza.payload().unwrap()) else {
            panic!("{stanza}")
        };
        found.extend(response.fields().map(|(node, _)| node.unwrap().id.to_string()));
        if !response.more {
            break;
        }
    }
    assert_eq!(found.len(), 50);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_node_fails_the_request_even_beside_a_known_one() {
    let mut world = World::new().await;
    let meter = world.add(quick());
    world.ask("get", "<req xmlns='urn:nfi:iot:sd:1.0' id='1'><nd id='meter-7'/><nd id='meter-9'/></req>").await;
    world.expect_error("item-not-found", "cancel").await;
    assert!(meter.reads.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_stranger_is_told_the_same_of_every_node() {
    let mut world = World::new().await;
    world.add(quick());
    let mut answers = BTreeSet::new();
    for payload in [
        "<req xmlns='urn:nfi:iot:sd:1.0' id='1'><nd id='meter-7' src='plant'/></req>",
        "<req xmlns='urn:nfi:iot:sd:1.0' id='1'><nd id='meter-9' src='plant'/></req>",
        "<req xmlns='urn:nfi:iot:sd:1.0' id='1'/>",
        "<req xmlns='urn:nfi:iot:sd:1.0'/>",
        "<nothing xmlns='urn:nfi:iot:sd:1.0'/>",
    ] {
        world.ask_as("eve@e.example/x", "get", payload).await;
        let answer = world.next().await;
        assert_eq!(answer.error().unwrap().condition().name(), "forbidden");
        answers.insert(answer.to_string());
    }
    assert_eq!(answers.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_only_shows_us_its_presence_is_a_stranger() {
    let mut world = World::new().await;
    world.add(quick());
    world.ask_as("bert@b.example/x", "get", "<req xmlns='urn:nfi:iot:sd:1.0' id='1'><nd id='meter-7'/></req>").await;
    world.expect_error("forbidden", "cancel").await;
}

#[tokio::test(start_paused = true)]
async fn the_source_may_be_left_out_while_one_has_the_node() {
    let mut world = World::new().await;
    world.add(quick());
    let mut twin = quick();
    twin.about_mut().node.source = SourceId::parse("other").unwrap();
    world.ask("get", "<req xmlns='urn:nfi:iot:sd:1.0' id='1'><nd id='meter-7'/></req>").await;
    world.expect_result(&format!("<resp xmlns='urn:nfi:iot:sd:1.0' id='1'>{POWER}</resp>")).await;
    world.add(twin);
    world.ask("get", "<req xmlns='urn:nfi:iot:sd:1.0' id='1'><nd id='meter-7'/></req>").await;
    world.expect_error("item-not-found", "cancel").await;
}

#[tokio::test(start_paused = true)]
async fn the_answer_repeats_the_address_as_asked() {
    let mut world = World::new().await;
    world.add(quick());
    world.ask("get", "<req xmlns='urn:nfi:iot:sd:1.0' id='1'><nd id='meter-7' src='plant' pt=''/></req>").await;
    let answer = world.next().await;
    let nd = answer.payload().unwrap().first_child().unwrap();
    assert_eq!((nd.attr("src"), nd.attr("pt")), (Some("plant"), None));
}

#[tokio::test(start_paused = true)]
async fn only_what_was_asked_for_is_told() {
    let mut world = World::new().await;
    let both = Categories::MOMENTARY.union(Categories::STATUS);
    let old = Field { at: at(0), ..field("Old", "1", "", Categories::MOMENTARY) };
    let fields = vec![
        field("Wanted", "1", "", Categories::MOMENTARY),
        field("Peak", "1", "", Categories::PEAK),
        field("Both", "1", "", both),
        old,
        Field { at: at(10), ..field("Late", "1", "", Categories::MOMENTARY) },
        field("Other", "1", "", Categories::MOMENTARY),
    ];
    let meter = world.add(Fake::new("meter-7", vec![Step::Fields(fields)]));
    let (from, to) = (at(0), at(9));
    world
        .ask(
            "get",
            &format!(
                "<req xmlns='urn:nfi:iot:sd:1.0' id='1' m='true' from='{from}' to='{to}'><nd id='meter-7'/>\
                 <f n='Wanted'/><f n='Peak'/><f n='Both'/><f n='Late'/></req>"
            ),
        )
        .await;
    let answer = world.next().await;
    let Ok((SensorData::Response(response), _)) = SensorData::decode(answer.payload().unwrap()) else { panic!() };
    let names: Vec<_> = response.fields().map(|(_, field)| field.name.as_str()).collect();
    assert_eq!(names, ["Wanted"]);
    let asked = meter.reads.lock().unwrap().remove(0);
    assert_eq!(asked.fields.unwrap().len(), 4);
    assert_eq!(asked.categories, Categories::MOMENTARY);
}

#[tokio::test(start_paused = true)]
async fn a_second_request_of_the_same_id_is_a_conflict_while_the_first_runs() {
    let mut world = World::new().await;
    world.add(slow());
    let request = "<req xmlns='urn:nfi:iot:sd:1.0' id='1'><nd id='meter-7'/></req>";
    world.ask("get", request).await;
    world.expect_result("<started xmlns='urn:nfi:iot:sd:1.0' id='1'/>").await;
    world.ask("get", request).await;
    world.expect_error("conflict", "cancel").await;
    world.ask_as("anna@a.example/y", "get", request).await;
    assert_eq!(world.next().await.payload().unwrap().name(), "started");
    world.expect_message(&format!("<resp xmlns='urn:nfi:iot:sd:1.0' id='1'>{POWER}</resp>")).await;
    assert_eq!(world.next().await.payload().unwrap().name(), "resp");
    world.ask("get", request).await;
    world.expect_result("<started xmlns='urn:nfi:iot:sd:1.0' id='1'/>").await;
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_readout_is_silent() {
    for kind in ["set", "get"] {
        let mut world = World::new().await;
        world.add(slow());
        world.ask("get", "<req xmlns='urn:nfi:iot:sd:1.0' id='1'><nd id='meter-7'/></req>").await;
        world.expect_result("<started xmlns='urn:nfi:iot:sd:1.0' id='1'/>").await;
        world.ask(kind, "<cancel xmlns='urn:nfi:iot:sd:1.0' id='1'/>").await;
        world.expect_result("").await;
        world.expect_silence().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_scheduled_readout_can_be_cancelled() {
    let mut world = World::new().await;
    let meter = world.add(quick());
    let when = at(100);
    world.ask("get", &format!("<req xmlns='urn:nf:iot:sd:1.0' id='1' when='{when}'><nd id='meter-7'/></req>")).await;
    world.expect_result("<accepted xmlns='urn:nf:iot:sd:1.0' id='1' queued='true'/>").await;
    world.ask("set", "<cancel xmlns='urn:nf:iot:sd:1.0' id='1'/>").await;
    world.expect_result("").await;
    world.expect_silence().await;
    assert!(meter.reads.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_request_cancelled_before_its_answer_is_still_answered() {
    let mut world = World::new().await;
    world.add(slow());
    world.ask("get", "<req xmlns='urn:nfi:iot:sd:1.0' id='1'><nd id='meter-7'/></req>").await;
    world.send("<iq type='set' id='c' from='anna@a.example/x' to='gw@a.example/1'><cancel xmlns='urn:nfi:iot:sd:1.0' id='1'/></iq>").await;
    world.expect("<iq type='result' id='c' from='gw@a.example/1' to='anna@a.example/x'/>").await;
    world.expect_result("<resp xmlns='urn:nfi:iot:sd:1.0' id='1'/>").await;
    world.expect_silence().await;
}

#[tokio::test(start_paused = true)]
async fn cancelling_what_is_unknown_succeeds() {
    let mut world = World::new().await;
    world.ask("set", "<cancel xmlns='urn:nfi:iot:sd:1.0' id='none'/>").await;
    world.expect_result("").await;
}

#[tokio::test(start_paused = true)]
async fn nobody_cancels_the_readout_of_another() {
    let mut world = World::new().await;
    world.add(slow());
    world.ask("get", "<req xmlns='urn:nfi:iot:sd:1.0' id='1'><nd id='meter-7'/></req>").await;
    world.expect_result("<started xmlns='urn:nfi:iot:sd:1.0' id='1'/>").await;
    world.ask_as("anna@a.example/y", "set", "<cancel xmlns='urn:nfi:iot:sd:1.0' id='1'/>").await;
    assert!(world.next().await.payload().is_none());
    world.expect_message(&format!("<resp xmlns='urn:nfi:iot:sd:1.0' id='1'>{POWER}</resp>")).await;
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_goes_ends_its_readouts_and_nobody_elses() {
    for end in ["<presence type='unavailable' ", "<message type='error' "] {
        let mut world = World::new().await;
        world.add(slow());
        let request = "<req xmlns='urn:nfi:iot:sd:1.0' id='1'><nd id='meter-7'/></req>";
        world.ask("get", request).await;
        world.expect_result("<started xmlns='urn:nfi:iot:sd:1.0' id='1'/>").await;
        world.ask_as("anna@a.example/y", "get", request).await;
        assert_eq!(world.next().await.payload().unwrap().name(), "started");
        world.send(&format!("{end}from='anna@a.example/x' to='gw@a.example/1'/>")).await;
        world
            .expect(&format!(
                "<message to='anna@a.example/y'><resp xmlns='urn:nfi:iot:sd:1.0' id='1'>{POWER}</resp></message>"
            ))
            .await;
        world.expect_silence().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_node_does_not_hold_up_another_request_of_the_same_sender() {
    let mut world = World::new().await;
    world.add(Fake::new("slow", vec![seconds(30)]));
    world.add(quick());
    world.ask("get", "<req xmlns='urn:nfi:iot:sd:1.0' id='1'><nd id='slow'/></req>").await;
    world.ask("get", "<req xmlns='urn:nfi:iot:sd:1.0' id='2'><nd id='meter-7'/></req>").await;
    world.expect_result(&format!("<resp xmlns='urn:nfi:iot:sd:1.0' id='2'>{POWER}</resp>")).await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_completes_what_runs() {
    let mut world = World::new().await;
    world.add(Fake::new("meter-7", vec![seconds(60)]));
    world.ask("get", "<req xmlns='urn:nfi:iot:sd:1.0' id='1'><nd id='meter-7'/></req>").await;
    world.expect_result("<started xmlns='urn:nfi:iot:sd:1.0' id='1'/>").await;
    world.shutdown.cancel();
    world
        .expect_message(
            "<resp xmlns='urn:nfi:iot:sd:1.0' id='1'><nd id='meter-7'><ts v='2026-03-01T10:15:01Z'>\
             <err>The concentrator is stopping.</err></ts></nd></resp>",
        )
        .await;
    world.expect("<presence type='unavailable'/>").await;
}

#[tokio::test(start_paused = true)]
async fn an_unknown_element_and_an_unknown_namespace_are_told_apart() {
    let mut world = World::new().await;
    world.ask("get", "<ask xmlns='urn:nfi:iot:sd:1.0'/>").await;
    world.expect_error("feature-not-implemented", "cancel").await;
    world.ask("get", "<ask xmlns='urn:unknown'/>").await;
    world.expect_error("service-unavailable", "cancel").await;
}
