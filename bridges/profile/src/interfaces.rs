//! What harmonised interfaces demand, and whether a profile that claims one keeps its word.
//!
//! Source: nfi "Harmonized Interfaces", the definition files of each interface, version 1.0. Names with `%1%` stand for
//! any number of them. Extra fields are always allowed; optional parts must match if they are there.

use torg_thing::{Categories, ParameterKind};

use crate::checked::{Point, Shape};

const PREFIX: &str = "urn:nfi:iot:hi:";
const VERSION: &str = ":1.0";

/// Type of a field, or of a parameter, that an interface asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Boolean,
    /// `i` or `l`.
    Integer,
    /// A quantity; as a parameter `db`, `i` or `l`.
    Numeric,
    Text,
}

/// Whether a part may be absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    Field,
    OptionalField,
    OptionalParameter,
    Parameter,
}

use Kind::{Boolean, Integer, Numeric, Text};
use Use::{Field, OptionalField, OptionalParameter, Parameter};

/// Name, whether it must be there, type, category (not looked at for parameters).
type Part = (&'static str, Use, Kind, Categories);

const M: Categories = Categories::MOMENTARY;
const S: Categories = Categories::STATUS;
const I: Categories = Categories::IDENTITY;
const C: Categories = Categories::COMPUTED;

/// A heat meter of any kind.
const HEAT: &[Part] = &[
    ("Energy", Field, Numeric, M),
    ("Volume", Field, Numeric, M),
    ("Power", OptionalField, Numeric, M),
    ("Flow", OptionalField, Numeric, M),
    ("Temperature Difference", OptionalField, Numeric, M),
    ("Supply Temperature", OptionalField, Numeric, M),
    ("Return Temperature", OptionalField, Numeric, M),
];
const VOLUME: &[Part] = &[("Volume", Field, Numeric, M), ("Flow", OptionalField, Numeric, M)];
const ALARM: &[Part] = &[
    ("State", Field, Boolean, S),
    ("State", OptionalParameter, Boolean, S),
    ("Enabled", OptionalParameter, Boolean, S),
];
const OPENING: &[Part] = &[("Open", Field, Boolean, S)];

const CATALOGUE: &[(&str, &[Part])] = &[
    (
        "actuator:analogOutput",
        &[("Analog Output", Parameter, Numeric, M), ("Analog Output", OptionalField, Numeric, M)],
    ),
    (
        "actuator:analogOutputs",
        &[("Analog Output %1%", Parameter, Numeric, M), ("Analog Output %1%", OptionalField, Numeric, M)],
    ),
    ("actuator:blinds", &[("Blinds", Parameter, Numeric, M), ("Blinds", OptionalField, Numeric, M)]),
    (
        "actuator:digitalOutput",
        &[("Digital Output", Parameter, Boolean, M), ("Digital Output", OptionalField, Boolean, M)],
    ),
    (
        "actuator:digitalOutputs",
        &[
            ("Digital Output %1%", Parameter, Boolean, M),
            ("Digital Output %1%", OptionalField, Boolean, M),
            ("Digital Output Count", OptionalField, Integer, S),
        ],
    ),
    ("actuator:fan", &[("Fan", Parameter, Numeric, M), ("Fan", OptionalField, Numeric, M)]),
    ("actuator:lamp", &[("Lamp", Parameter, Boolean, M), ("Lamp", OptionalField, Boolean, M)]),
    ("identity:deviceId", &[("Device ID", Field, Text, I), ("Device ID, Scheme", OptionalField, Text, I)]),
    ("identity:manufacturer", &[("Manufacturer", Field, Text, I), ("Manufacturer, URL", OptionalField, Text, I)]),
    (
        "identity:version",
        &[
            ("Firmware Version", OptionalField, Text, I),
            ("Kernel Version", OptionalField, Text, I),
            ("Operating System Version", OptionalField, Text, I),
        ],
    ),
    ("meter:cooling", HEAT),
    ("meter:electricity", &[("Energy", Field, Numeric, M), ("Power", OptionalField, Numeric, M)]),
    ("meter:gas", VOLUME),
    ("meter:heat", HEAT),
    ("meter:heatingCooling", HEAT),
    ("meter:pulseCounter", &[("Counter", Field, Integer, M)]),
    ("meter:pulseCounters", &[("Counter %1%", Field, Integer, M), ("Pulse Counter Count", OptionalField, Integer, S)]),
    ("meter:water", VOLUME),
    ("security:alarm", ALARM),
    ("security:burglar", ALARM),
    ("security:co", ALARM),
    ("security:co2", ALARM),
    ("security:door", OPENING),
    ("security:emergency", ALARM),
    ("security:gas", ALARM),
    ("security:heat", ALARM),
    ("security:lock", &[("Locked", Field, Boolean, S), ("Locked", OptionalParameter, Boolean, S)]),
    ("security:movement", ALARM),
    ("security:smoke", ALARM),
    ("security:water", ALARM),
    ("security:window", OPENING),
    ("sensor:analogInput", &[("Analog Input", Field, Numeric, M)]),
    ("sensor:analogInputs", &[("Analog Input %1%", Field, Numeric, M)]),
    ("sensor:current", &[("Current", Field, Numeric, M)]),
    ("sensor:dewPoint", &[("Dew Point", Field, Numeric, M)]),
    ("sensor:digitalInput", &[("Digital Input", Field, Boolean, M)]),
    (
        "sensor:digitalInputs",
        &[("Digital Input %1%", Field, Boolean, M), ("Digital Input Count", OptionalField, Integer, S)],
    ),
    ("sensor:direction", &[("Direction", Field, Numeric, M)]),
    ("sensor:distance", &[("Distance", Field, Numeric, M)]),
    ("sensor:force", &[("Force", Field, Numeric, M)]),
    ("sensor:frequency", &[("Frequency", Field, Numeric, M)]),
    (
        "sensor:humidity",
        &[
            ("Relative Humidity", Field, Numeric, M),
            ("Temperature", OptionalField, Numeric, M),
            ("Dew Point", OptionalField, Numeric, C),
        ],
    ),
    ("sensor:illuminance", &[("Illuminance", Field, Numeric, M)]),
    ("sensor:mass", &[("Mass", Field, Numeric, M)]),
    ("sensor:massFlow", &[("Mass Flow", Field, Numeric, M)]),
    ("sensor:pressure", &[("Pressure", Field, Numeric, M)]),
    ("sensor:resistance", &[("Resistance", Field, Numeric, M)]),
    ("sensor:solarRadiation", &[("Solar Radiation", Field, Numeric, M)]),
    ("sensor:speed", &[("Speed", Field, Numeric, M)]),
    ("sensor:temperature", &[("Temperature", Field, Numeric, M)]),
    ("sensor:tideLevel", &[("Tide Level", Field, Numeric, M)]),
    ("sensor:voltage", &[("Voltage", Field, Numeric, M)]),
    ("sensor:volume", &[("Volume", Field, Numeric, M)]),
    ("sensor:weight", &[("Weight", Field, Numeric, M)]),
];

/// What became of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Something is missing or different; one sentence each.
    Broken(Vec<String>),
    /// The points keep the promise, or the interface belongs to somebody else and cannot be judged.
    Fulfilled,
    /// Not an interface that can be verified.
    Unknown,
}

