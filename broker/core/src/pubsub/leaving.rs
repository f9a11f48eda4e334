//! The end of the nodes of a removed account: their subscribers hear that they are deleted (XEP-0060 §8.4.2), wherever they are, and items
//! in memory go.

use torg_store::StoreError;
use torg_wire::jid::BareJid;
use torg_wire::xep::pubsub::Event;

use super::audience::notification;
use super::{Node, Pubsub};
use crate::router::Router;

impl Router {
    /// Tells the subscribers of nodes that went with their accounts, also those that went while no broker ran.
    pub(crate) async fn end_nodes(&self) -> Result<(), StoreError> {
        let pubsub = &self.shared().pubsub;
        loop {
            let page = pubsub.table.farewells().await?;
            if page.is_empty() {
                return Ok(());
            }
            for farewell in page.iter().filter(|farewell| farewell.config.notify_delete) {
                let node = Node {
                    id: 0,
                    version: 0,
                    last: 0,
                    service: farewell.service.clone(),
                    name: farewell.node.clone(),
                    payer: farewell.service.clone(),
                    created: 0,
                    config: farewell.config.clone(),
                };
                let message = notification(&node, &Event::Deleted).with_id(pubsub.next_id());
                self.emit(message.with_to(farewell.reader.clone())).await;
            }
            pubsub.table.said_farewell(&page).await?;
        }
    }
}

impl Pubsub {
    /// The account was removed, perhaps by another process.
    pub(crate) fn removed(&self, account: &BareJid) {
        self.memory.forget_all_of(account);
    }
}
