//! A profile after all checks: what a bridge plans requests from and decodes with.
//!
//! Only [`check`](fn@crate::check) builds these values, so whoever holds one may rely on every rule of the format: each point
//! lies inside its table, is no longer than one request may be, and has an encoding that fits its table.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use torg_thing::{Categories, ControlParameter, Decimal, FieldName, FieldSummary, Qos, Range, Unit};

use crate::identify::Identify;
use crate::link::Link;
use crate::vectors::Vector;

/// Version of a profile: patch = texts, minor = points added, major = points renamed or removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// Raised when a point is renamed or removed.
    pub major: u16,
    /// Raised when points are added.
    pub minor: u16,
    /// Raised when only texts change.
    pub patch: u16,
}

impl Version {
    /// Reads `1.2.3`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.').map(|part| part.parse().ok());
        let version = Self { major: parts.next()??, minor: parts.next()??, patch: parts.next()?? };
        parts.next().is_none().then_some(version)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// Protocol a profile is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Protocol {
    /// Modbus, on any line.
    Modbus,
}

impl Protocol {
    /// Name in profiles.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Modbus => "modbus",
        }
    }
}

/// The four tables of the Modbus data model (Modbus Application Protocol V1.1b3 §4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Single bits, read and write (functions 1, 5, 15).
    Coil,
    /// Single bits, read only (function 2).
    Discrete,
    /// 16-bit registers, read only (function 4).
    Input,
    /// 16-bit registers, read and write (functions 3, 6, 16, 22).
    Holding,
}

impl Table {
    /// Whether the table holds bits; otherwise it holds 16-bit registers.
    #[must_use]
    pub fn holds_bits(self) -> bool {
        matches!(self, Self::Coil | Self::Discrete)
    }

    /// Whether anything in it can be written.
    #[must_use]
    pub fn is_writable(self) -> bool {
        matches!(self, Self::Coil | Self::Holding)
    }

    /// Name in profiles.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Coil => "coil",
            Self::Discrete => "discrete",
            Self::Input => "input",
            Self::Holding => "holding",
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Which end comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Endian {
    /// Most significant first.
    #[default]
    Big,
    /// Least significant first.
    Little,
}

/// Order of the parts of a value: big-big is ABCD, word little CDAB, byte little BADC, both little DCBA.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Order {
    /// Order of the bytes in a register.
    pub byte: Endian,
    /// Order of the registers of a value.
    pub word: Endian,
}

/// How a raw value is laid out in a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// Four decimal digits in one register.
    Bcd16,
    /// Eight decimal digits in two registers.
    Bcd32,
    /// One coil or discrete input.
    Bit,
    /// IEEE 754 binary16.
    F16,
    /// IEEE 754 binary32.
    F32,
    /// IEEE 754 binary64.
    F64,
    /// So many registers, shown as hexadecimal text.
    Raw(u16),
    /// Signed, one register.
    S16,
    /// Signed, two registers.
    S32,
    /// Signed, four registers.
    S64,
    /// Signed, the high byte of a register.
    S8High,
    /// Signed, the low byte of a register.
    S8Low,
    /// Characters of ISO 8859-1, two in each of so many registers; what follows a NUL and trailing blanks are dropped.
    Text(u16),
    /// Unsigned, one register.
    U16,
    /// Unsigned, two registers.
    U32,
    /// Unsigned, four registers.
    U64,
    /// Unsigned, the high byte of a register.
    U8High,
    /// Unsigned, the low byte of a register.
    U8Low,
}

impl Encoding {
    /// How many registers (or bits, for [`Encoding::Bit`]) a value takes; at least 1.
    #[must_use]
    pub fn count(self) -> u16 {
        match self {
            Self::Bcd16 | Self::Bit | Self::F16 | Self::S16 | Self::U16 => 1,
            Self::S8High | Self::S8Low | Self::U8High | Self::U8Low => 1,
            Self::Bcd32 | Self::F32 | Self::S32 | Self::U32 => 2,
            Self::F64 | Self::S64 | Self::U64 => 4,
            Self::Raw(registers) | Self::Text(registers) => registers,
        }
    }

