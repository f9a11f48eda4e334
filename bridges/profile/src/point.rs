//! From the text of one point to checked points: one, or several through `repeat` and `flags`.

use std::collections::BTreeMap;
use std::sync::Arc;

use torg_thing::config::{ConfigError, quote_key};
use torg_thing::{Categories, Decimal, FieldName, Qos, Range, Unit};

use crate::check::{Layer, decimal, table, texts};
use crate::checked::{BitSlice, Encoding, Enumeration, Order, Point, PollClass, Scaling, Sentinel, Shape, Table};
use crate::link::Link;
use crate::raw::{
    RawCategories, RawCategory, RawFlag, RawFlagQos, RawPoint, RawPollClass, RawSentinel, RawSentinelWord, RawType,
};

mod write;

/// Sources that must confirm a point, unless it is marked `unconfirmed`.
const SOURCES_MIN: usize = 2;

/// What a point needs to know of its profile.
pub(crate) struct PointContext<'c> {
    pub(crate) layer: &'c Layer<'c>,
    pub(crate) link: &'c Link,
    pub(crate) order: Order,
}

/// Checks one point and adds what it stands for to `points`, or its mistakes to `errors`.
pub(crate) fn build_points(
    context: &PointContext<'_>,
    name: &str,
    raw: &RawPoint,
    points: &mut Vec<Point>,
    errors: &mut Vec<ConfigError>,
) {
    let before = errors.len();
    let mut builder = Builder { context, name, raw, errors };
    let copies = builder.copies();
    let Some(base) = builder.point() else { return };
    let flags = builder.flags(&base);
    if errors.len() > before {
        return;
    }
    for (number, offset) in copies {
        for point in if flags.is_empty() { std::slice::from_ref(&base) } else { &flags } {
            let mut point = point.clone();
            let numbered = |text: &str| text.replace("%1%", &number.to_string());
            match FieldName::parse(&numbered(point.name.as_str())) {
                Ok(name) => point.name = name,
                Err(error) => errors.push(context.at(name, "", error.to_string())),
            }
            point.labels = point.labels.iter().map(|(l, text)| (l.clone(), numbered(text).into())).collect();
            point.address = point.address.saturating_add(offset);
            if let Some(write) = &mut point.write {
                write.parameter.name = point.name.clone();
                write.parameter.label = numbered(&write.parameter.label).into();
                write.address = write.address.saturating_add(offset);
            }
            points.push(point);
        }
    }
}

impl PointContext<'_> {
    /// An error at a key of a point.
    fn at(&self, name: &str, key: &str, message: impl Into<String>) -> ConfigError {
        let dot = if key.is_empty() { "" } else { "." };
        self.layer.document.error_at(&format!("points.{}{dot}{key}", quote_key(name)), message)
    }
}

struct Builder<'b, 'c> {
    context: &'b PointContext<'c>,
    name: &'b str,
    raw: &'b RawPoint,
    errors: &'b mut Vec<ConfigError>,
}

impl Builder<'_, '_> {
    fn refuse(&mut self, key: &str, message: impl Into<String>) {
        self.errors.push(self.context.at(self.name, key, message));
    }

    /// Number and address offset of each repetition; one without number if there is none.
    fn copies(&mut self) -> Vec<(u16, u16)> {
        let numbered = self.name.contains("%1%");
        let Some(repeat) = self.raw.repeat else {
            if numbered {
                self.refuse("", "has `%1%` in its name, which needs `repeat`");
            }
            return vec![(0, 0)];
        };
        if !numbered {
            self.refuse("repeat", "needs `%1%` in the name, where the number goes");
        }
        let first = repeat.first.unwrap_or(1);
        let pairs: Option<Vec<(u16, u16)>> = (0..repeat.count)
            .map(|index| Some((first.checked_add(index)?, index.checked_mul(repeat.stride)?)))
            .collect();
        if pairs.is_none() {
            self.refuse("repeat", "leads past address 65535");
        }
        pairs.unwrap_or_default()
    }

