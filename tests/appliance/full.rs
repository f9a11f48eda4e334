//! A disk that fills up under a running appliance, and is emptied again: a small file system of its own holds the store.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use torg::client::{ConnectOptions, Connection, RequestError, connect};
use torg_core::tls::Trust;
use torg_wire::jid::{BareJid, Jid};
use torg_wire::secret::Secret;
use torg_wire::stanza::{MessageType, PresenceType, Stanza, StanzaCondition, StanzaError};

use crate::world::{Place, WITHIN};

/// The appliance and the shell that is with it on the disk. Dropping it ends both.
struct Machine {
    shell: Child,
    orders: ChildStdin,
    said: std::io::Lines<BufReader<ChildStdout>>,
    place: Place,
    c2s: SocketAddr,
    admin: SocketAddr,
}

/// Runs in a mount namespace: a disk of 3 MiB, accounts, the appliance, then orders from the test.
const SCRIPT: &str = r#"set -e
mkdir "$DISK"; mount -t tmpfs -o size=3m tmpfs "$DISK"
for name in anna bob carl; do echo "$name" | "$TORG" account add "$name" --password-stdin --config "$CONFIG" > /dev/null; done
"$TORG" run --print-addresses --config "$CONFIG" 2> "$DISK/../log" & appliance=$!
trap 'kill -TERM $appliance 2> /dev/null; wait $appliance' EXIT
while read order; do
  case "$order" in
    trust) cp "$DISK/ca.pem" "$DISK/../ca.pem" ;;
    fill) dd if=/dev/zero of="$DISK/ballast" bs=4k 2> /dev/null || true ;;
    empty) rm "$DISK/ballast" ;;
  esac
  echo "done $order"
done
"#;

