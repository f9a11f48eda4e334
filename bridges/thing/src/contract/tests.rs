//! The suite is tested with a fake line that keeps the contract, and with the same line doing one thing wrong.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_trait::async_trait;

use super::*;
use crate::{
    Bridge, BridgeError, FieldSummary, FieldValue, NodeId, ObservationSender, Qos, Quantity, ReadoutSender,
    ReportSender, Unit, Watch,
};

/// What the fake does wrong.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    None,
    DeliversMoreThanWanted,
    ForgetsToRetire,
    PollsWithoutDemand,
    KeepsPollingAfterTheWatch,
    SetsOutOfRange,
}

struct FakeNode {
    about: Arc<About>,
    requests: Arc<AtomicU64>,
    observations: ObservationSender,
    stopped: Arc<AtomicBool>,
    fault: Fault,
}

fn field(name: &str) -> Field {
    Field {
        name: FieldName::parse(name).unwrap(),
        at: SystemClock.now(),
        value: Some(FieldValue::Quantity(Quantity { value: 1.into(), unit: Unit::new("min") })),
        categories: Categories::MOMENTARY,
        qos: Qos::AUTOMATIC_READOUT,
        writable: name == "Period",
    }
}

#[async_trait]
impl Node for FakeNode {
    fn about(&self) -> Arc<About> {
        Arc::clone(&self.about)
    }

    async fn read(&self, wanted: &Selection, out: ReadoutSender) -> Result<(), NodeError> {
        if self.stopped.load(Ordering::SeqCst) {
            return Err(NodeError::LoadStopping);
        }
        let mut fields = vec![field("Power"), field("Period")];
        if self.fault != Fault::DeliversMoreThanWanted {
            fields.retain(|field| wanted.includes(field));
        }
        if !fields.is_empty() {
            self.requests.fetch_add(1, Ordering::SeqCst);
        }
        let _ = out.fields(fields).await;
        Ok(())
    }

    fn watch(&self, interest: Interest) -> Watch {
        let (requests, sender, node) = (Arc::clone(&self.requests), self.observations.clone(), self.about.node.clone());
        let stop = CancellationToken::new();
        let polling = stop.clone();
        tokio::spawn(async move {
            while tokio::time::timeout(interest.interval, polling.cancelled()).await.is_err() {
                requests.fetch_add(1, Ordering::SeqCst);
                sender.push(&node, vec![field("Power")]);
            }
        });
        let keep = self.fault == Fault::KeepsPollingAfterTheWatch;
        Watch::new(move || {
            if keep {
            } else {
                stop.cancel()
            }
        })
    }

    async fn set(&self, values: &[Assignment]) -> Result<(), NodeError> {
        for value in values {
            let control = self.about.control(&value.parameter);
            let control = control.ok_or_else(|| NodeError::AskerUnknownParameter(value.parameter.clone()))?;
            if self.fault != Fault::SetsOutOfRange {
                let refused = |reason| NodeError::AskerControl { parameter: value.parameter.clone(), reason };
                control.check(&value.value).map_err(refused)?;
            }
        }
        self.requests.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    async fn execute(&self, _command: Invocation, _out: ReportSender) -> Result<(), NodeError> {
        Err(NodeError::AskerUnsupported("commands"))
    }
}

struct FakeBridge {
    requests: Arc<AtomicU64>,
    fault: Fault,
}

#[async_trait]
impl Bridge for FakeBridge {
    async fn run(&mut self, host: Host) -> Result<(), BridgeError> {
        let stopped = Arc::new(AtomicBool::new(false));
        let summary = |name: &str| FieldSummary {
            name: FieldName::parse(name).unwrap(),
            categories: Categories::MOMENTARY,
            unit: Unit::new("min"),
            writable: name == "Period",
            unconfirmed: false,
        };
        let about = Arc::new(About {
            node: NodeRef::new(host.source.clone(), NodeId::parse("fake").unwrap()),
            parent: None,
            kind: "fake.device",
            name: "Fake".into(),
            parameters: Vec::new(),
            interfaces: Vec::new(),
            fields: vec![summary("Power"), summary("Period")],
            controls: vec![ControlParameter {
                name: FieldName::parse("Period").unwrap(),
                kind: ParameterKind::Double { unit: Unit::new("min") },
                range: Some(crate::Range { min: Some(0.into()), max: Some(60.into()), values: Vec::new() }),
                label: "Period".into(),
                description: "".into(),
            }],
            commands: Vec::new(),
            sniffable: false,
        });
        let node = about.node.clone();
        host.nodes.announce(Arc::new(FakeNode {
            about,
            requests: Arc::clone(&self.requests),
            observations: host.observations.clone(),
            stopped: Arc::clone(&stopped),
            fault: self.fault,
        }))?;
        while tokio::time::timeout(Duration::from_secs(10), host.shutdown.cancelled()).await.is_err() {
            if self.fault == Fault::PollsWithoutDemand {
                self.requests.fetch_add(1, Ordering::SeqCst);
            }
        }
        stopped.store(true, Ordering::SeqCst);
        if self.fault != Fault::ForgetsToRetire {
            host.nodes.retire(&node);
        }
        Ok(())
    }
}

async fn breaches(fault: Fault) -> Vec<String> {
    let requests = Arc::new(AtomicU64::new(0));
    let source = SourceId::parse("plant").unwrap();
    let line = BridgeLine {
        name: "line".into(),
        fingerprint: String::new(),
        nodes: vec![NodeRef::new(source.clone(), NodeId::parse("fake").unwrap())],
        bridge: Box::new(FakeBridge { requests: Arc::clone(&requests), fault }),
    };
    check(line, Subject { source, requests: Box::new(move || requests.load(Ordering::SeqCst)) }).await
}

fn has(breaches: &[String], words: &str) -> bool {
    breaches.iter().any(|breach| breach.contains(words))
}

#[tokio::test(start_paused = true)]
async fn a_line_that_keeps_the_contract_passes() {
    assert_eq!(breaches(Fault::None).await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn polling_without_demand_is_found() {
    assert!(has(&breaches(Fault::PollsWithoutDemand).await, "although nobody asks"));
}

#[tokio::test(start_paused = true)]
async fn polling_after_the_watch_has_ended_is_found() {
    assert!(has(&breaches(Fault::KeepsPollingAfterTheWatch).await, "although the watch has ended"));
}

#[tokio::test(start_paused = true)]
async fn delivering_more_than_wanted_is_found() {
    assert!(has(&breaches(Fault::DeliversMoreThanWanted).await, "that was not wanted"));
}

#[tokio::test(start_paused = true)]
async fn a_node_left_behind_is_found() {
    assert!(has(&breaches(Fault::ForgetsToRetire).await, "not retired"));
}

#[tokio::test(start_paused = true)]
async fn a_value_out_of_range_that_reaches_the_device_is_found() {
    assert!(has(&breaches(Fault::SetsOutOfRange).await, "above its range"));
}
