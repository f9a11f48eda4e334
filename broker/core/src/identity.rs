//! Who sent a stanza, and how we know. Only the router makes these values; everyone may read them.

use torg_wire::jid::Jid;
use torg_wire::stanza::Stanza;
use torg_wire::stream::peer::PeerProof;

/// A sender with the proof behind the address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    jid: Jid,
    proof: Proof,
}

/// How the sender proved its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Proof {
    /// An external component, which has shown that it knows its secret; who at its domain it is, it says itself.
    Component,
    /// Logged in on an encrypted stream; the SASL mechanism.
    Client(&'static str),
    /// A part of this very process; its name.
    Internal(&'static str),
    /// Its server proved the domain, by these means, on the stream the stanza came from; who in that domain it is, that server says.
    Server(PeerProof),
}

impl Identity {
    pub(crate) fn new(jid: Jid, proof: Proof) -> Self {
        Identity { jid, proof }
    }

    /// The sender: the full JID of a session, or the address of a service.
    pub fn jid(&self) -> &Jid {
        &self.jid
    }

    /// What the address rests on.
    pub fn proof(&self) -> Proof {
        self.proof
    }
}

/// A stanza with its proven sender. The stanza's `from` is the identity's address, whatever the sender had written there
/// (presence that manages subscriptions carries the bare one, RFC 6121 §3.1.2).
#[derive(Clone, Debug)]
pub struct Envelope {
    identity: Identity,
    stanza: Stanza,
}

impl Envelope {
    /// For the router's `admit` alone.
    pub(crate) fn new(identity: Identity, stanza: Stanza) -> Self {
        Envelope { identity, stanza }
    }

    /// Who sent it.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// What was sent.
    pub fn stanza(&self) -> &Stanza {
        &self.stanza
    }

    pub(crate) fn into_parts(self) -> (Identity, Stanza) {
        (self.identity, self.stanza)
    }

    /// The stanza, taken out.
    pub fn into_stanza(self) -> Stanza {
        self.stanza
    }
}
