//! The executable examples of a profile: read, checked against the points, and run.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use torg_thing::config::{ConfigError, quote_key};
use torg_thing::{ControlValue, EnumValue, FieldName, FieldValue, ParameterKind};

use crate::check::Layer;
use crate::checked::{Point, Profile, Table};
use crate::decode::Raw;
use crate::encode::Payload;
use crate::raw::{RawTable, Texts};

/// What a value must become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Raw data that is no value.
    Error,
    /// Not available.
    Missing,
    /// This text, as a field shows it.
    Value(Arc<str>),
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Missing => "missing",
            Self::Value(text) => text,
        })
    }
}

/// One `[[test]]`: contents of the tables, and what comes of them (or, for parameters, what leads to them).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vector {
    /// What it shows; `test[0]` if it has no name.
    pub name: Arc<str>,
    /// Contents by table and address; a bit is 0 or 1. Feeds the simulator too.
    pub image: BTreeMap<(Table, u16), u16>,
    /// What must be read.
    pub expect: BTreeMap<FieldName, Expected>,
    /// What is set: then the image says what must be written, all of it and nothing else.
    pub set: BTreeMap<FieldName, Arc<str>>,
}

/// What became of one expectation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VectorResult {
    /// Name of the vector.
    pub vector: Arc<str>,
    /// The point.
    pub point: FieldName,
    /// What should come out.
    pub expected: String,
    /// What came out.
    pub found: String,
}

impl VectorResult {
    /// Whether expectation and outcome are equal.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.expected == self.found
    }
}

/// Runs every vector of a profile; one result for each expectation.
#[must_use]
pub fn run_vectors(profile: &Profile) -> Vec<VectorResult> {
    let mut results = Vec::new();
    for vector in profile.vectors() {
        for (name, expected) in &vector.expect {
            let found = profile.point(name).map_or_else(|| "no such point".to_owned(), |point| vector.read(point));
            let (expected, vector) = (expected.to_string(), vector.name.clone());
            results.push(VectorResult { vector, point: name.clone(), expected, found });
        }
        let mut written = BTreeMap::new();
        for (name, text) in &vector.set {
            let result = profile
                .point(name)
                .ok_or_else(|| "no such point".to_owned())
                .and_then(|point| encode(point, text, &mut written));
            if let Err(found) = result {
                let (vector, expected) = (vector.name.clone(), format!("set to {text}"));
                results.push(VectorResult { vector, point: name.clone(), expected, found });
            }
        }
        if let Some(name) = vector.set.keys().next() {
            let (expected, found) = (show_image(&vector.image), show_image(&written));
            results.push(VectorResult { vector: vector.name.clone(), point: name.clone(), expected, found });
        }
    }
    results
}

/// Points that no vector reads or sets.
pub fn uncovered(profile: &Profile) -> impl Iterator<Item = &FieldName> {
    let covered = |name: &FieldName| {
        profile.vectors().iter().any(|vector| vector.expect.contains_key(name) || vector.set.contains_key(name))
    };
    profile.points().iter().map(Point::name).filter(move |name| !covered(name))
}

impl Vector {
    /// What the point shows for this image, as text.
    fn read(&self, point: &Point) -> String {
        let Some(words) = self.words(point) else { return "not in the image".to_owned() };
        let reading = if point.table().holds_bits() {
            let bits: Vec<bool> = words.iter().map(|word| *word != 0).collect();
            point.decode(Raw::Bits(&bits))
        } else {
            point.decode(Raw::Words(&words))
        };
        match reading {
            Ok(reading) => reading.value.map_or_else(|| "missing".to_owned(), |value| show(&value)),
            Err(_) => "error".to_owned(),
        }
    }

    fn words(&self, point: &Point) -> Option<Vec<u16>> {
        let addresses = (0..point.count()).map(|offset| point.address().checked_add(offset));
        addresses.map(|address| self.image.get(&(point.table(), address?)).copied()).collect()
    }
}

fn show(value: &FieldValue) -> String {
    value.to_string()
}

fn encode(point: &Point, text: &str, written: &mut BTreeMap<(Table, u16), u16>) -> Result<(), String> {
    let write = point.write().ok_or("cannot be set")?;
    let number = || text.split(' ').next().unwrap_or_default();
    let value = match &write.parameter().kind {
        ParameterKind::Boolean => text.parse().ok().map(ControlValue::Boolean),
        ParameterKind::Double { .. } => number().parse().ok().map(ControlValue::Double),
        ParameterKind::Enumeration { kind, .. } => {
            Some(ControlValue::Enumeration(EnumValue { value: text.into(), kind: kind.clone() }))
        }
        ParameterKind::Int32 => number().parse().ok().map(ControlValue::Int32),
        ParameterKind::Int64 => number().parse().ok().map(ControlValue::Int64),
        _ => None,
    };
    let request = point.encode(&value.ok_or("is not a value of the parameter")?).map_err(|error| error.to_string())?;
    let words = match request.payload {
        Payload::Coil(on) => vec![u16::from(on)],
        // The other bits are taken as zero before the write.
        Payload::Masked { and, or } => vec![or & !and],
        Payload::Registers(words) => words,
    };
    for (address, word) in (request.address..=u16::MAX).zip(words) {
        written.insert((point.table(), address), word);
    }
    Ok(())
}

