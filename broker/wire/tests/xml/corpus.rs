//! The fuzz corpora as ordinary tests: what a fuzzer once found interesting stays checked.

use std::fs;
use std::path::PathBuf;

use torg_wire::jid::Jid;

use crate::{component, laws, machine, oracle, peer, sasl};

/// The corpus of a fuzz target, with file names.
fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/fuzz").join(target);
    let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut corpus: Vec<_> =
        files.map(|file| file.unwrap().path()).map(|p| (p.clone(), fs::read(p).unwrap())).collect();
    corpus.sort();
    assert!(!corpus.is_empty(), "no corpus for {target}");
    corpus
}

/// Names the file that fails.
fn run(target: &str, check: impl Fn(&[u8]) + std::panic::RefUnwindSafe) {
    for (path, bytes) in corpus(target) {
        if let Err(panic) = std::panic::catch_unwind(|| check(&bytes)) {
            eprintln!("in {}", path.display());
            std::panic::resume_unwind(panic);
        }
    }
}

#[test]
fn the_xml_corpus_is_read_as_rxml_reads_it() {
    run("xml", oracle::compare);
}

#[test]
fn the_framer_corpus_is_the_same_however_it_is_split() {
    run("framer_split", laws::check_split);
}

#[test]
fn the_machine_corpus_keeps_the_laws_of_streams() {
    run("machine", machine::check);
}

#[test]
fn the_login_corpus_keeps_the_laws_of_logins() {
    run("sasl", |bytes| drop(sasl::check(bytes)));
}

/// Otherwise the corpus would not reach what comes after a right proof.
#[test]
fn the_seeds_of_the_login_corpus_get_in() {
    let inside = |name: &str| {
        let (path, bytes) = corpus("sasl").into_iter().find(|(path, _)| path.ends_with(name)).unwrap();
        assert!(sasl::check(&bytes).session.is_some(), "{}", path.display());
    };
    ["classic", "external", "fast", "plain", "second", "upgrade"].into_iter().for_each(inside);
}

#[test]
fn the_peer_corpus_proves_nothing_that_is_not_proven() {
    run("peer", peer::check);
}

#[test]
fn the_component_corpus_lets_nothing_out_before_the_handshake() {
    run("component", |bytes| drop(component::check(bytes)));
}

/// Otherwise the corpus would not reach what comes after a right handshake.
#[test]
fn the_seeds_of_the_component_corpus_get_in() {
    for (name, stanzas) in [("talk", 3), ("no-from", 1), ("mixed-namespaces", 2)] {
        let (_, bytes) = corpus("component").into_iter().find(|(path, _)| path.ends_with(name)).unwrap();
        let outcome = component::check(&bytes);
        assert_eq!((outcome.proven, outcome.stanzas.len()), (true, stanzas), "{name}: {}", outcome.said);
    }
}

#[test]
fn the_jid_corpus_keeps_the_laws_of_addresses() {
    run("jid", |bytes| {
        if let Ok(text) = std::str::from_utf8(bytes) {
            laws::check_jid(text);
        }
    });
    assert!(Jid::parse("a@b").is_ok());
}
