//! What owners do: create, configure, delete and purge nodes, and manage who has to do with them (XEP-0060 §8).

use torg_wire::jid::{BareJid, Jid};
use torg_wire::ns;
use torg_wire::xep::data_forms::{DataForm, FormKind};
use torg_wire::xep::pubsub::{
    Affiliation, Config, ConfigFault, Event, Refusal, SubscriptionState, answer, owner_answer, subscription,
};
use torg_wire::xml::Element;

use super::audience::{Audience, Then};
use super::decision::Failure;
use super::limits::{ATTEMPTS_MAX, BOUNDS};
use super::publishing::is_resident;
use super::{Context, Done, is_subscribed, own, random_name, subscribing};

impl Context<'_> {
    pub(super) async fn create(&self, name: Option<String>, form: Option<&DataForm>) -> Result<Done, Failure> {
        let personal = self.service.local().is_some();
        if personal && !self.is_own_service() || !personal && !is_resident(self, self.asker) {
            return Err(Refusal::Forbidden.into());
        }
        let mut config = self.default_config();
        if let Some(form) = form {
            apply(&mut config, form)?;
        }
        let name = name.map_or_else(random_name, Ok)?;
        if !personal && own::is_reserved(&name) {
            return Err(Refusal::Forbidden.into());
        }
        self.table().create(self.service, &name, &self.account, &config, self.now()).await?;
        let create = Element::new(ns::PUBSUB, "create").with_attr("node", name);
        Ok(Done { answer: Some(answer([create])), then: Vec::new() })
    }

    pub(super) fn default_configuration(&self) -> Done {
        let form = self.default_config().form(FormKind::Form).encode();
        let shown = Element::new(ns::PUBSUB_OWNER, "default").with_child(form);
        Done { answer: Some(owner_answer(shown)), then: Vec::new() }
    }

    fn default_config(&self) -> Config {
        if self.service.local().is_some() { Config::personal(&BOUNDS) } else { Config::shared(&BOUNDS) }
    }

    pub(super) async fn configuration(&self, name: &str) -> Result<Done, Failure> {
        let node = self.owned(name).await?;
        let form = node.config.form(FormKind::Form).encode();
        let shown = Element::new(ns::PUBSUB_OWNER, "configure").with_attr("node", name).with_child(form);
        Ok(Done { answer: Some(owner_answer(shown)), then: Vec::new() })
    }

    pub(super) async fn configure(&self, name: &str, form: Option<&DataForm>) -> Result<Done, Failure> {
        for _ in 0..ATTEMPTS_MAX {
            let mut node = self.owned(name).await?;
            let Some(form) = form else { return Ok(Done::default()) };
            let mut config = node.config.clone();
            apply(&mut config, form)?;
            match self.table().configure(&node, &config).await.map_err(Failure::Store) {
                Ok(()) => {}
                Err(failure) if failure.is_conflict() => continue,
                Err(failure) => return Err(failure),
            }
            node.config = config;
            let mut then = Vec::new();
            if node.config.notify_config {
                let form = node.config.payloads.then(|| node.config.form(FormKind::Result).encode());
                then = Then::tell(self.router, node, Event::Configured(form)).await?;
            }
            return Ok(Done { answer: None, then });
        }
        Err(Refusal::Quota.into())
    }

    pub(super) async fn delete(&self, name: &str) -> Result<Done, Failure> {
        for _ in 0..ATTEMPTS_MAX {
            let node = self.owned(name).await?;
            // Afterwards nobody knows any more whom it concerned.
            let audience = Audience::of(self.router, &node).await?;
            match self.table().delete(&node).await.map_err(Failure::Store) {
                Ok(()) => {}
                Err(failure) if failure.is_conflict() => continue,
                Err(failure) => return Err(failure),
            }
            self.pubsub().memory.forget(node.id, None);
            let told = node.config.notify_delete;
            let then = if told { vec![Then::Tell { audience, node, event: Event::Deleted }] } else { Vec::new() };
            return Ok(Done { answer: None, then });
        }
        Err(Refusal::Quota.into())
    }

    pub(super) async fn purge(&self, name: &str) -> Result<Done, Failure> {
        for _ in 0..ATTEMPTS_MAX {
            let node = self.owned(name).await?;
            if !node.config.persist {
                return Err(Refusal::Unsupported("persistent-items").into());
            }
            match self.table().purge(&node).await.map_err(Failure::Store) {
                Ok(()) => {}
                Err(failure) if failure.is_conflict() => continue,
                Err(failure) => return Err(failure),
            }
            self.pubsub().memory.forget(node.id, None);
            let told = node.config.notify && node.config.notify_retract;
            let then = if told { Then::tell(self.router, node, Event::Purged).await? } else { Vec::new() };
            return Ok(Done { answer: None, then });
        }
        Err(Refusal::Quota.into())
    }

    pub(super) async fn list_affiliations(&self, name: &str) -> Result<Done, Failure> {
        let node = self.owned(name).await?;
        let mut found = self.table().affiliations(node.id).await?;
        if node.is_personal() {
            found.insert(0, (node.service.clone(), Affiliation::Owner));
        }
        let found = found.iter().map(|(jid, affiliation)| {
            let entry = Element::new(ns::PUBSUB_OWNER, "affiliation").with_attr("jid", jid.as_str());
            entry.with_attr("affiliation", affiliation.name())
        });
        let list = Element::new(ns::PUBSUB_OWNER, "affiliations").with_attr("node", name).with_children(found);
        Ok(Done { answer: Some(owner_answer(list)), then: Vec::new() })
    }

    /// A node always has an owner (§8.9.2.4); that of a personal node is its account.
    pub(super) async fn set_affiliations(
        &self,
        name: &str,
        changes: &[(BareJid, Affiliation)],
    ) -> Result<Done, Failure> {
        for _ in 0..ATTEMPTS_MAX {
            let node = self.owned(name).await?;
            let mut now = self.table().affiliations(node.id).await?;
            for (account, affiliation) in changes {
                now.retain(|(known, _)| known != account);
                now.push((account.clone(), *affiliation));
            }
            let owner = |(account, affiliation): &(BareJid, Affiliation)| {
                *affiliation == Affiliation::Owner && (!node.is_personal() || *account == node.service)
            };
            let keeps_owner = if node.is_personal() {
                now.iter().filter(|(account, _)| *account == node.service).all(owner)
            } else {
                now.iter().any(owner)
            };
            if !keeps_owner {
                return Err(Refusal::NotAcceptable.into());
            }
            let ended = self.expelled(&node, changes).await?;
            match self.table().set_affiliations(&node, changes).await {
                Ok(()) => {}
                Err(failure) if failure.is_conflict() => continue,
                Err(failure) => return Err(failure),
            }
            let told = |jid| subscribing::told(node.clone(), jid, SubscriptionState::None);
            return Ok(Done { answer: None, then: ended.into_iter().flat_map(told).collect() });
        }
        Err(Refusal::Quota.into())
    }

    /// The subscriptions that end because their accounts become outcasts.
    async fn expelled(&self, node: &super::Node, changes: &[(BareJid, Affiliation)]) -> Result<Vec<Jid>, Failure> {
        let outcasts: Vec<&BareJid> =
            changes.iter().filter(|(_, it)| *it == Affiliation::Outcast).map(|(account, _)| account).collect();
        if outcasts.is_empty() {
            return Ok(Vec::new());
        }
        let subscriptions = self.table().subscriptions(node.id).await?;
        let is_outcast = |jid: &Jid| outcasts.iter().any(|outcast| outcast.as_str() == jid.bare_str());
        Ok(subscriptions.into_iter().map(|(jid, _)| jid).filter(is_outcast).collect())
    }

    pub(super) async fn list_subscriptions(&self, name: &str) -> Result<Done, Failure> {
        let node = self.owned(name).await?;
        let found = self.table().subscriptions(node.id).await?;
        // §8.8.1.1: those that wait are not listed
        let found = found.iter().filter(|(_, state)| is_subscribed(*state));
        let found = found.map(|(jid, state)| subscription(ns::PUBSUB_OWNER, None, jid.as_str(), *state));
        let list = Element::new(ns::PUBSUB_OWNER, "subscriptions").with_attr("node", name).with_children(found);
        Ok(Done { answer: Some(owner_answer(list)), then: Vec::new() })
    }

    pub(super) async fn set_subscriptions(
        &self,
        name: &str,
        changes: &[(Jid, SubscriptionState)],
    ) -> Result<Done, Failure> {
        for _ in 0..ATTEMPTS_MAX {
            let node = self.owned(name).await?;
            let before = self.table().subscriptions(node.id).await?;
            match self.table().set_subscriptions(&node, changes).await {
                Ok(()) => {}
                Err(failure) if failure.is_conflict() => continue,
                Err(failure) => return Err(failure),
            }
            let was = |jid: &Jid| before.iter().find(|(known, _)| known == jid).map(|(_, state)| *state);
            let changed = changes.iter().filter(|(jid, state)| was(jid).unwrap_or(SubscriptionState::None) != *state);
            let then = changed.flat_map(|(jid, state)| subscribing::told(node.clone(), jid.clone(), *state)).collect();
            return Ok(Done { answer: None, then });
        }
        Err(Refusal::Quota.into())
    }
}

fn apply(config: &mut Config, form: &DataForm) -> Result<(), Refusal> {
    config.apply(form, &BOUNDS).map_err(|fault| match fault {
        ConfigFault::AccessModel => Refusal::UnsupportedAccessModel,
        ConfigFault::Unknown => Refusal::Unsupported("collections"),
        ConfigFault::Value => Refusal::NotAcceptable,
    })
}
