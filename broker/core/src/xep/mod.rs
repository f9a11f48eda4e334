//! What the broker itself answers: one file per standard, one line each in [`BUILTIN`].

mod carbons;
mod disco;
mod ping;
mod session;
mod synchronization;
mod time;
mod version;

use futures_util::future::BoxFuture;
use torg_wire::ns;
use torg_wire::stanza::{Stanza, StanzaCondition};
use torg_wire::xep::time::answer;

use crate::administration;
use crate::blocking;
use crate::identity::Envelope;
use crate::personal;
use crate::pubsub;
use crate::register;
use crate::roster;
use crate::router::Router;
use crate::service::{Reply, Route};
use crate::services::Place;

/// One thing the broker answers.
pub(crate) struct Builtin {
    /// Where it is answered; also where its features are advertised.
    pub(crate) places: &'static [Place],
    pub(crate) routes: &'static [Route],
    /// False where the namespace is no feature of its own (XEP-0030 does not list legacy session requests).
    pub(crate) advertised: bool,
    pub(crate) run: for<'a> fn(&'a Router, Envelope, Reply) -> BoxFuture<'a, ()>,
}

/// What the server does for accounts and says so at its own address too, where clients look for it (XEP-0191 §3.1, XEP-0280 §3,
/// XEP-0054 §4).
pub(crate) const FOR_ACCOUNTS: &[&str] = &[ns::BLOCKING, ns::CARBONS, ns::CARBONS_RULES, ns::PRIVATE, ns::VCARD];

/// The table of everything the broker answers by itself.
pub(crate) const BUILTIN: &[Builtin] = &[
    Builtin {
        places: &[Place::OwnAccount],
        routes: roster::ROUTES,
        advertised: true,
        run: |router, envelope, reply| Box::pin(roster::handle(router, envelope, reply)),
    },
    Builtin {
        // Only to say that it is forbidden (RFC 6121 §2.3.3).
        places: &[Place::Account],
        routes: roster::WRITING,
        advertised: false,
        run: |_, _, reply| Box::pin(async { reply.error(StanzaCondition::Forbidden) }),
    },
    Builtin {
        places: &[Place::OwnAccount],
        routes: blocking::ROUTES,
        advertised: true,
        run: |router, envelope, reply| Box::pin(blocking::handle(router, envelope, reply)),
    },
    Builtin {
        places: &[Place::OwnAccount],
        routes: carbons::ROUTES,
        advertised: true,
        run: |router, envelope, reply| Box::pin(async move { carbons::handle(router, &envelope, reply) }),
    },
    Builtin {
        places: &[Place::OwnAccount],
        routes: personal::PRIVATE_ROUTES,
        advertised: true,
        run: |router, envelope, reply| Box::pin(personal::handle_private(router, envelope, reply)),
    },
    Builtin {
        // Only to say that it is forbidden.
        places: &[Place::Account],
        routes: personal::PRIVATE_ROUTES,
        advertised: false,
        run: |router, envelope, reply| Box::pin(personal::handle_private(router, envelope, reply)),
    },
    Builtin {
        places: &[Place::OwnAccount, Place::Account],
        routes: personal::VCARD_ROUTES,
        advertised: true,
        run: |router, envelope, reply| Box::pin(personal::handle_vcard(router, envelope, reply)),
    },
    Builtin {
        places: &[Place::Server],
        routes: administration::ROUTES,
        advertised: true,
        run: |router, envelope, reply| Box::pin(administration::handle(router, envelope, reply)),
    },
    Builtin {
        places: &[Place::Server, Place::OwnAccount],
        routes: register::ROUTES,
        advertised: true,
        run: |router, envelope, reply| Box::pin(register::handle(router, envelope, reply)),
    },
    Builtin {
        places: &[Place::Server, Place::OwnAccount, Place::Account],
        routes: personal::LAST_ROUTES,
        advertised: true,
        run: |router, envelope, reply| Box::pin(personal::handle_last(router, envelope, reply)),
    },
    Builtin {
        places: &[Place::OwnAccount, Place::Account],
        routes: pubsub::ROUTES,
        advertised: true,
        run: |router, envelope, reply| Box::pin(pubsub::handle(router, envelope, reply)),
    },
    Builtin {
        places: &[Place::Server, Place::OwnAccount, Place::Account, Place::Service],
        routes: disco::ROUTES,
        advertised: true,
        run: |router, envelope, reply| Box::pin(disco::handle(router, envelope, reply)),
    },
    Builtin {
        places: &[Place::Server, Place::OwnAccount],
        routes: ping::ROUTES,
        advertised: true,
        run: |_, _, reply| Box::pin(async { reply.result(None) }),
    },
    Builtin {
        places: &[Place::Server],
        routes: version::ROUTES,
        advertised: true,
        run: |_, _, reply| Box::pin(async { reply.result(Some(version::answer())) }),
    },
    Builtin {
        places: &[Place::Server],
        routes: time::ROUTES,
        advertised: true,
        run: |router, _, reply| Box::pin(async { reply.result(Some(answer(router.shared().clock.now()))) }),
    },
    Builtin {
        places: &[Place::Server, Place::Service],
        routes: synchronization::ROUTES,
        advertised: true,
        run: |router, envelope, reply| Box::pin(async move { synchronization::handle(router, &envelope, reply) }),
    },
    Builtin {
        places: &[Place::Server, Place::OwnAccount],
        routes: session::ROUTES,
        advertised: false,
        run: |_, _, reply| Box::pin(async { reply.result(None) }),
    },
];

impl Builtin {
    pub(crate) fn takes(&self, place: Place, stanza: &Stanza) -> bool {
        self.places.contains(&place) && self.routes.iter().any(|route| route.takes(stanza))
    }

    pub(crate) fn features(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.routes.iter().filter(|_| self.advertised).map(|route| route.namespace).collect::<Vec<_>>().into_iter()
    }
}
