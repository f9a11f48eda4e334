//! In-Band Registration (XEP-0077): new accounts before login where the operator has opened that, a new password and the end of one's
//! own account always.
//!
//! Names that mean something to the server (its administrators, parts of this process, the usual addresses of operators) cannot be
//! taken this way. A form that proves who asks (XEP-0348) will be one more of the forms offered to strangers.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use torg_wire::jid::BareJid;
use torg_wire::ns;
use torg_wire::secret::Secret;
use torg_wire::stanza::{IqType, Stanza, StanzaCondition, StanzaError, StanzaKind};
use torg_wire::xep::register::{Malformed, Request, fields, form, registered};
use torg_wire::xml::Element;

use crate::identity::{Envelope, Proof};
use crate::router::Router;
use crate::service::{Reply, Route};
use crate::session::now;

pub(crate) const ROUTES: &[Route] = &[Route::get(ns::REGISTER, "query"), Route::set(ns::REGISTER, "query")];

/// Accounts that may be made from one address in an [`HOUR`]: a household or a small site.
pub(crate) const NEW_PER_ADDRESS: u32 = 5;
/// Accounts that may be made from all addresses in an [`HOUR`]: a street of them.
pub(crate) const NEW_IN_ALL: u32 = 100;
/// New passwords of all accounts in an [`HOUR`]: each costs milliseconds of a core.
const PASSWORDS_IN_ALL: u32 = 1_000;
/// After which the counts start anew.
const HOUR: Duration = Duration::from_secs(3_600);

const INSTRUCTIONS: &str = "Choose a user name and a password for this service.";

/// Names people write to when something is wrong (RFC 2142), and what they take for the operator.
const RESERVED: [&str; 12] = [
    "abuse",
    "admin",
    "administrator",
    "hostmaster",
    "info",
    "noc",
    "postmaster",
    "root",
    "security",
    "support",
    "system",
    "webmaster",
];

/// Who may register, and how much of it there has been.
#[derive(Debug)]
pub(crate) struct Registrar {
    open: bool,
    counts: Mutex<Counts>,
}

#[derive(Debug)]
struct Counts {
    since: Instant,
    /// Bounded by [`NEW_IN_ALL`]: only who made an account is in it.
    by_address: HashMap<Option<IpAddr>, u32>,
    accounts: u32,
    passwords: u32,
}

impl Registrar {
    pub(crate) fn new(open: bool) -> Self {
        let counts = Counts { since: now(), by_address: HashMap::new(), accounts: 0, passwords: 0 };
        Registrar { open, counts: Mutex::new(counts) }
    }

    fn may_create(&self, address: Option<IpAddr>) -> bool {
        let mut counts = self.counts();
        let here = counts.by_address.get(&address).copied().unwrap_or(0);
        if here >= NEW_PER_ADDRESS || counts.accounts >= NEW_IN_ALL {
            return false;
        }
        counts.by_address.insert(address, here + 1);
        counts.accounts += 1;
        true
    }

    fn may_change_password(&self) -> bool {
        let mut counts = self.counts();
        let may = counts.passwords < PASSWORDS_IN_ALL;
        counts.passwords += u32::from(may);
        may
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let now = now();
        if now.saturating_duration_since(counts.since) >= HOUR {
            *counts = Counts { since: now, by_address: HashMap::new(), accounts: 0, passwords: 0 };
        }
        counts
    }
}

/// A request of somebody who is logged in.
pub(crate) async fn handle(router: &Router, envelope: Envelope, reply: Reply) {
    match handled(router, &envelope).await {
        Ok(payload) => reply.result(payload),
        Err(error) => reply.error(error),
    }
}

async fn handled(router: &Router, envelope: &Envelope) -> Result<Option<Element>, StanzaError> {
    let account = envelope.identity().jid().to_bare();
    let Some(administration) = &router.shared().administration else {
        return Err(StanzaCondition::ServiceUnavailable.into());
    };
    let request = read(envelope.stanza())?;
    let username = account.local().unwrap_or_default();
    if matches!(request, Request::Fields) {
        return Ok(Some(registered(username)));
    }
    if matches!(envelope.identity().proof(), Proof::Internal(_)) || account.domain() != router.domain().as_str() {
        return Err(StanzaCondition::NotAllowed.into());
    }
    match request {
        Request::Fields => {}
        Request::Remove => {
            administration.remove(&account).await?;
            tracing::info!(%account, "An account was removed by its owner.");
            // Its sessions end as those of every removed account do: after this answer, within seconds.
        }
        Request::Register { username, password } => {
            if address(router, &username)? != account {
                return Err(StanzaCondition::NotAllowed.into());
            }
            if !router.shared().registrar.may_change_password() {
                return Err(StanzaCondition::ResourceConstraint.into());
            }
            administration.set_password(&account, password).await?;
            tracing::info!(%account, "A password was changed by its owner.");
            router.trust_again(envelope).await;
        }
    }
    Ok(None)
}

