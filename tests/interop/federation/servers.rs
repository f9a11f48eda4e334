//! The servers of a test: Prosody and ejabberd as Debian has them, and Torg, each on ports of its own, each to be killed
//! and started again where it was.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::world::{Files, User, World, free_port};
use crate::support::{
    child::Child,
    site::{password, torg_command},
};

/// A program that serves a domain.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Program {
    Ejabberd,
    Prosody,
    /// With streams that carry both directions (XEP-0288), which Debian's Prosody has but does not use by itself.
    ProsodyBidi,
    Torg,
}

/// How a server proves itself, and what it asks of others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Proof {
    /// By certificates (EXTERNAL where the programs speak it).
    Certificate,
    /// By dialback inside TLS; certificates are not looked at.
    Dialback,
}

/// A server, running or killed.
pub(crate) struct Server {
    pub(crate) domain: String,
    pub(crate) c2s: u16,
    pub(crate) s2s: u16,
    pub(crate) s2s_tls: u16,
    ca: PathBuf,
    program: Program,
    folder: PathBuf,
    child: Option<Child>,
    environment: Vec<(&'static str, PathBuf)>,
}

/// Where Debian's ejabberd has its code.
fn ejabberd_code() -> PathBuf {
    let folders = fs::read_dir("/usr/lib")
        .into_iter()
        .flatten()
        .chain(fs::read_dir("/usr/lib/x86_64-linux-gnu").into_iter().flatten());
    let folders = folders.chain(fs::read_dir("/usr/lib/aarch64-linux-gnu").into_iter().flatten());
    let found = folders.flatten().map(|entry| entry.path()).find(|path| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("ejabberd-"))
            && path.join("ebin/ejabberd.app").exists()
    });
    found.expect("missing peer ejabberd: run `make test`, which installs it, or tests/peers/setup").join("ebin")
}

impl Server {
    /// Starts a program for a domain, with one account. `more` is added to the configuration.
    pub(crate) fn start(
        world: &World,
        program: Program,
        domain: &str,
        account: &str,
        certificate: &Files,
        proof: Proof,
        more: &str,
    ) -> Self {
        let folder = world.folder(domain);
        let (c2s, s2s, s2s_tls) = (free_port(), free_port(), free_port());
        let mut server = Self {
            domain: domain.to_owned(),
            c2s,
            s2s,
            s2s_tls,
            ca: world.clients_ca(),
            program,
            folder,
            child: None,
            environment: Vec::new(),
        };
        match program {
            Program::Ejabberd => server.write_ejabberd(world, account, certificate, proof, more),
            Program::Prosody | Program::ProsodyBidi => server.write_prosody(world, account, certificate, proof, more),
            Program::Torg => server.write_torg(world, account, certificate, more),
        }
        server.restart();
        server
    }

    /// Starts it again, after [`Server::kill`].
    pub(crate) fn restart(&mut self) {
        let folder = &self.folder;
        let mut command = match self.program {
            Program::Ejabberd => {
                let mut command = Command::new("erl");
                command.arg("-noinput").arg("-pa").arg(ejabberd_code());
                command.args(["-mnesia", "dir", &format!("\"{}\"", folder.join("mnesia").display())]);
                let account = fs::read_to_string(folder.join("account.erl")).expect("written before");
                // Plain erl needs neither a node name nor epmd.
                command.args(["-s", "ejabberd", "-eval", &account]);
                command
            }
            Program::Prosody | Program::ProsodyBidi => {
                let mut command = Command::new("prosody");
                command.arg("-F").arg("--config").arg(folder.join("prosody.cfg.lua"));
                command
            }
            Program::Torg => {
                let mut command = torg_command();
                command.args(["run", "--config"]).arg(folder.join("torg.toml"));
                command
            }
        };
        command.envs(self.environment.iter().map(|(name, value)| (name, value))).current_dir(folder);
        let child = Child::start(&format!("{:?}", self.program), &mut command);
        match self.program {
            Program::Ejabberd => drop(child.line("READY", |line| line.starts_with("READY"))),
            Program::Prosody | Program::ProsodyBidi => {
                for service in ["'c2s'", "'s2s'", "'s2s_direct_tls'"] {
                    let activated = |line: &str| line.contains("Activated service") && line.contains(service);
                    child.line(service, activated);
                }
            }
            Program::Torg => drop(child.line("READY", |line| line == "READY")),
        }
        self.child = Some(child);
    }

