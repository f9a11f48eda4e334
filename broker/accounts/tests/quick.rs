//! Quick logins against a whole broker with its accounts: everything in one flight, sessions resumed with a token, ghosts of the same
//! installation, a site that restarts. The client is bare text over TLS, so that what is said is seen here as it is.
#![cfg(test)]

use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use torg_accounts::{Accounts, MIGRATIONS};
use torg_core::tls::{Authority, ClientTls, LocalCertificate, SelfNames, ServerTls, Trust, client_bindings};
use torg_core::{Broker, PipeConnector, pipe};
use torg_store::{Engine, Sqlite, migrate};
use torg_thing::{Clock, SystemClock};
use torg_wire::jid::{BareJid, DomainPart};
use torg_wire::sasl::{Policy, TokenSecret, token_message};
use torg_wire::secret::Secret;

const HEADER: &str = "<stream:stream from='anna@site.example' to='site.example' version='1.0' xmlns='jabber:client' \
                      xmlns:stream='http://etherx.jabber.org/streams'>";
/// `\0anna\0pencil`
const PLAIN: &str = "AGFubmEAcGVuY2ls";
const BIND: &str = "<bind xmlns='urn:xmpp:bind:0'><tag>meter</tag><enable xmlns='urn:xmpp:sm:3' resume='true'/>\
                    <enable xmlns='urn:xmpp:carbons:2'/></bind>";
const TOKEN: &str = "<request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-EXPR'/>";
const FAST: &str = "<fast xmlns='urn:xmpp:fast:0'/>";

struct Site {
    store: Arc<dyn Engine>,
    local: LocalCertificate,
    broker: Broker,
    accounts: Accounts,
    direct: PipeConnector,
    _directory: tempfile::TempDir,
}

fn anna() -> BareJid {
    BareJid::parse("anna@site.example").expect("an address")
}

async fn serve(store: &Arc<dyn Engine>, local: &LocalCertificate) -> (Broker, Accounts, PipeConnector) {
    let clock = Arc::new(SystemClock);
    let loaded = local.files.load("site.example", clock.now()).expect("loaded");
    let name = DomainPart::parse("site.example").expect("a domain");
    let accounts = Accounts::new(store.clone(), name, clock.clone()).with_tokens(TokenSecret::new([4; 32]));
    let secret = accounts.server_secret().await.expect("secret");
    let policy = Policy { plain: true, tokens: true, ..Policy::new(secret) };
    let tls = Arc::new(ServerTls::new(&loaded).expect("serves"));
    let domain = BareJid::parse("site.example").expect("a domain");
    let builder = Broker::builder(domain, store.clone(), Arc::new(accounts.clone()), clock, tls);
    let broker = builder.policy(policy).start().await.expect("started");
    let (direct, listener) = pipe();
    broker.listen_c2s_tls(listener);
    (broker, accounts, direct)
}

async fn site() -> Site {
    let directory = tempfile::tempdir().expect("directory");
    let now = SystemClock.now();
    let local = Authority::new(directory.path()).certificate("site.example", SelfNames::DomainOnly, now).expect("made");
    let store: Arc<dyn Engine> = Arc::new(Sqlite::in_memory().expect("memory"));
    migrate(&*store, &[MIGRATIONS]).await.expect("migrated");
    let (broker, accounts, direct) = serve(&store, &local).await;
    accounts.create(&anna(), Secret::new("pencil".into())).await.expect("created");
    Site { store, local, broker, accounts, direct, _directory: directory }
}

struct Client(TlsStream<DuplexStream>);

impl Site {
    async fn connect(&self) -> Client {
        let config = ClientTls::new(&Trust::File(self.local.authority.clone())).expect("trusts").direct();
        let name = ClientTls::server_name("site.example").expect("a name");
        let socket = self.direct.connect().await.expect("connected");
        Client(TlsConnector::from(config).connect(name, socket).await.expect("handshake"))
    }

    /// One flight of header and login; what the server says up to the end of its `<success/>` or `<failure/>`.
    async fn login(&self, mechanism: &str, initial: &str, client: &str, wishes: &str) -> (Client, String) {
        let mut connected = self.connect().await;
        let said = connected.login(mechanism, initial, client, wishes).await;
        (connected, said)
    }

    async fn fast(&self, token: &str, client: &str, wishes: &str) -> (Client, String) {
        let mut connected = self.connect().await;
        let bindings = client_bindings(connected.0.get_ref().1);
        let data = bindings.tls_exporter.expect("an exporter");
        let message = base64(&token_message("anna", &Secret::new(token.into()), &data));
        let said = connected.login("HT-SHA-256-EXPR", &message, client, &[FAST, wishes].concat()).await;
        (connected, said)
    }
}

impl Client {
    async fn login(&mut self, mechanism: &str, initial: &str, client: &str, wishes: &str) -> String {
        let login = format!(
            "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='{mechanism}'><initial-response>{initial}\
             </initial-response><user-agent id='{client}'/>{wishes}</authenticate>"
        );
        self.say(&[HEADER, &login].concat()).await;
        self.hear(&["</success>", "</failure>"]).await
    }

