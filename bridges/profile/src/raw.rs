//! The profile format `torg-profile/1` as it is written: one Rust type per TOML table. The JSON Schema, the check and the
//! editor's completion are all made from these types; what they cannot say is checked in [`check`](fn@crate::check).

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

mod point;

pub(crate) use point::{
    RawCategories, RawCategory, RawFlag, RawFlagQos, RawParameterKind, RawPoint, RawPollClass, RawPrivilege,
    RawSentinel, RawSentinelWord, RawType, RawWrite,
};

/// Texts by language (`en`, `sv`, `de`).
pub(crate) type Texts = BTreeMap<String, String>;

/// A device profile: what its registers mean. Format torg-profile/1.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawProfile {
    pub(crate) profile: Head,
    #[serde(default)]
    pub(crate) link: RawLink,
    /// A child that says nothing here is recognised like its parent.
    pub(crate) identify: Option<RawIdentify>,
    #[serde(default)]
    pub(crate) poll: RawPoll,
    /// The fields of the device, by name.
    #[serde(default)]
    pub(crate) points: BTreeMap<String, RawPoint>,
    /// Executable examples: these registers must give these values.
    #[serde(default)]
    pub(crate) test: Vec<RawTest>,
}

/// What the profile is.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Head {
    /// Stable identity, `maker.model`, in lower case.
    #[schemars(length(min = 3, max = 64))]
    pub(crate) id: String,
    /// `major.minor.patch`: major = points renamed or removed, minor = points added, patch = texts.
    pub(crate) version: String,
    /// Parent profile with its major version, `maker.family@1`. Points of the same name replace those of the parent.
    pub(crate) extends: Option<String>,
    /// Points of the parent that this device does not have.
    #[serde(default)]
    pub(crate) remove: Vec<String>,
    pub(crate) protocol: RawProtocol,
    /// How addresses are written: zero-based (default), or 1/10001/30001/40001-based as in many manuals.
    #[serde(default)]
    pub(crate) notation: Notation,
    pub(crate) device: Device,
    /// Where the facts come from, by a short key. A point needs two of them that do not copy each other.
    pub(crate) sources: Texts,
    /// Licence of this file, an SPDX identifier.
    #[schemars(length(min = 1))]
    pub(crate) license: String,
    /// Harmonised interfaces that a node with this profile fulfils, as URIs.
    #[serde(default)]
    pub(crate) interfaces: Vec<String>,
    /// What kind of device it is, by language.
    #[serde(default)]
    pub(crate) i18n: Texts,
}

/// Protocol the profile is for.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RawProtocol {
    Modbus,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Notation {
    /// 1-based with the table as the first digit: coil 1, discrete 10001, input 30001 or 300001, holding 40001 or 400001.
    Modicon,
    /// The address in the request.
    #[default]
    ZeroBased,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Device {
    /// Maker.
    #[schemars(length(min = 1))]
    pub(crate) vendor: String,
    /// Models the profile fits.
    #[schemars(length(min = 1))]
    pub(crate) models: Vec<String>,
}

/// How to talk to the device; the configuration of a node may override all of it.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawLink {
    #[serde(default)]
    pub(crate) serial: RawSerial,
    #[serde(default)]
    pub(crate) timing: RawTiming,
    #[serde(default)]
    pub(crate) limits: RawLimits,
    pub(crate) order: Option<RawOrder>,
    /// Addresses that must never be read, not even on the way to others.
    #[serde(default)]
    pub(crate) no_read: Vec<RawNoRead>,
    /// What to do when the device refuses a read that spans unused addresses.
    pub(crate) on_hole_refused: Option<RawHoleRefused>,
}

/// Serial settings as delivered.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawSerial {
    /// Rates the device knows, in bit/s; the first is set at the factory.
    #[schemars(length(min = 1))]
    pub(crate) baud: Option<Vec<u32>>,
    pub(crate) parity: Option<RawParity>,
    #[schemars(range(min = 1, max = 2))]
    pub(crate) stop_bits: Option<u8>,
    /// Unit address set at the factory.
    #[schemars(range(min = 1, max = 247))]
    pub(crate) unit: Option<u8>,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RawParity {
    Even,
    None,
    Odd,
}

/// Times in milliseconds.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawTiming {
    /// How long a reply may take.
    #[schemars(range(min = 10, max = 60000))]
    pub(crate) timeout_ms: Option<u32>,
    /// What the device usually needs to answer.
    #[schemars(range(max = 60000))]
    pub(crate) turnaround_ms: Option<u32>,
    /// Silence needed between a reply and the next request.
    #[schemars(range(max = 60000))]
    pub(crate) pause_ms: Option<u32>,
    /// Time between connecting and the first request.
    #[schemars(range(max = 60000))]
    pub(crate) connect_delay_ms: Option<u32>,
}

