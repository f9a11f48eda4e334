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
const INPUT: std::ops::Range<u16> = 0..0x200;
/// Its holding registers: a setting and the serial number.
const HOLDING: [u16; 4] = [0x0002, 0x0003, 0xFC00, 0xFC01];
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
    let zeros = |addresses: &mut dyn Iterator<Item = u16>| addresses.map(|address| (address, 0)).collect();
    let (input, holding): (BTreeMap<_, _>, BTreeMap<_, _>) =
        (zeros(&mut INPUT.clone()), zeros(&mut HOLDING.into_iter()));
    let meter = |unit| Unit { unit, input: input.clone(), holding: holding.clone(), ..Unit::default() };
    let units: Vec<_> = (1..=meters).map(meter).collect();
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
