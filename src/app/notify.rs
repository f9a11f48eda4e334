//! What the service manager is told: ready, reloading, stopping, alive.
//!
//! Protocol of sd_notify(3). Without a service manager (no `NOTIFY_SOCKET`) every call does nothing.
//!
//! # Why
//! `sd-notify`: the datagram and its abstract sockets in a few hundred lines of plain Rust, without libsystemd.

use std::time::Duration;

use sd_notify::NotifyState;
use tracing::warn;

/// Tells that every listener is bound and every bridge is started, or that a reload is over.
pub fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// Tells that the configuration is being read again; [`ready`] ends it.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => warn!(%error, "The monotonic clock cannot be read."),
    }
}

/// Tells that the appliance is ending.
pub fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("Finishing what is under way.")]);
}

/// Tells that the appliance makes progress.
pub fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// How often [`alive`] must be told, if the service manager watches: half its limit, as sd_watchdog_enabled(3) advises.
#[must_use]
pub fn watchdog_interval() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|limit| limit / 2).filter(|interval| !interval.is_zero())
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        warn!(%error, "The service manager could not be told.");
    }
}
