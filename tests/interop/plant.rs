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
        let (meter, registers) = meter();
        let devices = Devices::start(&[
            Unit { unit: METER_UNIT, input: registers, ..Unit::default() },
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
         [[bridge.line.device]]\nnode = \"{RELAY}\"\nunit = {RELAY_UNIT}\nprofile = \"waveshare.relay8\"\n"
    )
}

/// The meter's fields with a value for each, and the input registers that hold these values.
fn meter() -> (BTreeMap<String, Expected>, BTreeMap<u16, u16>) {
    let text = fs::read_to_string(repository("profiles/modbus/eastron-sdm630.toml")).expect("the shipped profile");
    let profile: toml::Table = text.parse().expect("the shipped profile is TOML");
    let points = profile["points"].as_table().expect("points");
    let (mut fields, mut registers) = (BTreeMap::new(), BTreeMap::new());
    for (index, (name, point)) in points.iter().enumerate() {
        let text = |key: &str| point.get(key).and_then(toml::Value::as_str).unwrap_or_default().to_owned();
        let number = |key: &str| point.get(key).and_then(toml::Value::as_integer).unwrap_or_default();
        assert_eq!((text("table").as_str(), text("type").as_str()), ("input", "f32"), "{name}");
        let address = u16::try_from(number("address")).expect("a register address");
        let value = reading(index, usize::try_from(number("decimals")).expect("decimals"));
        let bits = value.parse::<f32>().expect("a number").to_bits();
        let [a, b, c, d] = bits.to_be_bytes();
        registers.insert(address, u16::from_be_bytes([a, b]));
        registers.insert(address + 1, u16::from_be_bytes([c, d]));
        fields.insert(name.clone(), Expected { value, unit: text("unit"), address });
    }
    (fields, registers)
}

/// A value of its own for each point, with exactly `decimals` decimals and few enough digits for a 32-bit float.
fn reading(index: usize, decimals: usize) -> String {
    let digits = 10_001 + 137 * index;
    let scale = 10_usize.pow(u32::try_from(decimals).expect("few decimals"));
    if decimals == 0 { digits.to_string() } else { format!("{}.{:0decimals$}", digits / scale, digits % scale) }
}

/// Field name to (value, unit) of a readout as the foreign clients report it.
pub(crate) fn quantities(readout: &Value) -> BTreeMap<String, (String, String)> {
    let text = |field: &Value, key: &str| field[key].as_str().unwrap_or_default().to_owned();
    let fields = readout["fields"].as_array().unwrap_or_else(|| panic!("no fields in {readout}"));
    fields
        .iter()
        .filter(|field| field["type"] == "q")
        .map(|field| (text(field, "n"), (text(field, "v"), text(field, "u"))))
        .collect()
}
