//! The appliance is killed again and again while clients talk to each other over managed streams (XEP-0198). What a client was told to be
//! handled must arrive, and nothing may come twice to a client that resumes its session.
//!
//! A few kills as a test; `make survival` goes on until 100,000 messages are acknowledged and says how it went.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests fail by panicking and say why"
)]

mod talker;

#[allow(dead_code, reason = "each binary uses its own part of it")]
#[path = "../load/client.rs"]
mod client;
#[allow(dead_code, reason = "each binary uses its own part of it")]
#[path = "../support/mod.rs"]
mod support;

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use rustls::pki_types::{CertificateDer, pem::PemObject};
use tokio::sync::watch;

use client::{Account, Dialler};
use support::site::{DOMAIN, Site, password};
use talker::{Report, Talk, Talker};

/// Clients that talk to each other. Each may send 10 kB a second and 100 kB at once, so that many keep the appliance busy.
const TALKERS: usize = 16;
/// Messages to be acknowledged in an ordinary run of the tests.
const FEW: usize = 2_000;
/// Time between a start and the next kill, in milliseconds: shorter than a login storm takes, and longer.
const LIFE: std::ops::Range<u64> = 150..1_800;
/// Kills at least, however fast the messages are through.
const KILLS: usize = 4;
/// All that was acknowledged has arrived by then, or it is lost.
const REST: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn no_acknowledged_message_is_lost_or_comes_twice_when_the_appliance_is_killed() {
    let wanted: usize = std::env::var("SURVIVAL_MESSAGES").map_or(FEW, |count| count.parse().expect("a number"));
    let names: Vec<String> = (0..TALKERS).map(|n| format!("talker{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut site = Site::start("", &[], &names);

    let first = Arc::new(dialler(&site));
    let (door, doors) = watch::channel(Some(Arc::clone(&first)));
    let talk = Arc::new(Talk::new(TALKERS, wanted));
    let talkers: Vec<_> = (0..TALKERS)
        .map(|n| {
            let account = Account { user: names[n].to_owned(), password: password(names[n]) };
            tokio::spawn(Talker::new(n, TALKERS, account, Arc::clone(&talk)).run(doors.clone()))
        })
        .collect();

    let begun = Instant::now();
    while !talk.is_begun() {
        assert!(begun.elapsed() < REST, "the talkers log in");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut kills = 0;
    while talk.acknowledged() < wanted || kills < KILLS {
        tokio::time::sleep(Duration::from_millis(random(LIFE))).await;
        door.send(None).expect("the talkers listen");
        let stopped = site.crash();
        kills += 1;
        site = stopped.start();
        door.send(Some(Arc::new(first.moved(address(&site))))).expect("the talkers listen");
    }
    talk.finish();
    let end = Instant::now() + REST;
    while Instant::now() < end && !talk.is_complete() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let took = begun.elapsed();
    for talker in talkers {
        talker.abort();
    }
    let report = talk.report();
    println!("killed {kills} times in {took:.1?}: {report:?}");
    let Report { acknowledged, lost, twice, refused, .. } = report;
    assert!(acknowledged >= wanted);
    assert_eq!(
        (lost, twice, refused),
        (0, 0, 0),
        "acknowledged but never received; received twice in one session; refused"
    );
}

fn dialler(site: &Site) -> Dialler {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(site.authority()).expect("the authority's file")).expect("an authority");
    let config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    Dialler::new(address(site), DOMAIN, config)
}

fn address(site: &Site) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, site.c2s_tls).into()
}

/// A random number of the range: a run that fails is not to be repeated step by step anyway.
pub(crate) fn random(range: std::ops::Range<u64>) -> u64 {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).expect("randomness");
    range.start + u64::from_le_bytes(bytes) % (range.end - range.start)
}
