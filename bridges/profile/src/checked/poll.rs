//! How often points are read while somebody wants them.

use std::time::Duration;

/// How often a point is read while somebody wants it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PollClass {
    /// Changes within seconds.
    Fast,
    /// Changes within minutes.
    #[default]
    Normal,
    /// Changes within hours.
    Slow,
    /// Read once after each connect.
    Once,
}

impl PollClass {
    /// Name in profiles.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Fast => "fast",
            Self::Normal => "normal",
            Self::Slow => "slow",
            Self::Once => "once",
        }
    }
}

/// Shortest useful time between two readings, for each class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PollIntervals {
    /// For [`PollClass::Fast`].
    pub fast: Duration,
    /// For [`PollClass::Normal`].
    pub normal: Duration,
    /// For [`PollClass::Slow`].
    pub slow: Duration,
}

impl PollIntervals {
    /// Interval of a class; `None` for [`PollClass::Once`].
    #[must_use]
    pub fn of(&self, class: PollClass) -> Option<Duration> {
        match class {
            PollClass::Fast => Some(self.fast),
            PollClass::Normal => Some(self.normal),
            PollClass::Slow => Some(self.slow),
            PollClass::Once => None,
        }
    }
}
