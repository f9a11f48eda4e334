//! Following fields: by an event subscription where the concentrator offers it, by asking again and again where not.
//!
//! nfi "Event Subscription". A subscription ends with our presence, so nothing stays behind when we vanish.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, Interval, MissedTickBehavior, interval};
use torg_thing::Span;
use torg_wire::iot::events::{Events, FieldRule, Subscribe};
use torg_wire::iot::{Interface, SensorData, Tokens};
use torg_wire::stanza::{PresenceType, Stanza, StanzaKind};

use super::gateway::{Gateway, GatewayError, Wanted, readings_of};
use super::readings::Readings;
use super::session::{Inbox, RequestError};

/// Fields that are followed. Dropping it leaves the subscription to end with the session; [`end`](Self::end) is polite.
#[derive(Debug)]
pub struct Watching {
    gateway: Gateway,
    mode: Mode,
}

#[derive(Debug)]
enum Mode {
    Asking { wanted: Wanted, every: Interval },
    Subscribed { id: String, inbox: Inbox },
}

impl Gateway {
    /// Begins to follow fields; an update comes at least every `every`, and at once where the concentrator can.
    ///
    /// # Errors
    /// The concentrator refuses.
    pub async fn watch(&self, wanted: Wanted, every: Duration) -> Result<Watching, GatewayError> {
        let mode = if self.knows(Interface::Events) {
            self.subscribe(&wanted, every).await?
        } else {
            let mut every = interval(every);
            every.set_missed_tick_behavior(MissedTickBehavior::Delay);
            Mode::Asking { wanted, every }
        };
        Ok(Watching { gateway: self.clone(), mode })
    }

    async fn subscribe(&self, wanted: &Wanted, every: Duration) -> Result<Mode, GatewayError> {
        let id = self.session.fresh_id();
        let inbox = self.session.inbox();
        let subscribe = Events::Subscribe(Subscribe {
            id: id.clone(),
            categories: wanted.categories,
            min_interval: None,
            max_interval: span(every),
            max_age: None,
            request: true,
            nodes: wanted.nodes.clone(),
            rules: wanted.fields.iter().cloned().map(FieldRule::any_change).collect(),
            tokens: Tokens::default(),
        });
        self.session.set(Some(self.to()), subscribe.encode(self.generation), self.within).await?;
        Ok(Mode::Subscribed { id, inbox })
    }
}

/// A duration as the standard writes it.
fn span(duration: Duration) -> Option<Span> {
    format!("PT{}S", duration.as_secs()).parse().ok()
}

impl Watching {
    /// The next update.
    ///
    /// # Errors
    /// The concentrator or the connection is gone.
    pub async fn next(&mut self) -> Result<Readings, GatewayError> {
        match &mut self.mode {
            Mode::Asking { wanted, every } => {
                every.tick().await;
                self.gateway.read(wanted).await
            }
            Mode::Subscribed { id, inbox } => loop {
                let stanza = self.gateway.next_stanza(inbox).await?;
                if let Some(readings) = update(&self.gateway, &stanza, id)? {
                    return Ok(readings);
                }
            },
        }
    }

    /// Ends the subscription, if there is one.
    pub async fn end(self, by: Instant) {
        if let Mode::Subscribed { id, .. } = self.mode {
            let end = Events::Unsubscribe(id).encode(self.gateway.generation);
            // Without an answer it ends with our presence.
            let _ = tokio::time::timeout_at(
                by,
                self.gateway.session.set(Some(self.gateway.to()), end, self.gateway.within),
            )
            .await;
        }
    }
}

/// What a stanza adds to subscription `id`.
fn update(gateway: &Gateway, stanza: &Arc<Stanza>, id: &str) -> Result<Option<Readings>, GatewayError> {
    if stanza.from() != Some(gateway.to()) {
        return Ok(None);
    }
    if stanza.kind() == StanzaKind::Presence(PresenceType::Unavailable) {
        return Err(RequestError::PeerGone(format!("{} went offline.", gateway.address())).into());
    }
    let parts = stanza.children().iter().filter_map(|child| SensorData::decode(child).ok());
    let mine = parts.map(|(part, _)| part).find(|part| part.id() == id);
    Ok(match mine {
        Some(SensorData::Response(response)) if !response.readings.is_empty() => {
            Some(readings_of(&gateway.address().to_bare(), &response))
        }
        _ => None,
    })
}
