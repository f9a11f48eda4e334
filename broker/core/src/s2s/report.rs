//! How links to other servers stand, for metrics and status. It tells how much waits, never what or from whom.

/// One link: from a domain of ours to one of another server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkReport {
    /// Domain of the other server.
    pub peer: Box<str>,
    /// Whether it can be used.
    pub state: LinkState,
    /// Stanzas that wait for it.
    pub waiting: usize,
    /// Their bytes.
    pub bytes: usize,
    /// Why the other server is believed, or why it was not reached, as it was when last looked at; empty before.
    pub why: Box<str>,
}

/// Whether a link can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LinkState {
    /// A stream leads there.
    Connected,
    /// The server is being looked for.
    Connecting,
    /// It was looked for in vain, and is left alone for a while.
    Failed,
    /// Nothing is to be sent there.
    Idle,
}

impl LinkState {
    /// All of them.
    pub const ALL: [LinkState; 4] = [Self::Connected, Self::Connecting, Self::Failed, Self::Idle];

    /// In one word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::Connecting => "connecting",
            Self::Failed => "failed",
            Self::Idle => "idle",
        }
    }
}