    fn point(&mut self) -> Option<Point> {
        let raw = self.raw;
        let table = table(raw.table);
        let encoding = self.encoding(table);
        let address = self.address(table, encoding);
        let slice = encoding.and_then(|encoding| self.slice(encoding));
        let shape = encoding.and_then(|encoding| self.shape(encoding, slice));
        let missing = self.missing(encoding);
        let valid = self.valid(shape.as_ref());
        self.sources();
        let name = match FieldName::parse(self.name) {
            Ok(name) => name,
            Err(error) => {
                self.refuse("", error.to_string());
                return None;
            }
        };
        let mut point = Point {
            name,
            labels: texts(&raw.i18n),
            description: raw.description.as_str().into(),
            table,
            address: address?,
            encoding: encoding?,
            order: self.context.order,
            slice,
            shape: shape?,
            missing,
            valid,
            categories: categories(raw.category.as_ref()),
            alarm: Qos::NONE,
            poll: raw.poll.map_or(PollClass::Normal, |class| match class {
                RawPollClass::Fast => PollClass::Fast,
                RawPollClass::Normal => PollClass::Normal,
                RawPollClass::Slow => PollClass::Slow,
                RawPollClass::Once => PollClass::Once,
            }),
            monotonic: raw.monotonic,
            read_with: raw.read_with.as_deref().map(Into::into),
            force_new_block: raw.force_new_block,
            sources: self.source_keys().into_iter().map(Into::into).collect(),
            unconfirmed: raw.unconfirmed,
            write: None,
        };
        if let Some(write) = &raw.write {
            point.write = self.write(&point, write);
            self.ends(&point);
        }
        Some(point)
    }

    fn encoding(&mut self, table: Table) -> Option<Encoding> {
        let raw = self.raw;
        if table.holds_bits() {
            if !matches!(raw.kind, None | Some(RawType::Bit)) {
                self.refuse("type", format!("of a point in the table {table} is always `bit`"));
            }
            for (key, given) in [
                ("length", raw.length.is_some()),
                ("bits", raw.bits.is_some()),
                ("order", raw.order.is_some()),
                ("as", raw.show.is_some()),
            ] {
                if given {
                    self.refuse(key, "makes no sense for a single bit");
                }
            }
            return Some(Encoding::Bit);
        }
        let Some(kind) = raw.kind else {
            self.refuse("type", "is missing: registers need a type, for instance `u16` or `f32`");
            return None;
        };
        let sized = matches!(kind, RawType::Raw | RawType::String);
        if sized != raw.length.is_some() {
            let message = if sized { "is needed: how many registers it takes" } else { "follows from the type" };
            self.refuse("length", message);
        }
        let length = raw.length.unwrap_or(1);
        Some(match kind {
            RawType::Bcd16 => Encoding::Bcd16,
            RawType::Bcd32 => Encoding::Bcd32,
            RawType::Bit => {
                self.refuse(
                    "type",
                    "`bit` is for coils and discrete inputs; use `bits = \"3:1\"` for a bit of a register",
                );
                return None;
            }
            RawType::F16 => Encoding::F16,
            RawType::F32 => Encoding::F32,
            RawType::F64 => Encoding::F64,
            RawType::Raw => Encoding::Raw(length),
            RawType::S16 => Encoding::S16,
            RawType::S32 => Encoding::S32,
            RawType::S64 => Encoding::S64,
            RawType::S8hi => Encoding::S8High,
            RawType::S8lo => Encoding::S8Low,
            RawType::String => Encoding::Text(length),
            RawType::U16 => Encoding::U16,
            RawType::U32 => Encoding::U32,
            RawType::U64 => Encoding::U64,
            RawType::U8hi => Encoding::U8High,
            RawType::U8lo => Encoding::U8Low,
        })
    }

    /// The zero-based address; the point and all its repetitions must be inside the table and readable.
    fn address(&mut self, table: Table, encoding: Option<Encoding>) -> Option<u16> {
        let address = match self.context.layer.address(self.raw.table, self.raw.address) {
            Ok(address) => address,
            Err(message) => {
                self.refuse("address", message);
                return None;
            }
        };
        let count = encoding.map_or(1, Encoding::count);
        let limits = &self.context.link.limits;
        let most = if table.holds_bits() { limits.read_bits } else { limits.read };
        if count > most {
            self.refuse("length", format!("is {count}, but one read of this device takes at most {most}"));
        }
        let repeat = self.raw.repeat.map_or((1, 0), |repeat| (repeat.count, repeat.stride));
        for index in 0..repeat.0 {
            let first = u32::from(address) + u32::from(index) * u32::from(repeat.1);
            let end = first + u32::from(count);
            if end > 0x1_0000 {
                self.refuse("address", "leads past address 65535");
                return None;
            }
            let first = u16::try_from(first).unwrap_or(u16::MAX);
            if self.context.link.forbids(table, first, count) {
                self.refuse("address", "lies in `link.no_read`");
                return None;
            }
        }
        Some(address)
    }

