//! Accounts that move between Torg and Prosody in the file format of XEP-0227: each reads what the other wrote.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{child::Child, site::torg_command};

/// Prosody with its accounts in such files, and a folder with a configuration of Torg.
struct Movers {
    folder: TempDir,
}

impl Movers {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let here = folder.path().display();
        fs::create_dir(folder.path().join("data")).unwrap();
        let prosody = format!(
            "run_as_root = true\npidfile = \"{here}/pid\"\ndata_path = \"{here}/data\"\ncertificates = \"{here}\"\n\
             log = {{ error = \"*console\" }}\nstorage = \"xep0227\"\nauthentication = \"internal_hashed\"\n\
             password_hash = \"SHA-256\"\nmodules_enabled = {{ \"roster\", \"saslauth\" }}\nVirtualHost \"localhost\"\n"
        );
        fs::write(folder.path().join("prosody.cfg.lua"), prosody).unwrap();
        let torg = "[broker]\ndomain = \"localhost\"\n[broker.listen]\nc2s = [\"127.0.0.1:0\"]\n";
        fs::write(folder.path().join("torg.toml"), torg).unwrap();
        Movers { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Where Prosody keeps the account.
    fn account(&self) -> PathBuf {
        self.path("data/anna@localhost.xml")
    }

    fn prosodyctl(&self, arguments: &[&str], input: &str) {
        let mut command = Command::new("prosodyctl");
        command.args(["--root", "--config"]).arg(self.path("prosody.cfg.lua")).args(arguments);
        let mut child = Child::start("prosodyctl", &mut command);
        child.write(input);
        child.succeed();
    }

    fn export(&self) -> String {
        let file = self.path("exported.xml");
        let mut command = torg_command();
        command.args(["account", "export", "--overwrite"]).arg(&file).arg("--config").arg(self.path("torg.toml"));
        Child::start("torg account export", &mut command).succeed();
        fs::read_to_string(file).unwrap()
    }

    fn import(&self, file: &Path) -> Value {
        let mut command = torg_command();
        command
            .args(["account", "import", "--replace", "--json"])
            .arg(file)
            .arg("--config")
            .arg(self.path("torg.toml"));
        serde_json::from_str(&Child::start("torg account import", &mut command).succeed()).unwrap()
    }
}

/// The text of the first element of that name.
fn text_of<'a>(file: &'a str, name: &str) -> &'a str {
    let (_, rest) = file.split_once(&format!("<{name}>")).unwrap_or_else(|| panic!("no {name}: {file}"));
    rest.split_once('<').unwrap().0
}

#[test]
fn an_account_of_prosody_comes_with_its_password() {
    let movers = Movers::new();
    movers.prosodyctl(&["register", "anna", "localhost", "anna-is-here"], "");
    let theirs = fs::read_to_string(movers.account()).unwrap();
    let report = movers.import(&movers.account());
    assert_eq!(report["imported"][0]["jid"], "anna@localhost", "{report}");
    assert_eq!(report["imported"][0]["left_out"], serde_json::json!([]), "{report}");
    let ours = movers.export();
    for part in ["salt", "iter-count", "stored-key", "server-key"] {
        assert_eq!(text_of(&ours, part), text_of(&theirs, part), "{part}");
    }
}

#[test]
fn prosody_reads_an_account_of_ours_and_what_it_keeps() {
    let movers = Movers::new();
    let full = "<server-data xmlns='urn:xmpp:pie:0'><host jid='localhost'><user name='anna' password='anna-is-here'>\
        <query xmlns='jabber:iq:roster'><item jid='bob@localhost' name='Bob' subscription='both'><group>Friends</group></item>\
        </query><presence xmlns='jabber:client' type='subscribe' from='dora@other.example'/>\
        <offline-messages><message xmlns='jabber:client' from='bob@localhost/x' type='chat' id='m1'><body>Hello</body></message>\
        </offline-messages><query xmlns='jabber:iq:private'><storage xmlns='storage:bookmarks'><url name='x'/></storage></query>\
        <vCard xmlns='vcard-temp'><FN>Anna</FN></vCard></user></host></server-data>";
    fs::write(movers.path("full.xml"), full).unwrap();
    let first = movers.import(&movers.path("full.xml"));
    let ours = movers.export();
    fs::write(movers.account(), &ours).unwrap();
    // It reads the account, adds keys for another password, and writes everything anew.
    movers.prosodyctl(&["passwd", "anna@localhost"], "another\nanother\n");
    let theirs = fs::read_to_string(movers.account()).unwrap();
    assert!(theirs != ours && theirs.matches("<stored-key>").count() == 2, "{theirs}");
    let back = movers.import(&movers.account());
    for what in ["contacts", "requests", "messages", "documents"] {
        assert_eq!(back["imported"][0][what], first["imported"][0][what], "{what}: {back}");
    }
    assert_eq!(back["imported"][0]["left_out"].as_array().unwrap().len(), 1, "the second keys: {back}");
    // All but the keys, of which there are two now, is what it was.
    assert_eq!(parts(&movers.export()), parts(&ours));
}

/// Names, attributes and texts, whatever order attributes are in.
fn parts(file: &str) -> Vec<&str> {
    let mut parts: Vec<&str> = file.split([' ', '<', '>', '/']).collect();
    parts.sort_unstable();
    parts
}