    /// Name in profiles.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Bcd16 => "bcd16",
            Self::Bcd32 => "bcd32",
            Self::Bit => "bit",
            Self::F16 => "f16",
            Self::F32 => "f32",
            Self::F64 => "f64",
            Self::Raw(_) => "raw",
            Self::S16 => "s16",
            Self::S32 => "s32",
            Self::S64 => "s64",
            Self::S8High => "s8hi",
            Self::S8Low => "s8lo",
            Self::Text(_) => "string",
            Self::U16 => "u16",
            Self::U32 => "u32",
            Self::U64 => "u64",
            Self::U8High => "u8hi",
            Self::U8Low => "u8lo",
        }
    }

    /// Whether it is a floating-point number.
    #[must_use]
    pub fn is_float(self) -> bool {
        matches!(self, Self::F16 | Self::F32 | Self::F64)
    }
}

/// Part of an unsigned value: `width` bits from bit `shift` on; bit 0 is the least significant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BitSlice {
    pub(crate) shift: u8,
    pub(crate) width: u8,
}

impl BitSlice {
    /// First bit, from the least significant one.
    #[must_use]
    pub fn shift(self) -> u8 {
        self.shift
    }

    /// How many bits, 1 to 64.
    #[must_use]
    pub fn width(self) -> u8 {
        self.width
    }
}

/// Names for the values of a point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enumeration {
    /// Type name on the wire: a harmonised URI, or `<profile id>.<point name>`.
    pub kind: Arc<str>,
    /// Name of each raw value.
    pub names: BTreeMap<i64, Arc<str>>,
}

/// From raw number to quantity: `(raw * scale) / divide + offset`, rounded half to even to `decimals`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scaling {
    /// Factor.
    pub scale: Decimal,
    /// Divisor, never zero.
    pub divide: Decimal,
    /// Added last.
    pub offset: Decimal,
    /// Digits after the point of every value.
    pub decimals: u8,
    /// Unit of the result; empty for a plain number.
    pub unit: Unit,
}

/// What kind of field a point becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Yes or no.
    Boolean,
    /// One of a list of names.
    Enumeration(Enumeration),
    /// A whole number that fits 32 bits.
    Int32,
    /// A whole number that fits 64 bits.
    Int64,
    /// A number with unit and decimals.
    Quantity(Scaling),
    /// Text.
    Text,
}

/// A raw pattern that means "not available".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sentinel {
    /// These raw bits, in the order of the point.
    Bits(u64),
    /// Either infinity.
    Infinite,
    /// Any NaN; the usual NaN patterns are also recognised in the other word order.
    NotANumber,
}

/// How often a point is read while somebody wants it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PollClass {
    /// Changes within seconds.
    Fast,
    /// Changes within minutes.
    #[default]
    Normal,
    /// Changes within hours.
    Slow,
    /// Read once after each connect.
    Once,
}

impl PollClass {
    /// Name in profiles.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Fast => "fast",
            Self::Normal => "normal",
            Self::Slow => "slow",
            Self::Once => "once",
        }
    }
}

/// Shortest useful time between two readings, for each class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PollIntervals {
    /// For [`PollClass::Fast`].
    pub fast: Duration,
    /// For [`PollClass::Normal`].
    pub normal: Duration,
    /// For [`PollClass::Slow`].
    pub slow: Duration,
}

impl PollIntervals {
    /// Interval of a class; `None` for [`PollClass::Once`].
    #[must_use]
    pub fn of(&self, class: PollClass) -> Option<Duration> {
        match class {
            PollClass::Fast => Some(self.fast),
            PollClass::Normal => Some(self.normal),
            PollClass::Slow => Some(self.slow),
            PollClass::Once => None,
        }
    }
}

/// One field of a device: where it lies, what it means, and how it is set if it can be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    pub(crate) name: FieldName,
    pub(crate) labels: BTreeMap<Arc<str>, Arc<str>>,
    pub(crate) description: Arc<str>,
    pub(crate) table: Table,
    pub(crate) address: u16,
    pub(crate) encoding: Encoding,
    pub(crate) order: Order,
    pub(crate) slice: Option<BitSlice>,
    pub(crate) shape: Shape,
    pub(crate) missing: Vec<Sentinel>,
    pub(crate) valid: Option<Range>,
    pub(crate) categories: Categories,
    pub(crate) alarm: Qos,
    pub(crate) poll: PollClass,
    pub(crate) monotonic: bool,
    pub(crate) read_with: Option<Arc<str>>,
    pub(crate) force_new_block: bool,
    pub(crate) sources: Vec<Arc<str>>,
    pub(crate) unconfirmed: bool,
    pub(crate) write: Option<Write>,
}

