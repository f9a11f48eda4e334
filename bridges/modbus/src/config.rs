//! The `[[bridge.line]]` sections of a Modbus bridge: read, checked, and every mistake told with its place.
//!
//! Opens nothing. What comes out cannot be contradictory: one transport per line, units in range, nodes and units unique.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use tokio_serial::{Parity, StopBits};
use torg_profile::{Library, LibraryError, Link, Profile};
use torg_thing::config::{ConfigError, Section, drop_consequences};
use torg_thing::{NodeId, NodeRef, Partition, SourceId};

use crate::port::{Frames, LineSettings, SerialSettings, Timing};

/// What a Modbus bridge consists of.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawBridge {
    /// Serial buses and TCP endpoints.
    #[serde(default)]
    line: Vec<RawLine>,
}

/// One serial bus or TCP endpoint, with the devices on it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawLine {
    /// Name of the line, for logs and messages.
    name: String,
    /// Path of a serial device, `/dev/ttyUSB0`.
    serial: Option<String>,
    /// `host:port` of a Modbus TCP device or gateway.
    tcp: Option<String>,
    /// `host:port` of a serial server that passes RTU frames on.
    rtu_over_tcp: Option<String>,
    /// Bits per second; from the first device's profile if absent.
    #[schemars(range(min = 300, max = 4_000_000))]
    baud: Option<u32>,
    /// From the first device's profile if absent.
    parity: Option<RawParity>,
    /// 1 or 2; from the first device's profile if absent.
    #[schemars(range(min = 1, max = 2))]
    stop_bits: Option<u8>,
    /// The adapter hears what it sends. Found out by itself at the first read; to be set if the first request may be a write.
    echo: Option<bool>,
    /// How long a reply may take, for all devices of the line.
    #[schemars(range(min = 10, max = 60_000))]
    timeout_ms: Option<u32>,
    /// Silence before each request, beyond that of the standard.
    #[schemars(range(max = 60_000))]
    pause_ms: Option<u32>,
    /// How long opening a connection may take.
    #[schemars(range(min = 100, max = 60_000))]
    connect_timeout_ms: Option<u32>,
    /// Time between connecting and the first request.
    #[schemars(range(max = 60_000))]
    connect_delay_ms: Option<u32>,
    /// The devices.
    #[serde(default)]
    device: Vec<RawDevice>,
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum RawParity {
    Even,
    None,
    Odd,
}

/// One device on a line.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawDevice {
    /// NodeId under which the device is known.
    node: String,
    /// Partition, if the source is divided into some.
    #[serde(default)]
    partition: String,
    /// Name for people; the NodeId if absent.
    name: Option<String>,
    /// Address on the line: 1 to 247, on TCP 0 to 255.
    unit: u8,
    /// Id of its profile.
    profile: String,
    /// How long a reply of this device may take.
    #[schemars(range(min = 10, max = 60_000))]
    timeout_ms: Option<u32>,
    /// What this device usually needs to answer; the planner weighs requests with it.
    #[schemars(range(max = 60_000))]
    turnaround_ms: Option<u32>,
    /// Most registers in one read.
    #[schemars(range(min = 1, max = 125))]
    read_max: Option<u16>,
}

/// How a line is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Transport {
    /// RTU frames in a TCP connection to `host:port`.
    RtuOverTcp(Arc<str>),
    /// A serial device.
    Serial(Arc<str>, SerialSettings),
    /// Modbus TCP at `host:port`.
    Tcp(Arc<str>),
}

impl Transport {
    /// What is to be shown to people.
    pub(crate) fn address(&self) -> &Arc<str> {
        match self {
            Self::RtuOverTcp(address) | Self::Tcp(address) | Self::Serial(address, _) => address,
        }
    }
}

/// A line, checked.
#[derive(Debug, Clone)]
pub(crate) struct LineConfig {
    pub(crate) settings: LineSettings,
    pub(crate) transport: Transport,
    pub(crate) devices: Vec<DeviceConfig>,
}

/// A device, checked.
#[derive(Debug, Clone)]
pub(crate) struct DeviceConfig {
    pub(crate) node: NodeRef,
    pub(crate) name: Arc<str>,
    pub(crate) unit: u8,
    pub(crate) profile: Arc<Profile>,
    /// That of the profile with what the configuration overrides.
    pub(crate) link: Link,
}

/// Time to open a connection, if nothing is said: three tries of a TCP handshake on a lossy line.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Baud rate if neither line nor profile says one. Serial Line V1.02, 3.2: 9600 must be there, 19200 is the default.
const BAUD: u32 = 9600;

