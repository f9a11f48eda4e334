//! What a stanza costs on its way through the router: from session to session, and with reading it before and writing it after.
//! TLS and the network are not in it; `make bench` of the appliance has them.

use std::hint::black_box;
use std::sync::Arc;

use async_trait::async_trait;
use criterion::{Criterion, criterion_group, criterion_main};
use torg_core::tls::{Authority, SelfNames, ServerTls};
use torg_core::{Attached, Broker, Credentials, CredentialsUnavailable};
use torg_store::{Sqlite, migrate};
use torg_thing::{Clock, SystemClock};
use torg_wire::jid::{BareJid, FullJid};
use torg_wire::reader::{StreamEvent, StreamReader};
use torg_wire::sasl::{self, ScramHash};
use torg_wire::stanza::Stanza;
use torg_wire::xml::{Limits, Scope};

const DOMAIN: &str = "site.example";
const HEADER: &str =
    "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>";

/// Nobody: sessions inside the process need no account.
struct Nobody;

#[async_trait]
impl Credentials for Nobody {
    async fn exists(&self, _: &BareJid) -> Result<bool, CredentialsUnavailable> {
        Ok(false)
    }

    async fn lookup(&self, _: &BareJid, _: ScramHash) -> Result<Option<sasl::Credentials>, CredentialsUnavailable> {
        Ok(None)
    }
}

async fn broker() -> Result<Broker, Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let now = SystemClock.now();
    let made = Authority::new(folder.path()).certificate(DOMAIN, SelfNames::DomainOnly, now)?;
    let tls = Arc::new(ServerTls::new(&made.files.load(DOMAIN, now)?)?);
    let store = Arc::new(Sqlite::in_memory()?);
    migrate(&*store, torg_core::MIGRATIONS).await?;
    let domain = BareJid::parse(DOMAIN)?;
    Ok(Broker::builder(domain, store, Arc::new(Nobody), Arc::new(SystemClock), tls).start().await?)
}

async fn session(broker: &Broker, jid: &str) -> Result<Attached, Box<dyn std::error::Error>> {
    Ok(broker.router().attach(FullJid::parse(jid)?, "bench").await)
}

fn message(kind: &str, payload: &str) -> String {
    format!("<message to='bob@site.example/b' type='{kind}' id='m'>{payload}</message>")
}

fn read(reader: &mut StreamReader, text: &str) -> Option<Stanza> {
    reader.feed(text.as_bytes());
    let Ok(Some(StreamEvent::Element(element))) = reader.next_event() else { return None };
    // Asking for more releases the buffer, as a session does before it waits.
    let _ = reader.next_event();
    Stanza::from_element(element).ok()
}

fn routes(c: &mut Criterion) -> Result<(), Box<dyn std::error::Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let broker = runtime.block_on(broker())?;
    let anna = runtime.block_on(session(&broker, "anna@site.example/a"))?;
    let mut bob = runtime.block_on(session(&broker, "bob@site.example/b"))?;
    let mut reader = StreamReader::new(Limits::CLIENT);
    reader.feed(HEADER.as_bytes());
    reader.next_event()?;
    let readings = "<resp xmlns='urn:nfi:iot:sd:1.0' id='1'><nd id='meter-7'><ts v='2026-11-23T20:15:00Z'>\
                    <q n='Energy' v='1204.50' u='kWh' m='true' ar='true'/></ts></nd></resp>";
    for (name, text) in [
        ("chat", message("chat", &format!("<body>{}</body>", "x".repeat(200)))),
        ("sensor data", message("normal", readings)),
    ] {
        let mut group = c.benchmark_group(name);
        let stanza = read(&mut reader, &text).ok_or("no stanza")?;
        group.bench_function("from session to session", |b| {
            b.iter(|| {
                runtime.block_on(async {
                    anna.send(stanza.clone()).await;
                    bob.recv().await.is_some()
                })
            });
        });
        group.bench_function("read, routed, written", |b| {
            b.iter(|| {
                let Some(stanza) = read(&mut reader, black_box(&text)) else { return 0 };
                let routed = runtime.block_on(async {
                    anna.send(stanza).await;
                    bob.recv().await
                });
                routed.map_or(0, |stanza| stanza.to_bytes(&Scope::CLIENT).len())
            });
        });
        group.finish();
    }
    Ok(())
}

fn all(c: &mut Criterion) {
    let outcome = routes(c).map_err(|error| error.to_string());
    assert_eq!(outcome, Ok(()));
}

criterion_group!(benches, all);
criterion_main!(benches);
