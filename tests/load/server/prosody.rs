//! Prosody as Debian ships it, with the modules that answer what Torg answers, and no rate limit.

use std::{fs, path::Path, process::Command};

use anyhow::Result;

use super::{Server, certificate, free_address};
use crate::client::{Account, mac, salt_password};

/// What RFC 7677 recommends as a minimum is 4,096; servers today store 10,000 and more.
const ROUNDS: u32 = 10_000;

pub(crate) fn prosody(folder: &Path, accounts: &[Account]) -> Result<Server> {
    let home = folder.join("prosody");
    certificate(&home)?;
    let stored = home.join("data/localhost/accounts");
    fs::create_dir_all(&stored)?;
    for account in accounts {
        let salt = format!("salt-of-{}", account.user);
        let salted = salt_password(&account.password, salt.as_bytes(), ROUNDS);
        let stored_key = hex(&<sha2::Sha256 as sha2::Digest>::digest(mac(&salted, b"Client Key")));
        let server_key = hex(&mac(&salted, b"Server Key"));
        let row = format!(
            "return {{ [\"iteration_count\"] = {ROUNDS}; [\"salt\"] = \"{salt}\"; \
             [\"stored_key\"] = \"{stored_key}\"; [\"server_key\"] = \"{server_key}\"; }};\n"
        );
        fs::write(stored.join(format!("{}.dat", account.user)), row)?;
    }
    let direct_tls = free_address()?;
    let here = home.display();
    let config = format!(
        "run_as_root = true\npidfile = \"{here}/pid\"\ndata_path = \"{here}/data\"\ncertificates = \"{here}\"\n\
         log = {{ error = \"*console\" }}\ninterfaces = {{ \"127.0.0.1\" }}\nc2s_ports = {{ }}\ns2s_ports = {{ }}\n\
         c2s_direct_tls_ports = {{ {port} }}\nmodules_disabled = {{ \"s2s\" }}\n\
         modules_enabled = {{ \"roster\", \"saslauth\", \"tls\", \"disco\", \"ping\", \"offline\", \"smacks\" }}\n\
         authentication = \"internal_hashed\"\npassword_hash = \"SHA-256\"\n\
         c2s_direct_tls_ssl = {{ key = \"{here}/leaf.key\", certificate = \"{here}/leaf.pem\" }}\n\
         VirtualHost \"localhost\"\n",
        port = direct_tls.port()
    );
    let file = home.join("prosody.cfg.lua");
    fs::write(&file, config)?;
    let command = move || {
        let mut command = Command::new("prosody");
        command.args(["--root", "-F", "--config"]).arg(&file);
        command
    };
    Ok(Server { name: "Prosody".to_owned(), home, command: Box::new(command), ready: None, child: None, direct_tls })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
