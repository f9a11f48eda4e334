//! What the client sends, and what it believes.

use super::*;

#[test]
fn the_client_prefers_channel_binding_and_then_the_stronger_hash() {
    let all = Mechanism::ALL;
    let choose = |offered: &[Mechanism], theirs: &ChannelBindings| {
        Client::start(&login("anna", "pencil"), offered, theirs, None, "n").map(|(client, _)| client.mechanism())
    };
    assert_eq!(choose(&all, &bindings()), Ok(Mechanism::ScramSha256Plus));
    assert_eq!(choose(&all, &ChannelBindings::default()), Ok(Mechanism::ScramSha256));
    assert_eq!(choose(&[Mechanism::Plain, Mechanism::ScramSha1], &bindings()), Ok(Mechanism::ScramSha1));
}

#[test]
fn the_client_takes_the_exporter_if_the_server_names_it() {
    let start = |kinds: Option<&[BindingKind]>| {
        let (client, first) =
            Client::start(&login("anna", "pencil"), &Mechanism::ALL, &bindings(), kinds, "n").expect("agreed");
        (client.mechanism(), String::from_utf8(first).expect("text"))
    };
    assert!(start(None).1.starts_with("p=tls-exporter,,"));
    assert!(start(Some(&[BindingKind::TlsServerEndPoint])).1.starts_with("p=tls-server-end-point,,"));
    assert_eq!(start(Some(&[])).0, Mechanism::ScramSha256);
    assert!(start(Some(&[])).1.starts_with("n,,"));
}

#[test]
fn the_client_sends_nothing_weaker_than_it_was_told_to() {
    let careful = Login { scram_sha1: false, plain: false, ..login("anna", "pencil") };
    for offered in
        [&[Mechanism::Plain][..], &[Mechanism::ScramSha1, Mechanism::ScramSha1Plus], &[Mechanism::External], &[]]
    {
        let result = Client::start(&careful, offered, &bindings(), None, "n").map(|_| ());
        assert_eq!(result, Err(ClientError::NoMechanism), "{offered:?}");
    }
}

#[test]
fn the_client_refuses_an_unusable_password() {
    let result = Client::start(&login("anna", ""), &[Mechanism::ScramSha256], &ChannelBindings::default(), None, "n")
        .map(|_| ());
    assert_eq!(result, Err(ClientError::Credentials(PrepError::Empty)));
}

fn client_hears(challenge: &str) -> Result<ClientStep, ClientError> {
    let (mut client, _) =
        Client::start(&login("anna", "pencil"), &[Mechanism::ScramSha256], &ChannelBindings::default(), None, "mine")
            .expect("agreed");
    client.challenge(challenge.as_bytes())
}

#[test]
fn the_client_refuses_foreign_nonces_and_bad_iterations() {
    assert!(client_hears("r=mineyours,s=AAAA,i=4096").is_ok());
    for (challenge, error) in [
        ("r=yours,s=AAAA,i=4096", ClientError::ServerNonce),
        ("r=mine,s=AAAA,i=4096", ClientError::ServerNonce),
        ("r=mineyours,s=AAAA,i=4095", ClientError::ServerIterations { found: 4_095 }),
        ("r=mineyours,s=AAAA,i=500001", ClientError::ServerIterations { found: 500_001 }),
        ("r=mineyours,s=AAAA,i=+4096", ClientError::ServerMalformed),
        ("r=mineyours,s=AAAA,i=99999999999", ClientError::ServerMalformed),
        ("r=mineyours,s=,i=4096", ClientError::ServerMalformed),
        ("m=x,r=mineyours,s=AAAA,i=4096", ClientError::ServerMalformed),
        ("", ClientError::ServerMalformed),
    ] {
        assert_eq!(client_hears(challenge).map(|_| ()), Err(error), "{challenge}");
    }
    assert!(client_hears("r=mineyours,s=AAAA,i=500000").is_ok());
}

#[test]
fn the_client_believes_only_a_server_that_proves_itself() {
    let ready = || {
        let (mut client, _) = Client::start(
            &login("anna", "pencil"),
            &[Mechanism::ScramSha256],
            &ChannelBindings::default(),
            None,
            "mine",
        )
        .expect("agreed");
        let Ok(ClientStep::Derive(derivation)) = client.challenge(b"r=mineyours,s=AAAA,i=4096") else {
            panic!("no derivation")
        };
        client.derived(&derivation.run()).expect("proof");
        client
    };
    assert_eq!(ready().success(None).map(|_| ()), Err(ClientError::ServerSignature));
    assert_eq!(ready().success(Some(b"v=AAAA")).map(|_| ()), Err(ClientError::ServerSignature));
    assert_eq!(ready().success(Some(b"e=other-error")).map(|_| ()), Err(ClientError::ServerSignature));
    assert_eq!(ready().challenge(b"v=AAAA").map(|_| ()), Err(ClientError::ServerSignature));
}

#[test]
fn the_client_refuses_success_before_its_proof() {
    let (mut client, _) =
        Client::start(&login("anna", "pencil"), &[Mechanism::ScramSha256], &ChannelBindings::default(), None, "mine")
            .expect("agreed");
    assert_eq!(client.success(None).map(|_| ()), Err(ClientError::ServerOrder));
}