impl Point {
    /// Name of the field, and of the control parameter if there is one.
    #[must_use]
    pub fn name(&self) -> &FieldName {
        &self.name
    }

    /// Name for people in a language; the field name if the profile has no translation.
    #[must_use]
    pub fn label(&self, language: &str) -> &str {
        self.labels.get(language).map_or(self.name.as_str(), |label| label)
    }

    /// Longer text for people; may be empty.
    #[must_use]
    pub fn description(&self) -> &str {
        &self.description
    }

    /// Table it lies in.
    #[must_use]
    pub fn table(&self) -> Table {
        self.table
    }

    /// Zero-based address of its first register or bit.
    #[must_use]
    pub fn address(&self) -> u16 {
        self.address
    }

    /// Number of registers, or of bits in a bit table; at least 1. Address plus count never passes 65536.
    #[must_use]
    pub fn count(&self) -> u16 {
        self.encoding.count()
    }

    /// Layout of the raw value.
    #[must_use]
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// The bits of the registers it takes; `None` for all of them.
    #[must_use]
    pub fn slice(&self) -> Option<BitSlice> {
        self.slice
    }

    /// Order of its words and bytes.
    #[must_use]
    pub fn order(&self) -> Order {
        self.order
    }

    /// What kind of field it becomes.
    #[must_use]
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Unit; empty if it is no quantity.
    #[must_use]
    pub fn unit(&self) -> Unit {
        match &self.shape {
            Shape::Quantity(scaling) => scaling.unit.clone(),
            _ => Unit::default(),
        }
    }

    /// Field categories.
    #[must_use]
    pub fn categories(&self) -> Categories {
        self.categories
    }

    /// How often it is worth reading.
    #[must_use]
    pub fn poll(&self) -> PollClass {
        self.poll
    }

    /// Whether it only grows, apart from a replaced device: an energy, a counter.
    #[must_use]
    pub fn is_monotonic(&self) -> bool {
        self.monotonic
    }

    /// Points with the same group name are latched by the device together and must be read in one request.
    #[must_use]
    pub fn read_with(&self) -> Option<&str> {
        self.read_with.as_deref()
    }

    /// Whether a request must start at this point.
    #[must_use]
    pub fn forces_new_block(&self) -> bool {
        self.force_new_block
    }

    /// Whether fewer than two independent sources confirm address and type.
    #[must_use]
    pub fn is_unconfirmed(&self) -> bool {
        self.unconfirmed
    }

    /// Keys of the profile's sources that confirm it.
    pub fn sources(&self) -> impl Iterator<Item = &str> {
        self.sources.iter().map(|key| &**key)
    }

    /// Values it may plausibly have; anything else is an error of the device.
    #[must_use]
    pub fn valid(&self) -> Option<&Range> {
        self.valid.as_ref()
    }

    /// How it is set; `None` if it can only be read.
    #[must_use]
    pub fn write(&self) -> Option<&Write> {
        self.write.as_ref()
    }

    /// What is known of the field before it is read.
    #[must_use]
    pub fn summary(&self) -> FieldSummary {
        FieldSummary {
            name: self.name.clone(),
            categories: self.categories,
            unit: self.unit(),
            writable: self.write.is_some(),
            unconfirmed: self.unconfirmed,
        }
    }
}

/// Function code of a write (Modbus Application Protocol V1.1b3 §6.5, §6.6, §6.11, §6.12, §6.16).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WriteFunction {
    /// 5.
    SingleCoil,
    /// 6.
    SingleRegister,
    /// 15.
    MultipleCoils,
    /// 16.
    MultipleRegisters,
    /// 22.
    MaskRegister,
}

impl WriteFunction {
    /// The function code.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::SingleCoil => 5,
            Self::SingleRegister => 6,
            Self::MultipleCoils => 15,
            Self::MultipleRegisters => 16,
            Self::MaskRegister => 22,
        }
    }
}

/// A register that must be written before a set point is accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unlock {
    /// Address of the holding register.
    pub address: u16,
    /// What to write: one word, or several with function 16.
    pub words: Vec<u16>,
}

/// Who may set a parameter, beyond being allowed to control the node at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Privilege {
    /// Everyday operation.
    #[default]
    Control,
    /// Changes how the device measures or communicates.
    Configure,
}

