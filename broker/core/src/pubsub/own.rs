//! Nodes of the service that the server itself publishes at. Their names are not to be had by accounts.

use torg_wire::xep::federation_info;
use torg_wire::xep::pubsub::{Config, PublishModel};
use torg_wire::xml::Element;

use super::decision::Failure;
use super::limits::BOUNDS;
use super::{Context, Node};
use crate::router::Router;

/// Whether a name at the service is kept for the server.
pub(super) fn is_reserved(name: &str) -> bool {
    name == federation_info::NODE
}

/// Publishes the one item of a node of the server's own, which everybody may read; makes the node if need be.
pub(crate) async fn publish_own(
    router: &Router,
    name: &str,
    namespace: &str,
    id: &str,
    payload: Element,
) -> Result<(), Failure> {
    let context = Context::of_server(router);
    let config = Config {
        payload: namespace.to_owned(),
        items: 1,
        publish: PublishModel::Publishers,
        ..Config::shared(&BOUNDS)
    };
    let found = find(&context, name).await?;
    if found.as_ref().is_none_or(|node| node.payer != context.account) {
        // An account could make it before the name was kept.
        if let Some(node) = found {
            delete(&context, &node).await?;
        }
        context.table().create(context.service, name, &context.account, &config, context.now()).await?;
    }
    let done = context.publish(name, Some((Some(id.to_owned()), vec![payload])), None).await?;
    for work in done.then {
        work.run(router).await?;
    }
    Ok(())
}

/// Deletes a node of the server's own, if it is there.
pub(crate) async fn withdraw_own(router: &Router, name: &str) -> Result<(), Failure> {
    let context = Context::of_server(router);
    match find(&context, name).await?.filter(|node| node.payer == context.account) {
        Some(node) => delete(&context, &node).await,
        None => Ok(()),
    }
}

async fn delete(context: &Context<'_>, node: &Node) -> Result<(), Failure> {
    context.table().delete(node).await?;
    context.pubsub().memory.forget(node.id, None);
    Ok(())
}

async fn find(context: &Context<'_>, name: &str) -> Result<Option<Node>, Failure> {
    Ok(context.table().find(context.service, name).await?)
}

impl<'a> Context<'a> {
    /// The server asks its own service.
    fn of_server(router: &'a Router) -> Self {
        let account = router.domain().clone();
        Context { router, service: &router.shared().pubsub.address, asker: router.domain().as_jid(), account }
    }
}
