//! Ready-made devices: two kinds of three-phase meters and a relay board, with readings that vary slowly.
//!
//! The readings depend on nothing but the time since the line began, so every run shows the same. The register addresses are
//! those of the profiles `eastron.sdm630`, `abb.b23` and `waveshare.relay-8ch`; registers between the known ones read as zero.

use std::time::Duration;

use crate::unit::Banks;
use crate::{Content, Table, Unit};

/// A meter with floats in input registers, as an Eastron SDM630: at most 80 registers per read.
pub fn sdm630() -> Unit {
    let mut unit = Unit::following(Site { scale: sdm630_banks }).read_limit(80);
    unit.banks.set_words(Table::Input, 0, &[0; 0x180]);
    unit.banks.set_words(Table::Holding, 0, &[0; 0x62]);
    unit.banks.set_f32(Table::Holding, 0x0002, 60.0);
    unit.banks.set_f32(Table::Holding, 0x000A, 3.0);
    unit.banks.set_f32(Table::Holding, 0x000C, 100.0);
    unit.banks.set_f32(Table::Holding, 0x0014, 1.0);
    unit.banks.set_f32(Table::Holding, 0x001C, 2.0);
    unit.banks.set_u32(Table::Holding, 0xFC00, 17_204_511);
    unit
}

/// A meter with scaled integers in holding registers, as an ABB B23: energies of four registers, missing values as all ones.
pub fn abb_b23() -> Unit {
    let mut unit = Unit::following(Site { scale: abb_banks });
    unit.banks.set_words(Table::Holding, 0x5000, &[0xFFFF; 0x200]);
    unit.banks.set_words(Table::Holding, 0x5460, &[0xFFFF; 0x40]);
    unit.banks.set_words(Table::Holding, 0x5B00, &[0xFFFF; 0x60]);
    unit.banks.set_words(Table::Holding, 0x8900, &[0; 0x80]);
    unit.banks.set_u32(Table::Holding, 0x8900, 20_450_118);
    // "2.18.0"
    unit.banks.set_words(Table::Holding, 0x8908, &[0x322E, 0x3138, 0x2E30]);
    // "B23 112-100"
    unit.banks.set_words(Table::Holding, 0x8960, &[0x4232, 0x3320, 0x3131, 0x322D, 0x3130, 0x3000]);
    unit
}

/// A board of eight relays, as the Waveshare Modbus RTU Relay: coils 0 to 7, its address in holding register 0x4000.
pub fn relay8() -> Unit {
    Unit::new()
        .bits(Table::Coil, 0, &[false, false, true, false, false, false, false, false])
        .words(Table::Holding, 0x4000, &[1])
        .words(Table::Holding, 0x8000, &[200])
}

/// A small house on three phases.
struct Site {
    scale: fn(&mut Banks, &House),
}

impl Content for Site {
    fn refresh(&mut self, banks: &mut Banks, age: Duration) {
        (self.scale)(banks, &House::at(age));
    }
}

/// Readings in the smallest units any meter shows, so that all meters agree on the same house.
struct House {
    /// 0.1 V
    volts: [u32; 3],
    /// 0.01 A
    amperes: [u32; 3],
    /// 0.01 W, positive when drawn
    watts: [u32; 3],
    /// 0.01 var
    vars: [u32; 3],
    /// 0.01 Hz
    hertz: u32,
    /// 0.01 kWh
    import: u64,
    /// 0.01 kWh
    export: u64,
}

impl House {
    fn at(age: Duration) -> Self {
        let volts = [2301 + wave(age, 60, 14), 2312 + wave(age, 75, 12), 2299 + wave(age, 90, 16)];
        let amperes = [512 + wave(age, 45, 220), 304 + wave(age, 120, 150), 1187 + wave(age, 240, 400)];
        let pair = |n: usize| (volts.get(n).copied().unwrap_or(0), amperes.get(n).copied().unwrap_or(0));
        // 0.1 V times 0.01 A is 0.001 VA; a tenth of it in the unit 0.01 W, at a power factor of 0.96.
        let watts = [0, 1, 2].map(|n| pair(n).0 * pair(n).1 / 10 * 96 / 100);
        let vars = [0, 1, 2].map(|n| pair(n).0 * pair(n).1 / 10 * 28 / 100);
        // A constant mean of 4.5 kW, so that energy never falls while power swings: 0.01 kWh every 8 seconds.
        let import = 1_234_567 + age.as_secs() / 8;
        Self { volts, amperes, watts, vars, hertz: 4998 + wave(age, 30, 4), import, export: 8_912 }
    }
}

