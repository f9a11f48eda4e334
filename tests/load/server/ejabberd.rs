//! ejabberd as Debian ships it, with the modules that answer what Torg answers, and no shaper.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context, Result};

use super::{Server, Setup, free_address};

pub(crate) fn ejabberd(setup: &Setup<'_>) -> Result<Server> {
    let home = setup.home("ejabberd")?;
    fs::create_dir_all(home.join("mnesia"))?;
    let direct_tls = free_address()?;
    let (here, domain) = (home.display(), setup.domain);
    let servers = match setup.s2s_port()? {
        Some(port) => format!("\x20 - {{port: {port}, ip: \"127.0.0.1\", module: ejabberd_s2s_in, backlog: 1000}}\n"),
        None => String::new(),
    };
    let trust = match setup.neighbour {
        Some(_) => format!("s2s_use_starttls: required\ns2s_cafile: \"{here}/ca.pem\"\n"),
        None => String::new(),
    };
    fs::write(
        home.join("ejabberd.yml"),
        format!(
            "hosts: [\"{domain}\"]\nloglevel: error\ncertfiles: [\"{here}/both.pem\"]\nca_file: \"{here}/ca.pem\"\n{trust}\
             auth_method: internal\nauth_password_format: scram\nauth_scram_hash: sha256\n\
             listen:\n\
             \x20 - {{port: {port}, ip: \"127.0.0.1\", module: ejabberd_c2s, tls: true, access: all, shaper: none, backlog: 1000}}\n\
             {servers}\
             shaper_rules: {{max_user_sessions: 1000, c2s_shaper: none}}\n\
             modules:\n\
             \x20 mod_roster: {{}}\n  mod_disco: {{}}\n  mod_ping: {{}}\n  mod_offline: {{}}\n\
             \x20 mod_stream_mgmt: {{max_ack_queue: infinity}}\n",
            port = direct_tls.port(),
        ),
    )?;
    let users: Vec<String> = setup
        .accounts
        .iter()
        .map(|account| format!("{{<<\"{}\">>,<<\"{}\">>}}", account.user, account.password))
        .collect();
    let register = format!("ejabberd_auth:try_register(User, <<\"{domain}\">>, Password)");
    let script = format!("[{register} || {{User, Password}} <- [{}]], io:format(\"READY~n\").", users.join(","));
    fs::write(home.join("accounts.erl"), script)?;
    let resolver = setup.neighbour.map(|neighbour| {
        // The server comes last: an empty resolv_conf forgets the servers named before it.
        let port = neighbour.dns.address().port();
        format!(
            "{{lookup,[dns]}}.\n{{resolv_conf,\"\"}}.\n{{hosts_file,\"\"}}.\n{{nameserver,{{127,0,0,1}},{port}}}.\n"
        )
    });
    if let Some(resolver) = &resolver {
        fs::write(home.join("inetrc"), resolver)?;
    }
    let (code, place, resolves) = (code()?, home.clone(), resolver.is_some());
    let command = move || {
        let mut command = Command::new("erl");
        command.arg("-noinput").arg("+P").arg("250000").arg("-pa").arg(&code);
        command.args(["-mnesia", "dir", &format!("\"{}\"", place.join("mnesia").display())]);
        // Plain erl needs neither a node name nor epmd.
        let accounts = format!("file:script(\"{}\").", place.join("accounts.erl").display());
        command.args(["-s", "ejabberd", "-eval", &accounts]).current_dir(&place);
        command.env("EJABBERD_CONFIG_PATH", place.join("ejabberd.yml"));
        command.env("EJABBERD_LOG_PATH", place.join("ejabberd.log"));
        command.env("SPOOL_DIR", place.join("mnesia")).env("HOME", &place);
        if resolves {
            command.env("ERL_INETRC", place.join("inetrc"));
        }
        command
    };
    let (name, domain, ready) = ("ejabberd".to_owned(), domain.to_owned(), Some("READY"));
    Ok(Server { name, domain, home, command: Box::new(command), ready, child: None, direct_tls })
}

/// Where Debian has its code.
fn code() -> Result<PathBuf> {
    let places = ["/usr/lib", "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu"];
    let folders = places.iter().filter_map(|place| fs::read_dir(place).ok()).flatten().flatten();
    folders
        .map(|folder| folder.path().join("ebin"))
        .find(|ebin| ebin.join("ejabberd.app").exists())
        .context("missing ejabberd: `make bench` installs it")
}