    fn slice(&mut self, encoding: Encoding) -> Option<BitSlice> {
        let text = self.raw.bits.as_ref()?;
        if encoding == Encoding::Bit {
            return None;
        }
        let Some(total) = unsigned_bits(encoding) else {
            self.refuse("bits", "needs an unsigned type: `u16`, `u32` or `u64`");
            return None;
        };
        let slice = text.split_once(':').and_then(|(shift, width)| Some((shift.parse().ok()?, width.parse().ok()?)));
        match slice {
            Some((shift, width)) if width > 0 && u32::from(shift) + u32::from(width) <= u32::from(total) => {
                Some(BitSlice { shift, width })
            }
            _ => {
                self.refuse("bits", format!("is written `shift:width`, inside the {total} bits of the type"));
                None
            }
        }
    }

    fn shape(&mut self, encoding: Encoding, slice: Option<BitSlice>) -> Option<Shape> {
        let raw = self.raw;
        let before = self.errors.len();
        let numeric = [
            ("scale", raw.scale.is_some()),
            ("divide", raw.divide.is_some()),
            ("offset", raw.offset.is_some()),
            ("decimals", raw.decimals.is_some()),
            ("unit", raw.unit.is_some()),
        ];
        let one_bit = slice.is_some_and(|slice| slice.width == 1);
        let what = if !raw.flags.is_empty() {
            Some("flags")
        } else if !raw.names.is_empty() {
            Some("an enumeration")
        } else if encoding == Encoding::Bit || one_bit {
            Some("a single bit")
        } else if matches!(encoding, Encoding::Text(_) | Encoding::Raw(_)) || raw.show.is_some() {
            Some("a text")
        } else {
            None
        };
        if let Some(what) = what {
            for (key, _) in numeric.iter().filter(|(_, given)| *given) {
                self.refuse(key, format!("makes no sense for {what}"));
            }
        }
        if raw.enum_type.is_some() && raw.names.is_empty() {
            self.refuse("enum_type", "needs `enum`");
        }
        let whole = !encoding.is_float() && !matches!(encoding, Encoding::Bit | Encoding::Text(_) | Encoding::Raw(_));
        let shape = match what {
            Some("flags") => Shape::Boolean,
            Some("an enumeration") => {
                if !whole {
                    self.refuse("enum", "needs an integer type");
                }
                Shape::Enumeration(self.enumeration())
            }
            Some("a single bit") => Shape::Boolean,
            Some(_) => {
                if raw.show.is_some() && !whole {
                    self.refuse("as", "`text` needs an integer type");
                }
                Shape::Text
            }
            None if encoding.is_float() || numeric.iter().any(|(_, given)| *given) => {
                Shape::Quantity(self.scaling(encoding)?)
            }
            None => plain_integer(encoding, slice),
        };
        (self.errors.len() == before).then_some(shape)
    }

    fn enumeration(&mut self) -> Enumeration {
        let mut names: BTreeMap<i64, Arc<str>> = BTreeMap::new();
        for (key, name) in &self.raw.names {
            match integer(key) {
                Some(value) if names.contains_key(&value) => {
                    self.refuse(&format!("enum.{}", quote_key(key)), "names a value that has a name already");
                }
                Some(value) => {
                    names.insert(value, name.as_str().into());
                }
                None => self.refuse(&format!("enum.{}", quote_key(key)), "is not a whole number"),
            }
        }
        let id = &self.context.layer.raw.profile.id;
        let kind = self.raw.enum_type.clone().unwrap_or_else(|| format!("{id}.{}", self.name));
        Enumeration { kind: kind.into(), names }
    }

    fn scaling(&mut self, encoding: Encoding) -> Option<Scaling> {
        let raw = self.raw;
        let before = self.errors.len();
        let mut number = |key: &str, given: Option<f64>, default: i32| {
            let read = given.map_or(Some(Decimal::from(default)), decimal);
            if read.is_none() {
                self.refuse(key, "is not a number that can be kept exactly");
            }
            read
        };
        let scale = number("scale", raw.scale, 1)?;
        let divide = number("divide", raw.divide, 1)?;
        let offset = number("offset", raw.offset, 0)?;
        if scale.mantissa() == 0 {
            self.refuse("scale", "may not be 0");
        }
        if divide.mantissa() == 0 {
            self.refuse("divide", "may not be 0");
        }
        let decimals = match (raw.decimals, power_of_ten(divide)) {
            (Some(decimals), _) => decimals,
            (None, _) if encoding.is_float() => {
                self.refuse("decimals", "is missing: a floating-point number does not say how many digits are right");
                0
            }
            (None, Some(digits)) => scale.decimals().saturating_add(digits).max(offset.decimals()),
            (None, None) => {
                self.refuse("decimals", "is missing: needed when `divide` is not 10, 100, 1000 ...");
                0
            }
        };
        if decimals > Decimal::DECIMALS_MAX {
            self.refuse("scale", "has too many digits");
        }
        let unit = Unit::new(raw.unit.as_deref().unwrap_or_default());
        (self.errors.len() == before).then_some(Scaling { scale, divide, offset, decimals, unit })
    }

