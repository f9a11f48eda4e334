//! What clients on other servers want to hear of. Their servers send us the presence that says so, to each account of ours that may
//! see it; what is known about a client holds for those accounts and for no other.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use torg_wire::jid::{BareJid, Jid};
use torg_wire::xep::caps::Caps;

use super::caps::Wishes;
use super::limits::{REMOTES_MAX, REMOTES_OF_ONE};

/// All of them, by contact.
#[derive(Debug, Default)]
pub(crate) struct Remotes(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    contacts: HashMap<BareJid, Vec<Resource>>,
    count: usize,
}

#[derive(Debug)]
struct Resource {
    jid: Jid,
    caps: Option<Arc<Caps>>,
    wishes: Option<Arc<Wishes>>,
    /// Accounts of ours that see its presence.
    seen_by: Vec<BareJid>,
}

/// What a presence of a remote client means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// Nothing new.
    Nothing,
    /// Its wishes are known; this account of ours sees it for the first time.
    Known(Arc<Wishes>),
    /// It is to be asked.
    Ask(Arc<Caps>),
}

impl Remotes {
    /// An account of ours sees a client with these capabilities.
    pub(super) fn came(&self, jid: &Jid, account: &BareJid, caps: Option<Arc<Caps>>) -> Seen {
        let mut inner = self.lock();
        let contact = jid.to_bare();
        let full = inner.count >= REMOTES_MAX;
        let resources = inner.contacts.entry(contact.clone()).or_default();
        let Some(resource) = resources.iter_mut().find(|resource| resource.jid == *jid) else {
            if full || resources.len() >= REMOTES_OF_ONE || caps.is_none() {
                if resources.is_empty() {
                    inner.contacts.remove(&contact);
                }
                return Seen::Nothing;
            }
            let seen_by = vec![account.clone()];
            resources.push(Resource { jid: jid.clone(), caps: caps.clone(), wishes: None, seen_by });
            inner.count += 1;
            return caps.map_or(Seen::Nothing, Seen::Ask);
        };
        let new_here = !resource.seen_by.contains(account);
        if new_here {
            resource.seen_by.push(account.clone());
        }
        if resource.caps != caps {
            resource.caps.clone_from(&caps);
            resource.wishes = None;
            return caps.map_or(Seen::Nothing, Seen::Ask);
        }
        match &resource.wishes {
            Some(wishes) if new_here => Seen::Known(Arc::clone(wishes)),
            _ => Seen::Nothing,
        }
    }

    /// An account of ours sees it no more.
    pub(super) fn went(&self, jid: &Jid, account: &BareJid) {
        let mut inner = self.lock();
        let contact = jid.to_bare();
        let Some(resources) = inner.contacts.get_mut(&contact) else { return };
        let before = resources.len();
        for resource in resources.iter_mut().filter(|resource| jid.is_bare() || resource.jid == *jid) {
            resource.seen_by.retain(|known| known != account);
        }
        resources.retain(|resource| !resource.seen_by.is_empty());
        let gone = before - resources.len();
        if resources.is_empty() {
            inner.contacts.remove(&contact);
        }
        inner.count = inner.count.saturating_sub(gone);
    }

    /// The hash is understood; answers the accounts that see the client, if it still shows that hash.
    pub(super) fn settle(&self, jid: &Jid, caps: &Caps, wishes: &Arc<Wishes>) -> Vec<BareJid> {
        let mut inner = self.lock();
        let resource = inner.contacts.get_mut(jid.bare_str());
        let resource = resource.and_then(|resources| resources.iter_mut().find(|resource| resource.jid == *jid));
        match resource.filter(|resource| resource.caps.as_deref() == Some(caps) && resource.wishes.is_none()) {
            Some(resource) => {
                resource.wishes = Some(Arc::clone(wishes));
                resource.seen_by.clone()
            }
            None => Vec::new(),
        }
    }

    /// Clients of a contact that the account sees, with what they want, as far as it is known.
    pub(super) fn known(&self, contact: &BareJid, account: &BareJid) -> Vec<(Jid, Arc<Wishes>)> {
        let inner = self.lock();
        let resources = inner.contacts.get(contact.as_str()).map(Vec::as_slice).unwrap_or_default();
        let seen = resources.iter().filter(|resource| resource.seen_by.contains(account));
        seen.filter_map(|resource| Some((resource.jid.clone(), Arc::clone(resource.wishes.as_ref()?)))).collect()
    }

    /// Clients of a contact that the account sees and that want events of that node.
    pub(super) fn wishing(&self, contact: &BareJid, account: &BareJid, node: &str) -> Vec<Jid> {
        let inner = self.lock();
        let resources = inner.contacts.get(contact.as_str()).map(Vec::as_slice).unwrap_or_default();
        let wants = |resource: &&Resource| {
            resource.seen_by.contains(account) && resource.wishes.as_ref().is_some_and(|wishes| wishes.has(node))
        };
        resources.iter().filter(wants).map(|resource| resource.jid.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use torg_wire::xep::caps::CapsHash;

    fn caps(ver: &str) -> Arc<Caps> {
        Arc::new(Caps { hash: Some(CapsHash::Sha1), node: "n".into(), ver: ver.into() })
    }

    fn bare(text: &str) -> BareJid {
        BareJid::parse(text).unwrap()
    }

    fn romeo(resource: usize) -> Jid {
        Jid::parse(&format!("romeo@far.example/{resource}")).unwrap()
    }

    #[test]
    fn a_client_is_asked_once_and_all_who_see_it_share_the_answer() {
        let remotes = Remotes::default();
        let (anna, bob) = (bare("anna@x"), bare("bob@x"));
        assert_eq!(remotes.came(&romeo(1), &anna, Some(caps("v"))), Seen::Ask(caps("v")));
        assert_eq!(remotes.came(&romeo(1), &bob, Some(caps("v"))), Seen::Nothing);
        let wishes = Arc::new(Wishes::default());
        assert_eq!(remotes.settle(&romeo(1), &caps("v"), &wishes), [anna.clone(), bob]);
        assert_eq!(remotes.came(&romeo(1), &bare("carla@x"), Some(caps("v"))), Seen::Known(wishes));
        assert_eq!(remotes.came(&romeo(1), &anna, Some(caps("v"))), Seen::Nothing);
        assert_eq!(remotes.came(&romeo(1), &anna, Some(caps("w"))), Seen::Ask(caps("w")));
    }

    #[test]
    fn a_client_that_nobody_sees_is_forgotten() {
        let remotes = Remotes::default();
        let (anna, bob) = (bare("anna@x"), bare("bob@x"));
        remotes.came(&romeo(1), &anna, Some(caps("v")));
        remotes.came(&romeo(1), &bob, Some(caps("v")));
        remotes.went(&romeo(1), &anna);
        assert_eq!(remotes.settle(&romeo(1), &caps("v"), &Arc::new(Wishes::default())), std::slice::from_ref(&bob));
        remotes.went(&romeo(1), &bob);
        assert!(remotes.lock().contacts.is_empty());
        assert_eq!(remotes.lock().count, 0);
    }

    #[test]
    fn a_contact_has_as_many_clients_as_the_limit_and_no_more() {
        let remotes = Remotes::default();
        for n in 0..REMOTES_OF_ONE {
            assert!(matches!(remotes.came(&romeo(n), &bare("anna@x"), Some(caps("v"))), Seen::Ask(_)));
        }
        assert_eq!(remotes.came(&romeo(REMOTES_OF_ONE), &bare("anna@x"), Some(caps("v"))), Seen::Nothing);
        assert_eq!(remotes.lock().count, REMOTES_OF_ONE);
    }
}
