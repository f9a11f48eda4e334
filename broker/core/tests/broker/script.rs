//! The interpreter of `tests/scripts/*.xmpp`: one protocol story each, readable without Rust.
//!
//! ```text
//! # A comment.
//! anna connects as anna@site.example/phone
//! gateway attaches as gateway@site.example/torg
//!
//! anna sends:
//!     <presence/>
//! bob receives:
//!     <presence from='{anna}'/>
//! bob receives in any order:
//!     <message type='chat'><body>one</body></message>
//!     <message type='chat'><body>two</body></message>
//! bob receives nothing
//! anna closes
//! bob ends with conflict
//! ```
//!
//! Sending waits until the broker has dealt with the stanza (`sends raw:` does not wait). An expected stanza matches if every
//! attribute it names is equal (`*`: any value; `-`: absent), if its children match in order and none is left over (`<any/>`
//! takes the rest), and if its text is equal (`*`: any text). `{name}` stands for the full JID of that actor, `{name id}` for the id
//! of the last stanza it has received.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use tokio::time::timeout;
use torg_core::Attached;
use torg_wire::jid::FullJid;
use torg_wire::ns;
use torg_wire::stanza::Stanza;
use torg_wire::xml::{Element, Limits, parse_document};

use crate::client::Client;
use crate::world::World;

/// Longer than any answer takes, and shorter than a client waits for bytes: so the story's line is told.
const PATIENCE: Duration = Duration::from_secs(15);

enum Actor {
    Client(Box<Client>),
    Attached(Attached),
}

struct Stage {
    world: World,
    actors: BTreeMap<String, Actor>,
    jids: BTreeMap<String, String>,
}

/// Plays the story; a panic names its file and line.
pub(crate) async fn play(path: &Path) {
    let text = std::fs::read_to_string(path).unwrap();
    let mut stage = Stage { world: World::new().await, actors: BTreeMap::new(), jids: BTreeMap::new() };
    let lines: Vec<&str> = text.lines().collect();
    let mut next = 0;
    while let Some(line) = lines.get(next) {
        let number = next + 1;
        next += 1;
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let block: Vec<&str> = lines[next..].iter().take_while(|line| line.starts_with([' ', '\t'])).copied().collect();
        next += block.len();
        let place = format!("{}:{number}: {line}", path.display());
        stage.step(&place, line, &block.join("\n")).await;
    }
}

