//! The simulated site: a meter on Modbus TCP, a meter and a relay board on a serial bus, and the configuration that
//! describes them.

use std::io;
use std::time::Duration;

use torg_simulated::{Framing, Rack, Server, Simulation, Timing, devices};
use torg_wire::jid::BareJid;

/// Account of the demonstration's client.
pub(super) const ACCOUNT: &str = "anna@localhost";
/// Account of the gateway.
pub(super) const GATEWAY: &str = "gateway@localhost";

/// The serial bus of the demonstration: its real speed can be felt.
const BAUD: u32 = 38_400;
/// How long its devices think.
const TURNAROUND: Duration = Duration::from_millis(5);

/// The running devices; dropping it ends them.
pub(super) struct Site {
    tcp: Server,
    rtu: Server,
}

#[expect(clippy::expect_used, reason = "the constant above is an account, as its test shows")]
pub(super) fn account() -> BareJid {
    BareJid::parse(ACCOUNT).expect("a constant")
}

#[expect(clippy::expect_used, reason = "the constant above is an account, as its test shows")]
pub(super) fn gateway() -> BareJid {
    BareJid::parse(GATEWAY).expect("a constant")
}

impl Site {
    /// Starts the devices on a free port and a new pseudo terminal.
    ///
    /// # Errors
    /// The system has neither.
    pub(super) async fn start() -> io::Result<Self> {
        let meters = Rack::new().with(7, devices::sdm630());
        let tcp = torg_simulated::tcp(Simulation::new(meters, Framing::Tcp)).await?;
        let cellar = Rack::new().with(1, devices::relay8()).with(8, devices::abb_b23());
        let timing = Timing::serial(BAUD, TURNAROUND);
        let rtu = torg_simulated::pty(Simulation::new(cellar, Framing::Rtu).timed(timing))?;
        Ok(Self { tcp, rtu })
    }

    /// The configuration of an appliance at this site.
    pub(super) fn configuration(&self) -> String {
        let (tcp, rtu) = (self.tcp.address(), self.rtu.address());
        format!(
            r#"# Written by `torg demo` at each start: the addresses are those of its simulated devices.

[broker]
domain = "localhost"

[broker.listen]
c2s = ["127.0.0.1:0"]                  # port 0: any free one
c2s_tls = ["127.0.0.1:0"]

[store]
path = "torg.db"

[concentrator]
jid = "{GATEWAY}"
friends = ["{ACCOUNT}"]

[[bridge]]
kind = "modbus"
name = "plant"

[[bridge.line]]
name = "meters"
tcp = "{tcp}"

[[bridge.line.device]]
node = "meter-7"
unit = 7
profile = "eastron.sdm630"

[[bridge.line]]
name = "cellar"
serial = "{rtu}"
baud = {BAUD}

[[bridge.line.device]]
node = "meter-8"
unit = 8
profile = "abb.b23"

[[bridge.line.device]]
node = "relay-1"
unit = 1
profile = "{RELAY_PROFILE}"
"#
        )
    }
}

/// The relay board's profile.
const RELAY_PROFILE: &str = "waveshare.relay-8ch";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_accounts_are_accounts() {
        assert!(account().local().is_some());
        assert!(gateway().local().is_some());
    }
}
