//! From the text of a profile to a checked [`Profile`], or to every mistake in it.
//!
//! First the schema is walked ([`torg_thing::config`]), for the profile and each of its ancestors; then this module checks
//! what a schema cannot say. Ancestors are laid under the child: a point of the child replaces the one of the same name.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use torg_thing::config::{ConfigError, Document, SourceText, drop_consequences, quote_key};
use torg_thing::{Decimal, Range};

use crate::checked::{Endian, Order, Point, PollIntervals, Profile, Protocol, SourceNote, Table, Version};
use crate::identify::{Evidence, Identify, Refusal};
use crate::interfaces;
use crate::library::Library;
use crate::link::{
    Gap, HoleRefused, Limits, Link, NoRead, Parity, READ_BITS_MAX, READ_REGISTERS_MAX, SerialDefaults, Timing,
    WRITE_REGISTERS_MAX,
};
use crate::point::{PointContext, build_points};
use crate::raw::{
    Notation, RawEndian, RawEvidence, RawGap, RawGapWord, RawHoleRefused, RawOrder, RawParity, RawPoint, RawProfile,
    RawProtocol, RawTable, Texts,
};
use crate::vectors::read_vectors;

/// Profiles from child to farthest ancestor, at most. More than this is a family nobody can follow.
pub(crate) const LAYERS_MAX: usize = 5;
/// Points in one profile after repetition, at most: a protocol converter with everything has about a thousand.
const POINTS_MAX: usize = 4096;

/// Checks a profile that extends nothing but shipped profiles.
///
/// # Errors
/// Every mistake in the profile and its ancestors.
pub fn check(source: &SourceText) -> Result<Profile, Vec<ConfigError>> {
    check_in(source, &Library::shipped())
}

/// Checks a profile; ancestors are looked up in `library`.
///
/// # Errors
/// Every mistake in the profile and its ancestors.
pub fn check_in(source: &SourceText, library: &Library) -> Result<Profile, Vec<ConfigError>> {
    let mut errors = Vec::new();
    let mut layers: Vec<Layer<'_>> = Layer::read(source, &mut errors).into_iter().collect();
    while let Some(parent) = parent_of(&layers, library, &mut errors) {
        layers.push(parent);
    }
    // From the farthest ancestor down, so that later layers replace earlier ones.
    layers.reverse();
    Checker { layers: &layers, errors }.profile()
}

/// One profile text of the family, checked against the schema.
pub(crate) struct Layer<'a> {
    pub(crate) document: Document<'a>,
    /// What it says; dull values where the schema found something wrong.
    pub(crate) raw: RawProfile,
    /// Points in which the schema found something wrong: nothing more is said of them.
    damaged: BTreeSet<String>,
}

