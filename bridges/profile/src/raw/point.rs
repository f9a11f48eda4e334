//! One field of a device as it is written: where it lies, what its bits mean, how it is set.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{RawOrder, RawTable, Texts};

/// One field of the device.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawPoint {
    pub(crate) table: RawTable,
    /// Address of the first register or bit, in the profile's notation.
    pub(crate) address: u32,
    /// Layout of the raw value. Coils and discrete inputs are always `bit` and need not say so.
    #[serde(rename = "type")]
    pub(crate) kind: Option<RawType>,
    /// Registers of a `string` or `raw` value.
    #[schemars(range(min = 1, max = 125))]
    pub(crate) length: Option<u16>,
    /// `"text"`: an integer that is a name, such as a serial number.
    #[serde(rename = "as")]
    pub(crate) show: Option<RawShow>,
    /// Part of an unsigned value, `"shift:width"`; bit 0 is the least significant. One bit becomes a boolean.
    pub(crate) bits: Option<String>,
    pub(crate) order: Option<RawOrder>,
    /// Factor.
    pub(crate) scale: Option<f64>,
    /// Divisor.
    pub(crate) divide: Option<f64>,
    /// Added after the scaling.
    pub(crate) offset: Option<f64>,
    /// Digits after the point of every value.
    #[schemars(range(max = 12))]
    pub(crate) decimals: Option<u8>,
    /// Unit symbol of the standard's unit table: V, A, W, kWh, °C, Hz, %.
    pub(crate) unit: Option<String>,
    /// Names of the values: `{ 0 = "Off", 1 = "On" }`.
    #[serde(default, rename = "enum")]
    pub(crate) names: BTreeMap<String, String>,
    /// Type name of the enumeration; a harmonised URI if there is one.
    pub(crate) enum_type: Option<String>,
    /// Bits that are fields of their own: `{ 0 = "Filter", 3 = { name = "Overheat", qos = "error" } }`.
    #[serde(default)]
    pub(crate) flags: BTreeMap<String, RawFlag>,
    /// Raw patterns that mean "not available": numbers, `"max"` (the greatest number of the integer type), `"nan"`,
    /// `"inf"`.
    #[serde(default)]
    pub(crate) missing: Vec<RawSentinel>,
    /// Smallest and largest plausible value; anything else is an error of the device.
    #[schemars(length(min = 2, max = 2))]
    pub(crate) valid: Option<Vec<f64>>,
    /// Field category, or several; `momentary` if absent.
    pub(crate) category: Option<RawCategories>,
    pub(crate) poll: Option<RawPollClass>,
    /// The value only grows.
    #[serde(default)]
    pub(crate) monotonic: bool,
    /// Several equal points, `%1%` in the name is the number: `{ count = 8, stride = 1 }`.
    pub(crate) repeat: Option<RawRepeat>,
    /// Points of the same group are latched together and read in one request.
    pub(crate) read_with: Option<String>,
    /// A request must start here.
    #[serde(default)]
    pub(crate) force_new_block: bool,
    /// How the point is set; absent: read only.
    pub(crate) write: Option<RawWrite>,
    /// Name for people, by language.
    #[serde(default)]
    pub(crate) i18n: Texts,
    /// Longer text for people.
    #[serde(default)]
    pub(crate) description: String,
    /// Keys of the sources that confirm this point; absent: all of the profile.
    pub(crate) sources: Option<Vec<String>>,
    /// Only one source confirms address and type.
    #[serde(default)]
    pub(crate) unconfirmed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RawType {
    Bcd16,
    Bcd32,
    Bit,
    F16,
    F32,
    F64,
    /// Registers shown as hexadecimal text.
    Raw,
    S16,
    S32,
    S64,
    /// High byte of a register, signed.
    S8hi,
    /// Low byte of a register, signed.
    S8lo,
    /// Text of ISO 8859-1, two characters in a register.
    String,
    U16,
    U32,
    U64,
    /// High byte of a register.
    U8hi,
    /// Low byte of a register.
    U8lo,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RawShow {
    Text,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum RawFlag {
    Name(String),
    Full(RawFullFlag),
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawFullFlag {
    pub(crate) name: String,
    /// Quality of the field while the flag is set.
    pub(crate) qos: Option<RawFlagQos>,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RawFlagQos {
    Error,
    Warning,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum RawSentinel {
    Word(RawSentinelWord),
    Bits(u64),
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RawSentinelWord {
    Inf,
    Max,
    Nan,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum RawCategories {
    One(RawCategory),
    Several(Vec<RawCategory>),
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RawCategory {
    Computed,
    Historical,
    Identity,
    Momentary,
    Peak,
    Status,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RawPollClass {
    Fast,
    Normal,
    Slow,
    Once,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawRepeat {
    #[schemars(range(min = 2, max = 256))]
    pub(crate) count: u16,
    /// Addresses from one to the next.
    #[schemars(range(min = 1))]
    pub(crate) stride: u16,
    /// Number of the first one; 1 if absent.
    pub(crate) first: Option<u16>,
}

/// How a point is set.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawWrite {
    /// Type of the control parameter; absent: what fits the point.
    #[serde(rename = "as")]
    pub(crate) kind: Option<RawParameterKind>,
    /// Function code: 5 or 15 for coils; 6, 16 or 22 for registers. Absent: 5, or 6 for one register, 16 for more.
    pub(crate) function: Option<u8>,
    /// Smallest and largest value allowed. Numbers need this or `values`.
    #[schemars(length(min = 2, max = 2))]
    pub(crate) range: Option<Vec<f64>>,
    /// The only values allowed.
    #[schemars(length(min = 1))]
    pub(crate) values: Option<Vec<f64>>,
    /// Address to write, if it is not the one that is read.
    pub(crate) address: Option<u32>,
    /// Success means read back as written; true if absent.
    pub(crate) verify: Option<bool>,
    /// How long the device needs before it shows the new value, in milliseconds.
    #[schemars(range(max = 60000))]
    pub(crate) settle_ms: Option<u32>,
    /// Holding registers to write first.
    #[serde(default)]
    pub(crate) unlock: Vec<RawUnlock>,
    pub(crate) privilege: Option<RawPrivilege>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RawParameterKind {
    Boolean,
    Double,
    Enum,
    Int,
    Long,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawUnlock {
    pub(crate) address: u32,
    pub(crate) value: u16,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RawPrivilege {
    /// Changes how the device measures or communicates.
    Configure,
    /// Everyday operation.
    Control,
}
