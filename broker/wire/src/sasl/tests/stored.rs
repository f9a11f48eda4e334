//! The standards' vectors, and the keys that are stored.

use super::*;

// --- vectors ---------------------------------------------------------------------------------------------------------

/// Runs the server's and the client's side on the messages of a standard.
fn check_vector(hash: ScramHash, first: &str, challenge: &str, last: &str, signature: &str) {
    let (client_nonce, server_nonce) = (nonce_of(first), nonce_of(challenge));
    let salt = challenge.split(',').find_map(|part| part.strip_prefix("s=")).expect("salt");
    let salt = base64_decode(salt).expect("base64");
    let prepared = prep::Prepared::password(&password("pencil")).expect("usable");
    let derived = keys::ClientKeys::derive(hash, &prepared, &salt, 4_096);
    let stored = StoredKeys::from_parts(
        hash,
        salt,
        4_096,
        hash.hash(derived.client_key.bytes()).bytes(),
        derived.server_key.bytes(),
    )
    .expect("fits");

    let state = scram_server::ClientFirst::parse(first.as_bytes(), hash, false, false, &ChannelBindings::default())
        .expect("valid");
    assert_eq!(state.username, "user");
    let (proof, sent) = state.challenge(stored, true, server_nonce.strip_prefix(client_nonce).expect("prolonged"));
    assert_eq!(sent, challenge);
    assert_eq!(proof.finish(last.as_bytes()).as_deref(), Ok(signature));

    let (state, sent) = scram_client::start(hash, "user", prepared, message::BindingFlag::None, &[], client_nonce);
    assert_eq!(sent, first);
    let (state, derivation) = state.challenge(challenge.as_bytes()).expect("valid");
    let (state, sent) = state.proof(&derivation.run().0);
    assert_eq!(sent, last);
    assert_eq!(state.finish(signature.as_bytes()), Ok(()));
}

fn nonce_of(message: &str) -> &str {
    message.split(',').find_map(|part| part.strip_prefix("r=")).expect("nonce")
}

/// RFC 5802 §5.
#[test]
fn the_sha_1_example_of_the_standard_holds() {
    check_vector(
        ScramHash::Sha1,
        "n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL",
        "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
        "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
        "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
    );
}

/// RFC 7677 §3.
#[test]
fn the_sha_256_example_of_the_standard_holds() {
    check_vector(
        ScramHash::Sha256,
        "n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
        "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
    );
}

// --- stored keys -----------------------------------------------------------------------------------------------------

#[test]
fn stored_keys_survive_their_parts() {
    for hash in [ScramHash::Sha1, ScramHash::Sha256] {
        let made = keys(hash, "pencil");
        let read =
            StoredKeys::from_parts(hash, made.salt().to_vec(), made.iterations(), made.stored_key(), made.server_key());
        assert_eq!(read, Ok(made));
    }
}

#[test]
fn stored_keys_of_the_wrong_size_are_refused() {
    let made = keys(ScramHash::Sha256, "pencil");
    assert!(
        StoredKeys::from_parts(ScramHash::Sha1, made.salt().to_vec(), 10_000, made.stored_key(), made.server_key())
            .is_err()
    );
    assert!(
        StoredKeys::from_parts(ScramHash::Sha256, Vec::new(), 10_000, made.stored_key(), made.server_key()).is_err()
    );
    assert!(
        StoredKeys::from_parts(ScramHash::Sha256, made.salt().to_vec(), 0, made.stored_key(), made.server_key())
            .is_err()
    );
}

#[test]
fn derivation_never_uses_fewer_iterations_than_the_least() {
    let made = StoredKeys::derive(ScramHash::Sha256, &password("pencil"), &[3; SALT_BYTES], 1).expect("usable");
    assert_eq!(made.iterations(), ITERATIONS);
}

#[test]
fn stored_keys_know_their_password() {
    assert!(keys(ScramHash::Sha256, "pencil").verify(&password("pencil")));
    assert!(!keys(ScramHash::Sha256, "pencil").verify(&password("crayon")));
    assert!(!keys(ScramHash::Sha256, "pencil").verify(&password("")));
}

#[test]
fn names_of_mechanisms_and_failures_read_back() {
    for mechanism in Mechanism::ALL {
        assert_eq!(Mechanism::parse(mechanism.name()), Some(mechanism));
    }
    for condition in Failure::ALL {
        assert_eq!(Failure::parse(condition.name()), Some(condition));
    }
    assert_eq!(Mechanism::parse("SCRAM-SHA-512"), None);
    assert_eq!(Failure::parse("teapot"), None);
}
