//! What each command does.

use std::collections::BTreeSet;

use torg_wire::jid::{BareJid, Jid};
use torg_wire::ns;
use torg_wire::stanza::{MessageType, Stanza, StanzaCondition, StanzaError};
use torg_wire::stream_error::{StreamCondition, StreamError};
use torg_wire::xep::data_forms::{DataForm, FieldKind};
use torg_wire::xml::Element;

use super::forms::{self, result};
use super::{Administration, AdministrationError};
use crate::identity::Proof;
use crate::roster::Item;
use crate::router::{Letter, Router, store_error};
use crate::session::Ending;

/// Bytes of a list of accounts; it must fit into one stanza with what is around it.
const LIST_BYTES_MAX: usize = 200 * 1024;

/// What came of a command.
#[derive(Debug, Default)]
pub(super) struct Done {
    pub(super) form: Option<DataForm>,
    /// Goes inside the form.
    pub(super) inside: Option<Element>,
    pub(super) note: Option<&'static str>,
}

type Outcome = Result<Done, StanzaError>;

fn done(note: &'static str) -> Outcome {
    Ok(Done { note: Some(note), ..Done::default() })
}

fn shown(fields: impl IntoIterator<Item = (&'static str, FieldKind, Vec<String>)>) -> Outcome {
    Ok(Done { form: Some(result(fields)), ..Done::default() })
}

impl From<AdministrationError> for StanzaError {
    fn from(error: AdministrationError) -> Self {
        let condition = match &error {
            AdministrationError::Exists => StanzaCondition::Conflict,
            AdministrationError::Name(_) | AdministrationError::Password(_) => StanzaCondition::NotAcceptable,
            AdministrationError::Unknown => StanzaCondition::ItemNotFound,
            AdministrationError::Unavailable(_) => {
                tracing::error!(%error, "An account could not be changed.");
                return StanzaError::new(StanzaCondition::InternalServerError);
            }
        };
        StanzaError::new(condition).with_text(error.to_string())
    }
}

fn port(router: &Router) -> Result<&dyn Administration, StanzaError> {
    router.shared().administration.as_deref().ok_or_else(|| StanzaCondition::ServiceUnavailable.into())
}

fn stored<T>(outcome: Result<T, torg_store::StoreError>) -> Result<T, StanzaError> {
    outcome.map_err(|error| {
        tracing::error!(%error, "An administration command could not read the store.");
        store_error(&error)
    })
}

/// Whoever locks itself out cannot come back to mend it; parts of this process have no password.
fn not_oneself(router: &Router, asker: &Jid, account: &str) -> Result<(), StanzaError> {
    if asker.bare_str() == account || router.is_internal(account) {
        return Err(StanzaError::new(StanzaCondition::NotAllowed).with_text("Not this account."));
    }
    Ok(())
}

async fn must_exist(router: &Router, account: &BareJid) -> Result<(), StanzaError> {
    let all = port(router)?.list().await?;
    if all.iter().any(|listed| listed.jid == *account) { Ok(()) } else { Err(StanzaCondition::ItemNotFound.into()) }
}

pub(super) async fn add_user(router: &Router, _: &Jid, form: &DataForm) -> Outcome {
    let account = forms::account(router, form)?;
    let password = forms::password(form, true)?;
    if router.is_internal(account.as_str()) {
        return Err(StanzaCondition::Conflict.into());
    }
    port(router)?.create(&account, password).await?;
    done("The account has been made.")
}

pub(super) async fn delete_users(router: &Router, asker: &Jid, form: &DataForm) -> Outcome {
    for account in forms::accounts(router, form)? {
        not_oneself(router, asker, account.bare_str())?;
        port(router)?.remove(&account.to_bare()).await?;
    }
    done("The accounts have been removed.")
}

pub(super) async fn disable_users(router: &Router, asker: &Jid, form: &DataForm) -> Outcome {
    for account in forms::accounts(router, form)? {
        not_oneself(router, asker, account.bare_str())?;
        port(router)?.set_disabled(&account.to_bare(), true).await?;
        router.end_sessions_of(&account.to_bare().into(), StreamCondition::NotAuthorized).await;
    }
    done("The accounts have been switched off.")
}

pub(super) async fn reenable_users(router: &Router, _: &Jid, form: &DataForm) -> Outcome {
    for account in forms::accounts(router, form)? {
        port(router)?.set_disabled(&account.to_bare(), false).await?;
    }
    done("The accounts have been switched on.")
}

pub(super) async fn end_sessions(router: &Router, _: &Jid, form: &DataForm) -> Outcome {
    for account in forms::accounts(router, form)? {
        router.end_sessions_of(&account, StreamCondition::Reset).await;
    }
    done("The sessions have been ended.")
}

pub(super) async fn change_password(router: &Router, _: &Jid, form: &DataForm) -> Outcome {
    let account = forms::account(router, form)?;
    port(router)?.set_password(&account, forms::password(form, false)?).await?;
    done("The password has been changed.")
}

pub(super) async fn roster(router: &Router, _: &Jid, form: &DataForm) -> Outcome {
    let account = forms::account(router, form)?;
    must_exist(router, &account).await?;
    let (_, items) = stored(router.shared().rosters.load(&account).await)?;
    let items = items.iter().filter(|item| item.listed).map(Item::to_element);
    let inside = Some(Element::new(ns::ROSTER, "query").with_children(items));
    let form = Some(result([("accountjid", FieldKind::JidSingle, vec![account.to_string()])]));
    Ok(Done { form, inside, note: None })
}

pub(super) async fn last_login(router: &Router, _: &Jid, form: &DataForm) -> Outcome {
    let account = forms::account(router, form)?;
    must_exist(router, &account).await?;
    let there = !router.shared().sessions.of(account.as_str()).is_empty();
    let seen = stored(router.shared().personal.last_seen(&account).await)?;
    let seen = if there { Some(router.shared().clock.now()) } else { seen.map(|departure| departure.at) };
    shown([
        ("accountjid", FieldKind::JidSingle, vec![account.to_string()]),
        ("lastlogin", FieldKind::TextSingle, seen.iter().map(ToString::to_string).collect()),
    ])
}

pub(super) async fn user_stats(router: &Router, _: &Jid, form: &DataForm) -> Outcome {
    let account = forms::account(router, form)?;
    must_exist(router, &account).await?;
    let listed = stored(router.shared().rosters.listed(&account).await)?;
    let sessions = router.shared().sessions.of(account.as_str());
    let resources = sessions.iter().map(|session| session.jid.resource().to_owned()).collect();
    shown([
        ("accountjid", FieldKind::JidSingle, vec![account.to_string()]),
        ("rostersize", FieldKind::TextSingle, vec![listed.to_string()]),
        ("onlineresources", FieldKind::TextMulti, resources),
    ])
}

async fn registered(router: &Router, disabled: Option<bool>) -> Result<Vec<String>, StanzaError> {
    let all = port(router)?.list().await?;
    let wanted = all.iter().filter(|listed| disabled.is_none_or(|disabled| listed.disabled == disabled));
    Ok(wanted.map(|listed| listed.jid.to_string()).collect())
}

/// Accounts with a session, parts of this process left out.
fn online(router: &Router) -> Vec<String> {
    let sessions = router.shared().sessions.all();
    let clients = sessions.iter().filter(|session| !matches!(session.proof, Proof::Internal(_)));
    clients.map(|session| session.account.to_string()).collect::<BTreeSet<_>>().into_iter().collect()
}

pub(super) async fn count_registered(router: &Router, _: &Jid, _: &DataForm) -> Outcome {
    let count = registered(router, None).await?.len();
    shown([("registeredusersnum", FieldKind::TextSingle, vec![count.to_string()])])
}

pub(super) async fn count_disabled(router: &Router, _: &Jid, _: &DataForm) -> Outcome {
    let count = registered(router, Some(true)).await?.len();
    shown([("disabledusersnum", FieldKind::TextSingle, vec![count.to_string()])])
}

pub(super) async fn count_online(router: &Router, _: &Jid, _: &DataForm) -> Outcome {
    shown([("onlineusersnum", FieldKind::TextSingle, vec![online(router).len().to_string()])])
}

/// As many as were asked for and fit into a stanza.
fn list(var: &'static str, form: &DataForm, all: Vec<String>) -> Outcome {
    let mut room = LIST_BYTES_MAX;
    let mut fits = |jid: &String| {
        // `<value></value>` around each
        let left = room.checked_sub(jid.len().saturating_add(15));
        room = left.unwrap_or(0);
        left.is_some()
    };
    let values = all.into_iter().take(forms::length(form)?).take_while(|jid| fits(jid)).collect();
    shown([(var, FieldKind::JidMulti, values)])
}

pub(super) async fn list_registered(router: &Router, _: &Jid, form: &DataForm) -> Outcome {
    list("registereduserjids", form, registered(router, None).await?)
}

pub(super) async fn list_disabled(router: &Router, _: &Jid, form: &DataForm) -> Outcome {
    list("disableduserjids", form, registered(router, Some(true)).await?)
}

pub(super) async fn list_online(router: &Router, _: &Jid, form: &DataForm) -> Outcome {
    list("onlineuserjids", form, online(router))
}

pub(super) async fn announce(router: &Router, _: &Jid, form: &DataForm) -> Outcome {
    let (subject, text) = forms::announcement(form)?;
    for session in router.shared().sessions.all() {
        if session.priority().is_none() || matches!(session.proof, Proof::Internal(_)) {
            continue;
        }
        let message = Stanza::message(MessageType::Headline).with_from(router.domain()).with_to(&session.jid);
        let subject = subject.as_ref().map(|text| Element::new(ns::CLIENT, "subject").with_text(text));
        Letter::new(message.with_children(subject).with_body(&text)).give(&session);
    }
    done("All users on-line have been told.")
}

impl Router {
    /// Ends the sessions of an account, or the one session of a full address.
    async fn end_sessions_of(&self, who: &Jid, condition: StreamCondition) {
        for session in self.shared().sessions.of(who.bare_str()).iter() {
            let meant = who.resource().is_none_or(|resource| resource == session.jid.resource());
            if meant && !matches!(session.proof, Proof::Internal(_)) {
                session.queue.end(Ending::Now(StreamError::new(condition)));
                self.end_session(session).await;
            }
        }
    }
}
