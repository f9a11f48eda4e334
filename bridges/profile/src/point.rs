//! From the text of one point to checked points: one, or several through `repeat` and `flags`.

use std::collections::BTreeMap;

use torg_thing::config::{ConfigError, quote_key};
use torg_thing::{Categories, FieldName, Qos, Range};

use crate::check::{Layer, decimal, table, texts};
use crate::checked::{BitSlice, Encoding, Order, Point, PollClass, Shape, Table};
use crate::link::Link;
use crate::raw::{RawCategories, RawCategory, RawFlag, RawFlagQos, RawPoint, RawPollClass};

mod value;
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
