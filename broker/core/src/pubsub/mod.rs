//! Publish and subscribe (XEP-0060): the service at `pubsub.<domain>`, and every account as a service of its own (XEP-0163).
//!
//! A request is read by `wire`, decided by `decision` on what the tables say, written with a guard and answered; then whom it
//! concerns is told. Collections, subscription ids and subscription options are not supported.

mod audience;
mod caps;
mod decision;
mod discovery;
mod leaving;
pub(crate) mod limits;
mod memory;
mod node;
mod own;
mod owning;
mod presence;
mod publishing;
mod reading;
mod remotes;
mod service;
mod subscribing;
mod table;

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use torg_store::{Batch, Engine, StoreError};
use torg_wire::jid::{BareJid, DomainPart, Jid, JidError};
use torg_wire::ns;
use torg_wire::stanza::{IqType, StanzaKind};
use torg_wire::xep::pubsub::{AccessModel, Affiliation, Asked, Refusal, Request, SubscriptionState};
use torg_wire::xml::Element;

pub(crate) use caps::Interest;
pub(crate) use discovery::{describe, discover, personal_nodes};
pub(crate) use limits::{AFFILIATIONS_MAX, BOUNDS, BYTES_MAX, NODES_MAX, SUBSCRIPTIONS_MAX};
pub(crate) use node::Node;
pub(crate) use own::{publish_own, withdraw_own};
pub(crate) use service::PubsubService;
pub(crate) use table::{MIGRATIONS, Placing, Table};

use crate::identity::Envelope;
use crate::router::Router;
use crate::service::{Reply, Route};
use audience::Then;
use decision::{Facts, Failure};
use table::Standing;

/// Of an account, and of the service.
pub(crate) const ROUTES: &[Route] = &[
    Route::get(ns::PUBSUB, "pubsub"),
    Route::set(ns::PUBSUB, "pubsub"),
    Route::get(ns::PUBSUB_OWNER, "pubsub"),
    Route::set(ns::PUBSUB_OWNER, "pubsub"),
];

/// What the router keeps for publish and subscribe.
pub(crate) struct Pubsub {
    /// Of the service.
    address: BareJid,
    table: Table,
    memory: memory::Memory,
    caps: caps::Known,
    remotes: remotes::Remotes,
    /// Counts the stanzas of our own, for their ids.
    sent: AtomicU64,
}

/// A request that was done: its answer, and what is left to do once the asker has it.
#[derive(Default)]
struct Done {
    answer: Option<Element>,
    then: Vec<Then>,
}

/// Who asks which service.
struct Context<'a> {
    router: &'a Router,
    service: &'a BareJid,
    asker: &'a Jid,
    account: BareJid,
}

impl Pubsub {
    /// # Errors
    /// If the domain is so long that no service has room below it.
    pub(crate) fn new(engine: Arc<dyn Engine>, domain: &DomainPart) -> Result<Self, JidError> {
        Ok(Pubsub {
            address: BareJid::parse(&format!("pubsub.{}", domain.as_str()))?,
            table: Table::new(engine),
            memory: memory::Memory::default(),
            caps: caps::Known::default(),
            remotes: remotes::Remotes::default(),
            sent: AtomicU64::new(0),
        })
    }

    pub(crate) fn address(&self) -> &str {
        self.address.as_str()
    }

    /// Removes what an account has and is to nodes.
    pub(crate) fn forget(batch: Batch, account: &BareJid) -> Batch {
        Table::forget(batch, account)
    }

    fn next_id(&self) -> String {
        format!("pubsub-{:x}", self.sent.fetch_add(1, Ordering::Relaxed))
    }
}

/// Answers a request to a service: an account, or the service of the domain.
pub(crate) async fn handle(router: &Router, envelope: Envelope, reply: Reply) {
    let (asker, stanza) = (envelope.identity().jid(), envelope.stanza());
    let account = asker.to_bare();
    let service = stanza.to().map_or_else(|| account.clone(), Jid::to_bare);
    let context = Context { router, service: &service, asker, account };
    let asked = match stanza.kind() {
        StanzaKind::Iq(IqType::Set) => Asked::Set,
        _ => Asked::Get,
    };
    let request = stanza.payload().ok_or(Refusal::BadRequest).and_then(|payload| Request::decode(asked, payload));
    match context.run(request).await {
        Ok(Done { answer, then }) => {
            reply.result(answer);
            for work in then {
                if let Err(error) = work.run(router).await {
                    tracing::error!(%error, %service, "Subscribers could not be told.");
                }
            }
        }
        Err(failure) => reply.error(failure.answer()),
    }
}

