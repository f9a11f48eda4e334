//! What is known of the other side once TLS is there, and what follows from it: claims and checks by dialback (XEP-0220), and which
//! stanzas may pass.

use super::dialback::{self, Dialback};
use super::{
    CHECKS_MAX, CLAIMS_MAX, DialbackAnswer, DialbackCheck, PAIRS_MAX, Pair, PeerEnd, PeerOutput, PeerProof, PeerStream,
    QUESTIONS_MAX, Standing, fault,
};
use crate::jid::{DomainPart, Jid};
use crate::ns;
use crate::stanza::{Stanza, StanzaCondition, StanzaFault};
use crate::stream::{Why, foreign};
use crate::stream_error::StreamCondition;
use crate::xml::Element;

/// The state of a link. Which pairs are proven and which are open differ unless the stream is bidirectional.
#[derive(Debug, Default)]
pub(super) struct Link {
    /// Our domain, as the first header had it; pinned.
    pub(super) local: Option<DomainPart>,
    /// Theirs, as the first header that named one had it; pinned.
    pub(super) remote: Option<DomainPart>,
    /// Name of the stream in force, which the accepting side gave.
    pub(super) id: String,
    /// We opened the connection.
    pub(super) connecting: bool,
    /// Both sides send stanzas (XEP-0288).
    pub(super) bidi: bool,
    /// Stanzas of theirs may come in.
    proven: Vec<(Pair, PeerProof)>,
    /// Stanzas of ours may go out.
    open: Vec<Pair>,
    /// A claim whose certificate is being judged.
    judging: Option<DialbackCheck>,
    /// Claims that are being verified elsewhere.
    claims: Vec<DialbackCheck>,
    /// Checks that we have asked for, in order; `true` once it was said.
    checks: Vec<(DialbackCheck, bool)>,
    /// Dialback elements heard before anything was proven.
    questions: u16,
}

impl Link {
    pub(super) const fn local(&self) -> Option<&DomainPart> {
        self.local.as_ref()
    }

    pub(super) const fn is_connecting(&self) -> bool {
        self.connecting
    }

    /// Nothing is proven and nothing open.
    pub(super) const fn is_empty(&self) -> bool {
        self.proven.is_empty() && self.open.is_empty()
    }

    pub(super) const fn is_judging(&self) -> bool {
        self.judging.is_some()
    }

    pub(super) fn is_open(&self, pair: &Pair) -> bool {
        self.open.contains(pair)
    }

    pub(super) fn proof(&self, local: &str, remote: &str) -> Option<PeerProof> {
        let found = self.proven.iter().find(|(pair, _)| pair.local.as_str() == local && pair.remote.as_str() == remote);
        found.map(|(_, proof)| *proof)
    }

    pub(super) fn may_send(&self, stanza: &Stanza) -> bool {
        let (Some(from), Some(to)) = (stanza.from(), stanza.to()) else { return false };
        self.open.iter().any(|pair| pair.local.as_str() == from.domain() && pair.remote.as_str() == to.domain())
    }
}

impl PeerStream {
    /// Stanzas of theirs may come in for the pair, and on a bidirectional stream ours go out.
    pub(super) fn prove(&mut self, pair: Pair, proof: PeerProof) {
        if self.link.proof(pair.local.as_str(), pair.remote.as_str()).is_some() {
            return;
        }
        self.link.proven.push((pair.clone(), proof));
        self.voice.ask(PeerOutput::Proven(pair.clone(), proof));
        if self.link.bidi {
            self.open(pair);
        }
    }

    /// Stanzas of ours may go out for the pair.
    pub(super) fn open(&mut self, pair: Pair) {
        if !self.link.is_open(&pair) {
            self.link.open.push(pair.clone());
            self.voice.ask(PeerOutput::Opened(pair));
        }
    }

