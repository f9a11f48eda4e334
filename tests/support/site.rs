//! One running `torg run`: its own folder, free ports, accounts made through the command line.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::child::Child;

/// The domain of every test site: a name that each client resolves to the loopback and finds in the certificate.
pub(crate) const DOMAIN: &str = "localhost";
/// The concentrator of every test site.
pub(crate) const GATEWAY: &str = "gateway@localhost";

/// A running appliance; dropping it ends it.
pub(crate) struct Site {
    /// The process.
    pub(crate) torg: Child,
    /// Port of STARTTLS.
    pub(crate) c2s: u16,
    /// Port of direct TLS.
    pub(crate) c2s_tls: u16,
    /// From the start of the process to READY.
    pub(crate) started_in: Duration,
    folder: TempDir,
}

impl Site {
    /// Starts an appliance with the bridges of `bridges` (TOML), these friends of the gateway and these accounts; the
    /// password of every account is [`password`] of its name.
    pub(crate) fn start(bridges: &str, friends: &[&str], accounts: &[&str]) -> Self {
        Self::start_with(&[], bridges, friends, accounts)
    }

    /// The same, with these variables in its environment.
    pub(crate) fn start_with(environment: &[(&str, &str)], bridges: &str, friends: &[&str], accounts: &[&str]) -> Self {
        Self::start_as(false, environment, bridges, friends, accounts)
    }

    /// Starts an appliance without bridges that lets clients log in with a password in the clear, inside TLS.
    pub(crate) fn start_plain(accounts: &[&str]) -> Self {
        Self::start_as(true, &[], "", &[], accounts)
    }

    /// Starts an appliance without bridges and with these external components; the secret of each is [`password`] of its domain.
    pub(crate) fn start_with_components(domains: &[&str], accounts: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut sections = String::new();
        for domain in domains {
            let file = format!("{domain}.secret");
            fs::write(folder.path().join(&file), password(domain)).expect("the folder is writable");
            fs::set_permissions(folder.path().join(&file), fs::Permissions::from_mode(0o600)).expect("our file");
            sections += &format!("[[broker.component]]\ndomain = \"{domain}\"\nsecret_file = \"{file}\"\n");
        }
        let listen = "component = [\"127.0.0.1:0\"]\n";
        fs::write(folder.path().join("torg.toml"), config(listen, &sections, &[], false))
            .expect("the folder is writable");
        Self::add_accounts(&folder, accounts);
        Self::run(folder, &[])
    }

    fn start_as(plain: bool, environment: &[(&str, &str)], bridges: &str, friends: &[&str], accounts: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        write_config(folder.path(), bridges, friends, plain);
        Self::add_accounts(&folder, accounts);
        Self::run(folder, environment)
    }

    fn add_accounts(folder: &TempDir, accounts: &[&str]) {
        for account in accounts {
            let jid = format!("{account}@{DOMAIN}");
            let mut add = torg_command();
            add.args(["account", "add", &jid, "--password-stdin", "--config"]).arg(folder.path().join("torg.toml"));
            let mut add = Child::start("torg account add", &mut add);
            add.write(&format!("{}\n", password(account)));
            add.succeed();
        }
    }

    /// Stops the appliance with SIGTERM, and returns how long it took and what is left: start it again with
    /// [`Stopped::start`].
    pub(crate) fn stop(self) -> (Duration, Stopped) {
        let Self { torg, folder, .. } = self;
        let start = Instant::now();
        torg.signal("TERM");
        torg.succeed();
        (start.elapsed(), Stopped(folder))
    }

    /// Kills the appliance where it stands, and returns what is left.
    pub(crate) fn crash(self) -> Stopped {
        let Self { torg, folder, .. } = self;
        torg.signal("KILL");
        drop(torg.finish());
        Stopped(folder)
    }

    fn run(folder: TempDir, environment: &[(&str, &str)]) -> Self {
        let mut run = torg_command();
        run.args(["run", "--print-addresses", "--config"]).arg(folder.path().join("torg.toml"));
        run.envs(environment.iter().copied());
        let start = Instant::now();
        let torg = Child::start("torg run", &mut run);
        torg.line("READY", |line| line == "READY");
        let started_in = start.elapsed();
        let (c2s, c2s_tls) = (port(&torg, "c2s"), port(&torg, "c2s_tls"));
        Self { torg, c2s, c2s_tls, started_in, folder }
    }