/// A triangle between 0 and `height`, `seconds` long.
fn wave(age: Duration, seconds: u64, height: u32) -> u32 {
    let length = (seconds * 1000).max(1);
    let at = u64::try_from(age.as_millis()).unwrap_or(0) % length;
    let climbed = if at * 2 < length { at * 2 } else { (length - at) * 2 };
    u32::try_from(u64::from(height) * climbed / length).unwrap_or(0)
}

fn sdm630_banks(banks: &mut Banks, house: &House) {
    let mut put = |address: u16, value: u64, divisor: f64| {
        banks.set_f32(Table::Input, address, float(value, divisor));
    };
    let phases = |values: &[u32; 3]| values.map(u64::from);
    let (volts, amperes) = (phases(&house.volts), phases(&house.amperes));
    let (watts, vars) = (phases(&house.watts), phases(&house.vars));
    for (n, offset) in [0_usize, 1, 2].into_iter().zip([0_u16, 2, 4]) {
        let of = |values: &[u64; 3]| values.get(n).copied().unwrap_or(0);
        put(offset, of(&volts), 10.0);
        put(0x06 + offset, of(&amperes), 100.0);
        put(0x0C + offset, of(&watts), 100.0);
        put(0x12 + offset, of(&volts) * of(&amperes) / 10, 100.0);
        put(0x18 + offset, of(&vars), 100.0);
        put(0x1E + offset, 96, 100.0);
        put(0x24 + offset, 163, 10.0);
        put(0xC8 + offset, of(&volts) * 1732 / 1000, 10.0);
        put(0xEA + offset, 18, 10.0);
        put(0xF0 + offset, 47, 10.0);
        put(0x102 + offset, of(&amperes), 100.0);
        put(0x108 + offset, of(&amperes) + 120, 100.0);
        put(0x15A + offset, house.import / 3, 100.0);
        put(0x160 + offset, house.export / 3, 100.0);
        put(0x166 + offset, (house.import + house.export) / 3, 100.0);
    }
    let sum = |values: &[u64; 3]| values.iter().sum::<u64>();
    put(0x2A, sum(&volts) / 3, 10.0);
    put(0x2E, sum(&amperes) / 3, 100.0);
    put(0x30, sum(&amperes), 100.0);
    put(0x34, sum(&watts), 100.0);
    put(0x38, sum(&watts) * 100 / 96, 100.0);
    put(0x3C, sum(&vars), 100.0);
    put(0x3E, 96, 100.0);
    put(0x42, 163, 10.0);
    put(0x46, u64::from(house.hertz), 100.0);
    put(0x48, house.import, 100.0);
    put(0x4A, house.export, 100.0);
    put(0x4C, house.import / 4, 100.0);
    put(0x4E, house.export / 4, 100.0);
    put(0x50, house.import * 100 / 96, 100.0);
    put(0x52, house.import * 4, 100.0);
    put(0x54, sum(&watts), 100.0);
    put(0x56, sum(&watts) + 90_000, 100.0);
    put(0xCE, sum(&volts) * 1732 / 3000, 10.0);
    put(0xE0, 31, 100.0);
    put(0xF8, 18, 10.0);
    put(0xFA, 47, 10.0);
    put(0x156, house.import + house.export, 100.0);
    put(0x158, (house.import + house.export) / 4, 100.0);
}

