//! The vectors of the standards, both ends against each other, and everything a hostile client may try.

mod client;
mod hostile;
mod login;
mod stored;

use super::*;
use crate::jid::{BareJid, DomainPart};
use crate::secret::Secret;

fn bare(text: &str) -> BareJid {
    BareJid::parse(text).expect("a valid address")
}

fn password(text: &str) -> Secret<String> {
    Secret::new(text.into())
}

fn policy() -> Policy {
    Policy { scram_sha1: true, plain: true, external: true, tokens: true, ..Policy::new(ServerSecret::new([1; 32])) }
}

fn bindings() -> ChannelBindings {
    ChannelBindings { tls_exporter: Some([9; 32]), tls_server_end_point: Some(vec![8; 32]) }
}

fn keys(hash: ScramHash, text: &str) -> StoredKeys {
    StoredKeys::derive(hash, &password(text), &[3; SALT_BYTES], ITERATIONS).expect("usable password")
}

/// One connection to `site.example` whose only account is anna with the password `pencil`.
struct World {
    policy: Policy,
    domain: DomainPart,
    bindings: ChannelBindings,
    proven: Vec<BareJid>,
    disabled: bool,
}

impl World {
    fn new() -> World {
        World {
            policy: policy(),
            domain: DomainPart::parse("site.example").expect("a domain"),
            bindings: bindings(),
            proven: Vec::new(),
            disabled: false,
        }
    }

    fn context(&self) -> Context<'_> {
        Context { policy: &self.policy, domain: &self.domain, bindings: &self.bindings, proven: &self.proven }
    }

    fn start(&self, mechanism: Mechanism, initial: &str) -> (Server, ServerStep) {
        let (mut server, step) =
            Server::start(mechanism, Some(initial.as_bytes()), "servernonce".into(), self.context());
        let step = self.store(&mut server, step);
        (server, step)
    }

    /// Answers the look-ups of a server step as a store would.
    fn store(&self, server: &mut Server, step: ServerStep) -> ServerStep {
        match step {
            ServerStep::Lookup { account, hash } => {
                let known = account == bare("anna@site.example");
                let found =
                    known.then(|| Credentials { disabled: self.disabled, ..Credentials::new(keys(hash, "pencil")) });
                let step = server.credentials(found, &self.policy);
                self.store(server, step)
            }
            ServerStep::Check(check) => server.checked(check.run()),
            ServerStep::Authorise(account) => {
                server.authorised((account == bare("anna@site.example")).then_some(AccountClass::Person))
            }
            other => other,
        }
    }

    /// A whole attempt of our own client.
    fn run(
        &self,
        login: &Login,
        offered: &[Mechanism],
        theirs: &ChannelBindings,
    ) -> Result<(Mechanism, ServerStep), ClientError> {
        let (mut client, first) = Client::start(login, offered, theirs, None, "clientnonce")?;
        let (mut server, step) = Server::start(client.mechanism(), Some(&first), "servernonce".into(), self.context());
        let mut step = self.store(&mut server, step);
        while let ServerStep::Challenge(challenge) = &step {
            let next = match client.challenge(challenge)? {
                ClientStep::Derive(derivation) => client.derived(&derivation.run())?,
                other => other,
            };
            let ClientStep::Respond(response) = next else { panic!("the client has nothing to say: {next:?}") };
            step = server.response(&response, String::new(), self.context());
        }
        if let ServerStep::Success(success) = &step {
            assert!(matches!(client.success(success.data.as_deref())?, ClientStep::Done));
        }
        Ok((client.mechanism(), step))
    }
}

fn login(username: &str, text: &str) -> Login {
    Login { username: username.into(), password: password(text), scram_sha1: true, plain: true }
}

fn failure(step: &ServerStep) -> Failure {
    match step {
        ServerStep::Failure(failure) => *failure,
        other => panic!("expected a failure, found {other:?}"),
    }
}

fn is_anna(step: &ServerStep) -> bool {
    matches!(step, ServerStep::Success(success) if success.who.account == bare("anna@site.example"))
}

fn challenge(step: ServerStep) -> String {
    match step {
        ServerStep::Challenge(bytes) => String::from_utf8(bytes).expect("text"),
        other => panic!("expected a challenge, found {other:?}"),
    }
}

const EACH_SCRAM: [Mechanism; 4] =
    [Mechanism::ScramSha256Plus, Mechanism::ScramSha1Plus, Mechanism::ScramSha256, Mechanism::ScramSha1];

fn header(mechanism: Mechanism, authzid: &str) -> String {
    let flag = if mechanism.is_plus() { "p=tls-exporter" } else { "n" };
    format!("{flag},{authzid},")
}
