//! How the data of one readout reaches its reader: first in the answer to the request, then in messages (nfi SensorData,
//! "Reply patterns").

use std::sync::Arc;

use torg_thing::{Field, NodeRef, Timestamp};
use torg_wire::iot::sensor_data::{Accepted, Response};
use torg_wire::iot::{Fragments, Generation, SensorData};
use torg_wire::jid::Jid;
use torg_wire::stanza::Stanza;

use crate::concentrator::shared::Shared;

/// The way back to one reader, in the generation it asked in.
pub(in crate::concentrator) struct Delivery {
    shared: Arc<Shared>,
    to: Jid,
    generation: Generation,
    id: String,
    /// The request, while it has no answer yet.
    request: Option<Stanza>,
    fragments: Fragments,
}

impl Delivery {
    /// Answers `request` first.
    pub(in crate::concentrator) fn answering(
        shared: Arc<Shared>,
        request: Stanza,
        to: Jid,
        generation: Generation,
        id: String,
    ) -> Self {
        let fragments = Fragments::new(id.clone(), shared.config.fragment_bytes);
        Self { shared, to, generation, id, request: Some(request), fragments }
    }

    /// Sends messages only: the request was answered already.
    pub(in crate::concentrator) fn in_messages(
        shared: Arc<Shared>,
        to: Jid,
        generation: Generation,
        id: String,
    ) -> Self {
        let fragments = Fragments::new(id.clone(), shared.config.fragment_bytes);
        Self { shared, to, generation, id, request: None, fragments }
    }

    /// Whether the request still waits for its answer.
    pub(super) fn is_unanswered(&self) -> bool {
        self.request.is_some()
    }

    /// Whether data waits to be sent.
    pub(super) fn has_data(&self) -> bool {
        !self.fragments.is_empty()
    }

    /// The readout will run later.
    pub(super) async fn accepted(&mut self) {
        self.send(SensorData::Accepted(Accepted { id: self.id.clone(), queued: true })).await;
    }

    /// The readout is running.
    pub(super) async fn started(&mut self) {
        self.send(SensorData::Started(self.id.clone())).await;
    }

    /// Adds a field, and sends what is full.
    pub(in crate::concentrator) async fn field(&mut self, node: Option<&NodeRef>, field: Field) {
        if let Some(full) = self.fragments.field(node, field) {
            self.send(SensorData::Response(full)).await;
        }
    }

    /// Adds an error, and sends what is full.
    pub(in crate::concentrator) async fn error(&mut self, node: Option<&NodeRef>, at: Timestamp, text: String) {
        if let Some(full) = self.fragments.error(node, at, text) {
            self.send(SensorData::Response(full)).await;
        }
    }

    /// Sends what there is; more will follow.
    pub(super) async fn flush(&mut self) {
        if let Some(part) = self.fragments.flush() {
            self.send(SensorData::Response(part)).await;
        }
    }

    /// Sends what is left and completes the readout: `resp`, or `done` if the last message has gone already.
    pub(in crate::concentrator) async fn finish(mut self) {
        let rest = std::mem::replace(&mut self.fragments, Fragments::new("", 0)).finish();
        let last = if rest.readings.is_empty() && !self.is_unanswered() {
            SensorData::Done(self.id.clone())
        } else {
            SensorData::Response(Response { more: false, ..rest })
        };
        self.send(last).await;
    }

    async fn send(&mut self, payload: SensorData) {
        let element = payload.encode(self.generation);
        match self.request.take() {
            Some(request) => self.shared.reply(&request, Some(element)).await,
            None => self.shared.tell(&self.to, element).await,
        }
    }
}