fn abb_banks(banks: &mut Banks, house: &House) {
    let sum = |values: &[u32; 3]| values.iter().sum::<u32>();
    banks.set_u64(Table::Holding, 0x5000, house.import);
    banks.set_u64(Table::Holding, 0x5004, house.export);
    banks.set_u64(Table::Holding, 0x5008, house.import - house.export);
    banks.set_u64(Table::Holding, 0x500C, house.import / 4);
    banks.set_u64(Table::Holding, 0x5010, house.export / 4);
    banks.set_u64(Table::Holding, 0x5014, house.import / 4 - house.export / 4);
    banks.set_u64(Table::Holding, 0x5018, house.import * 100 / 96);
    banks.set_u64(Table::Holding, 0x501C, house.export * 100 / 96);
    banks.set_u64(Table::Holding, 0x5020, (house.import - house.export) * 100 / 96);
    for phase in [0_u16, 4, 8] {
        banks.set_u64(Table::Holding, 0x5460 + phase, house.import / 3);
        banks.set_u64(Table::Holding, 0x546C + phase, house.export / 3);
        banks.set_u64(Table::Holding, 0x5478 + phase, (house.import - house.export) / 3);
    }
    for (n, offset) in [0_usize, 1, 2].into_iter().zip([0_u16, 2, 4]) {
        let of = |values: &[u32; 3]| values.get(n).copied().unwrap_or(0);
        banks.set_u32(Table::Holding, 0x5B00 + offset, of(&house.volts));
        banks.set_u32(Table::Holding, 0x5B06 + offset, of(&house.volts) * 1732 / 1000);
        banks.set_u32(Table::Holding, 0x5B0C + offset, of(&house.amperes));
        banks.set_u32(Table::Holding, 0x5B16 + offset, of(&house.watts));
        banks.set_u32(Table::Holding, 0x5B1E + offset, of(&house.vars));
        banks.set_u32(Table::Holding, 0x5B26 + offset, of(&house.volts) * of(&house.amperes) / 10);
    }
    banks.set_u32(Table::Holding, 0x5B14, sum(&house.watts));
    banks.set_u32(Table::Holding, 0x5B1C, sum(&house.vars));
    banks.set_u32(Table::Holding, 0x5B24, sum(&house.watts) * 10 / 96 * 10);
    banks.set_words(Table::Holding, 0x5B2C, &[u16::try_from(house.hertz).unwrap_or(0)]);
    banks.set_words(Table::Holding, 0x5B3A, &[960, 960, 960, 960]);
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::as_conversions,
    reason = "a meter's float register holds what a float holds"
)]
fn float(value: u64, divisor: f64) -> f32 {
    (value as f64 / divisor) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(unit: &mut Unit, function: u8, address: u16, count: u16, age: u64) -> Vec<u8> {
        let ([a0, a1], [n0, n1]) = (address.to_be_bytes(), count.to_be_bytes());
        unit.answer(&[function, a0, a1, n0, n1], Duration::from_secs(age))
    }

    #[test]
    fn voltage_begins_at_230_1_and_moves() {
        assert_eq!(read(&mut sdm630(), 4, 0, 2, 0), [4, 4, 0x43, 0x66, 0x19, 0x9A]);
        assert_ne!(read(&mut sdm630(), 4, 0, 2, 20), [4, 4, 0x43, 0x66, 0x19, 0x9A]);
    }

    #[test]
    fn the_same_moment_gives_the_same_readings() {
        assert_eq!(read(&mut sdm630(), 4, 0, 80, 17), read(&mut sdm630(), 4, 0, 80, 17));
    }

    #[test]
    fn energy_never_falls() {
        let mut meter = abb_b23();
        let energies: Vec<_> = (0..100).map(|n| read(&mut meter, 3, 0x5000, 4, n * 600)).collect();
        assert!(energies.is_sorted());
        assert_ne!(energies[0], energies[99]);
    }

    #[test]
    fn an_sdm630_refuses_81_registers() {
        assert_eq!(read(&mut sdm630(), 4, 0, 80, 0).len(), 162);
        assert_eq!(read(&mut sdm630(), 4, 0, 81, 0), [0x84, 3]);
    }
}