/// What the device can take.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawLimits {
    /// Registers in one read.
    #[schemars(range(min = 1, max = 125))]
    pub(crate) read: Option<u16>,
    /// Registers in one write.
    #[schemars(range(min = 1, max = 123))]
    pub(crate) write: Option<u16>,
    /// Bits in one read.
    #[schemars(range(min = 1, max = 2000))]
    pub(crate) read_bits: Option<u16>,
    /// Unused registers that a read may span: `"auto"`, or at most so many.
    pub(crate) gap: Option<RawGap>,
    /// TCP connections at the same time.
    #[schemars(range(min = 1, max = 64))]
    pub(crate) connections: Option<u8>,
    /// Requests in flight on one connection.
    #[schemars(range(min = 1, max = 16))]
    pub(crate) pipeline: Option<u8>,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum RawGap {
    Word(RawGapWord),
    Registers(u16),
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RawGapWord {
    Auto,
}

/// Order of the parts of a value. Both big is ABCD, `word = "little"` CDAB, `byte = "little"` BADC, both little DCBA.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawOrder {
    pub(crate) word: Option<RawEndian>,
    pub(crate) byte: Option<RawEndian>,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RawEndian {
    Big,
    Little,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RawTable {
    Coil,
    Discrete,
    Input,
    Holding,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawNoRead {
    pub(crate) table: RawTable,
    /// First address.
    pub(crate) from: u32,
    /// Last address.
    pub(crate) to: u32,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RawHoleRefused {
    /// Report the exception.
    Fail,
    /// Halve the read until the hole is found, and remember it.
    Split,
}

/// How to recognise the device on a line.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawIdentify {
    /// One of these must hold.
    #[serde(default)]
    pub(crate) any: Vec<RawEvidence>,
    /// All of these must hold.
    #[serde(default)]
    pub(crate) all: Vec<RawEvidence>,
    /// These must not answer: tells look-alikes apart.
    #[serde(default)]
    pub(crate) refuse: Vec<RawRefuse>,
    /// Point whose value tells two devices of this kind apart.
    pub(crate) unique: Option<String>,
}

/// One piece of evidence: a point in a range, a register with certain values, or the vendor name of function 43/14.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum RawEvidence {
    Point(RawPointEvidence),
    Register(RawRegisterEvidence),
    Vendor(RawVendorEvidence),
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawPointEvidence {
    /// Name of the point.
    pub(crate) point: String,
    pub(crate) min: Option<f64>,
    pub(crate) max: Option<f64>,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawRegisterEvidence {
    pub(crate) table: RawTable,
    pub(crate) address: u32,
    /// Values of the register that fit.
    #[serde(rename = "in")]
    #[schemars(length(min = 1))]
    pub(crate) values: Vec<u16>,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawVendorEvidence {
    /// Vendor name that function 43/14 reports; a `*` at the end stands for anything.
    pub(crate) mei_vendor: String,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawRefuse {
    pub(crate) table: RawTable,
    pub(crate) address: u32,
    #[schemars(range(min = 1, max = 125))]
    pub(crate) count: u16,
}

/// Shortest useful time between two readings: `"500ms"`, `"2s"`, `"5m"`, `"1h"`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawPoll {
    pub(crate) fast: Option<String>,
    pub(crate) normal: Option<String>,
    pub(crate) slow: Option<String>,
    /// Always `"on-connect"`.
    #[expect(dead_code, reason = "documents the fixed meaning of the class; there is nothing to choose")]
    pub(crate) once: Option<RawOnce>,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum RawOnce {
    OnConnect,
}

/// An executable example: what the tables hold, and what must come of it. A key is an address in the profile's notation,
/// a value the following registers in hexadecimal (`"4366199A"`) or the following bits (`"1011"`).
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawTest {
    /// What the example shows.
    pub(crate) name: Option<String>,
    #[serde(default)]
    pub(crate) coil: Texts,
    #[serde(default)]
    pub(crate) discrete: Texts,
    #[serde(default)]
    pub(crate) input: Texts,
    #[serde(default)]
    pub(crate) holding: Texts,
    /// Field values as text, `"230.1 V"`; `"missing"` and `"error"` stand for themselves.
    #[serde(default)]
    pub(crate) expect: Texts,
    /// Parameters to set, as text: then the tables above say what must be written.
    #[serde(default)]
    pub(crate) set: Texts,
}
