//! What the appliance itself takes: bytes on disk, time to start, memory with a thousand fields being followed.

use std::{collections::BTreeMap, fmt::Write as _, fs, time::Duration};

use anyhow::Result;

use crate::{
    measure::Process,
    support::{
        devices::{Devices, Unit},
        repository,
        site::Site,
    },
};

/// Fields that are followed at least.
const FIELDS: usize = 1_000;
/// Input registers of each simulated meter: all that the profile names.
const REGISTERS: u16 = 0x200;
const ACCOUNT: &str = "anna";

/// The figures.
pub(crate) struct Sizes {
    pub(crate) binary_bytes: u64,
    /// From the start of the process to READY, with store and certificates already there.
    pub(crate) start: Duration,
    pub(crate) fields: usize,
    pub(crate) resident_bytes: u64,
}

/// Measures them.
pub(crate) fn sizes() -> Result<Sizes> {
    let profile: toml::Table = fs::read_to_string(repository("profiles/modbus/eastron-sdm630.toml"))?.parse()?;
    let points = profile["points"].as_table().map_or(1, toml::Table::len);
    let meters = u8::try_from(FIELDS.div_ceil(points))?;
    let zeros: BTreeMap<u16, u16> = (0..REGISTERS).map(|address| (address, 0)).collect();
    let units: Vec<_> = (1..=meters).map(|unit| Unit { unit, input: zeros.clone(), ..Unit::default() }).collect();
    let devices = Devices::start(&units);

    let mut bridges = format!(
        "[[bridge]]\nkind = \"modbus\"\nname = \"plant\"\n[[bridge.line]]\nname = \"meters\"\ntcp = \"{}\"\n",
        devices.address()
    );
    for unit in 1..=meters {
        write!(
            bridges,
            "[[bridge.line.device]]\nnode = \"meter-{unit}\"\nunit = {unit}\nprofile = \"eastron.sdm630\"\n"
        )?;
    }
    let (_, stopped) = Site::start(&bridges, &[ACCOUNT], &[ACCOUNT]).stop();
    let site = stopped.start();
    let answer = site.node(ACCOUNT, &["read"]);
    let nodes = answer["nodes"].as_array().map(Vec::as_slice).unwrap_or_default();
    let fields = nodes.iter().filter_map(|node| node["fields"].as_array()).map(Vec::len).sum();
    let watch = site.start_node(ACCOUNT, &["watch", "--every", "5"]);
    watch.line("readings", |line| line.contains(&format!("meter-{meters}")));
    Ok(Sizes {
        binary_bytes: fs::metadata(env!("CARGO_BIN_EXE_torg"))?.len(),
        start: site.started_in,
        fields,
        resident_bytes: Process::of(site.torg.id()).resident_bytes()?,
    })
}
