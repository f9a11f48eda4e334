//! Messages of the process before this one: they go on to where they were going, marked as delayed (XEP-0203), or back to their senders.
//!
//! # Why
//! An error finds its sender only if the sender is there, and after a crash it takes clients some time to be back. So a message whose
//! peer is still away stays on the disk and is tried again until its sender can hear of it, or has no session left to hear it with.

use std::time::Duration;

use torg_store::StoreError;
use torg_thing::Timestamp;
use torg_wire::jid::Jid;
use torg_wire::stanza::{Stanza, StanzaCondition};
use torg_wire::xml::{Limits, parse_document};

use super::table::{self, Stored};
use super::{Passage, Stage, carry};
use crate::limits::RESUME_TIME;
use crate::router::Router;

/// Older messages come back to their senders: nobody expects an answer to last week's, and a day covers a night without power.
const AGE_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// Messages on their way at the same time: fewer than a peer's queue takes while the peer is looked for.
const PAGE: i64 = 64;
/// Pause before those are tried again whose peers were away: about the longest that the peers themselves are left alone.
const AGAIN_AFTER: Duration = Duration::from_secs(60);

/// Sets the messages of the last run on their way, beside everything else.
pub(crate) fn resume(router: &Router) {
    let last = router.shared().transit.lock().last;
    if last == 0 {
        return;
    }
    let end = router.shared().transit.opened + RESUME_TIME;
    let router_of = router.clone();
    router.spawn(async move {
        let stop = router_of.shared().stop.clone();
        let work = async {
            while let Ok(true) = go_on(&router_of, last, end).await.inspect_err(
                |error| tracing::error!(%error, "Messages of the last run could not be read; the next start tries again."),
            ) {
                tokio::time::sleep(AGAIN_AFTER).await;
            }
        };
        tokio::select! {
            () = work => {}
            () = stop.cancelled() => {} // they stay
        }
    });
}

/// Tries all that are left; answers whether some still are.
async fn go_on(router: &Router, last: i64, end: tokio::time::Instant) -> Result<bool, StoreError> {
    let transit = &router.shared().transit;
    let mut after = 0;
    loop {
        let page = table::after(&*transit.engine, after, last, PAGE).await?;
        let Some(newest) = page.last().map(|stored| stored.number) else { break };
        after = newest;
        tracing::info!(messages = page.len(), "Messages of the last run go on.");
        for stored in page {
            let passage = transit.again(stored.number, stored.size);
            set_off(router, stored, passage, end).await;
        }
        transit.until_none_before(last).await;
    }
    let left = table::after(&*transit.engine, 0, last, 1).await?;
    Ok(!left.is_empty())
}

async fn set_off(router: &Router, stored: Stored, passage: Passage, end: tokio::time::Instant) {
    let element = parse_document(&stored.stanza, &Limits::SERVER).ok();
    let Some(stanza) = element.and_then(|element| Stanza::from_element(element).ok()) else {
        tracing::error!(number = stored.number, "A message of the last run cannot be read; deleted.");
        return;
    };
    let now = router.shared().clock.now();
    let came: Timestamp = stored.came.parse().unwrap_or(now);
    if now.micros().saturating_sub(came.micros()) > i64::try_from(AGE_MAX.as_micros()).unwrap_or(i64::MAX) {
        if must_wait(router, &stanza, end) {
            return passage.leave();
        }
        router.bounce(&stanza, StanzaCondition::RemoteServerTimeout);
        return;
    }
    let routed = carry(Some(passage.clone()), router.take_up(stanza, came)).await;
    if let Err(error) = routed {
        tracing::error!(%error, "A message of the last run could not be delivered; it stays.");
        passage.leave();
    }
}

/// Whether the sender may come back to hear of a failure, and is not here yet.
fn must_wait(router: &Router, stanza: &Stanza, end: tokio::time::Instant) -> bool {
    let from = stanza.from();
    let is_here = |from: &Jid| {
        from.resource().is_some_and(|resource| router.shared().sessions.find(from.bare_str(), resource).is_some())
    };
    tokio::time::Instant::now() < end && from.is_some_and(|from| router.is_local(from) && !is_here(from))
}

impl super::Transit {
    /// Waits until no message up to this number is under way.
    async fn until_none_before(&self, last: i64) {
        loop {
            let mut arrived = std::pin::pin!(self.arrived.notified());
            arrived.as_mut().enable(); // before the look: what arrives in between is not missed
            if self.lock().under_way.range(..=last).next().is_none() {
                return;
            }
            arrived.await;
        }
    }
}

impl Passage {
    /// The message, whose header is given, has not arrived. Answers whether it is kept to be tried again: it is of the last run, and its
    /// sender, who should hear of the failure, is not back yet.
    pub(crate) fn is_kept(&self, router: &Router, header: &Stanza) -> bool {
        let transit = &self.0.transit;
        let is_old = {
            let inner = transit.lock();
            let entry = inner.under_way.get(&self.0.number);
            entry.is_some_and(|entry| matches!(entry.stage, Stage::Disk { is_old: true, .. }))
        };
        let kept = is_old && must_wait(router, header, transit.opened + RESUME_TIME);
        if kept {
            self.clone().leave();
        }
        kept
    }

    /// The row stays for another time.
    fn leave(self) {
        self.0.transit.lock().under_way.remove(&self.0.number);
        self.0.transit.arrived.notify_waiters();
    }
}