    /// Ends it as a power cut does.
    pub(crate) fn kill(&mut self) {
        self.child = None;
    }

    /// The process.
    pub(crate) fn process(&self) -> &Child {
        self.child.as_ref().expect("it runs")
    }

    /// Its configuration.
    pub(crate) fn configuration(&self) -> PathBuf {
        self.folder.join("torg.toml")
    }

    /// Logs its account in.
    pub(crate) fn user(&self, account: &str) -> User {
        self.user_at(account, "desk", false)
    }

    /// Logs its account in with a resource; see [`User::log_in`].
    pub(crate) fn user_at(&self, account: &str, resource: &str, managed: bool) -> User {
        let jid = format!("{account}@{}/{resource}", self.domain);
        User::log_in(&jid, &password(account), self.c2s, &self.ca, managed)
    }

    fn write(&self, file: &str, text: &str) {
        fs::write(self.folder.join(file), text).expect("the folder is writable");
    }

    fn write_prosody(&self, world: &World, account: &str, certificate: &Files, proof: Proof, more: &str) {
        let folder = self.folder.display();
        let accounts = self.folder.join("data").join(self.domain.replace('.', "%2e")).join("accounts");
        fs::create_dir_all(&accounts).expect("the folder is writable");
        fs::write(
            accounts.join(format!("{account}.dat")),
            format!("return {{ [\"password\"] = \"{}\" }};", password(account)),
        )
        .expect("the folder is writable");
        let trust = match proof {
            // Without mod_s2s_auth_certs nobody's certificate counts, so that dialback it must be.
            Proof::Dialback => ("", "s2s_secure_auth = false".to_owned()),
            Proof::Certificate => ("\"s2s_auth_certs\", ", "s2s_secure_auth = true".to_owned()),
        };
        let bidi = if self.program == Program::ProsodyBidi { "\"s2s_bidi\", " } else { "" };
        let Self { domain, c2s, s2s, s2s_tls, .. } = self;
        self.write(
            "prosody.cfg.lua",
            &format!(
                "run_as_root = true\ndaemonize = false\n\
                 data_path = \"{folder}/data\"\npidfile = \"{folder}/prosody.pid\"\n\
                 log = {{ {{ levels = {{ min = \"debug\" }}, to = \"console\" }} }}\n\
                 modules_enabled = {{ {}{bidi}\"roster\", \"saslauth\", \"tls\", \"dialback\", \"disco\", \"ping\", \"version\", \"pep\", \
                 \"offline\", \"c2s\", \"s2s\", \"posix\" }}\n\
                 unbound = {{ resolvconf = false, hoststxt = false, forward = {{ \"127.0.0.1@{}\" }}, \
                 options = {{ [\"do-not-query-localhost:\"] = \"no\", [\"do-ip6:\"] = \"no\", [\"cache-max-negative-ttl:\"] = \"0\" }} }}\n\
                 interfaces = {{ \"127.0.0.1\" }}\nuse_ipv6 = false\n\
                 c2s_ports = {{ {c2s} }}\nc2s_direct_tls_ports = {{}}\ns2s_ports = {{ {s2s} }}\ns2s_direct_tls_ports = {{ {s2s_tls} }}\n\
                 authentication = \"internal_plain\"\n{}\n\
                 ssl = {{ key = \"{}\", certificate = \"{}\", cafile = \"{}\" }}\n{more}\n\
                 VirtualHost \"{domain}\"\n",
                trust.0,
                world.dns.address().port(),
                trust.1,
                certificate.key.display(),
                certificate.certificate.display(),
                world.ca().display(),
            ),
        );
    }

