//! slixmpp's own stream management (XEP-0198) against the running appliance: it resumes after a broken connection.

use std::process::Command;

use serde_json::json;

use crate::support::{
    child::Child,
    peer, repository,
    site::{DOMAIN, Site, password},
};

/// A client that says what happens to it, see the script.
pub(crate) fn client(site: &Site, account: &str) -> Child {
    let mut command = Command::new(peer("venv/bin/python"));
    let mut child = Child::start(account, command.arg(repository("tests/peers/slix_resume.py")));
    let order = json!({
        "jid": format!("{account}@{DOMAIN}/slix"), "password": password(account), "host": DOMAIN, "port": site.c2s_tls,
        "ca": site.authority(),
    });
    child.write(&format!("{order}\n"));
    child.line("a session", |line| line == "ONLINE");
    child
}

fn send(from: &mut Child, text: &str) {
    from.write(&format!("send reader@{DOMAIN}/slix {text}\n"));
}

fn got(reader: &Child, text: &str) {
    reader.line(text, |line| line == format!("GOT {text}"));
}

#[test]
fn slixmpp_resumes_after_a_broken_connection_and_misses_nothing() {
    let site = Site::start("", &[], &["reader", "writer"]);
    let (mut reader, mut writer) = (client(&site, "reader"), client(&site, "writer"));
    send(&mut writer, "one");
    got(&reader, "one");
    reader.write("break\n");
    reader.line("the break", |line| line == "BROKEN");
    let before = writer.count("ACKNOWLEDGED");
    send(&mut writer, "two");
    writer.line_after(before, "an acknowledgement", |line| line.starts_with("ACKNOWLEDGED"));
    reader.write("back\n");
    reader.line("the resumption", |line| line == "RESUMED");
    got(&reader, "two");
    send(&mut writer, "three");
    got(&reader, "three");
    assert_eq!((reader.count("GOT one"), reader.count("GOT two"), reader.count("ONLINE")), (1, 1, 1));
    for client in [&mut reader, &mut writer] {
        client.write("end\n");
    }
}