impl Context<'_> {
    async fn run(&self, request: Result<Request, Refusal>) -> Result<Done, Failure> {
        match request? {
            Request::Affiliations(node) => self.own_affiliations(node.as_deref()).await,
            Request::Configuration(node) => self.configuration(&node).await,
            Request::Configure(node, form) => self.configure(&node, form.as_ref()).await,
            Request::Create(node, form) => self.create(node, form.as_ref()).await,
            Request::DefaultConfiguration => Ok(self.default_configuration()),
            Request::Delete(node) => self.delete(&node).await,
            Request::Items { node, ids, most_recent, page } => self.items(&node, &ids, most_recent, page).await,
            Request::ListAffiliations(node) => self.list_affiliations(&node).await,
            Request::ListSubscriptions(node) => self.list_subscriptions(&node).await,
            Request::Publish { node, item, options } => self.publish(&node, item, options.as_ref()).await,
            Request::Purge(node) => self.purge(&node).await,
            Request::Retract { node, id, notify } => self.retract(&node, &id, notify).await,
            Request::SetAffiliations(node, changes) => self.set_affiliations(&node, &changes).await,
            Request::SetSubscriptions(node, changes) => self.set_subscriptions(&node, &changes).await,
            Request::Subscribe(node, jid) => self.subscribe(&node, jid).await,
            Request::Subscriptions(node) => self.own_subscriptions(node.as_deref()).await,
            Request::Unsubscribe(node, jid) => self.unsubscribe(&node, jid).await,
        }
    }

    fn pubsub(&self) -> &Pubsub {
        &self.router.shared().pubsub
    }

    fn table(&self) -> &Table {
        &self.pubsub().table
    }

    fn now(&self) -> i64 {
        self.router.shared().clock.now().micros()
    }

    fn is_own_service(&self) -> bool {
        *self.service == self.account
    }

    async fn node(&self, name: &str) -> Result<Node, Failure> {
        Ok(self.table().find(self.service, name).await?.ok_or(Refusal::NotFound)?)
    }

    /// The node with what is known about the asker.
    async fn known(&self, name: &str) -> Result<(Node, About), Failure> {
        let node = self.node(name).await?;
        let about = About::find(self.router, &node, &self.account).await?;
        Ok((node, about))
    }

    /// The node, of which the asker is an owner.
    async fn owned(&self, name: &str) -> Result<Node, Failure> {
        let (node, about) = self.known(name).await?;
        about.facts(&node).may_own()?;
        Ok(node)
    }
}

/// What is known about an account and a node.
#[derive(Clone, Copy, Debug)]
struct About {
    standing: Standing,
    sees_presence: bool,
    in_group: bool,
}

impl About {
    async fn find(router: &Router, node: &Node, account: &BareJid) -> Result<Self, StoreError> {
        let mut standing = router.shared().pubsub.table.standing(node.id, account).await?;
        if node.service == *account {
            standing.affiliation = Affiliation::Owner;
        }
        let by_presence = matches!(node.config.access, AccessModel::Presence | AccessModel::Roster);
        if standing.affiliation == Affiliation::Owner || !by_presence && !node.is_personal() {
            return Ok(About { standing, sees_presence: false, in_group: false });
        }
        if node.payer == *account {
            return Ok(About { standing, sees_presence: true, in_group: true });
        }
        let (_, item) = router.shared().rosters.find(&node.payer, account).await?;
        let sees_presence = item.as_ref().is_some_and(|item| item.state.contact_sees_user());
        let in_group = item.is_some_and(|item| item.listed && has_group(node, &item.groups));
        Ok(About { standing, sees_presence, in_group: sees_presence && in_group })
    }

    fn facts<'a>(&self, node: &'a Node) -> Facts<'a> {
        Facts {
            config: &node.config,
            affiliation: self.standing.affiliation,
            subscription: self.standing.subscription,
            sees_presence: self.sees_presence,
            in_group: self.in_group,
            personal: node.is_personal(),
        }
    }
}

fn has_group(node: &Node, groups: &[String]) -> bool {
    groups.iter().any(|group| node.config.groups.contains(group))
}

/// A name that nobody else has: for nodes and items whose makers gave them none.
fn random_name() -> Result<String, Failure> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|_| Failure::Refused(Refusal::Quota))?;
    Ok(bytes.iter().fold(String::with_capacity(32), |mut name, byte| {
        let _ = write!(name, "{byte:02x}"); // a String takes everything
        name
    }))
}

/// Whether a subscription is in force.
fn is_subscribed(state: SubscriptionState) -> bool {
    state == SubscriptionState::Subscribed
}
