use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use torg_thing::contract::RecordingDirectory;
use torg_thing::{
    About, Assignment, Interest, Invocation, ManualClock, NoSniffer, NodeError, NodeId, ReadoutSender, ReportSender,
    Selection, SourceId, Timestamp, Watch, observations,
};

use super::*;

/// What an invented line does each time it runs.
#[derive(Clone, Copy)]
enum Turn {
    EndsByItself,
    Fails,
    Panics,
    Serves,
    /// Does not stop when it is told to.
    Stubborn,
}

struct Invented {
    node: NodeRef,
    turns: Vec<Turn>,
    runs: Arc<AtomicUsize>,
}

struct InventedNode(Arc<About>);

#[async_trait]
impl Node for InventedNode {
    fn about(&self) -> Arc<About> {
        Arc::clone(&self.0)
    }
    async fn read(&self, _wanted: &Selection, _out: ReadoutSender) -> Result<(), NodeError> {
        Ok(())
    }
    fn watch(&self, _interest: Interest) -> Watch {
        Watch::idle()
    }
    async fn set(&self, _values: &[Assignment]) -> Result<(), NodeError> {
        Ok(())
    }
    async fn execute(&self, _command: Invocation, _out: ReportSender) -> Result<(), NodeError> {
        Ok(())
    }
}

#[async_trait]
impl torg_thing::Bridge for Invented {
    async fn run(&mut self, host: Host) -> Result<(), BridgeError> {
        let turn = self.turns.get(self.runs.fetch_add(1, Ordering::SeqCst)).copied().unwrap_or(Turn::Serves);
        let about = About {
            node: self.node.clone(),
            parent: None,
            kind: "invented",
            name: "invented".into(),
            parameters: Vec::new(),
            interfaces: Vec::new(),
            fields: Vec::new(),
            controls: Vec::new(),
            commands: Vec::new(),
            sniffable: false,
        };
        host.nodes.announce(Arc::new(InventedNode(Arc::new(about))))?;
        match turn {
            Turn::EndsByItself => Ok(()),
            Turn::Fails => Err(BridgeError::LineDown("no such port".to_owned())),
            Turn::Panics => panic!("a mistake of ours"),
            Turn::Stubborn => std::future::pending().await,
            Turn::Serves => {
                host.shutdown.cancelled().await;
                host.nodes.retire(&self.node);
                Ok(())
            }
        }
    }
}

struct World {
    directory: Arc<RecordingDirectory>,
    bridges: Bridges,
}

impl World {
    fn new() -> Self {
        let directory = Arc::new(RecordingDirectory::default());
        let environment = Environment {
            nodes: Arc::clone(&directory) as Arc<dyn NodeDirectory>,
            observations: observations().0,
            clock: Arc::new(ManualClock::new(Timestamp::from_micros(0))),
            sniffer: Arc::new(NoSniffer),
        };
        Self { directory, bridges: Bridges::new(environment) }
    }

    fn names(&self) -> Vec<String> {
        self.directory.nodes().iter().map(|node| node.about().node.id.to_string()).collect()
    }
}

fn source() -> SourceId {
    SourceId::parse("plant").unwrap()
}

fn line(name: &str, fingerprint: &str, turns: &[Turn]) -> (BridgeLine, Arc<AtomicUsize>) {
    let runs = Arc::new(AtomicUsize::new(0));
    let node = NodeRef::new(source(), NodeId::parse(&format!("node of {name}")).unwrap());
    let bridge = Invented { node: node.clone(), turns: turns.to_vec(), runs: Arc::clone(&runs) };
    let line = BridgeLine {
        name: name.into(),
        fingerprint: fingerprint.to_owned(),
        nodes: vec![node],
        bridge: Box::new(bridge),
    };
    (line, runs)
}

fn plant(lines: Vec<BridgeLine>) -> Vec<BridgeConfig> {
    vec![BridgeConfig { kind: "invented", name: source(), lines }]
}

