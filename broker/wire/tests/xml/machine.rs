//! What must hold for the server's stream machine whatever a client sends: nobody gets in without a password, nothing
//! follows the end, every end is said in a whole stream, and the split of the bytes makes no difference.
//! Used by a property test, the corpus test and a fuzz target.

use std::sync::Arc;
use std::time::Instant;

use torg_wire::jid::DomainPart;
use torg_wire::sasl::{ChannelBindings, Policy, ServerSecret};
use torg_wire::seed::Seed;
use torg_wire::stream::{Output, Secured, ServerSettings, ServerStream, Why};
use torg_wire::xml::Limits;

/// All that a client sees and that the core learns.
#[derive(Debug, PartialEq)]
struct Outcome {
    said: String,
    ended: Option<Why>,
    /// STARTTLS was asked for: what is behind it is an injection or belongs to TLS, and only the split tells which.
    tls: bool,
}

/// Runs the laws on the input as the bytes of a client, on a bare and on a secured connection.
///
/// # Panics
/// If a law is broken.
pub(crate) fn check(input: &[u8]) {
    for secured in [false, true] {
        let whole = run(input, input.len().max(1), secured);
        for size in [1, 7] {
            let pieces = run(input, size, secured);
            if !whole.tls && !pieces.tls {
                assert_eq!(pieces, whole, "in pieces of {size}");
            }
        }
        if let Some(Why::Fault(error)) = &whole.ended {
            let name = error.condition().name();
            assert!(whole.said.contains(&format!("<stream:error><{name} ")), "{}", whole.said);
            assert!(whole.said.ends_with("</stream:stream>"), "{}", whole.said);
        }
    }
}

fn run(input: &[u8], size: usize, direct: bool) -> Outcome {
    let now = Instant::now();
    let mut machine = machine(now, direct);
    let mut outcome = Outcome { said: String::new(), ended: None, tls: false };
    for piece in input.chunks(size) {
        machine.receive(piece);
        while let Some(output) = machine.output(now) {
            assert_eq!(outcome.ended, None, "something follows the end: {output:?}");
            match output {
                Output::Write(bytes) => outcome.said.push_str(std::str::from_utf8(&bytes).unwrap()),
                Output::Close(why) => {
                    outcome.tls |= why == Why::Injected;
                    outcome.ended = Some(why);
                }
                Output::StartTls => {
                    outcome.tls = true;
                    machine.secured(secured(), now);
                }
                // Nobody is known here, so nobody can get further than this.
                Output::Lookup { .. } => machine.credentials(None, now),
                Output::CheckPassword(_) | Output::Authorise(_) | Output::Bind { .. } | Output::Stanza(_) => {
                    panic!("a stranger got in: {output:?}")
                }
                other => panic!("{other:?}"),
            }
        }
        if outcome.ended.is_some() {
            break;
        }
    }
    assert_eq!(machine.jid(), None);
    outcome
}

fn secured() -> Secured {
    let bindings = ChannelBindings { tls_exporter: Some([9; 32]), tls_server_end_point: Some(vec![8; 32]) };
    Secured { bindings, proven: Vec::new() }
}

fn machine(now: Instant, direct: bool) -> ServerStream {
    let policy = Policy { scram_sha1: true, external: true, tokens: true, ..Policy::new(ServerSecret::new([5; 32])) };
    let domain = DomainPart::parse("site.example").unwrap();
    let settings = Arc::new(ServerSettings {
        domain,
        policy,
        before_login: Vec::new(),
        features: Vec::new(),
        bind_inline: Vec::new(),
        limits: Limits::CLIENT,
    });
    let seed = Seed::new([6; 32]);
    if direct {
        ServerStream::direct_tls(settings, seed, secured(), now)
    } else {
        ServerStream::new(settings, seed, now)
    }
}