    /// The port of another listener: `https`, `http` or `admin`.
    pub(crate) fn port(&self, kind: &str) -> u16 {
        port(&self.torg, kind)
    }

    /// Writes other bridges or friends into the configuration file, for a reload.
    pub(crate) fn rewrite(&self, bridges: &str, friends: &[&str]) {
        write_config(self.folder.path(), bridges, friends, false);
    }

    /// The file that clients must trust: the authority that the first start made.
    pub(crate) fn authority(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// Runs `torg node ...` as `account` and returns what it prints as JSON.
    pub(crate) fn node(&self, account: &str, arguments: &[&str]) -> serde_json::Value {
        let text = self.start_node(account, arguments).succeed();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("torg node {arguments:?}: {error}: {text}"))
    }

    /// Starts `torg node ...` as `account`, over STARTTLS.
    pub(crate) fn start_node(&self, account: &str, arguments: &[&str]) -> Child {
        let mut command = torg_command();
        command
            .arg("node")
            .args(arguments)
            .args(["--as", &format!("{account}@{DOMAIN}"), "--password-stdin", "--jid", GATEWAY, "--json"])
            .args(["--server", &format!("127.0.0.1:{}", self.c2s), "--ca"])
            .arg(self.authority());
        let mut child = Child::start("torg node", &mut command);
        child.write(&format!("{}\n", password(account)));
        child
    }
}

/// Where a `torg run --print-addresses` listens.
pub(crate) fn port(torg: &Child, kind: &str) -> u16 {
    let start = format!("ADDRESS {kind} ");
    let line = torg.line(&start, |line| line.starts_with(&start));
    line.rsplit(':').next().and_then(|port| port.parse().ok()).unwrap_or_else(|| panic!("no port in {line}"))
}

/// A stopped appliance: its configuration, its store.
pub(crate) struct Stopped(TempDir);

impl Stopped {
    /// Its configuration file.
    pub(crate) fn config(&self) -> PathBuf {
        self.0.path().join("torg.toml")
    }

    /// As [`Site::authority`].
    pub(crate) fn authority(&self) -> PathBuf {
        self.0.path().join("ca.pem")
    }

    /// Starts it again, on other ports.
    pub(crate) fn start(self) -> Site {
        Site::run(self.0, &[])
    }
}

/// The password of an account; it opens nothing outside its test.
pub(crate) fn password(account: &str) -> String {
    format!("{account}-is-here")
}

/// The binary under test.
pub(crate) fn torg_command() -> Command {
    Command::new(env!("CARGO_BIN_EXE_torg"))
}

fn write_config(folder: &Path, bridges: &str, friends: &[&str], plain: bool) {
    fs::write(folder.join("torg.toml"), config("", bridges, friends, plain)).expect("the folder is writable");
}

/// The configuration of a test site, with more listeners; SCRAM-SHA-1 is on because @xmpp/client knows nothing newer.
fn config(listen: &str, bridges: &str, friends: &[&str], plain: bool) -> String {
    let friends: Vec<String> = friends.iter().map(|friend| format!("\"{friend}@{DOMAIN}\"")).collect();
    let friends = friends.join(", ");
    format!(
        "[broker]\ndomain = \"{DOMAIN}\"\n\
         [broker.listen]\nc2s = [\"127.0.0.1:0\"]\nc2s_tls = [\"127.0.0.1:0\"]\n\
         https = [\"127.0.0.1:0\"]\nhttp = [\"127.0.0.1:0\"]\nadmin = [\"127.0.0.1:0\"]\n{listen}\
         [broker.auth]\nscram_sha_1 = true\nplain = {plain}\n\
         [store]\npath = \"torg.db\"\n\
         [concentrator]\njid = \"{GATEWAY}\"\nfriends = [{friends}]\n{bridges}"
    )
}
