//! The service at `pubsub.<domain>`: the requests it shares with accounts, and the owners' answers to subscription requests
//! (XEP-0060 §8.6).

use std::sync::Arc;

use async_trait::async_trait;
use torg_wire::ns;
use torg_wire::stanza::StanzaKind;

use super::{discovery, handle, subscribing};
use crate::identity::Envelope;
use crate::router::Router;
use crate::service::{DiscoIdentity, Reply, Route, Service};

/// The service; the broker adds it to itself.
pub(crate) struct PubsubService(pub(crate) Router);

impl PubsubService {
    /// Adds the service to the broker.
    pub(crate) fn start(router: &Router) {
        let address = router.shared().pubsub.address.clone();
        router.shared().services.add(router, address, Arc::new(PubsubService(router.clone())));
    }
}

#[async_trait]
impl Service for PubsubService {
    fn routes(&self) -> &'static [Route] {
        const ROUTES: &[Route] = &[
            Route::get(ns::PUBSUB, "pubsub"),
            Route::set(ns::PUBSUB, "pubsub"),
            Route::get(ns::PUBSUB_OWNER, "pubsub"),
            Route::set(ns::PUBSUB_OWNER, "pubsub"),
            Route::message(ns::DATA_FORMS, "x"),
        ];
        ROUTES
    }

    fn identities(&self) -> &'static [DiscoIdentity] {
        &[DiscoIdentity { category: "pubsub", kind: "service", name: "Publish and subscribe" }]
    }

    fn features(&self) -> &'static [&'static str] {
        discovery::SERVICE_FEATURES
    }

    async fn handle(&self, envelope: Envelope, reply: Reply) {
        if matches!(envelope.stanza().kind(), StanzaKind::Message(_)) {
            subscribing::decided(&self.0, envelope, reply).await;
        } else {
            handle(&self.0, envelope, reply).await;
        }
    }
}
