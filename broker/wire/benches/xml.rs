//! What a stanza costs on its way through the wire layer: reading, writing, both; and addresses.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use torg_wire::jid::Jid;
use torg_wire::reader::{StreamEvent, StreamReader};
use torg_wire::stanza::Stanza;
use torg_wire::xml::{Limits, Scope};

const HEADER: &str = "<?xml version='1.0'?><stream:stream xmlns='jabber:client' to='site.example' \
                      xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>";

/// About 400 bytes, as ordinary clients send it.
const CHAT: &str = "<message to='bob@site.example/phone.9f2c' from='anna@site.example/desk.17ab' type='chat' \
                    id='7c1b8a2e-51f0-4a0e-9d2b-5c0d2f1f3e7a' xml:lang='en'>\
                    <body>The meter in room 7 reads 1204.5 kWh &amp; looks fine now, see you tomorrow.</body>\
                    <origin-id xmlns='urn:xmpp:sid:0' id='7c1b8a2e-51f0-4a0e-9d2b-5c0d2f1f3e7a'/>\
                    <active xmlns='http://jabber.org/protocol/chatstates'/><request xmlns='urn:xmpp:receipts'/>\
                    </message>";

fn sensor_data() -> String {
    let fields: String = (0..12)
        .map(|n| format!("<q n='Energy, phase {n}' v='{n}204.50' u='kWh' m='true' ar='true' lns='iot'/>"))
        .collect();
    format!(
        "<iq type='result' id='41' from='gateway@site.example/torg' to='anna@site.example/desk.17ab'>\
         <resp xmlns='urn:nfi:iot:sd:1.0' id='s41'><nd id='meter-7' src='plant' pt=''>\
         <ts v='2026-11-23T20:15:00Z'>{fields}</ts></nd></resp></iq>"
    )
}

fn reader() -> StreamReader {
    let mut reader = StreamReader::new(Limits::CLIENT);
    reader.feed(HEADER.as_bytes());
    assert!(matches!(reader.next_event(), Ok(Some(StreamEvent::Open(_)))), "a header");
    reader
}

fn read(reader: &mut StreamReader, bytes: &[u8]) -> Option<Stanza> {
    reader.feed(bytes);
    let Ok(Some(StreamEvent::Element(element))) = reader.next_event() else { return None };
    // Asking for more releases the buffer, as a session does before it waits.
    let _ = reader.next_event();
    Stanza::from_element(element).ok()
}

fn stanzas(c: &mut Criterion) {
    for (name, xml) in [("chat message", CHAT.to_owned()), ("sensor data", sensor_data())] {
        let mut group = c.benchmark_group(name);
        group.throughput(Throughput::Bytes(xml.len().try_into().unwrap_or(u64::MAX)));
        let mut reader = reader();
        group.bench_function("read", |b| b.iter(|| read(&mut reader, black_box(xml.as_bytes())).is_some()));
        let Some(stanza) = read(&mut reader, xml.as_bytes()) else { continue };
        let mut out = Vec::with_capacity(4096);
        group.bench_function("write", |b| {
            b.iter(|| {
                out.clear();
                black_box(&stanza).write_to(&mut out, &Scope::CLIENT);
                out.len()
            });
        });
        group.bench_function("read and write", |b| {
            b.iter(|| {
                out.clear();
                if let Some(stanza) = read(&mut reader, black_box(xml.as_bytes())) {
                    stanza.write_to(&mut out, &Scope::CLIENT);
                }
                out.len()
            });
        });
        group.bench_function("open a stream and read", |b| {
            b.iter_batched(|| (), |()| read(&mut self::reader(), xml.as_bytes()).is_some(), BatchSize::SmallInput);
        });
    }
}

fn addresses(c: &mut Criterion) {
    let mut group = c.benchmark_group("address");
    for (name, text) in [
        ("plain", "anna@site.example/desk.17ab"),
        ("capitals", "Anna@Site.example/desk"),
        ("unicode", "\u{E4}nna@m\u{FC}nchen.example/Z\u{E4}hler"),
    ] {
        group.bench_function(name, |b| b.iter(|| Jid::parse(black_box(text)).is_ok()));
    }
}

criterion_group!(benches, stanzas, addresses);
criterion_main!(benches);
