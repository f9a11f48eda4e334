//! An external component of ours (XEP-0114) among other people's servers: their users write to it and it to them, each domain proven by
//! the certificate that names it.

use std::{fs, os::unix::fs::PermissionsExt as _};

use super::{
    OURS, THEIRS,
    servers::{Program, Proof, Server, peer_section},
    world::{Kind, World, free_port},
};
use crate::{components::connect, support::site::password};

const ROOMS: &str = "rooms.torg.example";

/// Adds the component to the configuration of a server, which starts again with it; the component's port.
fn add_component(server: &mut Server) -> u16 {
    server.kill();
    let (file, port) = (server.configuration(), free_port());
    let secret = file.with_file_name("rooms.secret");
    fs::write(&secret, password(ROOMS)).expect("the folder is writable");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).expect("our file");
    let text = fs::read_to_string(&file).expect("written before");
    let listen = format!("[broker.listen]\ncomponent = [\"127.0.0.1:{port}\"]\n");
    let text = text.replacen("[broker.listen]\n", &listen, 1);
    let section = format!("[[broker.component]]\ndomain = \"{ROOMS}\"\nsecret_file = \"rooms.secret\"\n");
    fs::write(&file, text + &section).expect("the folder is writable");
    server.restart();
    port
}

fn both_ways(program: Program) {
    let world = World::new();
    let proof = Proof::Certificate;
    let certificate = world.certificate(THEIRS, Kind::Good);
    let theirs = Server::start(&world, program, THEIRS, "eva", &certificate, proof, "");
    let certificate = world.certificate_of(&[OURS, ROOMS], Kind::Good);
    let peer = peer_section(THEIRS, &world.ca(), proof);
    let mut ours = Server::start(&world, Program::Torg, OURS, "anna", &certificate, proof, &peer);
    let port = add_component(&mut ours);
    for (domain, server) in [(OURS, &ours), (ROOMS, &ours), (THEIRS, &theirs)] {
        world.dns.server(domain, server.s2s, 0);
    }
    let mut rooms = connect(ROOMS, port);
    let mut eva = theirs.user("eva");

    eva.message(&format!("hall@{ROOMS}"), "hello");
    rooms.line("a message of eva", |line| line == format!("GOT eva@{THEIRS}/desk hall@{ROOMS} hello"));
    rooms.write(&format!("send hall@{ROOMS}/bob eva@{THEIRS} welcome\n"));
    eva.hears(&format!("hall@{ROOMS}"), "welcome");
    rooms.write("end\n");
}

#[test]
fn users_of_prosody_and_a_component_write_to_each_other() {
    both_ways(Program::Prosody);
}

#[test]
fn users_of_ejabberd_and_a_component_write_to_each_other() {
    both_ways(Program::Ejabberd);
}
