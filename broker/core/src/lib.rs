//! The broker: router, sessions, client connections, roster, presence, offline messages.

mod allowance;
mod blocking;
mod broker;
mod bucket;
mod c2s;
mod changes;
mod counters;
mod credentials;
mod identity;
pub mod limits;
mod mesh;
mod offline;
pub mod peers;
mod personal;
mod pubsub;
mod roster;
mod router;
pub mod s2s;
mod service;
mod services;
mod session;
mod sm;
mod sweep;
pub mod tls;
mod xep;

pub use broker::{Broker, BrokerError, Builder, MIGRATIONS, forget_account, forgetting};
pub use c2s::{Codec, Entrance, Listener, PipeConnector, PipeListener, Place, pipe};
pub use changes::{password_changed, unchanged};
pub use counters::Numbers;
pub use credentials::{Credentials, CredentialsUnavailable, TokenRefused};
pub use identity::{Envelope, Identity, Proof};
pub use mesh::{Mesh, Solo};
pub use router::Router;
pub use service::{DiscoIdentity, Reply, Route, RouteKind, Service};
pub use session::{Attached, AttachedSender};