impl Machine {
    fn start() -> Machine {
        let more =
            "[broker.listen]\nc2s = [\"127.0.0.1:0\"]\nadmin = [\"127.0.0.1:0\"]\n[store]\npath = \"disk/torg.db\"\n";
        let place = Place::new("", &[]);
        fs::write(place.file(), format!("[broker]\ndomain = \"localhost\"\n{more}")).unwrap();
        let mut unshare = Command::new("unshare");
        if !rustix::process::geteuid().is_root() {
            unshare.args(["--user", "--map-root-user"]);
        }
        let mut shell = unshare
            .args(["--mount", "sh", "-c", SCRIPT])
            .env("DISK", place.file().with_file_name("disk"))
            .env("CONFIG", place.file())
            .env("TORG", env!("CARGO_BIN_EXE_torg"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let orders = shell.stdin.take().unwrap();
        let mut said = BufReader::new(shell.stdout.take().unwrap()).lines();
        let log = || fs::read_to_string(place.file().with_file_name("log")).unwrap_or_default();
        let address = |said: &mut std::io::Lines<BufReader<ChildStdout>>, kind: &str| loop {
            let line = said.next();
            assert!(line.is_some(), "no {kind}: {}", log());
            let line = line.unwrap().unwrap();
            if let Some(address) = line.strip_prefix(&format!("ADDRESS {kind} ")) {
                return address.parse().unwrap();
            }
        };
        let c2s = address(&mut said, "c2s");
        let admin = address(&mut said, "admin");
        let mut machine = Machine { shell, orders, said, place, c2s, admin };
        machine.order("trust");
        machine
    }

    /// Has something done on the disk.
    fn order(&mut self, order: &str) {
        writeln!(self.orders, "{order}").unwrap();
        while self.said.next().unwrap().unwrap() != format!("done {order}") {}
    }

    async fn log_in(&self, name: &str) -> Connection {
        let options = ConnectOptions {
            account: BareJid::parse(&format!("{name}@localhost")).unwrap(),
            password: Secret::new(name.to_owned()),
            server: Some(self.c2s.to_string()),
            direct_tls: false,
            trust: Trust::File(self.trusted()),
            resource: None,
            within: WITHIN,
        };
        connect(options).await.unwrap()
    }

    fn trusted(&self) -> PathBuf {
        self.place.file().with_file_name("ca.pem")
    }

    /// What the admin listener answers.
    async fn ask(&self, path: &str) -> String {
        let (admin, path) = (self.admin, path.to_owned());
        let ask = move || {
            let mut stream = TcpStream::connect(admin).unwrap();
            stream.set_read_timeout(Some(WITHIN)).unwrap();
            write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            answer
        };
        tokio::task::spawn_blocking(ask).await.unwrap()
    }

    /// Closes the orders, which stops the appliance in order, and waits for it.
    fn stop(self) {
        let Machine { mut shell, orders, .. } = self;
        drop(orders);
        assert!(shell.wait().unwrap().success(), "the appliance ends in order");
    }
}

fn chat(to: &str, id: &str) -> Stanza {
    Stanza::message(MessageType::Chat).with_to(Jid::parse(to).unwrap()).with_body("hello").with_id(id)
}

/// Sends a message and says whether it was refused, and how.
async fn send(from: &Connection, to: &str, id: &str) -> Option<(StanzaCondition, Option<String>)> {
    let mut inbox = from.session.inbox();
    from.session.send(chat(to, id)).await.unwrap();
    // What is answered to a ping behind it has been dealt with.
    let server = Jid::parse("localhost").unwrap();
    let pong: Result<_, RequestError> = from.session.get(Some(&server), torg_wire::xep::ping::request(), WITHIN).await;
    pong.unwrap();
    while let Ok(stanza) = inbox.try_recv() {
        if stanza.kind().is_error() && stanza.id() == Some(id) {
            let error = stanza.child(torg_wire::ns::CLIENT, "error").and_then(StanzaError::from_element).unwrap();
            return Some((error.condition(), error.text().map(str::to_owned)));
        }
    }
    None
}

#[tokio::test]
async fn a_full_disk_keeps_nothing_new_and_stops_nobody_and_heals_by_itself() {
    let mut machine = Machine::start();
    let anna = machine.log_in("anna").await;
    let bob = machine.log_in("bob").await;
    let mut at_bob = bob.session.inbox();
    bob.session.send(Stanza::presence(PresenceType::Available)).await.unwrap();
    assert_eq!(send(&anna, "carl@localhost", "before").await, None);
    assert!(machine.ask("/healthz").await.contains("\"status\""));

    machine.order("fill");
    let (condition, text) = send(&anna, "carl@localhost", "full").await.expect("refused");
    assert_eq!(condition, StanzaCondition::ResourceConstraint);
    assert_eq!(text.as_deref(), Some("The server cannot store anything at the moment."));
    // Live goes on: to who is there, by new logins, and with requests.
    assert_eq!(send(&anna, "bob@localhost", "live").await, None);
    let heard = tokio::time::timeout(WITHIN, async {
        loop {
            let stanza = at_bob.recv().await.unwrap();
            if stanza.id() == Some("live") {
                return true;
            }
        }
    });
    assert!(heard.await.unwrap());
    machine.log_in("bob").await.leave().await;
    let health = machine.ask("/healthz").await;
    assert!(health.starts_with("HTTP/1.1 200 ") && health.contains("\"degraded\""), "{health}");
    assert!(health.contains("the disk of the store takes nothing"), "{health}");
    let metrics = machine.ask("/metrics").await;
    assert!(metrics.contains("torg_store_writable 0") && metrics.contains("torg_degraded 1"), "{metrics}");
    assert!(machine.ask("/status").await.contains("\"refused\":\""));

    machine.order("empty");
    // Nobody writes anything, and yet it is noticed.
    let health = machine.ask("/healthz").await;
    assert!(!health.contains("takes nothing"), "{health}");
    assert_eq!(send(&anna, "carl@localhost", "after").await, None);
    assert!(machine.ask("/metrics").await.contains("torg_store_writable 1"));

    let carl = machine.log_in("carl").await;
    let mut at_carl = carl.session.inbox();
    carl.session.send(Stanza::presence(PresenceType::Available)).await.unwrap();
    let mut got = Vec::new();
    while got.len() < 2 {
        let stanza = tokio::time::timeout(WITHIN, at_carl.recv()).await.unwrap().unwrap();
        if stanza.body().is_some() {
            got.extend(stanza.id().map(str::to_owned));
        }
    }
    assert_eq!(got, ["before", "after"], "what was acknowledged comes, what was refused does not");
    carl.leave().await;
    bob.leave().await;
    anna.leave().await;
    machine.stop();
}
