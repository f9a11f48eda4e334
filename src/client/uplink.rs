//! A concentrator's uplink to a broker on another machine: an ordinary client stream.
//!
//! The remote broker proves senders and stamps `from`, as it does for every client. When the stream ends so does the
//! uplink; whoever owns it connects anew.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};
use torg_wire::jid::FullJid;
use torg_wire::stanza::Stanza;

use super::connection::{ConnectError, ConnectOptions, End, bound};
use crate::concentrator::{Outlet, Uplink, UplinkClosed};

/// Stanzas that wait for the concentrator, which takes them as they come; a request beyond that is told to wait.
const INCOMING_STANZAS_MAX: usize = 1024;

/// Stanzas that wait for the network; whoever sends more waits with them.
const OUTGOING_STANZAS_MAX: usize = 256;

/// An uplink over the network. Dropping it closes the stream in order.
#[derive(Debug)]
pub struct RemoteUplink {
    jid: FullJid,
    incoming: mpsc::Receiver<Stanza>,
    outlet: Arc<RemoteOutlet>,
    _goodbye: DropGuard,
}

#[derive(Debug)]
struct RemoteOutlet(mpsc::Sender<Stanza>);

impl RemoteUplink {
    /// Connects and logs in.
    ///
    /// # Errors
    /// As [`ConnectError`].
    pub async fn connect(options: &ConnectOptions) -> Result<Self, ConnectError> {
        let bound = bound(options).await?;
        let jid = bound.jid.clone();
        let (to_us, incoming) = mpsc::channel(INCOMING_STANZAS_MAX);
        let (outlet, from_us) = mpsc::channel(OUTGOING_STANZAS_MAX);
        let (goodbye, _task): (CancellationToken, _) = bound.drive(End::Uplink { incoming: to_us, outgoing: from_us });
        Ok(Self { jid, incoming, outlet: Arc::new(RemoteOutlet(outlet)), _goodbye: goodbye.drop_guard() })
    }
}

#[async_trait]
impl Uplink for RemoteUplink {
    fn address(&self) -> &FullJid {
        &self.jid
    }

    fn outlet(&self) -> Arc<dyn Outlet> {
        Arc::clone(&self.outlet) as Arc<dyn Outlet>
    }

    async fn next(&mut self) -> Option<Stanza> {
        self.incoming.recv().await
    }
}

#[async_trait]
impl Outlet for RemoteOutlet {
    async fn send(&self, stanza: Stanza) -> Result<(), UplinkClosed> {
        self.0.send(stanza).await.map_err(|_| UplinkClosed)
    }
}
