//! The plant that every interop test talks about: an Eastron SDM630 and an eight channel relay behind one Modbus TCP
//! line, played by pymodbus, with values that the test chose.
//!
//! What a register means is read from the shipped profile; the value that must come out is the text the test started
//! from, so neither Torg's decoder nor its decimals judge themselves.

use std::{collections::BTreeMap, fs};

use serde_json::Value;

use crate::support::{
    devices::{Devices, Unit},
    repository,
    site::Site,
};

/// The meter's node.
pub(crate) const METER: &str = "meter-7";
/// The relay's node.
pub(crate) const RELAY: &str = "relay-1";
/// The bridge's name, which is the SourceId of both.
pub(crate) const SOURCE: &str = "plant";
/// An account that the gateway knows as a friend.
pub(crate) const FRIEND: &str = "anna";
/// An account that it does not know.
pub(crate) const STRANGER: &str = "mallory";

const METER_UNIT: u8 = 7;
const RELAY_UNIT: u8 = 1;

/// What a field must show.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Expected {
    /// Its element: a quantity or a string.
    pub(crate) element: &'static str,
    pub(crate) value: String,
    pub(crate) unit: String,
    address: u16,
}

/// Devices and the appliance in front of them.
pub(crate) struct Plant {
    pub(crate) site: Site,
    pub(crate) devices: Devices,
    /// Fields of the meter, by name.
    pub(crate) meter: BTreeMap<String, Expected>,
}

impl Plant {
    /// Starts both.
    pub(crate) fn start() -> Self {
        let (meter, input, holding) = meter();
        let devices = Devices::start(&[
            Unit { unit: METER_UNIT, input, holding, ..Unit::default() },
            Unit { unit: RELAY_UNIT, coils: 8, ..Unit::default() },
        ]);
        let site = Site::start(&bridges(&devices.address()), &[FRIEND], &[FRIEND, STRANGER]);
        Self { site, devices, meter }
    }

    /// Has mbpoll change what the meter measures, and expects the new value from now on.
    pub(crate) fn measure(&mut self, field: &str, value: &str) {
        let expected = self.meter.get_mut(field).expect("a field of the meter");
        self.devices.write_float(METER_UNIT, expected.address, value);
        expected.value = value.to_owned();
    }

    /// What the relay's own coil says, asked with mbpoll.
    pub(crate) fn coil(&self, number: u16) -> bool {
        self.devices.coil(RELAY_UNIT, number)
    }
}

/// The configuration of the plant's only bridge.
pub(crate) fn bridges(address: &str) -> String {
    format!(
        "[[bridge]]\nkind = \"modbus\"\nname = \"{SOURCE}\"\n\
         [[bridge.line]]\nname = \"meters\"\ntcp = \"{address}\"\n\
         [[bridge.line.device]]\nnode = \"{METER}\"\nunit = {METER_UNIT}\nprofile = \"eastron.sdm630\"\n\
         [[bridge.line.device]]\nnode = \"{RELAY}\"\nunit = {RELAY_UNIT}\nprofile = \"waveshare.relay-8ch\"\n"
    )
}

/// The registers of a unit, by address.
type Registers = BTreeMap<u16, u16>;

/// The meter's fields with a value for each, and the input and holding registers that hold these values.
fn meter() -> (BTreeMap<String, Expected>, Registers, Registers) {
    let text = fs::read_to_string(repository("profiles/modbus/eastron-sdm630.toml")).expect("the shipped profile");
    let profile: toml::Table = text.parse().expect("the shipped profile is TOML");
    let points = profile["points"].as_table().expect("points");
    let (mut fields, mut input, mut holding) = (BTreeMap::new(), Registers::new(), Registers::new());
    for (index, (name, point)) in points.iter().enumerate() {
        let text = |key: &str| point.get(key).and_then(toml::Value::as_str).unwrap_or_default().to_owned();
        let number = |key: &str| point.get(key).and_then(toml::Value::as_integer).unwrap_or_default();
        let address = u16::try_from(number("address")).expect("a register address");
        let max = point.get("valid").map_or(i64::MAX, |valid| valid[1].as_integer().expect("a whole limit"));
        let value = reading(index, u32::try_from(number("decimals")).expect("decimals"), max);
        let (element, bits) = match text("type").as_str() {
            "f32" => ("q", value.parse::<f32>().expect("a number").to_bits()),
            "u32" => ("s", value.parse::<u32>().expect("a whole number")),
            other => panic!("{name} has the type {other}, which this test does not know"),
        };
        let registers = match text("table").as_str() {
            "input" => &mut input,
            "holding" => &mut holding,
            other => panic!("{name} lies in {other}"),
        };
        let [a, b, c, d] = bits.to_be_bytes();
        registers.insert(address, u16::from_be_bytes([a, b]));
        registers.insert(address + 1, u16::from_be_bytes([c, d]));
        fields.insert(name.clone(), Expected { element, value, unit: text("unit"), address });
    }
    (fields, input, holding)
}

/// A value of its own for each point, below `max`, with exactly `decimals` decimals and few enough digits for a 32-bit
/// float.
fn reading(index: usize, decimals: u32, max: i64) -> String {
    let scale = 10_i64.pow(decimals);
    let digits = (10_001 + 137 * i64::try_from(index).expect("few points")) % max.saturating_mul(scale);
    let width = usize::try_from(decimals).expect("few decimals");
    if decimals == 0 { digits.to_string() } else { format!("{}.{:0width$}", digits / scale, digits % scale) }
}

/// Name, element, value and unit of the fields of a readout as the foreign clients report it.
pub(crate) fn fields(readout: &Value) -> BTreeMap<String, (String, String, String)> {
    let text = |field: &Value, key: &str| field[key].as_str().unwrap_or_default().to_owned();
    let fields = readout["fields"].as_array().unwrap_or_else(|| panic!("no fields in {readout}"));
    fields.iter().map(|field| (text(field, "n"), (text(field, "type"), text(field, "v"), text(field, "u")))).collect()
}

impl Plant {
    /// What [`fields`] of the meter must be.
    pub(crate) fn expected(&self) -> BTreeMap<String, (String, String, String)> {
        let row = |field: &Expected| (field.element.to_owned(), field.value.clone(), field.unit.clone());
        self.meter.iter().map(|(name, field)| (name.clone(), row(field))).collect()
    }
}
