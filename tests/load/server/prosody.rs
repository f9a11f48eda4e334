//! Prosody as Debian ships it, with the modules that answer what Torg answers, and no rate limit.

use std::{fs, process::Command};

use anyhow::Result;

use super::{Server, Setup, free_address};
use crate::client::{mac, salt_password};

/// What RFC 7677 recommends as a minimum is 4,096; servers today store 10,000 and more.
const ROUNDS: u32 = 10_000;

pub(crate) fn prosody(setup: &Setup<'_>) -> Result<Server> {
    let home = setup.home("prosody")?;
    let stored = home.join("data").join(setup.domain.replace('.', "%2e")).join("accounts");
    fs::create_dir_all(&stored)?;
    for account in setup.accounts {
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
    let servers = match (setup.s2s_port()?, &setup.neighbour) {
        (Some(port), Some(neighbour)) => format!(
            "s2s_ports = {{ {port} }}\ns2s_secure_auth = true\n\
             ssl = {{ key = \"{here}/leaf.key\", certificate = \"{here}/leaf.pem\", cafile = \"{here}/ca.pem\" }}\n\
             unbound = {{ resolvconf = false, hoststxt = false, forward = {{ \"127.0.0.1@{}\" }}, \
             options = {{ [\"do-not-query-localhost:\"] = \"no\", [\"do-ip6:\"] = \"no\" }} }}\n",
            neighbour.dns.address().port()
        ),
        _ => "s2s_ports = { }\nmodules_disabled = { \"s2s\" }\n".to_owned(),
    };
    let more = if setup.neighbour.is_some() { ", \"s2s\", \"s2s_auth_certs\", \"dialback\"" } else { "" };
    let config = format!(
        "run_as_root = true\npidfile = \"{here}/pid\"\ndata_path = \"{here}/data\"\ncertificates = \"{here}\"\n\
         log = {{ error = \"*console\" }}\ninterfaces = {{ \"127.0.0.1\" }}\nuse_ipv6 = false\nc2s_ports = {{ }}\n{servers}\
         s2s_direct_tls_ports = {{ }}\nc2s_direct_tls_ports = {{ {port} }}\n\
         modules_enabled = {{ \"roster\", \"saslauth\", \"tls\", \"disco\", \"ping\", \"offline\", \"smacks\"{more} }}\n\
         authentication = \"internal_hashed\"\npassword_hash = \"SHA-256\"\n\
         c2s_direct_tls_ssl = {{ key = \"{here}/leaf.key\", certificate = \"{here}/leaf.pem\" }}\n\
         VirtualHost \"{domain}\"\n",
        port = direct_tls.port(),
        domain = setup.domain,
    );
    let file = home.join("prosody.cfg.lua");
    fs::write(&file, config)?;
    let command = move || {
        let mut command = Command::new("prosody");
        command.args(["--root", "-F", "--config"]).arg(&file);
        command
    };
    let (name, domain) = ("Prosody".to_owned(), setup.domain.to_owned());
    Ok(Server { name, domain, home, command: Box::new(command), ready: None, child: None, direct_tls })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
