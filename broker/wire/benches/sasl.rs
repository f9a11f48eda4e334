//! CPU of one login on the server: SCRAM itself, and the whole negotiation around it (no TLS, no store).
//!
//! SCRAM's cost on the server is a handful of hashes, whatever the iterations: the client pays for those. PLAIN makes the
//! server pay, which is why it is off. `derive` is what a new password costs, and what a client computes for each login.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a bench that cannot be set up has nothing to measure")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use torg_wire::jid::{BareJid, DomainPart, ResourcePart};
use torg_wire::sasl::{
    ChannelBindings, Client, ClientStep, Context, Credentials, ITERATIONS, Login, Mechanism, Policy, SALT_BYTES,
    ScramHash, Server, ServerSecret, ServerStep, StoredKeys,
};
use torg_wire::secret::Secret;
use torg_wire::seed::Seed;
use torg_wire::stream::{ClientOutput, ClientSettings, ClientStream, Output, Secured, ServerSettings, ServerStream};
use torg_wire::xml::Limits;

fn password() -> Secret<String> {
    Secret::new("pencil".into())
}

fn policy() -> Policy {
    Policy { scram_sha1: true, tokens: true, ..Policy::new(ServerSecret::new([1; 32])) }
}

fn bindings() -> ChannelBindings {
    ChannelBindings { tls_exporter: Some([9; 32]), tls_server_end_point: Some(vec![8; 32]) }
}

fn keys(hash: ScramHash) -> StoredKeys {
    StoredKeys::derive(hash, &password(), &[3; SALT_BYTES], ITERATIONS).unwrap()
}

fn login() -> Login {
    Login { username: "anna".into(), password: password(), scram_sha1: true, plain: false }
}

/// The two messages of a client that knows the password.
fn messages(mechanism: Mechanism, credentials: &Credentials) -> (Vec<u8>, Vec<u8>) {
    let policy = policy();
    let (domain, bindings) = (DomainPart::parse("site.example").unwrap(), bindings());
    let context = Context { policy: &policy, domain: &domain, bindings: &bindings, proven: &[] };
    let (mut client, first) = Client::start(&login(), &[mechanism], &bindings, None, "clientnonce").unwrap();
    let (mut server, _) = Server::start(mechanism, Some(&first), "servernonce".into(), context);
    let ServerStep::Challenge(challenge) = server.credentials(Some(credentials.clone()), &policy) else { panic!() };
    let ClientStep::Derive(derivation) = client.challenge(&challenge).unwrap() else { panic!() };
    let ClientStep::Respond(last) = client.derived(&derivation.run()).unwrap() else { panic!() };
    (first, last)
}

fn scram(criterion: &mut Criterion) {
    for mechanism in [Mechanism::ScramSha256Plus, Mechanism::ScramSha1Plus] {
        let credentials = Credentials::new(keys(mechanism.hash().unwrap()));
        let (first, last) = messages(mechanism, &credentials);
        let policy = policy();
        let (domain, bindings) = (DomainPart::parse("site.example").unwrap(), bindings());
        let context = Context { policy: &policy, domain: &domain, bindings: &bindings, proven: &[] };
        criterion.bench_function(&format!("server side of {}", mechanism.name()), |bencher| {
            bencher.iter(|| {
                let (mut server, _) = Server::start(mechanism, Some(black_box(&first)), "servernonce".into(), context);
                server.credentials(Some(credentials.clone()), &policy);
                let step = server.response(black_box(&last), String::new(), context);
                assert!(matches!(step, ServerStep::Success(_)));
            });
        });
    }
}

fn derive(criterion: &mut Criterion) {
    for hash in [ScramHash::Sha256, ScramHash::Sha1] {
        criterion.bench_function(&format!("derive {} with {ITERATIONS} iterations", hash.name()), |bencher| {
            bencher.iter(|| black_box(keys(black_box(hash))));
        });
    }
}

/// What a client of ours sends from its first header to its bind, recorded once.
struct Recording {
    settings: Arc<ServerSettings>,
    credentials: Credentials,
    parts: Vec<Vec<u8>>,
}

fn secured() -> Secured {
    Secured { bindings: bindings(), proven: Vec::new() }
}

impl Recording {
    fn make() -> Recording {
        let domain = DomainPart::parse("site.example").unwrap();
        let settings = Arc::new(ServerSettings {
            domain,
            policy: policy(),
            before_login: Vec::new(),
            features: Vec::new(),
            bind_inline: Vec::new(),
            limits: Limits::CLIENT,
        });
        let client = ClientSettings {
            account: BareJid::parse("anna@site.example").unwrap(),
            login: login(),
            resource: ResourcePart::parse("phone").ok(),
            limits: Limits::CLIENT,
        };
        let credentials = Credentials::new(keys(ScramHash::Sha256));
        let mut recording = Recording { settings, credentials, parts: Vec::new() };
        let now = Instant::now();
        let mut client = ClientStream::direct_tls(Arc::new(client), Seed::new([2; 32]), secured(), now);
        let mut server = recording.server(now);
        while client.jid().is_none() {
            while let Some(output) = client.output() {
                match output {
                    ClientOutput::Write(bytes) => {
                        let answer = recording.feed(&mut server, &bytes, now);
                        recording.parts.push(bytes);
                        client.receive(&answer);
                    }
                    ClientOutput::Derive(derivation) => client.derived(&derivation.run()),
                    _ => {}
                }
            }
        }
        recording
    }

    fn server(&self, now: Instant) -> ServerStream {
        ServerStream::direct_tls(self.settings.clone(), Seed::new([1; 32]), secured(), now)
    }

    fn feed(&self, server: &mut ServerStream, bytes: &[u8], now: Instant) -> Vec<u8> {
        let mut said = Vec::new();
        server.receive(bytes);
        while let Some(output) = server.output(now) {
            match output {
                Output::Write(bytes) => said.extend(bytes),
                Output::Lookup { .. } => server.credentials(Some(self.credentials.clone()), now),
                Output::Bind { account, resource, .. } => server.bound(Ok(account.with_resource(&resource)), now),
                other => panic!("{other:?}"),
            }
        }
        said
    }
}

fn negotiation(criterion: &mut Criterion) {
    let recording = Recording::make();
    let now = Instant::now();
    criterion.bench_function("server side of a whole login, header to bind", |bencher| {
        bencher.iter_batched(
            || recording.server(now),
            |mut server| {
                for part in &recording.parts {
                    black_box(recording.feed(&mut server, part, now));
                }
                assert!(server.jid().is_some());
                server
            },
            BatchSize::SmallInput,
        );
    });
}

criterion_group!(benches, scram, negotiation, derive);
criterion_main!(benches);