fn read(stanza: &Stanza) -> Result<Request, StanzaError> {
    let set = stanza.kind() == StanzaKind::Iq(IqType::Set);
    match stanza.payload().and_then(|payload| Request::decode(payload, set)) {
        Some(Ok(request)) => Ok(request),
        Some(Err(Malformed::Shape)) => Err(StanzaCondition::NotAcceptable.into()), // §3.1, example 8
        Some(Err(Malformed::Form)) | None => Err(StanzaCondition::BadRequest.into()),
    }
}

fn address(router: &Router, username: &str) -> Result<BareJid, StanzaError> {
    let parsed = BareJid::parse(&format!("{username}@{}", router.domain()));
    parsed
        .ok()
        .filter(|it| it.domain() == router.domain().as_str())
        .ok_or_else(|| StanzaCondition::NotAcceptable.into())
}

impl Router {
    /// Whether strangers may make accounts.
    pub(crate) fn is_registration_open(&self) -> bool {
        self.shared().registrar.open && self.shared().administration.is_some()
    }

    /// A request of somebody who is not logged in, on an encrypted stream; the answer.
    pub(crate) async fn register_stranger(&self, address: Option<IpAddr>, stanza: &Stanza) -> Stanza {
        let answered = match read(stanza) {
            Ok(Request::Fields) if self.is_registration_open() => {
                Ok(Some(fields(INSTRUCTIONS, [form(INSTRUCTIONS).encode()])))
            }
            Ok(Request::Register { username, password }) if self.is_registration_open() => {
                self.create(address, &username, password).await.map(|()| None)
            }
            Ok(Request::Remove) => Err(StanzaCondition::NotAllowed.into()),
            Ok(_) => Err(StanzaCondition::ServiceUnavailable.into()),
            Err(error) => Err(error),
        };
        let mut request = crate::service::header(stanza);
        request.set_from(None);
        request.set_to(Some(self.domain().as_jid().clone()));
        match answered {
            Ok(payload) => Stanza::result_for(&request).with_children(payload),
            Err(error) => Stanza::error_for(&request, error),
        }
    }

    async fn create(&self, from: Option<IpAddr>, username: &str, password: Secret<String>) -> Result<(), StanzaError> {
        let account = BareJid::parse_new_account(&format!("{username}@{}", self.domain()));
        let account = account.ok().filter(|account| account.domain() == self.domain().as_str());
        let account = account.ok_or(StanzaCondition::NotAcceptable)?;
        let local = account.local().unwrap_or_default();
        if RESERVED.contains(&local) || self.is_admin(&account) || self.is_internal(account.as_str()) {
            return Err(StanzaCondition::Conflict.into());
        }
        if !self.shared().registrar.may_create(from) {
            return Err(
                StanzaError::new(StanzaCondition::ResourceConstraint).with_text("Too many new accounts; try later.")
            );
        }
        let Some(administration) = &self.shared().administration else {
            return Err(StanzaCondition::ServiceUnavailable.into());
        };
        administration.create(&account, password).await?;
        tracing::info!(%account, ?from, "An account was registered.");
        Ok(())
    }

    /// The session that set the new password knows it: it stays when those opened with the old one end.
    async fn trust_again(&self, envelope: &Envelope) {
        let asker = envelope.identity().jid();
        let session = asker.resource().and_then(|resource| self.shared().sessions.find(asker.bare_str(), resource));
        match (session, self.shared().changes.latest().await) {
            (Some(session), Ok(number)) => session.trust_until(number),
            (None, _) => {}
            (_, Err(error)) => tracing::warn!(%error, "A session will end although it set the new password itself."),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(n: u8) -> Option<IpAddr> {
        Some(IpAddr::from([127, 0, 0, n]))
    }

    #[tokio::test(start_paused = true)]
    async fn one_address_makes_so_many_accounts_an_hour() {
        let registrar = Registrar::new(true);
        for _ in 0..NEW_PER_ADDRESS {
            assert!(registrar.may_create(address(1)));
        }
        assert!(!registrar.may_create(address(1)));
        assert!(registrar.may_create(address(2)));
        tokio::time::advance(HOUR).await;
        assert!(registrar.may_create(address(1)));
    }

    #[tokio::test(start_paused = true)]
    async fn all_addresses_together_make_so_many() {
        let registrar = Registrar::new(true);
        let made = (0..=255).flat_map(|n| [n; 2]).filter(|n| registrar.may_create(address(*n))).count();
        assert_eq!(made, usize::try_from(NEW_IN_ALL).unwrap());
    }
}