/// URIs of all interfaces that can be verified.
pub(crate) fn known() -> impl Iterator<Item = String> {
    CATALOGUE.iter().map(|(name, _)| format!("{PREFIX}{name}{VERSION}"))
}

/// Judges the claim of an interface.
pub(crate) fn verify(uri: &str, points: &[Point]) -> Verdict {
    let Some(name) = uri.strip_prefix(PREFIX) else {
        // Third parties define interfaces under names of their own.
        let foreign =
            uri.starts_with("urn:") && !["urn:nfi:", "urn:nf:", "urn:ieee:"].iter().any(|p| uri.starts_with(p));
        return if foreign { Verdict::Fulfilled } else { Verdict::Unknown };
    };
    let name = name.strip_suffix(VERSION);
    let Some((_, parts)) = CATALOGUE.iter().find(|(known, _)| Some(*known) == name) else { return Verdict::Unknown };
    let reasons: Vec<String> = parts.iter().flat_map(|part| judge(part, points)).collect();
    if reasons.is_empty() { Verdict::Fulfilled } else { Verdict::Broken(reasons) }
}

fn judge((name, demand, kind, categories): &Part, points: &[Point]) -> Vec<String> {
    let is_parameter = matches!(demand, OptionalParameter | Parameter);
    let is_optional = matches!(demand, OptionalField | OptionalParameter);
    let parts: Vec<&Point> = points.iter().filter(|point| matches_name(name, point.name.as_str())).collect();
    let settable = || parts.iter().filter_map(|point| point.write.as_ref());
    if is_parameter {
        if settable().next().is_none() {
            return if is_optional { Vec::new() } else { vec![format!("needs the control parameter {name:?}")] };
        }
        let wrong = settable().filter(|write| !parameter_fits(*kind, &write.parameter.kind));
        return wrong
            .map(|write| format!("{:?} can be set, but not as {}", write.parameter.name.as_str(), words(*kind)))
            .collect();
    }
    if parts.is_empty() {
        return if is_optional { Vec::new() } else { vec![format!("needs the field {name:?}")] };
    }
    let mut reasons = Vec::new();
    for point in parts {
        let name = point.name.as_str();
        if !field_fits(*kind, &point.shape) {
            reasons.push(format!("the field {name:?} must be {}", words(*kind)));
        }
        if !point.categories.contains(*categories) {
            let flags: Vec<&str> = categories.flags().collect();
            reasons.push(format!("the field {name:?} must have the category {}", flags.join(", ")));
        }
    }
    reasons
}

/// `%1%` stands for a number.
fn matches_name(pattern: &str, name: &str) -> bool {
    match pattern.split_once("%1%") {
        None => pattern == name,
        Some((before, after)) => name
            .strip_prefix(before)
            .and_then(|rest| rest.strip_suffix(after))
            .is_some_and(|index| !index.is_empty() && index.bytes().all(|b| b.is_ascii_digit())),
    }
}

fn field_fits(kind: Kind, shape: &Shape) -> bool {
    match kind {
        Boolean => matches!(shape, Shape::Boolean),
        Integer => matches!(shape, Shape::Int32 | Shape::Int64),
        Numeric => matches!(shape, Shape::Quantity(_)),
        Text => matches!(shape, Shape::Text),
    }
}

fn parameter_fits(kind: Kind, parameter: &ParameterKind) -> bool {
    match kind {
        Boolean => matches!(parameter, ParameterKind::Boolean),
        Integer => matches!(parameter, ParameterKind::Int32 | ParameterKind::Int64),
        Numeric => matches!(parameter, ParameterKind::Double { .. } | ParameterKind::Int32 | ParameterKind::Int64),
        Text => matches!(parameter, ParameterKind::Text),
    }
}

fn words(kind: Kind) -> &'static str {
    match kind {
        Boolean => "a boolean",
        Integer => "an integer",
        Numeric => "a quantity",
        Text => "a text",
    }
}
