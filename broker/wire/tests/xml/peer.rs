//! What must hold for a stream between servers whatever the other side sends: no stanza comes out and no pair is proven unless a
//! certificate or a checked key says so, nothing follows the end, and the split of the bytes makes no difference.
//! Used by the corpus test and a fuzz target.

use std::sync::Arc;
use std::time::Instant;

use torg_wire::seed::Seed;
use torg_wire::stream::Why;
use torg_wire::stream::peer::{
    DialbackAnswer, DialbackSecret, Domains, Pair, PeerEnd, PeerOutput, PeerSettings, PeerStream, Standing,
};
use torg_wire::xml::Limits;

struct Ours;

impl Domains for Ours {
    fn serves(&self, domain: &str) -> bool {
        domain == "our.example" || domain == "other.our.example"
    }
}

/// All that the peer sees and that the core learns.
#[derive(Debug, Default, PartialEq)]
struct Outcome {
    said: String,
    learnt: Vec<String>,
    ended: Option<PeerEnd>,
    /// STARTTLS was begun: what is behind it is an injection or belongs to TLS, and only the split tells which.
    tls: bool,
}

/// How the world answers, taken from the first byte of the input.
#[derive(Clone, Copy, Debug)]
struct Answers {
    standing: Standing,
    key: DialbackAnswer,
}

/// Runs the laws on the input (after its first byte) as the bytes of a peer: of one that connects, and of one we connect to.
///
/// # Panics
/// If a law is broken.
pub(crate) fn check(input: &[u8]) {
    let Some((choice, bytes)) = input.split_first() else { return };
    let standings = [Standing::Dialback, Standing::Proven, Standing::Unproven, Standing::Refused];
    let standing = standings[usize::from(choice % 4)];
    let key = if choice & 4 == 0 { DialbackAnswer::Valid } else { DialbackAnswer::Invalid };
    let answers = Answers { standing, key };
    for accepting in [true, false] {
        for secured in [true, false] {
            let whole = run(bytes, bytes.len().max(1), accepting, secured, answers);
            let pieces = run(bytes, 1, accepting, secured, answers);
            if !whole.tls && !pieces.tls {
                assert_eq!(pieces, whole, "byte by byte");
            }
        }
    }
}

fn run(bytes: &[u8], size: usize, accepting: bool, secured: bool, answers: Answers) -> Outcome {
    let now = Instant::now();
    let mut machine = machine(accepting, secured, answers.standing, now);
    let mut outcome = Outcome::default();
    let believed = matches!(answers.standing, Standing::Proven)
        || answers.standing == Standing::Dialback && (answers.key == DialbackAnswer::Valid || !accepting);
    for piece in std::iter::once(&[][..]).chain(bytes.chunks(size)) {
        machine.receive(piece);
        while let Some(output) = machine.output() {
            assert_eq!(outcome.ended, None, "something follows the end: {output:?}");
            match output {
                PeerOutput::Write(bytes) => outcome.said.push_str(std::str::from_utf8(&bytes).unwrap()),
                PeerOutput::Close(end) => {
                    outcome.tls |= end == Why::Injected.into();
                    outcome.ended = Some(end);
                }
                PeerOutput::StartTls => {
                    outcome.tls = true;
                    machine.secured(Some(answers.standing));
                }
                PeerOutput::Judge(domain) => {
                    assert!(!Ours.serves(domain.as_str()), "nobody else is asked to prove a domain of ours");
                    machine.judged(answers.standing);
                }
                PeerOutput::Verify(check) => {
                    assert_eq!(answers.standing, Standing::Dialback);
                    machine.verified(&check, answers.key);
                }
                PeerOutput::Stanza(stanza, _) => {
                    let (from, to) = (stanza.from().unwrap(), stanza.to().unwrap());
                    assert!(believed, "{stanza}");
                    assert!(Ours.serves(to.domain()) && !Ours.serves(from.domain()), "{stanza}");
                    let pair = format!("{} to {}", to.domain(), from.domain());
                    assert!(outcome.learnt.contains(&pair), "{stanza} of a pair that was not proven");
                }
                PeerOutput::Proven(pair, _) => {
                    assert!(believed, "{pair}");
                    outcome.learnt.push(pair.to_string());
                }
                PeerOutput::Opened(_) | PeerOutput::Bounce(_) => {}
                other => panic!("{other:?}"),
            }
        }
        if outcome.ended.is_some() {
            break;
        }
    }
    outcome
}

fn machine(accepting: bool, secured: bool, standing: Standing, now: Instant) -> PeerStream {
    let secret = DialbackSecret::new(b"ours");
    let settings = Arc::new(PeerSettings { domains: Arc::new(Ours), secret, limits: Limits::SERVER });
    let seed = Seed::new([6; 32]);
    let pair = Pair::new("our.example", "their.example").unwrap();
    match (accepting, secured) {
        (true, true) => PeerStream::accept_tls(settings, seed, now),
        (true, false) => PeerStream::accept(settings, seed, now),
        (false, true) => PeerStream::connect_tls(settings, pair, false, standing, seed, now),
        (false, false) => PeerStream::connect(settings, pair, false, seed, now),
    }
}
