//! The seam towards other members of a cluster. One box needs none: [`Solo`].

use async_trait::async_trait;
use torg_wire::jid::{BareJid, FullJid};
use torg_wire::stanza::Stanza;

/// What a member of a cluster does for its router.
#[async_trait]
pub trait Mesh: Send + Sync {
    /// Full JIDs of this account's sessions on other members.
    async fn locate(&self, account: &BareJid) -> Vec<FullJid>;

    /// Hands a stanza to the member where the session is; `false` if there is none.
    async fn forward(&self, to: &FullJid, stanza: &Stanza) -> bool;

    /// Tells the others that a session has come (`true`) or gone.
    async fn advertise(&self, session: &FullJid, here: bool);

    /// Becomes the one member that serves this address; a fencing token, or `None` if another one does.
    async fn lease(&self, service: &BareJid) -> Option<u64>;
}

/// No other members.
#[derive(Clone, Copy, Debug, Default)]
pub struct Solo;

#[async_trait]
impl Mesh for Solo {
    async fn locate(&self, _account: &BareJid) -> Vec<FullJid> {
        Vec::new()
    }

    async fn forward(&self, _to: &FullJid, _stanza: &Stanza) -> bool {
        false
    }

    async fn advertise(&self, _session: &FullJid, _here: bool) {}

    async fn lease(&self, _service: &BareJid) -> Option<u64> {
        Some(1)
    }
}