    async fn say(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.expect("written");
        self.0.flush().await.expect("written");
    }

    /// What is said until one of these has come.
    async fn hear(&mut self, ends: &[&str]) -> String {
        let mut said = String::new();
        while !ends.iter().any(|end| said.contains(end)) {
            let mut bytes = [0; 4_096];
            let count = self.0.read(&mut bytes).await.expect("read");
            assert!(count > 0, "the server hung up: {said}");
            said.push_str(&String::from_utf8_lossy(bytes.get(..count).expect("read")));
        }
        said
    }
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// The value of an attribute, after this text.
fn attribute<'a>(said: &'a str, after: &str, name: &str) -> &'a str {
    let rest = said.split_once(after).unwrap_or_else(|| panic!("no {after}: {said}")).1;
    let rest = rest.split_once(&format!(" {name}='")).unwrap_or_else(|| panic!("no {name}: {said}")).1;
    rest.split_once('\'').expect("an end").0
}

fn jid(said: &str) -> &str {
    let rest = said.split_once("<authorization-identifier>").unwrap_or_else(|| panic!("no success: {said}")).1;
    rest.split_once('<').expect("an end").0
}

#[tokio::test]
async fn all_a_device_needs_comes_with_one_answer() {
    let site = site().await;
    let (_client, said) = site.login("PLAIN", PLAIN, "meter-7", &[BIND, TOKEN].concat()).await;
    assert!(jid(&said).starts_with("anna@site.example/meter/"), "{said}");
    assert!(attribute(&said, "<enabled", "id").len() >= 16, "{said}");
    assert!(attribute(&said, "<token xmlns='urn:xmpp:fast:0'", "token").len() == 43, "{said}");
}

#[tokio::test]
async fn a_lost_session_is_resumed_in_one_flight_with_a_token() {
    let site = site().await;
    let (client, said) = site.login("PLAIN", PLAIN, "meter-7", &[BIND, TOKEN].concat()).await;
    let (id, token) = (attribute(&said, "<enabled", "id"), attribute(&said, "<token ", "token"));
    drop(client); // no farewell
    let wishes = format!("{BIND}<resume xmlns='urn:xmpp:sm:3' previd='{id}' h='0'/>");
    let (mut client, again) = site.fast(token, "meter-7", &wishes).await;
    assert_eq!(attribute(&again, "<resumed ", "previd"), id);
    assert_eq!(jid(&again), jid(&said), "it is the same session");
    client.say("<iq type='get' id='p' to='site.example'><ping xmlns='urn:xmpp:ping'/></iq>").await;
    assert!(client.hear(&["id='p'"]).await.contains("type='result'"));
}

#[tokio::test]
async fn a_token_outlives_a_restart_and_not_a_new_password() {
    let mut site = site().await;
    let (client, said) = site.login("PLAIN", PLAIN, "meter-7", TOKEN).await;
    let token = attribute(&said, "<token ", "token").to_owned();
    drop(client);
    let (broker, accounts, direct) = serve(&site.store, &site.local).await;
    let old = std::mem::replace(&mut site.broker, broker);
    (site.accounts, site.direct) = (accounts, direct);
    old.shutdown(std::time::Duration::from_secs(5)).await;
    assert!(site.fast(&token, "meter-7", BIND).await.1.contains("<bound "));
    assert!(site.fast(&token, "meter-8", BIND).await.1.contains("<not-authorized"), "of another installation");
    site.accounts.set_password(&anna(), Secret::new("crayon".into())).await.expect("changed");
    assert!(site.fast(&token, "meter-7", BIND).await.1.contains("<not-authorized"));
}

#[tokio::test]
async fn a_new_session_ends_the_ghosts_of_the_same_installation_and_no_others() {
    let site = site().await;
    let (mut ghost, _) = site.login("PLAIN", PLAIN, "meter-7", BIND).await;
    let (mut other, _) = site.login("PLAIN", PLAIN, "meter-8", BIND).await;
    let (_new, _) = site.login("PLAIN", PLAIN, "METER-7", BIND).await;
    assert!(ghost.hear(&["</stream:stream>"]).await.contains("<conflict "));
    other.say("<iq type='get' id='p' to='site.example'><ping xmlns='urn:xmpp:ping'/></iq>").await;
    assert!(other.hear(&["id='p'"]).await.contains("type='result'"));
    assert_eq!(site.broker.router().sessions(), 2);
}

#[tokio::test]
async fn a_session_begins_with_carbons_if_its_client_asked_for_them() {
    let site = site().await;
    let (mut desk, _) = site.login("PLAIN", PLAIN, "desk", BIND).await;
    let (mut phone, said) = site.login("PLAIN", PLAIN, "phone", "<bind xmlns='urn:xmpp:bind:0'/>").await;
    let to = jid(&said).to_owned();
    phone.say(&format!("<message type='chat' to='{to}'><body>note to self</body></message>")).await;
    let said = desk.hear(&["</received>", "</sent>"]).await;
    assert!(said.contains("urn:xmpp:carbons:2") && said.contains("note to self"), "{said}");
}
