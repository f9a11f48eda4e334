//! Runs simulated devices until Ctrl-C: meters 1 and 2 and a relay board 3, over TCP, RTU over TCP and a pseudo terminal.
//!
//! `cargo run -p torg-simulated --example site`, then for instance
//! `mbpoll -m tcp -p PORT -a 1 -0 -r 0 -c 3 -t 3:float -B -1 127.0.0.1`.

#![expect(clippy::print_stdout, reason = "the addresses are what it is run for")]

use torg_simulated::{Framing, Rack, Simulation, devices, pty, tcp};

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let rack = Rack::new().with(1, devices::sdm630()).with(2, devices::abb_b23()).with(3, devices::relay8());
    let mbap = tcp(Simulation::new(rack.clone(), Framing::Tcp)).await?;
    let rtu_over_tcp = tcp(Simulation::new(rack.clone(), Framing::RtuOverTcp)).await?;
    let serial = pty(Simulation::new(rack, Framing::Rtu))?;
    println!("tcp {}", mbap.address());
    println!("rtu_over_tcp {}", rtu_over_tcp.address());
    println!("serial {}", serial.address());
    std::future::pending().await
}