fn show_image(image: &BTreeMap<(Table, u16), u16>) -> String {
    let cells: Vec<String> =
        image.iter().map(|((table, address), word)| format!("{table} {address}=0x{word:04X}")).collect();
    cells.join(" ")
}

/// Reads the vectors of the whole family. A vector of an ancestor keeps what it says of points that are still the same.
pub(crate) fn read_vectors(
    layers: &[Layer<'_>],
    origins: &BTreeMap<&str, usize>,
    points: &[Point],
    complete: bool,
    errors: &mut Vec<ConfigError>,
) -> Vec<Vector> {
    let mut vectors = Vec::new();
    for (level, layer) in layers.iter().enumerate() {
        let own = level.checked_add(1) == Some(layers.len());
        // Points that come from deeper in the family are not what this layer's vectors speak of.
        let replaced = |name: &str| origins.get(name).is_some_and(|origin| *origin > level);
        for (index, raw) in layer.raw.test.iter().enumerate() {
            let place = format!("test[{index}]");
            let mut vector = Vector { name: raw.name.as_deref().unwrap_or(&place).into(), ..Vector::default() };
            for (table, cells) in [
                (RawTable::Coil, &raw.coil),
                (RawTable::Discrete, &raw.discrete),
                (RawTable::Input, &raw.input),
                (RawTable::Holding, &raw.holding),
            ] {
                read_image(layer, &place, table, cells, &mut vector.image, errors);
            }
            let find = |name: &str| points.iter().find(|point| point.name.as_str() == name);
            for (key, entries) in [("expect", &raw.expect), ("set", &raw.set)] {
                for (name, text) in entries.iter().filter(|(name, _)| !replaced(name)) {
                    match find(name) {
                        Some(point) if key == "set" => {
                            vector.set.insert(point.name.clone(), text.as_str().into());
                        }
                        Some(point) => {
                            vector.expect.insert(point.name.clone(), expected(text));
                        }
                        None if own && complete => {
                            let key = format!("{place}.{key}.{}", quote_key(name));
                            let known = points.iter().map(|point| point.name.as_str());
                            let suggestion = torg_thing::config::nearest(name, known);
                            errors.push(layer.document.error_at(&key, "no such point").suggest(suggestion));
                        }
                        None => {}
                    }
                }
            }
            if !vector.expect.is_empty() || !vector.set.is_empty() {
                vectors.push(vector);
            }
        }
    }
    vectors
}

fn expected(text: &str) -> Expected {
    match text {
        "error" => Expected::Error,
        "missing" => Expected::Missing,
        _ => Expected::Value(text.into()),
    }
}

fn read_image(
    layer: &Layer<'_>,
    place: &str,
    table: RawTable,
    cells: &Texts,
    image: &mut BTreeMap<(Table, u16), u16>,
    errors: &mut Vec<ConfigError>,
) {
    let checked = crate::check::table(table);
    for (key, text) in cells {
        let path = format!("{place}.{checked}.{}", quote_key(key));
        let written = match key.strip_prefix("0x") {
            Some(digits) => u32::from_str_radix(digits, 16).ok(),
            None => key.parse().ok(),
        };
        let address = written.ok_or_else(|| "is not an address".to_owned()).and_then(|w| layer.address(table, w));
        let address = match address {
            Ok(address) => address,
            Err(message) => {
                errors.push(layer.document.error_at(&path, message));
                continue;
            }
        };
        let Some(words) = (if checked.holds_bits() { read_bits(text) } else { read_words(text) }) else {
            let form =
                if checked.holds_bits() { "bits, such as `1011`" } else { "registers of four hexadecimal digits" };
            errors.push(layer.document.error_at(&path, format!("is not a row of {form}")));
            continue;
        };
        for (offset, word) in words.into_iter().enumerate() {
            let cell = u16::try_from(offset).ok().and_then(|offset| address.checked_add(offset));
            let fresh = cell.is_some_and(|cell| image.insert((checked, cell), word).is_none());
            if !fresh {
                errors.push(layer.document.error_at(&path, "overlaps another row, or leads past address 65535"));
                break;
            }
        }
    }
}

fn read_bits(text: &str) -> Option<Vec<u16>> {
    let bits: Option<Vec<u16>> = text
        .chars()
        .filter(|c| *c != ' ')
        .map(|c| match c {
            '0' => Some(0),
            '1' => Some(1),
            _ => None,
        })
        .collect();
    bits.filter(|bits| !bits.is_empty())
}

/// Registers of four hexadecimal digits, blanks allowed.
fn read_words(text: &str) -> Option<Vec<u16>> {
    let digits: Vec<u16> = text
        .chars()
        .filter(|c| *c != ' ')
        .map(|c| c.to_digit(16).and_then(|digit| u16::try_from(digit).ok()))
        .collect::<Option<_>>()?;
    if digits.is_empty() || !digits.len().is_multiple_of(4) {
        return None;
    }
    Some(digits.chunks_exact(4).map(|word| word.iter().fold(0, |sum, digit| (sum << 4) | digit)).collect())
}