/// Reads and checks a whole bridge.
pub(crate) fn lines(section: &Section<'_>) -> Result<Vec<LineConfig>, Vec<ConfigError>> {
    // Wrong places are stood in for, so that what else is wrong can be told at once.
    let (raw, mut errors) = section.examine::<RawBridge>();
    let library = Library::with_folders(section.profile_paths()).map_err(|found| errors.extend(found)).ok();
    let (Some(raw), Some(library)) = (raw, library) else { return Err(errors) };
    let mut check = Check {
        section,
        library,
        profiles: BTreeMap::new(),
        names: BTreeMap::new(),
        endpoints: BTreeMap::new(),
        nodes: BTreeMap::new(),
        errors,
    };
    let lines: Vec<_> = raw.line.iter().enumerate().filter_map(|(at, line)| check.line(at, line)).collect();
    drop_consequences(&mut check.errors);
    if check.errors.is_empty() { Ok(lines) } else { Err(check.errors) }
}

struct Check<'a, 's> {
    section: &'a Section<'s>,
    library: Library,
    profiles: BTreeMap<String, Option<Arc<Profile>>>,
    names: BTreeMap<String, String>,
    endpoints: BTreeMap<String, String>,
    nodes: BTreeMap<NodeRef, String>,
    errors: Vec<ConfigError>,
}

/// Remembers where something unique was first seen; says where, if it was seen before.
fn seen<K: Ord>(places: &mut BTreeMap<K, String>, key: K, place: &str) -> Option<String> {
    match places.entry(key) {
        std::collections::btree_map::Entry::Occupied(first) => Some(first.get().clone()),
        std::collections::btree_map::Entry::Vacant(free) => {
            free.insert(place.to_owned());
            None
        }
    }
}

impl Check<'_, '_> {
    fn error(&mut self, key: &str, message: impl Into<String>) {
        self.errors.push(self.section.error_at(key, message));
    }

    fn line(&mut self, at: usize, raw: &RawLine) -> Option<LineConfig> {
        let key = |name: &str| format!("line[{at}].{name}");
        if raw.name.trim().is_empty() {
            self.error(&key("name"), "a line needs a name");
        } else if let Some(first) = seen(&mut self.names, raw.name.clone(), &key("name")) {
            self.error(&key("name"), format!("the name is taken by {first}"));
        }
        let devices: Vec<_> =
            raw.device.iter().enumerate().filter_map(|(n, device)| self.device(at, n, raw, device)).collect();
        self.units(at, raw);
        let transport = self.transport(at, raw, &devices)?;
        let endpoint = transport.address().to_string();
        if let Some(first) = seen(&mut self.endpoints, endpoint, &format!("line[{at}]")) {
            self.error(&format!("line[{at}]"), format!("{first} uses the same endpoint; put the devices on one line"));
        }
        let ms = |value: Option<u32>| value.map(|ms| Duration::from_millis(u64::from(ms)));
        let longest = |of: fn(&Link) -> Duration| devices.iter().map(|device| of(&device.link)).max();
        let timeout = ms(raw.timeout_ms).or(longest(|link| link.timing.timeout)).unwrap_or(Duration::from_secs(1));
        let mut timing = match &transport {
            Transport::Tcp(_) => Timing::tcp(timeout),
            Transport::RtuOverTcp(_) => Timing::serial(raw.baud.unwrap_or(BAUD), timeout),
            Transport::Serial(_, settings) => {
                Timing { character_bits: settings.character_bits(), ..Timing::serial(settings.baud, timeout) }
            }
        };
        timing.pause = ms(raw.pause_ms).or(longest(|link| link.timing.pause)).unwrap_or_default();
        timing.echo = raw.echo.unwrap_or(false);
        let settings = LineSettings {
            name: raw.name.as_str().into(),
            frames: if matches!(transport, Transport::Tcp(_)) { Frames::Tcp } else { Frames::Rtu },
            timing,
            connect_timeout: ms(raw.connect_timeout_ms).unwrap_or(CONNECT_TIMEOUT),
            connect_delay: ms(raw.connect_delay_ms).or(longest(|link| link.timing.connect_delay)).unwrap_or_default(),
        };
        Some(LineConfig { settings, transport, devices })
    }

