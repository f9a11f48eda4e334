//! Floods of connections and guessed passwords: strangers are slowed down, nobody is locked out, and nothing tells which accounts exist.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, DuplexStream};
use tokio::task::JoinSet;
use torg_core::limits::{FAILURES_PER_ADDRESS, Limits, WAITING_TIME};
use torg_store::Sqlite;
use torg_wire::stream::ClientFault;

use crate::client::Client;
use crate::world::World;

fn stranger() -> IpAddr {
    "192.0.2.66".parse().unwrap()
}

async fn narrow(unauthenticated: usize) -> World {
    let limits = Limits { unauthenticated, ..Limits::default() };
    World::with(Arc::new(Sqlite::in_memory().unwrap()), limits).await
}

async fn connect(world: &World) -> DuplexStream {
    world.direct.connect_from(stranger()).await.unwrap()
}

#[tokio::test]
async fn a_connection_beyond_the_limit_gets_in_once_there_is_a_place() {
    let world = narrow(2).await;
    let (one, _two) = (connect(&world).await, connect(&world).await);
    let waiting = tokio::spawn(Client::login_over(connect(&world).await, "anna@site.example/a"));
    drop(one);
    waiting.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_connection_beyond_the_limit_is_closed_without_a_word_if_no_place_becomes_free() {
    let world = narrow(1).await;
    let _one = connect(&world).await;
    let mut two = connect(&world).await;
    let begun = tokio::time::Instant::now();
    assert_eq!(two.read(&mut [0; 1]).await.unwrap(), 0);
    assert!(begun.elapsed() >= WAITING_TIME && begun.elapsed() < WAITING_TIME + Duration::from_secs(1));
}

/// Fails as often as is free, and goes on guessing: those guesses wait.
async fn guess(world: &World) -> JoinSet<Result<Client, ClientFault>> {
    let mut guesses = JoinSet::new();
    for _ in 0..FAILURES_PER_ADDRESS + 10 {
        let socket = connect(world).await;
        guesses.spawn(Client::login_over(socket, "nobody@site.example/x"));
    }
    for _ in 0..FAILURES_PER_ADDRESS {
        let refused = guesses.join_next().await.unwrap().unwrap().map(drop);
        assert!(refused.unwrap_err().to_string().contains("not-authorized"));
    }
    guesses
}

#[tokio::test]
async fn who_has_failed_often_waits_and_the_right_password_still_works() {
    let world = World::new().await;
    let _others = guess(&world).await;
    let slow = tokio::spawn(Client::login_over(connect(&world).await, "anna@site.example/a"));
    let elsewhere = world.direct.connect_from("192.0.2.67".parse().unwrap()).await.unwrap();
    Client::login_over(elsewhere, "anna@site.example/b").await.unwrap();
    assert!(!slow.is_finished());
    // In earnest: a paused clock would run ahead while the store's thread works.
    assert_eq!(slow.await.unwrap().unwrap().jid.as_str(), "anna@site.example/a");
}
