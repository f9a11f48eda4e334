//! Whole logins: a broker with its accounts, rustls on both sides, our own client machine, pipes instead of a network.
#![cfg(test)]

use std::sync::Arc;
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use torg_accounts::{Accounts, MIGRATIONS};
use torg_core::tls::{Authority, ClientTls, Loaded, LocalCertificate, SelfNames, ServerTls, Trust, client_bindings};
use torg_core::{Broker, PipeConnector, pipe};
use torg_store::{Sqlite, migrate};
use torg_thing::{Clock, SystemClock};
use torg_wire::jid::{BareJid, DomainPart, FullJid};
use torg_wire::sasl::{Failure, Login, Policy};
use torg_wire::secret::Secret;
use torg_wire::seed::Seed;
use torg_wire::stream::{ClientFault, ClientOutput, ClientSettings, ClientStream, Secured, Why};
use torg_wire::stream_error::StreamCondition;
use torg_wire::xml::Limits;

struct Site {
    broker: Broker,
    accounts: Accounts,
    starttls: PipeConnector,
    direct: PipeConnector,
    client: ClientTls,
    directory: tempfile::TempDir,
}

fn domain() -> BareJid {
    BareJid::parse("site.example").expect("a domain")
}

fn anna() -> BareJid {
    BareJid::parse("anna@site.example").expect("an address")
}

fn certificate(directory: &std::path::Path) -> (LocalCertificate, Loaded) {
    let now = SystemClock.now();
    let local = Authority::new(directory).certificate("site.example", SelfNames::DomainOnly, now).expect("made");
    let loaded = local.files.load("site.example", now).expect("loaded");
    (local, loaded)
}

async fn site(change: impl FnOnce(&mut Policy)) -> Site {
    let directory = tempfile::tempdir().expect("directory");
    let (local, loaded) = certificate(directory.path());
    let store = Arc::new(Sqlite::in_memory().expect("memory"));
    migrate(&*store, &[MIGRATIONS]).await.expect("migrated");
    let clock = Arc::new(SystemClock);
    let name = DomainPart::parse("site.example").expect("a domain");
    let accounts = Accounts::new(store.clone(), name, clock.clone()).with_scram_sha1(true);
    let secret = accounts.server_secret().await.expect("secret");
    let mut policy = Policy::new(secret);
    change(&mut policy);
    let tls = Arc::new(ServerTls::new(&loaded).expect("serves"));
    let builder = Broker::builder(domain(), store, Arc::new(accounts.clone()), clock, tls);
    let broker = builder.policy(policy).start().await.expect("started");
    accounts.create(&anna(), Secret::new("pencil".into())).await.expect("created");
    let ((starttls, listener), (direct, listener_tls)) = (pipe(), pipe());
    broker.listen_c2s(listener);
    broker.listen_c2s_tls(listener_tls);
    let client = ClientTls::new(&Trust::File(local.authority)).expect("trusts");
    Site { broker, accounts, starttls, direct, client, directory }
}

fn login(password: &str) -> Login {
    Login { username: "anna".into(), password: Secret::new(password.into()), scram_sha1: false, plain: false }
}

fn settings(login: Login) -> Arc<ClientSettings> {
    Arc::new(ClientSettings { account: anna(), login, resource: None, limits: Limits::CLIENT })
}

fn seed() -> Seed {
    Seed::new([7; 32])
}

/// Runs the machine until it has a session, wants TLS, or has ended.
async fn run<S: AsyncRead + AsyncWrite + Unpin>(machine: &mut ClientStream, io: &mut S) -> Result<Step, ClientFault> {
    let mut buffer = [0; 4_096];
    loop {
        while let Some(output) = machine.output() {
            match output {
                // The other side may be gone before our farewell; what it said is still to be read.
                ClientOutput::Write(bytes) => drop(io.write_all(&bytes).await),
                ClientOutput::Derive(derivation) => machine.derived(&derivation.run()),
                ClientOutput::StartTls => return Ok(Step::StartTls),
                ClientOutput::Ready { jid, .. } => return Ok(Step::Ready(jid)),
                ClientOutput::Close(fault) => return Err(fault),
                other => panic!("not now: {other:?}"),
            }
        }
        match io.read(&mut buffer).await.unwrap_or(0) {
            0 => machine.end_of_input(),
            count => machine.receive(&buffer[..count]),
        }
    }
}

enum Step {
    StartTls,
    Ready(FullJid),
}

impl Site {
    async fn secure(
        &self,
        pipe: DuplexStream,
        config: Arc<rustls::ClientConfig>,
    ) -> (TlsStream<DuplexStream>, Secured) {
        let name = ClientTls::server_name("site.example").expect("a name");
        let stream = TlsConnector::from(config).connect(name, pipe).await.expect("handshake");
        let bindings = client_bindings(stream.get_ref().1);
        (stream, Secured { bindings, proven: Vec::new() })
    }

    async fn starttls(&self, login: Login) -> Result<FullJid, ClientFault> {
        let mut pipe = self.starttls.connect().await.expect("connected");
        let mut machine = ClientStream::new(settings(login), seed(), Instant::now());
        let Step::StartTls = run(&mut machine, &mut pipe).await? else { panic!("no TLS was asked for") };
        let (mut stream, secured) = self.secure(pipe, self.client.starttls()).await;
        machine.secured(secured);
        finish(&mut machine, &mut stream).await
    }