impl Stage {
    async fn step(&mut self, place: &str, line: &str, block: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            [name, "connects", "as", address] => {
                let client =
                    Client::login(&self.world, address).await.unwrap_or_else(|fault| panic!("{place}: {fault}"));
                self.enter(name, client.jid.to_string(), Actor::Client(Box::new(client)));
            }
            [name, "connects", "with", "STARTTLS", "as", address] => {
                let client = Client::login_starttls(&self.world, address).await;
                let client = client.unwrap_or_else(|fault| panic!("{place}: {fault}"));
                self.enter(name, client.jid.to_string(), Actor::Client(Box::new(client)));
            }
            [name, "attaches", "as", address] => {
                let attached = self.world.broker.attach(FullJid::parse(address).unwrap(), "script").await;
                self.enter(name, address.to_owned(), Actor::Attached(attached));
            }
            [name, "sends:"] => {
                for element in self.elements(place, block) {
                    let stanza = Stanza::from_element(element).unwrap_or_else(|fault| panic!("{place}: {fault}"));
                    match self.actor(place, name) {
                        Actor::Client(client) => client.send(&stanza).await,
                        Actor::Attached(attached) => attached.send(stanza).await,
                    }
                }
            }
            [name, "sends", "raw:"] => {
                let text = self.fill(block);
                self.client(place, name).raw(text.trim()).await;
            }
            [name, "receives:"] => {
                for expected in self.elements(place, block) {
                    let found = self.receive(place, name).await;
                    assert!(matches(&expected, &found), "{place}\n expected {expected}\n    found {found}");
                }
            }
            [name, "receives", "in", "any", "order:"] => {
                let mut expected = self.elements(place, block);
                while !expected.is_empty() {
                    let found = self.receive(place, name).await;
                    let position = expected.iter().position(|expected| matches(expected, &found));
                    let position = position
                        .unwrap_or_else(|| panic!("{place}\n expected one of {expected:#?}\n    found {found}"));
                    expected.remove(position);
                }
            }
            [name, "receives", "nothing"] => {
                let found = self.client(place, name).pending().await;
                assert!(found.is_empty(), "{place}\n    found {found:#?}");
            }
            [name, "ignores", "everything"] => drop(self.client(place, name).pending().await),
            [name, "closes"] => match self.leave(place, name) {
                Actor::Client(client) => client.close().await,
                Actor::Attached(attached) => attached.close().await,
            },
            [name, "is", "cut", "off"] => drop(self.leave(place, name)),
            [name, "ends", "with", condition] => {
                let fault = self.client(place, name).end().await.to_string();
                assert!(fault.contains(condition), "{place}\n    found {fault}");
                self.actors.remove(name);
            }
            _ => panic!("{place}: no such step"),
        }
    }

    fn enter(&mut self, name: &str, jid: String, actor: Actor) {
        self.actors.insert(name.to_owned(), actor);
        self.jids.insert(name.to_owned(), jid);
    }

    fn leave(&mut self, place: &str, name: &str) -> Actor {
        self.actors.remove(name).unwrap_or_else(|| panic!("{place}: nobody of that name is connected"))
    }

    fn actor(&mut self, place: &str, name: &str) -> &mut Actor {
        self.actors.get_mut(name).unwrap_or_else(|| panic!("{place}: nobody of that name is connected"))
    }

    fn client(&mut self, place: &str, name: &str) -> &mut Client {
        match self.actor(place, name) {
            Actor::Client(client) => client,
            Actor::Attached(_) => panic!("{place}: not for attached sessions"),
        }
    }

    async fn receive(&mut self, place: &str, name: &str) -> Element {
        let stanza = async {
            match self.actor(place, name) {
                Actor::Client(client) => client.recv().await,
                Actor::Attached(attached) => {
                    attached.recv().await.unwrap_or_else(|| panic!("{place}: the session ended"))
                }
            }
        };
        let stanza = timeout(PATIENCE, stanza).await.unwrap_or_else(|_| panic!("{place}: nothing comes"));
        self.jids.insert(format!("{name} id"), stanza.id().unwrap_or_default().to_owned());
        stanza.into_element()
    }

    /// `{name}` becomes the full JID of that actor.
    fn fill(&self, text: &str) -> String {
        self.jids.iter().fold(text.to_owned(), |text, (name, jid)| text.replace(&format!("{{{name}}}"), jid))
    }

    fn elements(&self, place: &str, block: &str) -> Vec<Element> {
        let document = format!("<block xmlns='{}'>{}</block>", ns::CLIENT, self.fill(block));
        let parsed = parse_document(document, &Limits::SERVER).unwrap_or_else(|error| panic!("{place}: {error:?}"));
        parsed.into_children().collect()
    }
}

fn matches(expected: &Element, found: &Element) -> bool {
    let attributes = expected.attributes().iter().all(|wanted| {
        let value = found.attr_ns(wanted.namespace().as_str(), wanted.name());
        match wanted.value() {
            "*" => value.is_some(),
            "-" => value.is_none(),
            wanted => value == Some(wanted),
        }
    });
    let text = |element: &Element| element.text().trim().to_owned();
    let text = text(expected) == "*" || text(expected) == text(found);
    expected.namespace() == found.namespace()
        && expected.name() == found.name()
        && attributes
        && text
        && children(expected, found)
}

fn children(expected: &Element, found: &Element) -> bool {
    let mut found = found.children();
    for wanted in expected.children() {
        if wanted.name() == "any" {
            return true;
        }
        if !found.next().is_some_and(|child| matches(wanted, child)) {
            return false;
        }
    }
    found.next().is_none()
}