impl<'a> Layer<'a> {
    fn read(source: &'a SourceText, errors: &mut Vec<ConfigError>) -> Option<Self> {
        let document = match Document::parse(source) {
            Ok(document) => document,
            Err(broken) => {
                errors.extend(broken);
                return None;
            }
        };
        let (raw, found) = document.examine::<RawProfile>();
        let prefix = |name: &String| format!("points.{}", quote_key(name));
        let touches = |name: &String, error: &ConfigError| {
            let rest = error.key.strip_prefix(&prefix(name));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        let names = raw.iter().flat_map(|raw| raw.points.keys());
        let damaged = names.filter(|name| found.iter().any(|error| touches(name, error))).cloned().collect();
        errors.extend(found);
        Some(Self { document, raw: raw?, damaged })
    }

    /// A zero-based address from the notation of this text.
    pub(crate) fn address(&self, table: RawTable, written: u32) -> Result<u16, String> {
        match self.raw.profile.notation {
            Notation::ZeroBased => u16::try_from(written).map_err(|_| {
                "addresses end at 65535; for numbers such as 40001 set `notation = \"modicon\"`".to_owned()
            }),
            Notation::Modicon => {
                let (digit, what) = match table {
                    RawTable::Coil => (0, "a coil is written 1 to 65536"),
                    RawTable::Discrete => (1, "a discrete input is written 10001 to 19999 or 100001 to 165536"),
                    RawTable::Input => (3, "an input register is written 30001 to 39999 or 300001 to 365536"),
                    RawTable::Holding => (4, "a holding register is written 40001 to 49999 or 400001 to 465536"),
                };
                let short = (digit > 0).then_some((digit * 10_000 + 1, digit * 10_000 + 9_999));
                let long = Some((digit * 100_000 + 1, digit * 100_000 + 65_536));
                let offset = [short, long].into_iter().flatten().find(|(from, to)| (*from..=*to).contains(&written));
                let offset = offset.and_then(|(from, _)| u16::try_from(written - from).ok());
                offset.ok_or_else(|| format!("{what} in modicon notation"))
            }
        }
    }
}

fn parent_of<'a>(layers: &[Layer<'a>], library: &'a Library, errors: &mut Vec<ConfigError>) -> Option<Layer<'a>> {
    let layer = layers.last()?;
    let extends = layer.raw.profile.extends.as_ref()?;
    let mut refuse = |message: String| errors.push(layer.document.error_at("profile.extends", message));
    let Some((id, major)) = extends.split_once('@').and_then(|(id, major)| Some((id, major.parse::<u16>().ok()?)))
    else {
        refuse("is written `maker.family@1`, with the parent's major version".to_owned());
        return None;
    };
    let family: Vec<&str> = layers.iter().map(|layer| layer.raw.profile.id.as_str()).collect();
    if family.contains(&id) {
        refuse(format!("makes a circle: {} extends {id}", family.join(" extends ")));
        return None;
    }
    if layers.len() >= LAYERS_MAX {
        refuse(format!("is the {}th generation; at most {} ancestors", layers.len(), LAYERS_MAX - 1));
        return None;
    }
    let Some(source) = library.source(id) else {
        errors.push(layer.document.unknown_at("profile.extends", "no such profile", library.ids()));
        return None;
    };
    let parent = Layer::read(source, errors)?;
    let version = &parent.raw.profile.version;
    if Version::parse(version).is_none_or(|version| version.major != major) {
        let message = format!("{id} has version {version}, not {major}");
        errors.push(layer.document.error_at("profile.extends", message));
    }
    Some(parent)
}

/// The text of a profile and its ancestors, farthest ancestor first, and the mistakes found so far.
struct Checker<'a, 'l> {
    layers: &'l [Layer<'a>],
    errors: Vec<ConfigError>,
}

