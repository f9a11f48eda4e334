//! Who has to do with a node: affiliations and subscriptions.

use torg_store::{Row, StoreError, Value};
use torg_wire::jid::{BareJid, Jid};
use torg_wire::xep::pubsub::{Affiliation, Refusal, SubscriptionState};

use super::super::decision::Failure;
use super::super::limits::{AFFILIATIONS_MAX, LIST_MAX, SUBSCRIPTIONS_MAX, SUBSCRIPTIONS_OF_ONE};
use super::super::node::Node;
use super::{Table, advance, bare, damaged, jid, text};

const STANDING: &str = "SELECT (SELECT affiliation FROM pubsub_affiliation WHERE node = ?1 AND jid = ?2),
    (SELECT MAX(state) FROM pubsub_subscription WHERE node = ?1 AND bare = ?2)";
const AFFILIATIONS: &str = "SELECT jid, affiliation FROM pubsub_affiliation WHERE node = ?1 ORDER BY jid";
const AFFILIATIONS_OF: &str = "SELECT pubsub_node.name, pubsub_affiliation.affiliation
    FROM pubsub_affiliation JOIN pubsub_node ON pubsub_node.id = pubsub_affiliation.node
    WHERE pubsub_affiliation.jid = ?1 AND pubsub_node.service = ?2 ORDER BY pubsub_node.name LIMIT ?3";
const PUT_AFFILIATION: &str = "INSERT INTO pubsub_affiliation (node, jid, affiliation) VALUES (?1, ?2, ?3)
    ON CONFLICT (node, jid) DO UPDATE SET affiliation = ?3";
const DROP_AFFILIATION: &str = "DELETE FROM pubsub_affiliation WHERE node = ?1 AND jid = ?2";
/// Changes its one row only if the node has not too many of them now.
const FEW_AFFILIATIONS: &str = "UPDATE pubsub_node SET bytes = bytes
    WHERE id = ?1 AND (SELECT COUNT(*) FROM pubsub_affiliation WHERE node = ?1) <= ?2";
const SUBSCRIPTIONS: &str = "SELECT jid, state FROM pubsub_subscription WHERE node = ?1 ORDER BY jid";
const SUBSCRIPTIONS_OF: &str = "SELECT pubsub_node.name, pubsub_subscription.jid, pubsub_subscription.state
    FROM pubsub_subscription JOIN pubsub_node ON pubsub_node.id = pubsub_subscription.node
    WHERE pubsub_subscription.bare = ?1 AND pubsub_node.service = ?2
    ORDER BY pubsub_node.name, pubsub_subscription.jid LIMIT ?3";
const SUBSCRIPTION: &str = "SELECT state FROM pubsub_subscription WHERE node = ?1 AND jid = ?2";
const COUNT_SUBSCRIPTIONS: &str = "SELECT COUNT(*) FROM pubsub_subscription WHERE node = ?1 AND state = 'subscribed'";
const PUT_SUBSCRIPTION: &str = "INSERT INTO pubsub_subscription (node, jid, bare, state) VALUES (?1, ?2, ?3, ?4)
    ON CONFLICT (node, jid) DO UPDATE SET state = ?4";
const DROP_SUBSCRIPTION: &str = "DELETE FROM pubsub_subscription WHERE node = ?1 AND jid = ?2";
const DROP_SUBSCRIPTIONS: &str = "DELETE FROM pubsub_subscription WHERE node = ?1 AND bare = ?2";
/// Changes its one row only if neither the node nor the account has too many of them now.
const FEW_SUBSCRIPTIONS: &str = "UPDATE pubsub_node SET bytes = bytes
    WHERE id = ?1 AND (SELECT COUNT(*) FROM pubsub_subscription WHERE node = ?1) <= ?2
    AND (SELECT COUNT(*) FROM pubsub_subscription WHERE bare = ?3) <= ?4";

/// What an account is to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) affiliation: Affiliation,
    /// The best of its addresses' subscriptions.
    pub(crate) subscription: SubscriptionState,
}

impl Table {
    pub(crate) async fn standing(&self, node: i64, account: &BareJid) -> Result<Standing, StoreError> {
        let rows = self.engine.query(STANDING, vec![Value::from(node), text(account)]).await?;
        let row = rows.first().ok_or_else(|| damaged("standing", account.as_str()))?;
        Ok(Standing {
            affiliation: row.text_if_any(0)?.map(affiliation).transpose()?.unwrap_or_default(),
            // `subscribed` is greater than `pending`, as text too.
            subscription: row.text_if_any(1)?.map(state).transpose()?.unwrap_or(SubscriptionState::None),
        })
    }

    pub(crate) async fn affiliations(&self, node: i64) -> Result<Vec<(BareJid, Affiliation)>, StoreError> {
        let rows = self.engine.query(AFFILIATIONS, vec![Value::from(node)]).await?;
        rows.iter().map(|row| Ok((bare(row, 0)?, affiliation(row.text(1)?)?))).collect()
    }

