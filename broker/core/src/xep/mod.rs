//! What the broker itself answers: one file per standard, one line each in [`BUILTIN`].

mod disco;
mod ping;
mod session;
mod time;
mod version;

use futures_util::future::BoxFuture;
use torg_wire::stanza::Stanza;
use torg_wire::xep::time::answer;

use crate::identity::Envelope;
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

/// The table of everything the broker answers by itself.
pub(crate) const BUILTIN: &[Builtin] = &[
    Builtin {
        places: &[Place::OwnAccount],
        routes: roster::ROUTES,
        advertised: true,
        run: |router, envelope, reply| Box::pin(roster::handle(router, envelope, reply)),
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
