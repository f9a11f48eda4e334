//! What must hold for the stream of a component whatever the other side sends: nothing comes out before the right handshake, every
//! stanza is of the component's own domain, nothing follows the end, and the split of the bytes makes no difference.
//! Used by the corpus test and a fuzz target. In the input the byte 2, which XML cannot carry, stands for the right handshake.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use torg_wire::jid::DomainPart;
use torg_wire::secret::Secret;
use torg_wire::seed::Seed;
use torg_wire::stanza::Stanza;
use torg_wire::stream::Why;
use torg_wire::stream::component::{ComponentOutput, ComponentSettings, ComponentStream, proof};
use torg_wire::xml::Limits;

const DOMAIN: &str = "rooms.our.example";
const PROOF: u8 = 2;

/// All that the component sees and that the core learns.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) said: String,
    pub(crate) proven: bool,
    pub(crate) stanzas: Vec<Stanza>,
    ended: Option<Why>,
}

/// Runs the laws on the input as the bytes of whoever connects.
///
/// # Panics
/// If a law is broken.
pub(crate) fn check(input: &[u8]) -> Outcome {
    let holds_proof = input.contains(&PROOF);
    let bytes: Vec<u8> = input
        .iter()
        .flat_map(|byte| if *byte == PROOF { right_proof().as_bytes().to_vec() } else { vec![*byte] })
        .collect();
    let whole = run(&bytes, bytes.len().max(1));
    assert!(!whole.proven || holds_proof, "a proof was guessed");
    assert_eq!(run(&bytes, 1), whole, "byte by byte");
    whole
}

fn run(bytes: &[u8], size: usize) -> Outcome {
    let mut stream = stream();
    let mut outcome = Outcome::default();
    for piece in bytes.chunks(size) {
        stream.receive(piece);
        while let Some(output) = stream.output() {
            assert_eq!(outcome.ended, None, "something follows the end: {output:?}");
            match output {
                ComponentOutput::Write(bytes) => outcome.said.push_str(std::str::from_utf8(&bytes).unwrap()),
                ComponentOutput::Proven(domain) => {
                    assert!(domain.as_str() == DOMAIN && !outcome.proven, "{domain:?}");
                    outcome.proven = true;
                }
                ComponentOutput::Stanza(stanza) => {
                    assert!(outcome.proven, "{stanza}");
                    assert_eq!(stanza.from().unwrap().domain(), DOMAIN, "{stanza}");
                    assert!(stanza.to().is_some(), "{stanza}");
                    outcome.stanzas.push(stanza);
                }
                ComponentOutput::Close(why) => outcome.ended = Some(why),
                other => panic!("{other:?}"),
            }
        }
        if outcome.ended.is_some() {
            break;
        }
    }
    outcome
}

fn secret() -> Secret<String> {
    Secret::new("the secret of the rooms".into())
}

fn stream() -> ComponentStream {
    let secrets = [(DomainPart::parse(DOMAIN).unwrap(), secret())].into_iter().collect();
    let settings = ComponentSettings { secrets, limits: Limits::SERVER };
    ComponentStream::accept(Arc::new(settings), Seed::new([6; 32]), Instant::now())
}

/// What a component that knows the secret says on this stream.
fn right_proof() -> &'static str {
    static PROOF: OnceLock<String> = OnceLock::new();
    PROOF.get_or_init(|| {
        let mut stream = stream();
        let namespaces = "xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams'";
        stream.receive(format!("<stream:stream {namespaces} to='{DOMAIN}'>").as_bytes());
        let Some(ComponentOutput::Write(header)) = stream.output() else { panic!("no header") };
        let header = String::from_utf8(header).unwrap();
        let id = header.split_once(" id='").unwrap().1.split_once('\'').unwrap().0;
        proof(id, &secret())
    })
}
