//! Requests per second of 125 registers on one TCP connection: our port and bare tokio-modbus, against the same server.
//!
//! Both run in turns, five times each, so that a noisy moment of the machine hits both; the medians are compared. The target is
//! at least 0.6 of tokio-modbus. `cargo bench -p torg-modbus`.

#![expect(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::panic,
    reason = "a measurement is made to be read, and to stop when it cannot be made"
)]

use std::future::ready;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio_modbus::client::{Reader, tcp};
use tokio_modbus::prelude::ExceptionCode;
use tokio_modbus::server::Service;
use tokio_modbus::server::tcp::{Server, accept_tcp_connection};
use tokio_modbus::slave::Slave;
use tokio_util::sync::CancellationToken;
use torg_modbus::port::{Ask, Frames, Lane, Line, LineSettings, Reply, Request, Table, TcpConnect, Timing};

const TURN: Duration = Duration::from_secs(1);
const TURNS: usize = 5;
const REGISTERS: u16 = 125;

struct Registers;

impl Service for Registers {
    type Request = tokio_modbus::Request<'static>;
    type Response = tokio_modbus::Response;
    type Exception = ExceptionCode;
    type Future = std::future::Ready<Result<Self::Response, Self::Exception>>;

    fn call(&self, request: Self::Request) -> Self::Future {
        ready(match request {
            tokio_modbus::Request::ReadInputRegisters(_, count) => {
                Ok(tokio_modbus::Response::ReadInputRegisters(vec![7; usize::from(count)]))
            }
            _ => Err(ExceptionCode::IllegalFunction),
        })
    }
}

/// A server on a runtime and thread of its own, as a device would be.
fn server() -> SocketAddr {
    let (sender, address) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        runtime().block_on(async move {
            let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
            sender.send(listener.local_addr().expect("an address")).expect("the bench waits");
            let connected = |stream, peer| async move { accept_tcp_connection(stream, peer, |_| Ok(Some(Registers))) };
            Server::new(listener).serve(&connected, |error| panic!("{error}")).await.expect("a server");
        });
    });
    address.recv().expect("the server's address")
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

async fn ours(address: SocketAddr) -> f64 {
    let settings = LineSettings {
        name: "bench".into(),
        frames: Frames::Tcp,
        timing: Timing::tcp(Duration::from_secs(1)),
        connect_timeout: Duration::from_secs(1),
        connect_delay: Duration::ZERO,
    };
    let connect = Arc::new(TcpConnect { address: address.to_string().into() });
    let (line, owner) = Line::new(settings, connect, Arc::new(|_, _| {}));
    let stop = CancellationToken::new();
    let owner = tokio::spawn(owner.run(stop.clone()));
    let (begin, mut count) = (Instant::now(), 0.0);
    while begin.elapsed() < TURN {
        let request = Request::Read { table: Table::Input, address: 0, count: REGISTERS };
        let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
        let answer = line.ask(Ask { unit: 1, request, lane: Lane::Readout, deadline, timeout: None }).await;
        assert!(matches!(answer, Ok(Ok(Reply::Words(words))) if words.len() == usize::from(REGISTERS)));
        count += 1.0;
    }
    let rate = count / begin.elapsed().as_secs_f64();
    stop.cancel();
    owner.await.expect("the owner ends");
    rate
}

async fn bare(address: SocketAddr) -> f64 {
    let mut context = tcp::connect_slave(address, Slave(1)).await.expect("a connection");
    let (begin, mut count) = (Instant::now(), 0.0);
    while begin.elapsed() < TURN {
        let words = context.read_input_registers(0, REGISTERS).await.expect("an answer").expect("no exception");
        assert_eq!(words.len(), usize::from(REGISTERS));
        count += 1.0;
    }
    count / begin.elapsed().as_secs_f64()
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

fn main() {
    let address = server();
    let (mut port, mut plain) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        port.push(runtime().block_on(ours(address)));
        plain.push(runtime().block_on(bare(address)));
    }
    let (port, plain) = (median(port), median(plain));
    println!("requests of {REGISTERS} registers per second, one TCP connection, loopback");
    println!("torg port      {port:8.0}");
    println!("tokio-modbus   {plain:8.0}");
    println!("ratio          {:8.2}  (target 0.60)", port / plain);
}
