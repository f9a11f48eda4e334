//! What the server tells of itself and of the servers it talks to, at its publish-subscribe node `serverinfo` (XEP-0485). It tells
//! nothing unless the operator has said so, and of another server only if that one tells of itself.
//!
//! # Why
//! - A server that does not agree is left out altogether; the standard would let us count it.
//! - The name of the node is kept for the server even where nothing is told: an account that had it could tell what it likes in the
//!   server's name.

mod agreements;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use torg_wire::jid::Jid;
use torg_wire::ns;
use torg_wire::stanza::{IqType, Stanza, StanzaKind};
use torg_wire::xep::disco::info_request;
use torg_wire::xep::federation_info::{FederationInfo, NODE};
use torg_wire::xml::Element;

use crate::bucket::{Bucket, Minute};
use crate::pubsub;
use crate::router::Router;
use crate::session::now;
use agreements::Agreements;

/// The one item of the node.
const ITEM: &str = "current";
/// Publications in a minute; streams come and go faster, and nobody draws maps of seconds.
const PUBLICATIONS_PER_MINUTE: u32 = 4;
/// Time for other changes to join one that has just come.
const SETTLE: Duration = Duration::from_millis(500);
/// How often everything is looked at, changes or not: agreements end, and questions may have been lost.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// What the ids of our questions begin with.
const QUESTION: &str = "serverinfo-";

/// What is told, and to whom it was put whether they agree.
#[derive(Debug)]
pub(crate) struct Telling {
    agreements: Mutex<Agreements>,
    rate: Mutex<Minute>,
    /// An answer has come.
    answered: Notify,
}

impl Telling {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Telling {
            agreements: Mutex::default(),
            rate: Mutex::new(Bucket::per_minute(PUBLICATIONS_PER_MINUTE, now())),
            answered: Notify::new(),
        })
    }

    fn agreements(&self) -> MutexGuard<'_, Agreements> {
        self.agreements.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn may_publish(&self) -> bool {
        self.rate.lock().unwrap_or_else(PoisonError::into_inner).try_one(now())
    }
}

/// Tells until the broker stops; or takes back what an earlier start has told, if nothing is to be told any more.
pub(crate) async fn run(router: Router) {
    let Some(telling) = router.shared().telling.clone() else {
        if let Err(failure) = pubsub::withdraw_own(&router, NODE).await {
            tracing::error!(?failure, "What an earlier start told of the server could not be taken back.");
        }
        return;
    };
    let stop = router.shared().stop.clone();
    let mut told = None;
    loop {
        let info = look(&router, &telling).await;
        if told.as_ref() != Some(&info) && telling.may_publish() {
            match pubsub::publish_own(&router, NODE, ns::FEDERATION_INFO, ITEM, info.encode()).await {
                Ok(()) => told = Some(info),
                Err(failure) => tracing::error!(?failure, "What the server tells of itself could not be published."),
            }
        }
        let changed = async {
            tokio::select! {
                () = telling.answered.notified() => {}
                () = async { match router.links() {
                    Some(links) => links.roll.changed.notified().await,
                    None => std::future::pending().await,
                } } => {}
            }
            tokio::time::sleep(SETTLE).await;
        };
        tokio::select! {
            () = changed => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// What there is to tell now; servers of which it is not known whether they agree are asked.
async fn look(router: &Router, telling: &Telling) -> FederationInfo {
    let domain = router.domain().as_str();
    let mut remotes = router.links().map(|links| links.roll.peers_of(domain)).unwrap_or_default();
    let questions = telling.agreements().questions(remotes.keys().map(String::as_str), now());
    for (id, remote) in questions {
        let Ok(to) = Jid::parse(&remote) else { continue };
        let question = Stanza::iq_get(format!("{QUESTION}{id}"), info_request(None));
        router.emit(question.with_from(router.domain()).with_to(to)).await;
    }
    let agreements = telling.agreements();
    remotes.retain(|remote, _| agreements.agrees(remote, now()));
    FederationInfo { domain: domain.to_owned(), remotes }
}

impl Router {
    /// Whether the stanza answers a question of ours whether a server agrees to be named; then it is dealt with.
    pub(crate) fn is_agreement(&self, from: &Jid, answer: &Stanza) -> bool {
        let Some(telling) = &self.shared().telling else { return false };
        let Some(id) = answer.id().and_then(|id| id.strip_prefix(QUESTION)) else { return false };
        let payload = answer.payload().filter(|_| answer.kind() == StanzaKind::Iq(IqType::Result));
        let agrees = payload.is_some_and(tells_of_itself);
        if from.is_bare() && telling.agreements().answered(id, from.as_str(), agrees, now()) {
            telling.answered.notify_one();
        }
        true
    }
}

fn tells_of_itself(info: &Element) -> bool {
    let is_feature =
        |child: &Element| child.is(ns::DISCO_INFO, "feature") && child.attr("var") == Some(ns::FEDERATION_INFO);
    info.is(ns::DISCO_INFO, "query") && info.children().any(is_feature)
}