/// A point of the family: the index of the layer it comes from, and its text.
type Chosen<'l> = BTreeMap<&'l str, (usize, &'l RawPoint)>;

impl<'l> Checker<'_, 'l> {
    fn profile(mut self) -> Result<Profile, Vec<ConfigError>> {
        let Some(top) = self.layers.last() else { return Err(self.errors) };
        let head = &top.raw.profile;
        let version = self.head(top);
        let link = self.link();
        let poll = self.poll();
        let chosen = self.chosen();
        let mut points = Vec::new();
        let order = self.layers.iter().fold(Order::default(), |order, layer| overlay(order, layer.raw.link.order));
        for (name, (layer, raw)) in &chosen {
            let Some(layer) = self.layers.get(*layer).filter(|layer| !layer.damaged.contains(*name)) else { continue };
            let context = PointContext { layer, link: &link, order: overlay(order, raw.order) };
            build_points(&context, name, raw, &mut points, &mut self.errors);
        }
        // With a wrong point left out, what asks for it must not be called wrong too.
        let complete = self.errors.is_empty();
        points.sort_by_key(|point| (point.table, point.address, point.slice.map(|slice| slice.shift)));
        self.all_points(top, &link.limits, &points);
        let identify = self.identify(&points, complete);
        let origins = chosen.iter().map(|(name, (layer, _))| (*name, *layer)).collect();
        let vectors = read_vectors(self.layers, &origins, &points, complete, &mut self.errors);
        let interfaces = self.interfaces(top, &points, complete);
        match version {
            Some(version) if self.errors.is_empty() => Ok(Profile {
                id: head.id.as_str().into(),
                version,
                protocol: match head.protocol {
                    RawProtocol::Modbus => Protocol::Modbus,
                },
                vendor: head.device.vendor.as_str().into(),
                models: head.device.models.iter().map(|model| model.as_str().into()).collect(),
                titles: texts(&head.i18n),
                license: head.license.as_str().into(),
                sources: self.sources(),
                interfaces,
                ancestors: self.layers.iter().rev().skip(1).map(|l| l.raw.profile.id.as_str().into()).collect(),
                link,
                poll,
                identify,
                points,
                vectors,
            }),
            _ => {
                self.errors.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
                drop_consequences(&mut self.errors);
                Err(self.errors)
            }
        }
    }

    fn head(&mut self, top: &Layer<'_>) -> Option<Version> {
        let head = &top.raw.profile;
        let mut refuse = |key: &str, message: &str| self.errors.push(top.document.error_at(key, message));
        let word = |part: &str| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        };
        if !head.id.contains('.') || !head.id.split('.').all(word) {
            refuse("profile.id", "is written `maker.model`: lower case letters, digits, hyphens");
        }
        let version = Version::parse(&head.version);
        if version.is_none() {
            refuse("profile.version", "is written `major.minor.patch`, for instance `1.0.0`");
        }
        if head.extends.is_none() && !head.remove.is_empty() {
            refuse("profile.remove", "only makes sense together with `extends`");
        }
        if head.sources.is_empty() {
            refuse("profile.sources", "must name where the facts come from");
        }
        version
    }

    /// Sources of the whole family; the child's wording of a key wins.
    fn sources(&self) -> Vec<SourceNote> {
        let mut all: BTreeMap<&str, &str> = BTreeMap::new();
        for layer in self.layers {
            all.extend(layer.raw.profile.sources.iter().map(|(key, title)| (key.as_str(), title.as_str())));
        }
        all.into_iter().map(|(key, title)| SourceNote { key: key.into(), title: title.into() }).collect()
    }

    fn chosen(&mut self) -> Chosen<'l> {
        let mut chosen = Chosen::new();
        let layers = self.layers;
        for (index, layer) in layers.iter().enumerate() {
            for (position, name) in layer.raw.profile.remove.iter().enumerate() {
                // Without its parent there is nothing to compare with; that has been told.
                if chosen.remove(name.as_str()).is_none() && index > 0 {
                    let key = format!("profile.remove[{position}]");
                    let known = chosen.keys().copied();
                    self.errors.push(layer.document.unknown_at(&key, "the parent has no such point", known));
                }
            }
            chosen.extend(layer.raw.points.iter().map(|(name, raw)| (name.as_str(), (index, raw))));
        }
        chosen
    }

    /// What concerns several points: names after repetition, groups, number.
    fn all_points(&mut self, top: &Layer<'_>, limits: &Limits, points: &[Point]) {
        let mut refuse = |key: &str, message: String| self.errors.push(top.document.error_at(key, message));
        if points.len() > POINTS_MAX {
            refuse("points", format!("are {} after repetition; at most {POINTS_MAX}", points.len()));
        }
        let mut names = BTreeSet::new();
        for name in points.iter().map(|point| point.name.as_str()).filter(|name| !names.insert(*name)) {
            refuse("points", format!("give the field {name:?} twice, through `repeat` or `flags`"));
        }
        let mut groups: BTreeMap<(&str, Table), (u16, u32)> = BTreeMap::new();
        for point in points {
            let Some(group) = point.read_with() else { continue };
            let end = u32::from(point.address) + u32::from(point.count());
            let span = groups.entry((group, point.table)).or_insert((point.address, end));
            *span = (span.0.min(point.address), span.1.max(end));
        }
        for ((group, table), (from, end)) in groups {
            let most = if table.holds_bits() { limits.read_bits } else { limits.read };
            if end - u32::from(from) > u32::from(most) {
                refuse("points", format!("of the group {group:?} do not fit one request of {most}"));
            }
        }
    }

    fn link(&mut self) -> Link {
        let mut link = factory_link();
        for layer in self.layers {
            let raw = &layer.raw.link;
            let serial = &raw.serial;
            if let Some(baud) = &serial.baud {
                link.serial.baud.clone_from(baud);
            }
            link.serial.parity = serial.parity.map_or(link.serial.parity, |parity| match parity {
                RawParity::Even => Parity::Even,
                RawParity::None => Parity::None,
                RawParity::Odd => Parity::Odd,
            });
            link.serial.stop_bits = serial.stop_bits.unwrap_or(link.serial.stop_bits);
            link.serial.unit = serial.unit.unwrap_or(link.serial.unit);
            let timing = &mut link.timing;
            for (slot, written) in [
                (&mut timing.timeout, raw.timing.timeout_ms),
                (&mut timing.turnaround, raw.timing.turnaround_ms),
                (&mut timing.pause, raw.timing.pause_ms),
                (&mut timing.connect_delay, raw.timing.connect_delay_ms),
            ] {
                *slot = written.map_or(*slot, |ms| Duration::from_millis(ms.into()));
            }
            let limits = &mut link.limits;
            limits.read = raw.limits.read.unwrap_or(limits.read);
            limits.read_bits = raw.limits.read_bits.unwrap_or(limits.read_bits);
            limits.write = raw.limits.write.unwrap_or(limits.write);
            limits.connections = raw.limits.connections.unwrap_or(limits.connections);
            limits.pipeline = raw.limits.pipeline.unwrap_or(limits.pipeline);
            limits.gap = raw.limits.gap.map_or(limits.gap, |gap| match gap {
                RawGap::Word(RawGapWord::Auto) => Gap::Auto,
                RawGap::Registers(most) => Gap::Fixed(most),
            });
            link.on_hole_refused = raw.on_hole_refused.map_or(link.on_hole_refused, |what| match what {
                RawHoleRefused::Fail => HoleRefused::Fail,
                RawHoleRefused::Split => HoleRefused::Split,
            });
            for (index, hole) in raw.no_read.iter().enumerate() {
                let mut address = |key: &str, written: u32| {
                    let read = layer.address(hole.table, written);
                    let key = format!("link.no_read[{index}].{key}");
                    read.map_err(|message| self.errors.push(layer.document.error_at(&key, message))).ok()
                };
                let (Some(from), Some(to)) = (address("from", hole.from), address("to", hole.to)) else { continue };
                if from > to {
                    let key = format!("link.no_read[{index}].to");
                    self.errors.push(layer.document.error_at(&key, "lies before `from`"));
                }
                link.no_read.push(NoRead { table: table(hole.table), from, to });
            }
        }
        link.no_read.sort_by_key(|hole| (hole.table, hole.from));
        link
    }

    fn poll(&mut self) -> PollIntervals {
        let mut poll = FACTORY_POLL;
        for layer in self.layers {
            let raw = &layer.raw.poll;
            for (key, written, slot) in [
                ("poll.fast", &raw.fast, &mut poll.fast),
                ("poll.normal", &raw.normal, &mut poll.normal),
                ("poll.slow", &raw.slow, &mut poll.slow),
            ] {
                let Some(written) = written else { continue };
                match interval(written) {
                    Some(read) => *slot = read,
                    None => self.errors.push(layer.document.error_at(
                        key,
                        "is written as a whole number with `ms`, `s`, `m` or `h`, from 100ms to 24h, for instance `10s`",
                    )),
                }
            }
        }
        poll
    }

    /// The nearest `[identify]` of the family; a child's own one replaces that of its parent as a whole.
    fn identify(&mut self, points: &[Point], complete: bool) -> Identify {
        let nearest = self.layers.iter().rev().find_map(|layer| Some((layer, layer.raw.identify.as_ref()?)));
        let Some((top, raw)) = nearest else { return Identify::default() };
        let known = || points.iter().map(|point| point.name.as_str());
        let mut identify = Identify::default();
        for (list, key, out) in
            [(&raw.any, "identify.any", &mut identify.any), (&raw.all, "identify.all", &mut identify.all)]
        {
            for (index, evidence) in list.iter().enumerate() {
                let key = format!("{key}[{index}]");
                match evidence {
                    RawEvidence::Point(evidence) => {
                        if let Some(point) = points.iter().find(|point| point.name.as_str() == evidence.point) {
                            let limit = |number: Option<f64>| number.and_then(decimal);
                            let range =
                                Range { min: limit(evidence.min), max: limit(evidence.max), ..Range::default() };
                            out.push(Evidence::Point { point: point.name.clone(), range });
                        } else if complete {
                            let key = format!("{key}.point");
                            self.errors.push(top.document.unknown_at(&key, "no such point", known()));
                        }
                    }
                    RawEvidence::Register(evidence) => match top.address(evidence.table, evidence.address) {
                        Ok(address) if !table(evidence.table).holds_bits() => {
                            let (table, values) = (table(evidence.table), evidence.values.clone());
                            out.push(Evidence::Register { table, address, values });
                        }
                        Ok(_) => self.errors.push(
                            top.document.error_at(&format!("{key}.table"), "must hold registers: `input` or `holding`"),
                        ),
                        Err(message) => {
                            self.errors.push(top.document.error_at(&format!("{key}.address"), message));
                        }
                    },
                    RawEvidence::Vendor(evidence) => {
                        let (name, prefix) = match evidence.mei_vendor.strip_suffix('*') {
                            Some(name) => (name, true),
                            None => (evidence.mei_vendor.as_str(), false),
                        };
                        out.push(Evidence::Vendor { name: name.into(), prefix });
                    }
                }
            }
        }
        for (index, refuse) in raw.refuse.iter().enumerate() {
            match top.address(refuse.table, refuse.address) {
                Ok(address) => {
                    identify.refuse.push(Refusal { table: table(refuse.table), address, count: refuse.count });
                }
                Err(message) => {
                    let key = format!("identify.refuse[{index}].address");
                    self.errors.push(top.document.error_at(&key, message));
                }
            }
        }
        if let Some(unique) = &raw.unique {
            identify.unique = points.iter().find(|point| point.name.as_str() == unique).map(|point| point.name.clone());
            if complete && identify.unique.is_none() {
                self.errors.push(top.document.unknown_at("identify.unique", "no such point", known()));
            }
        }
        identify
    }

    /// Claims of the whole family; each must hold for the points as they are now.
    fn interfaces(&mut self, top: &Layer<'_>, points: &[Point], complete: bool) -> Vec<Arc<str>> {
        let mut claimed: Vec<Arc<str>> = Vec::new();
        for layer in self.layers {
            for (index, uri) in layer.raw.profile.interfaces.iter().enumerate() {
                let own = std::ptr::eq(layer, top);
                let key = if own { format!("profile.interfaces[{index}]") } else { "profile.extends".to_owned() };
                match interfaces::verify(uri, points) {
                    interfaces::Verdict::Fulfilled => {}
                    interfaces::Verdict::Unknown => {
                        let known = interfaces::known().collect::<Vec<_>>();
                        let known = known.iter().map(String::as_str);
                        self.errors.push(top.document.unknown_at(&key, "no such harmonised interface", known));
                    }
                    interfaces::Verdict::Broken(_) if !complete => {}
                    interfaces::Verdict::Broken(reasons) => {
                        for reason in reasons {
                            self.errors.push(top.document.error_at(&key, format!("{uri}: {reason}")));
                        }
                    }
                }
                if !claimed.iter().any(|known| **known == **uri) {
                    claimed.push(uri.as_str().into());
                }
            }
        }
        claimed
    }
}