    pub(super) fn linked_element(&mut self, element: Element) -> Result<(), PeerEnd> {
        if element.namespace() == ns::DIALBACK {
            return match Dialback::read(&element).map_err(Why::Fault)? {
                Some(said) => self.dialback(said),
                None => Err(fault(StreamCondition::UnsupportedStanzaType, "This is no dialback.")),
            };
        }
        match foreign::read(element) {
            Ok(stanza) => {
                let proof = self.admit(stanza.from(), stanza.to())?;
                self.voice.ask(PeerOutput::Stanza(stanza, proof));
            }
            Err(StanzaFault::Fatal(error)) => return Err(Why::Fault(error).into()),
            Err(refused) => {
                if let StanzaFault::Refused { stanza, .. } = &refused {
                    self.admit_refused(stanza.from(), stanza.to())?;
                }
                if let Some(mut reply) = refused.reply() {
                    if reply.from().is_none() {
                        reply.set_from(self.link.local.as_ref().map(|local| Jid::from_parts(None, local, None)));
                    }
                    self.voice.ask(PeerOutput::Bounce(reply));
                }
            }
        }
        Ok(())
    }

    /// Every stanza between servers names two domains that were proven for this stream (RFC 6120 §4.9.3.7 to §4.9.3.9, §8.1).
    fn admit(&self, from: Option<&Jid>, to: Option<&Jid>) -> Result<PeerProof, PeerEnd> {
        let (Some(from), Some(to)) = (from, to) else {
            return Err(fault(StreamCondition::ImproperAddressing, "Stanzas between servers have 'from' and 'to'."));
        };
        if !self.settings.domains.serves(to.domain()) {
            return Err(fault(StreamCondition::HostUnknown, "This server does not serve that domain."));
        }
        match self.link.proof(to.domain(), from.domain()) {
            Some(proof) if !self.settings.domains.serves(from.domain()) => Ok(proof),
            _ => {
                Err(fault(StreamCondition::InvalidFrom, "This stream has not proven the sender's domain to that one."))
            }
        }
    }

    /// As [`PeerStream::admit`], for a stanza whose `to` may be no address.
    fn admit_refused(&self, from: Option<&Jid>, to: Option<&Jid>) -> Result<(), PeerEnd> {
        if to.is_some() {
            return self.admit(from, to).map(drop);
        }
        let Some(from) = from else {
            return Err(fault(StreamCondition::ImproperAddressing, "Stanzas between servers have 'from' and 'to'."));
        };
        if self.link.proven.iter().any(|(pair, _)| pair.remote.as_str() == from.domain()) {
            Ok(())
        } else {
            Err(fault(StreamCondition::InvalidFrom, "This stream has not proven the sender's domain."))
        }
    }

    fn dialback(&mut self, said: Dialback) -> Result<(), PeerEnd> {
        if self.link.is_empty() {
            self.link.questions = self.link.questions.saturating_add(1);
            if self.link.questions > QUESTIONS_MAX {
                return Err(fault(StreamCondition::PolicyViolation, "Too many questions from an unknown server."));
            }
        }
        match said {
            // Who accepted the connection claims further domains only on a bidirectional stream (XEP-0288 §2.2).
            Dialback::Claim { pair, key } if !self.link.connecting || self.link.bidi => self.claimed(pair, key),
            Dialback::Check { pair, id, key } if !self.link.connecting => {
                self.answer_check(&pair, &id, &key);
                Ok(())
            }
            Dialback::Checked { pair, id, answer } => self.checked(&pair, &id, answer),
            // XEP-0220 §3.1: an answer that nobody asked for, or a question in the wrong direction.
            Dialback::Claim { .. } | Dialback::Check { .. } | Dialback::Result { .. } => Err(unsolicited()),
        }
    }

    // -- claims of the peer

    fn claimed(&mut self, pair: Pair, key: String) -> Result<(), PeerEnd> {
        let refusal = if !self.settings.domains.serves(pair.local.as_str()) {
            StanzaCondition::ItemNotFound
        } else if self.settings.domains.serves(pair.remote.as_str()) {
            StanzaCondition::NotAllowed // nobody else speaks for a domain of ours
        } else if self.link.proof(pair.local.as_str(), pair.remote.as_str()).is_some() {
            self.voice.element(&dialback::result(&pair, DialbackAnswer::Valid));
            return Ok(());
        } else if self.link.claims.iter().any(|claim| claim.pair == pair) {
            return Ok(()); // its answer is on the way
        } else if self.link.claims.len() >= CLAIMS_MAX || self.link.proven.len() >= PAIRS_MAX {
            StanzaCondition::ResourceConstraint
        } else {
            self.voice.ask(PeerOutput::Judge(pair.remote.clone()));
            self.link.judging = Some(DialbackCheck { pair, id: self.link.id.clone(), key });
            return Ok(());
        };
        self.voice.element(&dialback::result(&pair, DialbackAnswer::Error(refusal)));
        Ok(())
    }