/// How a point is set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    pub(crate) parameter: ControlParameter,
    pub(crate) function: WriteFunction,
    pub(crate) address: u16,
    pub(crate) verify: bool,
    pub(crate) settle: Duration,
    pub(crate) unlock: Vec<Unlock>,
    pub(crate) privilege: Privilege,
}

impl Write {
    /// The parameter as clients see it.
    #[must_use]
    pub fn parameter(&self) -> &ControlParameter {
        &self.parameter
    }

    /// Function code to use.
    #[must_use]
    pub fn function(&self) -> WriteFunction {
        self.function
    }

    /// Where to write; usually where the point is read.
    #[must_use]
    pub fn address(&self) -> u16 {
        self.address
    }

    /// Whether success means "read back as written".
    #[must_use]
    pub fn verifies(&self) -> bool {
        self.verify
    }

    /// How long the device needs before it shows the new value.
    #[must_use]
    pub fn settle(&self) -> Duration {
        self.settle
    }

    /// Registers to write first, in order.
    #[must_use]
    pub fn unlock(&self) -> &[Unlock] {
        &self.unlock
    }

    /// Who may set it.
    #[must_use]
    pub fn privilege(&self) -> Privilege {
        self.privilege
    }
}

/// Where a fact comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceNote {
    /// Short key that points refer to.
    pub key: Arc<str>,
    /// Title, edition, page; enough to find it.
    pub title: Arc<str>,
}

/// What a kind of device is and what its registers mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    pub(crate) id: Arc<str>,
    pub(crate) version: Version,
    pub(crate) protocol: Protocol,
    pub(crate) vendor: Arc<str>,
    pub(crate) models: Vec<Arc<str>>,
    pub(crate) titles: BTreeMap<Arc<str>, Arc<str>>,
    pub(crate) license: Arc<str>,
    pub(crate) sources: Vec<SourceNote>,
    pub(crate) interfaces: Vec<Arc<str>>,
    pub(crate) ancestors: Vec<Arc<str>>,
    pub(crate) link: Link,
    pub(crate) poll: PollIntervals,
    pub(crate) identify: Identify,
    pub(crate) points: Vec<Point>,
    pub(crate) vectors: Vec<Vector>,
}

impl Profile {
    /// Stable identity, `maker.model`.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Version.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// Protocol it is for.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Maker.
    #[must_use]
    pub fn vendor(&self) -> &str {
        &self.vendor
    }

    /// Models it fits.
    pub fn models(&self) -> impl Iterator<Item = &str> {
        self.models.iter().map(|model| &**model)
    }

    /// What kind of device it is, in a language; English if there is no translation, the id if there is no English.
    #[must_use]
    pub fn title(&self, language: &str) -> &str {
        self.titles.get(language).or_else(|| self.titles.get("en")).map_or(&self.id, |title| title)
    }

    /// Licence of the profile text, an SPDX identifier.
    #[must_use]
    pub fn license(&self) -> &str {
        &self.license
    }

    /// Where its facts come from.
    #[must_use]
    pub fn sources(&self) -> &[SourceNote] {
        &self.sources
    }

    /// Harmonised interfaces its nodes fulfil, as URIs. Checked: every field and parameter they require exists.
    #[must_use]
    pub fn interfaces(&self) -> &[Arc<str>] {
        &self.interfaces
    }

    /// Profiles it extends, nearest first.
    pub fn ancestors(&self) -> impl Iterator<Item = &str> {
        self.ancestors.iter().map(|id| &**id)
    }

    /// How to talk to the device.
    #[must_use]
    pub fn link(&self) -> &Link {
        &self.link
    }

    /// How often to read.
    #[must_use]
    pub fn poll(&self) -> &PollIntervals {
        &self.poll
    }

    /// How to recognise the device.
    #[must_use]
    pub fn identify(&self) -> &Identify {
        &self.identify
    }

    /// All points, ordered by table and address.
    #[must_use]
    pub fn points(&self) -> &[Point] {
        &self.points
    }

    /// The point of that name.
    #[must_use]
    pub fn point(&self, name: &FieldName) -> Option<&Point> {
        self.points.iter().find(|point| point.name == *name)
    }

    /// What can be set.
    pub fn parameters(&self) -> impl Iterator<Item = &ControlParameter> {
        self.points.iter().filter_map(|point| point.write.as_ref()).map(|write| &write.parameter)
    }

    /// Executable vectors, its own and those inherited for unchanged points.
    #[must_use]
    pub fn vectors(&self) -> &[Vector] {
        &self.vectors
    }
}