#[tokio::test(start_paused = true)]
async fn nodes_are_known_when_apply_returns_and_gone_after_stop() {
    let mut world = World::new();
    world.bridges.apply(plant(vec![line("a", "1", &[]).0, line("b", "1", &[]).0])).await;
    assert_eq!(world.names(), ["node of a", "node of b"]);
    world.bridges.stop(Instant::now() + STOPPED_WITHIN).await;
    assert_eq!(world.names(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_reload_touches_only_the_line_that_changed() {
    let mut world = World::new();
    let (first, first_runs) = line("a", "1", &[]);
    let (second, second_runs) = line("b", "1", &[]);
    world.bridges.apply(plant(vec![first, second])).await;
    let (unused, unused_runs) = line("a", "1", &[]);
    let (changed, changed_runs) = line("b", "2", &[]);
    let applied = world.bridges.apply(plant(vec![unused, changed])).await;
    assert_eq!(applied, Applied { kept: 1, replaced: 1, started: 0, stopped: 0 });
    let runs = [&first_runs, &second_runs, &unused_runs, &changed_runs].map(|runs| runs.load(Ordering::SeqCst));
    assert_eq!(runs, [1, 1, 0, 1]);
    assert_eq!(world.names(), ["node of a", "node of b"]);
}

#[tokio::test(start_paused = true)]
async fn a_line_that_is_no_longer_configured_takes_its_nodes_along() {
    let mut world = World::new();
    world.bridges.apply(plant(vec![line("a", "1", &[]).0, line("b", "1", &[]).0])).await;
    let applied = world.bridges.apply(plant(vec![line("b", "1", &[]).0])).await;
    assert_eq!(applied, Applied { kept: 1, stopped: 1, ..Applied::default() });
    assert_eq!(world.names(), ["node of b"]);
}

async fn shows_the_failure_and_comes_back(turn: Turn, expected: &str) {
    let mut world = World::new();
    let (failing, runs) = line("a", "1", &[turn]);
    let (other, other_runs) = line("b", "1", &[]);
    world.bridges.apply(plant(vec![failing, other])).await;
    // Both are announced; the failing one shows why it is down.
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(world.names(), ["node of a", "node of b"]);
    let texts: Vec<String> = world.directory.messages().into_iter().map(|(_, message)| message.text).collect();
    assert_eq!(texts, [expected]);
    // Time is paused: this passes when the runtime has nothing else to do.
    tokio::time::sleep(super::super::backoff::FIRST * 2).await;
    assert_eq!(runs.load(Ordering::SeqCst), 2);
    assert_eq!(other_runs.load(Ordering::SeqCst), 1);
    assert_eq!(world.names(), ["node of a", "node of b"]);
}

#[tokio::test(start_paused = true)]
async fn a_line_that_fails_shows_the_cause_and_is_started_again() {
    shows_the_failure_and_comes_back(Turn::Fails, "The line has failed: the line is not available: no such port.")
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_line_that_panics_disturbs_no_other_and_is_started_again() {
    shows_the_failure_and_comes_back(Turn::Panics, "The bridge has failed (an internal error).").await;
}

#[tokio::test(start_paused = true)]
async fn a_line_that_ends_by_itself_is_started_again() {
    shows_the_failure_and_comes_back(Turn::EndsByItself, "The line has ended.").await;
}

#[tokio::test(start_paused = true)]
async fn a_line_that_waits_for_its_next_start_can_be_stopped_at_once() {
    let mut world = World::new();
    world.bridges.apply(plant(vec![line("a", "1", &[Turn::Fails; 100]).0])).await;
    tokio::time::sleep(Duration::from_secs(100)).await;
    let before = Instant::now();
    world.bridges.stop(Instant::now() + STOPPED_WITHIN).await;
    assert_eq!(before.elapsed(), Duration::ZERO);
    assert_eq!(world.names(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_line_that_does_not_stop_is_cut_off_at_the_deadline_with_its_nodes() {
    let mut world = World::new();
    world.bridges.apply(plant(vec![line("a", "1", &[Turn::Stubborn]).0])).await;
    let before = Instant::now();
    assert!(!world.bridges.stop(Instant::now() + STOPPED_WITHIN).await);
    assert_eq!(before.elapsed(), STOPPED_WITHIN);
    assert_eq!(world.names(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_line_that_does_not_stop_can_still_be_replaced() {
    let mut world = World::new();
    world.bridges.apply(plant(vec![line("a", "1", &[Turn::Stubborn]).0])).await;
    let (replacement, runs) = line("a", "2", &[]);
    let applied = world.bridges.apply(plant(vec![replacement])).await;
    assert_eq!(applied, Applied { replaced: 1, ..Applied::default() });
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    assert_eq!(world.names(), ["node of a"]);
}
