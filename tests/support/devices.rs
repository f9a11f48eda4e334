//! Devices that pymodbus plays over Modbus TCP (`tests/peers/modbus.py`), and mbpoll, which writes into them.

use std::{collections::BTreeMap, process::Command};

use serde_json::json;

use super::{child::Child, peer, repository};

/// Where the simulator lets a test change an input register: holding register `DOOR + n` sets input register `n`.
const DOOR: u16 = 0x4000;

/// A Modbus TCP server on a free port of the loopback.
pub(crate) struct Devices {
    port: u16,
    server: Child,
}

/// What one unit holds.
#[derive(Default)]
pub(crate) struct Unit {
    /// Its address on the line.
    pub(crate) unit: u8,
    /// Input registers, by address.
    pub(crate) input: BTreeMap<u16, u16>,
    /// Holding registers, by address.
    pub(crate) holding: BTreeMap<u16, u16>,
    /// Number of coils from address 0, all off.
    pub(crate) coils: usize,
}

impl Devices {
    /// Starts the server with these units.
    pub(crate) fn start(units: &[Unit]) -> Self {
        let units: Vec<_> = units
            .iter()
            .map(|unit| {
                json!({
                    "unit": unit.unit,
                    "input": runs(&unit.input),
                    "holding": runs(&unit.holding),
                    "coils": vec![false; unit.coils],
                })
            })
            .collect();
        let mut command = Command::new(peer("venv/bin/python"));
        let mut server = Child::start("pymodbus", command.arg(repository("tests/peers/modbus.py")));
        server.write(&format!("{}\n", json!({ "units": units })));
        let ready = server.line("READY", |line| line.starts_with("READY "));
        let port = ready.trim_start_matches("READY ").parse().expect("READY and a port");
        Self { port, server }
    }

    /// `host:port` for a configuration file.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// How many connections were opened and how many have ended, so far.
    pub(crate) fn connections(&self) -> (usize, usize) {
        (self.server.count("CONNECTED"), self.server.count("CLOSED"))
    }

    /// Lets mbpoll write a 32-bit float, high word first, so that the unit's input registers show it.
    pub(crate) fn write_float(&self, unit: u8, input: u16, value: &str) {
        let reference = (DOOR + input).to_string();
        self.mbpoll(&["-a", &unit.to_string(), "-r", &reference, "-t", "4:float", "-B"], value);
    }

    /// Lets mbpoll read one coil.
    pub(crate) fn coil(&self, unit: u8, coil: u16) -> bool {
        let text = self.mbpoll(&["-a", &unit.to_string(), "-r", &coil.to_string(), "-c", "1", "-t", "0", "-1"], "");
        let line = text.lines().find(|line| line.starts_with(&format!("[{coil}]:")));
        let line = line.unwrap_or_else(|| panic!("mbpoll shows no coil {coil}: {text}"));
        line.split_whitespace().next_back() == Some("1")
    }

    fn mbpoll(&self, arguments: &[&str], value: &str) -> String {
        let mut command = Command::new("mbpoll");
        command.args(["-m", "tcp", "-0", "-p", &self.port.to_string()]).args(arguments).arg("127.0.0.1");
        if !value.is_empty() {
            command.arg(value);
        }
        Child::start("mbpoll", &mut command).succeed()
    }
}

/// `{start: [values]}` with one entry per run of neighbouring registers.
fn runs(registers: &BTreeMap<u16, u16>) -> BTreeMap<u16, Vec<u16>> {
    let mut runs: BTreeMap<u16, Vec<u16>> = BTreeMap::new();
    for (&address, &value) in registers {
        match runs.last_entry() {
            Some(mut run) if usize::from(*run.key()) + run.get().len() == usize::from(address) => {
                run.get_mut().push(value);
            }
            _ => {
                runs.insert(address, vec![value]);
            }
        }
    }
    runs
}
