//! How much XML a peer may make us hold. The numbers are promises of the product; each has a test at, below and above.

/// Bounds on one top-level element of a stream. Beyond any of them the answer is `policy-violation` and a closed stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes from the first `<` to the last `>`; the stream header is held to it too.
    pub bytes: usize,
    /// Nested elements, the top-level element being 1.
    pub depth: usize,
    /// Elements in all, the top-level one included.
    pub elements: usize,
    /// Attributes on one element, namespace declarations not counted.
    pub attributes: usize,
    /// Namespace declarations in force at one place, those of the stream header included.
    pub bindings: usize,
}

impl Limits {
    /// Before authentication: what STARTTLS, SASL and bind need, and little more. RFC 6120 §13.12 says a server must
    /// allow 10,000 bytes; the rest keeps what an anonymous peer can make us build below 64 kB.
    pub const BEFORE_LOGIN: Limits = Limits { bytes: 10_000, depth: 8, elements: 64, attributes: 16, bindings: 16 };
    /// A logged-in client: 256 KiB is what other servers allow by default, so peers' messages pass unchanged.
    pub const CLIENT: Limits = Limits { bytes: 256 * 1024, depth: 64, elements: 2_000, attributes: 64, bindings: 64 };
    /// An authenticated server: twice a client's bytes, because its stanzas gain addresses and delays on the way.
    pub const SERVER: Limits = Limits { bytes: 512 * 1024, depth: 64, elements: 2_000, attributes: 64, bindings: 64 };
}