    fn transport(&mut self, at: usize, raw: &RawLine, devices: &[DeviceConfig]) -> Option<Transport> {
        let key = |name: &str| format!("line[{at}].{name}");
        let given = [("serial", &raw.serial), ("tcp", &raw.tcp), ("rtu_over_tcp", &raw.rtu_over_tcp)];
        let given: Vec<_> = given.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?))).collect();
        let (kind, address) = match given.as_slice() {
            [one] => *one,
            [] => {
                self.error(&format!("line[{at}]"), "one of `serial`, `tcp` and `rtu_over_tcp` must be given");
                return None;
            }
            [_, (second, _), ..] => {
                self.error(&key(second), "only one of `serial`, `tcp` and `rtu_over_tcp` can be given");
                return None;
            }
        };
        let serial_only = [("parity", raw.parity.is_some()), ("stop_bits", raw.stop_bits.is_some())];
        for (name, given) in serial_only.into_iter().chain([("baud", raw.baud.is_some() && kind == "tcp")]) {
            if given && kind != "serial" {
                self.error(&key(name), "only serial lines have this");
            }
        }
        if kind == "tcp" && raw.echo.is_some() {
            self.error(&key("echo"), "only serial lines have this");
        }
        if kind == "serial" {
            if address.is_empty() {
                self.error(&key(kind), "the path of a serial device, for instance /dev/ttyUSB0");
            }
            return Some(Transport::Serial(address.into(), serial_settings(raw, devices)));
        }
        let port = address.rsplit_once(':').filter(|(host, _)| !host.is_empty()).map(|(_, port)| port.parse::<u16>());
        if !matches!(port, Some(Ok(1..))) {
            self.error(&key(kind), "must be `host:port`, for instance 192.0.2.7:502");
            return None;
        }
        let address = address.into();
        Some(if kind == "tcp" { Transport::Tcp(address) } else { Transport::RtuOverTcp(address) })
    }

    fn units(&mut self, at: usize, raw: &RawLine) {
        let mut units = BTreeMap::new();
        for (n, device) in raw.device.iter().enumerate() {
            let key = format!("line[{at}].device[{n}].unit");
            if raw.tcp.is_none() && !(1..=247).contains(&device.unit) {
                self.error(&key, "a unit on a serial line is 1 to 247");
            }
            if let Some(first) = seen(&mut units, device.unit, &key) {
                self.error(&key, format!("the unit is taken by {first}"));
            }
        }
    }

    fn device(&mut self, at: usize, n: usize, line: &RawLine, raw: &RawDevice) -> Option<DeviceConfig> {
        let key = |name: &str| format!("line[{at}].device[{n}].{name}");
        let id = NodeId::parse(&raw.node).map_err(|error| self.error(&key("node"), error.to_string())).ok();
        let partition =
            Partition::parse(&raw.partition).map_err(|error| self.error(&key("partition"), error.to_string())).ok();
        let source = SourceId::parse(self.section.name()).map_err(|error| self.error("name", error.to_string())).ok();
        let profile = self.profile(&raw.profile, &key("profile"));
        let node = NodeRef { id: id?, source: source?, partition: partition? };
        if let Some(first) = seen(&mut self.nodes, node.clone(), &key("node")) {
            self.error(&key("node"), format!("the node is taken by {first}"));
        }
        let profile = profile?;
        let ms = |value: Option<u32>| value.map(|ms| Duration::from_millis(u64::from(ms)));
        let mut link = profile.link().clone();
        link.timing.timeout = ms(raw.timeout_ms).or(ms(line.timeout_ms)).unwrap_or(link.timing.timeout);
        link.timing.turnaround = ms(raw.turnaround_ms).unwrap_or(link.timing.turnaround);
        link.limits.read = raw.read_max.unwrap_or(link.limits.read);
        let name = raw.name.as_deref().unwrap_or(&raw.node).into();
        Some(DeviceConfig { node, name, unit: raw.unit, profile, link })
    }

    /// The profile of that id; each is loaded, and its mistakes told, only once.
    fn profile(&mut self, id: &str, key: &str) -> Option<Arc<Profile>> {
        if let Some(profile) = self.profiles.get(id) {
            return profile.clone();
        }
        let profile = match self.library.load(id) {
            Ok(profile) => Some(Arc::new(profile)),
            Err(LibraryError::Invalid(errors)) => {
                self.errors.extend(errors);
                None
            }
            Err(_) => {
                self.errors.push(self.section.unknown_at(key, "there is no profile of this id", self.library.ids()));
                return None;
            }
        };
        self.profiles.insert(id.to_owned(), profile.clone());
        profile
    }
}

/// What the line says, else what the first device is set to at the factory.
fn serial_settings(raw: &RawLine, devices: &[DeviceConfig]) -> SerialSettings {
    let factory = devices.first().map(|device| &device.link.serial);
    let parity = match raw.parity {
        Some(RawParity::Even) => Parity::Even,
        Some(RawParity::None) => Parity::None,
        Some(RawParity::Odd) => Parity::Odd,
        None => match factory.map(|serial| serial.parity) {
            Some(torg_profile::Parity::Even) => Parity::Even,
            Some(torg_profile::Parity::Odd) => Parity::Odd,
            Some(torg_profile::Parity::None) | None => Parity::None,
        },
    };
    let stop_bits = raw.stop_bits.or(factory.map(|serial| serial.stop_bits)).unwrap_or(1);
    let baud = raw.baud.or(factory.and_then(|serial| serial.baud.first().copied())).unwrap_or(BAUD);
    SerialSettings { baud, parity, stop_bits: if stop_bits == 2 { StopBits::Two } else { StopBits::One } }
}

#[cfg(test)]
#[path = "config_tests.rs"]
pub(crate) mod tests;