    /// What the certificate says about a claim. Proven so, nobody is called (XEP-0220 §1.2, last paragraph).
    pub(super) fn claim_judged(&mut self, standing: Standing) -> Result<(), PeerEnd> {
        let Some(claim) = self.link.judging.take() else { return Ok(()) };
        let condition = match standing {
            Standing::Proven => {
                self.voice.element(&dialback::result(&claim.pair, DialbackAnswer::Valid));
                self.prove(claim.pair, PeerProof::Certificate);
                return Ok(());
            }
            Standing::Dialback => {
                self.voice.ask(PeerOutput::Verify(claim.clone()));
                self.link.claims.push(claim);
                return Ok(());
            }
            Standing::Unproven => StanzaCondition::NotAuthorized,
            Standing::Refused => StanzaCondition::PolicyViolation,
        };
        self.voice.element(&dialback::result(&claim.pair, DialbackAnswer::Error(condition)));
        Ok(())
    }

    pub(super) fn claim_verified(&mut self, check: &DialbackCheck, answer: DialbackAnswer) -> Result<(), PeerEnd> {
        let Some(position) = self.link.claims.iter().position(|claim| claim == check) else { return Ok(()) };
        let claim = self.link.claims.swap_remove(position);
        match answer {
            DialbackAnswer::Valid => {
                self.voice.element(&dialback::result(&claim.pair, DialbackAnswer::Valid));
                self.prove(claim.pair, PeerProof::Dialback);
            }
            // XEP-0220 §2.2.1: a liar loses its stream, unless others share it.
            DialbackAnswer::Invalid if self.link.is_empty() => {
                self.voice.element(&dialback::result(&claim.pair, DialbackAnswer::Invalid));
                return Err(fault(StreamCondition::NotAuthorized, "The dialback key is not the domain's."));
            }
            DialbackAnswer::Invalid => {
                let answer = DialbackAnswer::Error(StanzaCondition::Forbidden);
                self.voice.element(&dialback::result(&claim.pair, answer));
            }
            error @ DialbackAnswer::Error(_) => self.voice.element(&dialback::result(&claim.pair, error)),
        }
        Ok(())
    }

    // -- keys of ours

    /// We are asked as the server that answers for a domain (XEP-0220 §2.2.2).
    fn answer_check(&mut self, pair: &Pair, id: &str, key: &str) {
        let answer = if !self.settings.domains.serves(pair.local.as_str()) {
            DialbackAnswer::Error(StanzaCondition::ItemNotFound)
        } else if self.settings.secret.recognises(key, &pair.remote, &pair.local, id) {
            DialbackAnswer::Valid
        } else {
            DialbackAnswer::Invalid
        };
        self.voice.element(&dialback::checked(pair, id, answer));
    }

    // -- checks that we ask for

    pub(super) fn ask(&mut self, check: DialbackCheck, secured: bool) -> bool {
        if self.link.checks.len() >= CHECKS_MAX {
            return false;
        }
        if secured {
            self.voice.element(&dialback::check(&check.pair, &check.id, &check.key));
        }
        self.link.checks.push((check, secured));
        true
    }

    /// Says what was asked for before there was TLS.
    pub(super) fn say_checks(&mut self) {
        for (check, said) in self.link.checks.iter_mut().filter(|(_, said)| !said) {
            self.voice.element(&dialback::check(&check.pair, &check.id, &check.key));
            *said = true;
        }
    }

    fn checked(&mut self, pair: &Pair, id: &str, answer: DialbackAnswer) -> Result<(), PeerEnd> {
        let ours = |(check, said): &(DialbackCheck, bool)| *said && check.pair == *pair && check.id == id;
        let Some(position) = self.link.checks.iter().position(ours) else { return Err(unsolicited()) };
        let (check, _) = self.link.checks.swap_remove(position);
        self.voice.ask(PeerOutput::Checked { check, answer });
        Ok(())
    }
}

pub(super) fn unsolicited() -> PeerEnd {
    fault(StreamCondition::PolicyViolation, "Unsolicited dialback.")
}