    fn missing(&mut self, encoding: Option<Encoding>) -> Vec<Sentinel> {
        let Some(encoding) = encoding else { return Vec::new() };
        let mut list = Vec::new();
        for (index, raw) in self.raw.missing.iter().enumerate() {
            let key = format!("missing[{index}]");
            match raw {
                _ if matches!(encoding, Encoding::Bit | Encoding::Text(_) | Encoding::Raw(_)) => {
                    self.refuse(&key, "makes no sense for this type");
                }
                RawSentinel::Word(RawSentinelWord::Max) => match greatest(encoding) {
                    Some(bits) => list.push(Sentinel::Bits(bits)),
                    None => self.refuse(&key, "`max` is for integers"),
                },
                RawSentinel::Word(_) if !encoding.is_float() => {
                    self.refuse(
                        &key,
                        "is for floating-point numbers; integers have `max` or a raw pattern such as 0x8000",
                    );
                }
                RawSentinel::Word(RawSentinelWord::Inf) => list.push(Sentinel::Infinite),
                RawSentinel::Word(RawSentinelWord::Nan) => list.push(Sentinel::NotANumber),
                RawSentinel::Bits(bits) => {
                    let width = u32::from(encoding.count()).saturating_mul(16);
                    if bits.checked_shr(width).unwrap_or(0) == 0 {
                        list.push(Sentinel::Bits(*bits));
                    } else {
                        self.refuse(&key, format!("is wider than the {width} bits of the type"));
                    }
                }
            }
        }
        list
    }

    fn valid(&mut self, shape: Option<&Shape>) -> Option<Range> {
        let written = self.raw.valid.as_ref()?;
        if !matches!(shape, None | Some(Shape::Quantity(_) | Shape::Int32 | Shape::Int64)) {
            self.refuse("valid", "makes no sense for what is not a number");
        }
        self.range("valid", written)
    }

    /// Two numbers, the smaller first.
    fn range(&mut self, key: &str, written: &[f64]) -> Option<Range> {
        let mut ends = written.iter().map(|end| decimal(*end));
        let (Some(Some(min)), Some(Some(max))) = (ends.next(), ends.next()) else {
            self.refuse(key, "is not a pair of numbers");
            return None;
        };
        if min.numeric_cmp(max).is_gt() {
            self.refuse(key, "has the larger number first");
        }
        Some(Range { min: Some(min), max: Some(max), values: Vec::new() })
    }

    fn source_keys(&self) -> Vec<&str> {
        let all = &self.context.layer.raw.profile.sources;
        match &self.raw.sources {
            Some(keys) => keys.iter().map(String::as_str).collect(),
            None => all.keys().map(String::as_str).collect(),
        }
    }

    fn sources(&mut self) {
        let all = &self.context.layer.raw.profile.sources;
        for (index, key) in self.raw.sources.iter().flatten().enumerate() {
            if !all.contains_key(key) {
                let path = format!("points.{}.sources[{index}]", quote_key(self.name));
                let document = &self.context.layer.document;
                let known = all.keys().map(String::as_str);
                self.errors.push(document.unknown_at(&path, "is no key of `profile.sources`", known));
            }
        }
        let mut keys = self.source_keys();
        keys.sort_unstable();
        keys.dedup();
        if keys.is_empty() {
            self.refuse("sources", "must name at least one source");
        } else if keys.len() < SOURCES_MIN && !self.raw.unconfirmed {
            let message = format!(
                "has only one source ({}): name a second one that does not copy it, or mark the point `unconfirmed = true`",
                keys.join(", ")
            );
            self.refuse("", message);
        }
    }