/// What most devices do; a profile says where its device differs.
fn factory_link() -> Link {
    Link {
        serial: SerialDefaults { baud: vec![9600], parity: Parity::None, stop_bits: 1, unit: 1 },
        timing: Timing {
            timeout: Duration::from_millis(1000),
            turnaround: Duration::from_millis(20),
            pause: Duration::ZERO,
            connect_delay: Duration::ZERO,
        },
        limits: Limits {
            read: READ_REGISTERS_MAX,
            read_bits: READ_BITS_MAX,
            write: WRITE_REGISTERS_MAX,
            gap: Gap::Auto,
            connections: 1,
            pipeline: 1,
        },
        no_read: Vec::new(),
        on_hole_refused: HoleRefused::Split,
    }
}

const FACTORY_POLL: PollIntervals =
    PollIntervals { fast: Duration::from_secs(2), normal: Duration::from_secs(10), slow: Duration::from_secs(300) };

/// `500ms`, `10s`, `5m`, `1h`; 100 ms to 24 h.
fn interval(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let number: u64 = number.parse().ok()?;
    let factor = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    let ms = number.checked_mul(factor)?;
    (100..=86_400_000).contains(&ms).then(|| Duration::from_millis(ms))
}

/// The exact decimal that the author wrote: the shortest text of the binary number is what stands in the file.
pub(crate) fn decimal(number: f64) -> Option<Decimal> {
    number.to_string().parse().ok()
}

pub(crate) fn table(raw: RawTable) -> Table {
    match raw {
        RawTable::Coil => Table::Coil,
        RawTable::Discrete => Table::Discrete,
        RawTable::Input => Table::Input,
        RawTable::Holding => Table::Holding,
    }
}

pub(crate) fn texts(raw: &Texts) -> BTreeMap<Arc<str>, Arc<str>> {
    raw.iter().map(|(language, text)| (language.as_str().into(), text.as_str().into())).collect()
}

fn overlay(order: Order, raw: Option<RawOrder>) -> Order {
    let endian = |raw: Option<RawEndian>, else_: Endian| match raw {
        Some(RawEndian::Big) => Endian::Big,
        Some(RawEndian::Little) => Endian::Little,
        None => else_,
    };
    raw.map_or(order, |raw| Order { byte: endian(raw.byte, order.byte), word: endian(raw.word, order.word) })
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