    /// Logs in over direct TLS; `change` may spoil what the client believes of its channel.
    async fn direct(&self, login: Login, change: impl FnOnce(&mut Secured)) -> Result<FullJid, ClientFault> {
        let pipe = self.direct.connect().await.expect("connected");
        let (mut stream, mut secured) = self.secure(pipe, self.client.direct()).await;
        change(&mut secured);
        let mut machine = ClientStream::direct_tls(settings(login), seed(), secured, Instant::now());
        finish(&mut machine, &mut stream).await
    }
}

async fn finish<S: AsyncRead + AsyncWrite + Unpin>(
    machine: &mut ClientStream,
    io: &mut S,
) -> Result<FullJid, ClientFault> {
    match run(machine, io).await? {
        Step::Ready(jid) => Ok(jid),
        Step::StartTls => panic!("TLS inside TLS"),
    }
}

fn refused(outcome: Result<FullJid, ClientFault>) -> Failure {
    match outcome {
        Err(ClientFault::Refused { failure, .. }) => failure,
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test]
async fn an_account_logs_in_over_starttls_and_over_direct_tls() {
    let site = site(|_| {}).await;
    for jid in [site.starttls(login("pencil")).await, site.direct(login("pencil"), |_| {}).await] {
        assert_eq!(jid.expect("logged in").to_bare(), anna());
    }
}

#[tokio::test]
async fn each_kind_of_channel_binding_logs_in_and_a_wrong_one_does_not() {
    let site = site(|_| {}).await;
    let end_point = |secured: &mut Secured| secured.bindings.tls_exporter = None;
    assert!(site.direct(login("pencil"), end_point).await.is_ok());
    let wrong_exporter = |secured: &mut Secured| secured.bindings.tls_exporter = Some([0; 32]);
    assert_eq!(refused(site.direct(login("pencil"), wrong_exporter).await), Failure::NotAuthorized);
    let wrong_end_point = |secured: &mut Secured| {
        secured.bindings.tls_exporter = None;
        secured.bindings.tls_server_end_point = Some(vec![0; 32]);
    };
    assert_eq!(refused(site.direct(login("pencil"), wrong_end_point).await), Failure::NotAuthorized);
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_account_are_refused_alike() {
    let site = site(|_| {}).await;
    assert_eq!(refused(site.direct(login("crayon"), |_| {}).await), Failure::NotAuthorized);
    let stranger = Login { username: "nobody".into(), ..login("pencil") };
    assert_eq!(refused(site.direct(stranger, |_| {}).await), Failure::NotAuthorized);
}

#[tokio::test]
async fn changes_of_an_account_hold_from_the_next_login_on() {
    let site = site(|_| {}).await;
    site.accounts.set_password(&anna(), Secret::new("crayon".into())).await.expect("changed");
    assert_eq!(refused(site.direct(login("pencil"), |_| {}).await), Failure::NotAuthorized);
    assert!(site.direct(login("crayon"), |_| {}).await.is_ok());
    site.accounts.set_disabled(&anna(), true).await.expect("switched off");
    assert_eq!(refused(site.direct(login("crayon"), |_| {}).await), Failure::AccountDisabled);
    site.accounts.set_disabled(&anna(), false).await.expect("switched on");
    site.accounts.remove(&anna()).await.expect("removed");
    assert_eq!(refused(site.direct(login("crayon"), |_| {}).await), Failure::NotAuthorized);
}

#[tokio::test]
async fn a_new_certificate_serves_the_next_login_with_its_own_end_point() {
    let site = site(|_| {}).await;
    let leaf = site.directory.path().join("leaf.pem");
    std::fs::remove_file(&leaf).expect("removed");
    let (_, renewed) = certificate(site.directory.path());
    site.broker.reload_tls(&renewed).expect("reloaded");
    let end_point = |secured: &mut Secured| secured.bindings.tls_exporter = None;
    assert!(site.direct(login("pencil"), end_point).await.is_ok());
}

/// What is offered and chosen is tested with the machines; here that the whole way works for the weak ones too.
#[tokio::test]
async fn without_channel_binding_on_the_client_s_side_login_still_works() {
    let site = site(|policy| (policy.plain, policy.scram_sha1) = (true, true)).await;
    let none = |secured: &mut Secured| secured.bindings = torg_wire::sasl::ChannelBindings::default();
    assert!(site.direct(login("pencil"), none).await.is_ok());
}

#[tokio::test]
async fn http_on_either_port_is_cut() {
    let site = site(|_| {}).await;
    for connector in [&site.starttls, &site.direct] {
        let mut pipe = connector.connect().await.expect("connected");
        pipe.write_all(b"GET / HTTP/1.1\r\nHost: site.example\r\n\r\n").await.expect("written");
        let mut answer = Vec::new();
        let _ = pipe.read_to_end(&mut answer).await;
    }
}

#[tokio::test]
async fn a_broker_that_stops_tells_its_sessions() {
    let site = site(|_| {}).await;
    let pipe = site.direct.connect().await.expect("connected");
    let (mut stream, secured) = site.secure(pipe, site.client.direct()).await;
    let mut machine = ClientStream::direct_tls(settings(login("pencil")), seed(), secured, Instant::now());
    finish(&mut machine, &mut stream).await.expect("logged in");
    let (_, fault) =
        tokio::join!(site.broker.shutdown(std::time::Duration::from_secs(5)), run(&mut machine, &mut stream));
    let Err(ClientFault::Ended(Why::PeerFault(error))) = fault.map(|_| ()) else { panic!("ended otherwise") };
    assert_eq!(error.condition(), StreamCondition::SystemShutdown);
}
