//! A value of a sensor goes every way a message can go, and then every file of the broker is searched for it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use torg_core::limits::RESUME_TIME;
use torg_store::{Engine, Sqlite};

use crate::managed::{MESSAGES, OFFLINE, UNDER_WAY, pass, rows, until};
use crate::raw::Raw;
use crate::world::{World, life_beside_silence};

const ANNA: &str = "anna@site.example";
const BOB: &str = "bob@site.example";
/// No other number in this test has these digits.
const VALUE: &str = "4711.0815463728";
const SAID: &str = "I have seen nothing unusual at the meter";

/// Messages that carry the value, each in another way, with a body that offline storage would take otherwise.
fn letters(to: &str) -> Vec<String> {
    let namespaces = ["urn:xmpp:iot:sensordata", "urn:ieee:iot:sd:1.0", "urn:nf:iot:sd:1.0", "urn:nfi:iot:sd:1.0"];
    let others = ["urn:nf:iot:events:1.0", "urn:nf:iot:ctr:1.0", "urn:ieee:iot:events:1.0"];
    let mut letters = Vec::new();
    for namespace in namespaces.into_iter().chain(others) {
        let payload = format!("<resp xmlns='{namespace}'><q n='T' v='{VALUE}' u='C'/></resp>");
        let inner = format!("<message xmlns='jabber:client' type='chat'><body>x</body>{payload}</message>");
        let forwarded = format!("<forwarded xmlns='urn:xmpp:forward:0'>{inner}</forwarded>");
        let copy = format!("<sent xmlns='urn:xmpp:carbons:2'>{forwarded}</sent>");
        let form = format!("<x xmlns='jabber:x:data' type='form'><field var='f'><value/>{payload}</field></x>");
        for payload in [payload, forwarded, copy, form] {
            for kind in ["chat", "normal"] {
                let hint = "<store xmlns='urn:xmpp:hints'/>";
                letters.push(format!("<message type='{kind}' to='{to}'><body>x</body>{payload}{hint}</message>"));
            }
        }
    }
    letters
}

async fn send(from: &mut Raw, to: &str) {
    for letter in letters(to) {
        from.say(&letter).await;
    }
    from.say(&format!("<message type='chat' to='{to}'><body>{SAID}</body></message>")).await;
    from.acknowledged().await;
}

/// How many files below `folder` contain the text; `Err` names none.
fn files_with(folder: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        if bytes.windows(text.len()).any(|window| window == text.as_bytes()) {
            found.push(path.file_name().unwrap().to_string_lossy().into_owned());
        }
    }
    found
}

/// Every way in one life; at its end something waits for carla, who has not acknowledged it.
async fn first_life(world: &World) {
    let (mut admin, _) = Raw::managed(world, "admin@site.example", "x").await; // not slowed down

    // To a session that is there and looks, then to one that does not look.
    let (mut bob, id) = Raw::managed(world, BOB, "desk").await;
    bob.say("<presence/>").await;
    send(&mut admin, "bob@site.example/desk").await;
    let live = bob.pending().await;
    assert!(live.iter().filter(|element| element.to_string().contains(VALUE)).count() >= letters(BOB).len() / 2);
    bob.say("<inactive xmlns='urn:xmpp:csi:0'/>").await;
    send(&mut admin, BOB).await;
    bob.pending().await;
    bob.acknowledge().await;
    // To one that has lost its connection and comes back.
    let handled = bob.handled;
    drop(bob);
    send(&mut admin, "bob@site.example/desk").await;
    let (mut bob, answer) = Raw::resume(world, BOB, &id, handled).await;
    assert_eq!(answer.name(), "resumed");
    let late = bob.pending().await;
    assert!(late.iter().any(|element| element.to_string().contains(VALUE)), "memory keeps it");
    // To one that does not come back, and to one that has never been there.
    drop(bob);
    send(&mut admin, "bob@site.example/desk").await;
    send(&mut admin, ANNA).await;
    assert!(rows(&world.store, MESSAGES).await > 0);
    pass(RESUME_TIME + Duration::from_secs(1)).await;
    let (mut admin, _) = Raw::managed(world, "admin@site.example", "y").await;
    let (_carla, _) = Raw::managed(world, "carla@site.example", "phone").await;
    send(&mut admin, "carla@site.example/phone").await;
    // To another server that is away, and to a session that takes nothing and cannot be resumed.
    send(&mut admin, "eve@far.example/desk").await;
    let mut stuck = Raw::login(world, BOB).await;
    stuck.bind("stuck").await;
    for _ in 0..10 {
        send(&mut admin, "bob@site.example/stuck").await;
    }
    assert!(rows(&world.store, UNDER_WAY).await > 0);
}

#[tokio::test]
async fn no_file_of_the_broker_has_ever_seen_a_sensor_s_value() {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Engine> = Arc::new(Sqlite::open(&folder.path().join("torg.db")).unwrap());
    life_beside_silence(&store, async |world| first_life(&world).await);
    // And over the crash.
    let world = World::federated(store.clone()).await;
    pass(RESUME_TIME + Duration::from_secs(1)).await;
    until(&store, MESSAGES, |count| count == 0).await;
    drop(world);

    assert_eq!(files_with(folder.path(), VALUE), Vec::<String>::new());
    assert!(!files_with(folder.path(), SAID).is_empty(), "the search finds what is there");
    assert!(rows(&store, OFFLINE).await > 0);
}