    /// The nodes of a service that an account is affiliated with.
    pub(crate) async fn affiliations_of(
        &self,
        service: &BareJid,
        account: &BareJid,
    ) -> Result<Vec<(String, Affiliation)>, StoreError> {
        let rows = self.engine.query(AFFILIATIONS_OF, vec![text(account), text(service), limit()]).await?;
        rows.iter().map(|row| Ok((row.text(0)?.to_owned(), affiliation(row.text(1)?)?))).collect()
    }

    /// Changes affiliations of a node that is as it was read. Outcasts lose their subscriptions (XEP-0060 §8.9.2).
    pub(crate) async fn set_affiliations(
        &self,
        node: &Node,
        changes: &[(BareJid, Affiliation)],
    ) -> Result<(), Failure> {
        let id = Value::from(node.id);
        let mut batch = advance(node);
        for (account, affiliation) in changes {
            let key = [id.clone(), text(account)];
            batch = match affiliation {
                Affiliation::None => batch.run(DROP_AFFILIATION, key),
                other => batch.run(PUT_AFFILIATION, [id.clone(), text(account), Value::from(other.name())]),
            };
            if *affiliation == Affiliation::Outcast {
                batch = batch.run(DROP_SUBSCRIPTIONS, [id.clone(), text(account)]);
            }
        }
        let few = [id, Value::from(AFFILIATIONS_MAX)];
        within(self.engine.write(batch.guard(1, FEW_AFFILIATIONS, few)).await, Refusal::Quota)
    }

    pub(crate) async fn subscriptions(&self, node: i64) -> Result<Vec<(Jid, SubscriptionState)>, StoreError> {
        let rows = self.engine.query(SUBSCRIPTIONS, vec![Value::from(node)]).await?;
        rows.iter().map(|row| Ok((jid(row, 0)?, state(row.text(1)?)?))).collect()
    }

    /// The subscriptions of an account to nodes of a service.
    pub(crate) async fn subscriptions_of(
        &self,
        service: &BareJid,
        account: &BareJid,
    ) -> Result<Vec<(String, Jid, SubscriptionState)>, StoreError> {
        let rows = self.engine.query(SUBSCRIPTIONS_OF, vec![text(account), text(service), limit()]).await?;
        let entry = |row: &Row| Ok((row.text(0)?.to_owned(), jid(row, 1)?, state(row.text(2)?)?));
        rows.iter().map(entry).collect()
    }

    /// The subscription of this very address.
    pub(crate) async fn subscription(&self, node: i64, address: &Jid) -> Result<SubscriptionState, StoreError> {
        let rows = self.engine.query(SUBSCRIPTION, vec![Value::from(node), Value::from(address.as_str())]).await?;
        rows.first().map_or(Ok(SubscriptionState::None), |row| state(row.text(0)?))
    }

    pub(crate) async fn subscribers(&self, node: i64) -> Result<i64, StoreError> {
        self.count(COUNT_SUBSCRIPTIONS, vec![Value::from(node)]).await
    }

    /// Changes subscriptions to a node that is as it was read.
    pub(crate) async fn set_subscriptions(
        &self,
        node: &Node,
        changes: &[(Jid, SubscriptionState)],
    ) -> Result<(), Failure> {
        let id = Value::from(node.id);
        let mut batch = advance(node);
        for (address, state) in changes {
            let (jid, account) = (Value::from(address.as_str()), Value::from(address.bare_str()));
            if *state == SubscriptionState::None {
                batch = batch.run(DROP_SUBSCRIPTION, [id.clone(), jid]);
                continue;
            }
            let limits =
                [id.clone(), Value::from(SUBSCRIPTIONS_MAX), account.clone(), Value::from(SUBSCRIPTIONS_OF_ONE)];
            batch = batch.run(PUT_SUBSCRIPTION, [id.clone(), jid, account, Value::from(state.name())]).guard(
                1,
                FEW_SUBSCRIPTIONS,
                limits,
            );
        }
        within(self.engine.write(batch).await, Refusal::TooManySubscriptions)
    }
}

/// The first guard is the version's, later ones are limits.
fn within(written: Result<Vec<u64>, StoreError>, refusal: Refusal) -> Result<(), Failure> {
    match written {
        Ok(_) => Ok(()),
        Err(StoreError::Conflict { statement, .. }) if statement > 0 => Err(refusal.into()),
        Err(error) => Err(error.into()),
    }
}

fn limit() -> Value {
    Value::from(i64::try_from(LIST_MAX).unwrap_or(i64::MAX))
}

fn affiliation(name: &str) -> Result<Affiliation, StoreError> {
    Affiliation::parse(name).ok_or_else(|| damaged("affiliation", name))
}

fn state(name: &str) -> Result<SubscriptionState, StoreError> {
    SubscriptionState::parse(name).ok_or_else(|| damaged("subscription", name))
}