    /// The bits of a point with `flags`, each a field of its own.
    fn flags(&mut self, base: &Point) -> Vec<Point> {
        let mut list = Vec::new();
        if self.raw.flags.is_empty() {
            return list;
        }
        let Some(total) = unsigned_bits(base.encoding) else {
            self.refuse("flags", "needs an unsigned type: `u16`, `u32` or `u64`");
            return list;
        };
        for (key, given) in [
            ("enum", !self.raw.names.is_empty()),
            ("bits", self.raw.bits.is_some()),
            ("write", self.raw.write.is_some()),
            ("missing", !self.raw.missing.is_empty()),
            ("as", self.raw.show.is_some()),
        ] {
            if given {
                self.refuse(key, "makes no sense together with `flags`");
            }
        }
        for (key, flag) in &self.raw.flags {
            let path = format!("flags.{}", quote_key(key));
            let Some(bit) = key.parse::<u8>().ok().filter(|bit| u16::from(*bit) < total) else {
                self.refuse(&path, format!("is not a bit number from 0 to {}", total.saturating_sub(1)));
                continue;
            };
            let (name, qos) = match flag {
                RawFlag::Name(name) => (name, None),
                RawFlag::Full(flag) => (&flag.name, flag.qos),
            };
            match FieldName::parse(&format!("{}, {name}", self.name)) {
                Ok(name) => {
                    let slice = Some(BitSlice { shift: bit, width: 1 });
                    let alarm = match qos {
                        Some(RawFlagQos::Error) => Qos::ERROR,
                        Some(RawFlagQos::Warning) => Qos::WARNING,
                        None => Qos::NONE,
                    };
                    list.push(Point { name, slice, alarm, labels: BTreeMap::new(), ..base.clone() });
                }
                Err(error) => self.refuse(&path, error.to_string()),
            }
        }
        list
    }
}

fn unsigned_bits(encoding: Encoding) -> Option<u16> {
    match encoding {
        Encoding::U16 => Some(16),
        Encoding::U32 => Some(32),
        Encoding::U64 => Some(64),
        _ => None,
    }
}

/// Raw bits of the greatest number of an integer type.
fn greatest(encoding: Encoding) -> Option<u64> {
    match encoding {
        Encoding::S16 => Some(0x7FFF),
        Encoding::S32 => Some(0x7FFF_FFFF),
        Encoding::S64 => Some(0x7FFF_FFFF_FFFF_FFFF),
        _ => unsigned_bits(encoding).map(|bits| u64::MAX >> (64 - bits)),
    }
}

/// An integer without unit or scaling: the smallest field type that holds every value; 64 unsigned bits fit none and
/// become a plain number.
fn plain_integer(encoding: Encoding, slice: Option<BitSlice>) -> Shape {
    let width = slice.map(|slice| slice.width);
    match encoding {
        _ if width.is_some_and(|width| width < 32) => Shape::Int32,
        _ if width.is_some_and(|width| width < 64) => Shape::Int64,
        Encoding::U32 | Encoding::S64 => Shape::Int64,
        Encoding::U64 => Shape::Quantity(Scaling {
            scale: Decimal::from(1_i32),
            divide: Decimal::from(1_i32),
            offset: Decimal::ZERO,
            decimals: 0,
            unit: Unit::default(),
        }),
        _ => Shape::Int32,
    }
}

fn categories(raw: Option<&RawCategories>) -> Categories {
    let one = |category: &RawCategory| match category {
        RawCategory::Computed => Categories::COMPUTED,
        RawCategory::Historical => Categories::HISTORICAL,
        RawCategory::Identity => Categories::IDENTITY,
        RawCategory::Momentary => Categories::MOMENTARY,
        RawCategory::Peak => Categories::PEAK,
        RawCategory::Status => Categories::STATUS,
    };
    match raw {
        None => Categories::MOMENTARY,
        Some(RawCategories::One(category)) => one(category),
        Some(RawCategories::Several(list)) => list.iter().map(one).fold(Categories::NONE, Categories::union),
    }
}

/// Decimal or `0x` hexadecimal.
fn integer(text: &str) -> Option<i64> {
    match text.strip_prefix("0x") {
        Some(digits) => i64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// How many zeros 10, 100, 1000 ... has; 0 for 1.
fn power_of_ten(number: Decimal) -> Option<u8> {
    let mut rest = number.to_integer().filter(|n| *n > 0)?;
    let mut zeros = 0;
    while rest % 10 == 0 {
        rest /= 10;
        zeros += 1;
    }
    (rest == 1).then_some(zeros)
}