    fn write_ejabberd(&mut self, world: &World, account: &str, certificate: &Files, proof: Proof, more: &str) {
        fs::create_dir_all(self.folder.join("mnesia")).expect("the folder is writable");
        let Self { domain, c2s, s2s, s2s_tls, .. } = &*self;
        let trust = match proof {
            Proof::Dialback => "s2s_use_starttls: required".to_owned(),
            Proof::Certificate => format!("s2s_use_starttls: required\ns2s_cafile: \"{}\"", world.ca().display()),
        };
        self.write(
            "ejabberd.yml",
            &format!(
                "hosts: [\"{domain}\"]\nloglevel: debug\ncertfiles: [\"{}\"]\nca_file: \"{}\"\n{trust}\n{more}\n\
                 auth_method: internal\n\
                 listen:\n\
                 \x20 - {{port: {c2s}, ip: \"127.0.0.1\", module: ejabberd_c2s, starttls: true, starttls_required: true, access: all}}\n\
                 \x20 - {{port: {s2s}, ip: \"127.0.0.1\", module: ejabberd_s2s_in}}\n\
                 \x20 - {{port: {s2s_tls}, ip: \"127.0.0.1\", module: ejabberd_s2s_in, tls: true}}\n\
                 modules:\n\
                 \x20 mod_roster: {{}}\n  mod_disco: {{}}\n  mod_caps: {{}}\n  mod_ping: {{}}\n  mod_version: {{}}\n  mod_offline: {{}}\n\
                 \x20 mod_pubsub: {{plugins: [flat, pep]}}\n{}",
                certificate.both.display(),
                world.ca().display(),
                if proof == Proof::Dialback { "  mod_s2s_dialback: {}\n" } else { "" },
            ),
        );
        // The server comes last: an empty resolv_conf forgets the servers named before it.
        let port = world.dns.address().port();
        self.write(
            "inetrc",
            &format!(
                "{{lookup,[dns]}}.\n{{resolv_conf,\"\"}}.\n{{hosts_file,\"\"}}.\n{{nameserver,{{127,0,0,1}},{port}}}.\n"
            ),
        );
        let register =
            format!("ejabberd_auth:try_register(<<\"{account}\">>,<<\"{domain}\">>,<<\"{}\">>)", password(account));
        self.write("account.erl", &format!("{register}, io:format(\"READY~n\")."));
        self.environment = vec![
            ("ERL_INETRC", self.folder.join("inetrc")),
            ("EJABBERD_CONFIG_PATH", self.folder.join("ejabberd.yml")),
            ("EJABBERD_LOG_PATH", self.folder.join("ejabberd.log")),
            ("SPOOL_DIR", self.folder.join("mnesia")),
            ("HOME", self.folder.clone()),
        ];
    }

    fn write_torg(&self, world: &World, account: &str, certificate: &Files, more: &str) {
        let Self { domain, c2s, s2s, s2s_tls, .. } = self;
        self.write(
            "torg.toml",
            &format!(
                "[broker]\ndomain = \"{domain}\"\n\
                 [broker.listen]\nc2s = [\"127.0.0.1:{c2s}\"]\nc2s_tls = []\n\
                 s2s = [\"127.0.0.1:{s2s}\"]\ns2s_tls = [\"127.0.0.1:{s2s_tls}\"]\n\
                 [broker.tls]\ncertificate = \"{}\"\nkey = \"{}\"\n\
                 [broker.federation]\nothers = \"refuse\"\ndns = [\"{}\"]\n\
                 [store]\npath = \"torg.db\"\n[log]\nlevel = \"debug\"\n{more}\n",
                certificate.certificate.display(),
                certificate.key.display(),
                world.dns.address(),
            ),
        );
        let mut add = torg_command();
        add.args(["account", "add", &format!("{account}@{domain}"), "--password-stdin", "--config"])
            .arg(self.configuration());
        let mut add = Child::start("torg account add", &mut add);
        add.write(&format!("{}\n", password(account)));
        add.succeed();
    }
}

/// A `[[broker.peer]]` for a server found by DNS, or at its address.
pub(crate) fn peer_section(domain: &str, ca: &Path, proof: Proof) -> String {
    match proof {
        Proof::Certificate => format!("[[broker.peer]]\ndomain = \"{domain}\"\nca = \"{}\"\n", ca.display()),
        Proof::Dialback => format!("[[broker.peer]]\ndomain = \"{domain}\"\npolicy = \"dialback\"\n"),
    }
}
