//! What the appliance is made of: one line per bridge.

use torg_thing::BridgeKind;

/// The protocols that `[[bridge]] kind = "..."` can name.
pub const BRIDGES: &[&BridgeKind] = &[&torg_modbus::BRIDGE];
