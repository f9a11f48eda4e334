//! A line of the bridge as the appliance runs it: announces the nodes, owns the tasks, ends them in order.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use torg_thing::config::{ConfigError, Section};
use torg_thing::{Bridge, BridgeError, BridgeKind, BridgeLine, Host, NodeRef, Sniffed};
use tracing::{info, warn};

use crate::config::{LineConfig, Transport, lines};
use crate::node::{Device, DeviceNode};
use crate::port::{Connect, Line, SerialConnect, TcpConnect};

/// The Modbus bridge, for the appliance's catalogue.
pub const BRIDGE: BridgeKind = BridgeKind { name: "modbus", sample: include_str!("sample.toml"), build };

fn build(section: &Section<'_>) -> Result<Vec<BridgeLine>, Vec<ConfigError>> {
    Ok(lines(section)?.into_iter().map(|config| bridge_line(config, None)).collect())
}

/// One line, reached by what its configuration says or by what a test brings.
pub(crate) fn bridge_line(config: LineConfig, connect: Option<Arc<dyn Connect>>) -> BridgeLine {
    let connect = connect.unwrap_or_else(|| match config.transport.clone() {
        Transport::Serial(path, settings) => Arc::new(SerialConnect { path, settings }),
        Transport::RtuOverTcp(address) | Transport::Tcp(address) => Arc::new(TcpConnect { address }),
    });
    BridgeLine {
        name: Arc::clone(&config.settings.name),
        fingerprint: fingerprint(&config),
        nodes: config.devices.iter().map(|device| device.node.clone()).collect(),
        bridge: Box::new(ModbusLine { config, connect }),
    }
}

/// Equal for equal configuration, profiles included. Only compared within one process, so any stable hash will do.
fn fingerprint(config: &LineConfig) -> String {
    let text = format!("{config:?}");
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    format!("{:016x}-{}", hasher.finish(), text.len())
}

/// Writes that have begun have this long to be done; the appliance as a whole ends within 20 s.
const FAREWELL: Duration = Duration::from_secs(8);

struct ModbusLine {
    config: LineConfig,
    connect: Arc<dyn Connect>,
}

#[async_trait]
impl Bridge for ModbusLine {
    async fn run(&mut self, host: Host) -> Result<(), BridgeError> {
        let shutdown = host.shutdown.child_token();
        let trace = {
            let nodes: BTreeMap<u8, NodeRef> =
                self.config.devices.iter().map(|device| (device.unit, device.node.clone())).collect();
            let sniffer = Arc::clone(&host.sniffer);
            Arc::new(move |unit: u8, what: Sniffed<'_>| {
                if let Some(node) = nodes.get(&unit) {
                    sniffer.seen(node, what);
                }
            })
        };
        let (line, owner) = Line::new(self.config.settings.clone(), Arc::clone(&self.connect), trace);
        let mut tasks = JoinSet::new();
        let stop_owner = CancellationToken::new();
        tasks.spawn(owner.run(stop_owner.clone()));
        let mut devices: Vec<Arc<Device>> = Vec::new();
        let mut result = Ok(());
        for device in &self.config.devices {
            let device = Arc::new(Device::new(device, &self.config, line.clone(), &host, shutdown.clone()));
            if let Err(conflict) = host.nodes.announce(Arc::new(DeviceNode(Arc::clone(&device)))) {
                result = Err(conflict.into());
                break;
            }
            devices.push(Arc::clone(&device));
            tasks.spawn(async move { device.poll().await });
        }
        if result.is_ok() {
            info!(line = %self.config.settings.name, nodes = devices.len(), "Line runs.");
            tokio::select! {
                biased;
                () = shutdown.cancelled() => {}
                // No task of ours ends before the shutdown but by a panic.
                _ = tasks.join_next() => result = Err(BridgeError::LineDown("a task of the line failed".to_owned())),
            }
        }
        shutdown.cancel();
        for device in &devices {
            host.nodes.retire(device.node());
        }
        // Writes that have begun are finished: unlocking, writing and reading back may be several requests.
        let written = async {
            for device in &devices {
                device.written().await;
            }
        };
        if tokio::time::timeout(FAREWELL, written).await.is_err() {
            warn!(line = %self.config.settings.name, "A write was not finished in time.");
        }
        stop_owner.cancel();
        while tasks.join_next().await.is_some() {}
        result
    }
}

#[cfg(test)]
#[path = "bridge_tests.rs"]
mod tests;
