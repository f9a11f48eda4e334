//! Streams to and from other servers (RFC 6120 §4, XEP-0220, XEP-0288, XEP-0368): accepting and connecting, TLS, a queue for each
//! peer. The machines are in `torg_wire::stream`; policy, resolver and verifier stand behind [`Federation`].

mod federation;

pub use federation::{Connector, Federation, Socket, Target, TcpConnector, Unreachable, Verdict};
