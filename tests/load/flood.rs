//! A million connections of strangers from all over 127.0.0.0/8, against Torg with its limits as delivered: some say nothing, some
//! half a stream header, some rubbish; more than are let in, so most are refused. What remains afterwards in memory is the drift.

use std::{
    collections::VecDeque,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpSocket, TcpStream},
    task::JoinSet,
    time::timeout,
};

use crate::{
    client::Account,
    measure::Process,
    server::{Authority, DOMAIN, Limits, Setup, torg_with},
};

/// Connections in all.
const CONNECTS: u32 = 1_000_000;
/// After so many the memory is taken as that of a server that strangers have found: pools and tables have their size.
const WARM: u32 = 20_000;
/// Open at a time: more than the places and the waiting room of the server, which has 1,000 of each.
const OPEN: usize = 3_000;
/// Being opened at a time: where the server's backlog is full for a moment, the kernel waits a second before it tries again, and
/// one after the other a million of them would take a day.
const AT_ONCE: usize = 64;
/// A connection that takes longer to open is given up.
const PATIENCE: Duration = Duration::from_secs(30);
/// The server closes what strangers left open within its time for logging in.
const SETTLE: Duration = Duration::from_secs(35);

/// What the flood left.
pub(crate) struct Flood {
    connects: u32,
    failed: u32,
    took: Duration,
    cpu: Duration,
    started: u64,
    warm: u64,
    peak: u64,
    after: u64,
    login: Duration,
}

/// Floods a server.
pub(crate) async fn flood(folder: &Path, authority: &Authority) -> Result<Flood> {
    let (accounts, folder) = ([Account::new("owner")], folder.join("flood"));
    let setup = Setup { folder: &folder, authority, domain: DOMAIN, accounts: &accounts, neighbour: None };
    let mut server = torg_with(&setup, Limits::AsDelivered)?;
    server.start()?;
    drop(server.dialler()?.login(&accounts[0], "first").await?);
    let process = Process::of(server.pid());
    let started = process.resident_bytes()?;
    let begun = Instant::now();
    let mut flood = Flood {
        connects: 0,
        failed: 0,
        took: begun.elapsed(),
        cpu: begun.elapsed(),
        started,
        warm: 0,
        peak: 0,
        after: 0,
        login: SETTLE,
    };
    let (cost, done) = process
        .cost_of(async {
            let mut open = VecDeque::new();
            pour(server.direct_tls, 0..WARM, &mut open, &mut flood).await;
            open.clear();
            tokio::time::sleep(SETTLE).await;
            flood.warm = process.resident_bytes()?;
            let begun = Instant::now();
            for part in 0..10 {
                let size = (CONNECTS - WARM) / 10;
                let from = WARM + part * size;
                pour(server.direct_tls, from..from + size, &mut open, &mut flood).await;
                let now = process.resident_bytes()?;
                flood.peak = flood.peak.max(now);
                eprintln!("{} connections, {} KiB resident", flood.connects, now / 1024);
            }
            flood.took = begun.elapsed();
            open.clear();
            anyhow::Ok(())
        })
        .await?;
    done?;
    flood.cpu = cost.cpu;
    let begun = Instant::now();
    drop(server.dialler()?.login(&accounts[0], "last").await.context("the owner cannot log in any more")?);
    flood.login = begun.elapsed();
    tokio::time::sleep(SETTLE).await;
    flood.after = process.resident_bytes()?;
    Ok(flood)
}

async fn pour(to: SocketAddr, numbers: std::ops::Range<u32>, open: &mut VecDeque<TcpStream>, flood: &mut Flood) {
    let mut numbers = numbers;
    let mut connecting = JoinSet::new();
    loop {
        while connecting.len() < AT_ONCE {
            let Some(number) = numbers.next() else { break };
            connecting.spawn(timeout(PATIENCE, connect(to, number)));
        }
        match connecting.join_next().await {
            Some(Ok(Ok(Ok(stream)))) => open.push_back(stream),
            Some(_) => flood.failed += 1,
            None => return,
        }
        flood.connects += 1;
        if open.len() > OPEN {
            open.pop_front();
        }
    }
}

async fn connect(to: SocketAddr, number: u32) -> Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    // Each from an address of its own, as far from the last one as it goes.
    let [_, b, c, d] = number.wrapping_mul(0x9E37_79B1).to_be_bytes();
    socket.bind(SocketAddr::from((Ipv4Addr::new(127, b, c, d.max(1)), 0)))?;
    let mut stream = socket.connect(to).await?;
    // Refused ones may be closed already: that is no fault of theirs.
    let _ = match number % 3 {
        0 => Ok(()),
        1 => stream.write_all(b"<?xml version='1.0'?><stream:stream to='").await,
        _ => stream.write_all(&[0x16, 0x03, 0x01, 0x02, 0x00, 0x01]).await,
    };
    Ok(stream)
}

/// Prints the figures.
pub(crate) fn print(flood: &Flood) {
    let mib = |bytes: u64| bytes as f64 / 1024.0 / 1024.0;
    let Flood { connects, failed, took, cpu, started, warm, peak, after, login } = flood;
    println!("\n{connects} connections of strangers, limits as delivered; {failed} could not be opened");
    println!(
        "  took, s {:.1}; server CPU for each, us {:.1}",
        took.as_secs_f64(),
        cpu.as_secs_f64() * 1e6 / f64::from(*connects)
    );
    println!(
        "  resident memory, MiB: {:.1} before, {:.1} after the first {WARM}, {:.1} at most, {:.1} afterwards",
        mib(*started),
        mib(*warm),
        mib(*peak),
        mib(*after)
    );
    // The first flood takes what two thousand strangers at a time need, and the allocator keeps it; the drift is what comes on top.
    println!("  drift since the first {WARM}, MiB: {:.2} (target < 5)", mib(after.saturating_sub(*warm)));
    println!("  kept for as many strangers as are let in, MiB: {:.2}", mib(warm.saturating_sub(*started)));
    println!("  a login at the end took, s {:.2}", login.as_secs_f64());
}
