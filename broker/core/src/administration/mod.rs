//! What administrators may do with accounts, from an ordinary client: Service Administration (XEP-0133) by Ad-Hoc Commands (XEP-0050)
//! at the domain's own address. Nobody else sees the commands; every use is a line in the log. Restart and shutdown are left out: the
//! service manager does those.

mod forms;
mod port;
mod runs;
mod tasks;

use torg_wire::jid::{BareJid, Jid};
use torg_wire::ns;
use torg_wire::stanza::{StanzaCondition, StanzaError};
use torg_wire::xep::commands::{Action, Fault, Request, Response, Status};
use torg_wire::xep::data_forms::DataForm;
use torg_wire::xep::disco::{Identity, Info, Item, Items};
use torg_wire::xml::Element;

pub use port::{Administration, AdministrationError, ListedAccount};
pub(crate) use runs::Runs;

use crate::identity::Envelope;
use crate::router::Router;
use crate::service::{Reply, Route};
use forms::{COMMANDS, Command};
use tasks::Done;

pub(crate) const ROUTES: &[Route] = &[Route::set(ns::COMMANDS, "command")];

pub(crate) async fn handle(router: &Router, envelope: Envelope, reply: Reply) {
    let asker = envelope.identity().jid().clone();
    let request = match envelope.stanza().payload().and_then(Request::decode) {
        Some(Ok(request)) => request,
        Some(Err(fault)) => return reply.error(fault),
        None => return reply.error(StanzaCondition::BadRequest),
    };
    match step(router, &asker, request).await {
        Ok(payload) => reply.result(Some(payload)),
        Err(error) => reply.error(error),
    }
}

async fn step(router: &Router, asker: &Jid, request: Request) -> Result<Element, StanzaError> {
    let command = find(router, &request.node).ok_or(StanzaCondition::ItemNotFound)?;
    if !router.is_admin(&asker.to_bare()) {
        tracing::warn!(%asker, command = command.name, "An administration command was refused.");
        return Err(StanzaCondition::Forbidden.into());
    }
    let runs = &router.shared().runs;
    let Some(session) = request.session else {
        if request.action != Action::Execute {
            return Err(Fault::BadSession.into());
        }
        let Some(form) = command.form() else {
            let done = run(router, asker, command, &DataForm::default()).await?;
            return Ok(completed(command, runs.name(), done));
        };
        let session = runs.begin(asker, command.name).ok_or(StanzaCondition::ResourceConstraint)?;
        return Ok(response(command, session, Status::Executing, Some(form)).encode());
    };
    runs.check(&session, asker, command.name)?;
    match request.action {
        Action::Cancel => {
            runs.end(&session);
            Ok(response(command, session, Status::Canceled, None).encode())
        }
        Action::Next | Action::Prev => Err(Fault::BadAction.into()),
        Action::Complete | Action::Execute => {
            let form = request.form.filter(forms::is_of_administration).ok_or(Fault::BadPayload)?;
            let done = run(router, asker, command, &form).await?;
            runs.end(&session);
            Ok(completed(command, session, done))
        }
    }
}

/// Runs a command; a refusal leaves the run as it was, so that the form can be handed in again.
async fn run(router: &Router, asker: &Jid, command: &Command, form: &DataForm) -> Result<Done, StanzaError> {
    let outcome = (command.run)(router, asker, form).await;
    let accounts = forms::named(form);
    match &outcome {
        Ok(_) => tracing::info!(%asker, command = command.name, accounts, "Administration command done."),
        Err(error) => {
            tracing::warn!(%asker, command = command.name, accounts, %error, "Administration command refused.")
        }
    }
    outcome
}

fn response(command: &Command, session: String, status: Status, form: Option<DataForm>) -> Response {
    Response { node: command.node(), session, status, form, note: None }
}

fn completed(command: &Command, session: String, done: Done) -> Element {
    let mut response = response(command, session, Status::Completed, done.form);
    response.note = done.note.map(str::to_owned);
    let mut element = response.encode();
    if let (Some(inside), Some(form)) = (done.inside, element.children_mut().find(|child| DataForm::is(child))) {
        form.push(inside);
    }
    element
}

/// The command of a node, if there is somebody to carry it out.
fn find(router: &Router, node: &str) -> Option<&'static Command> {
    let name = node.strip_prefix(ns::ADMIN)?.strip_prefix('#')?;
    router.shared().administration.as_ref()?;
    COMMANDS.iter().find(|command| command.name == name)
}

/// What the list of commands, or one of them, is (XEP-0050 §2.2). Who may not use it does not see it.
pub(crate) fn info(router: &Router, asker: &BareJid, node: &str) -> Option<Info> {
    if node == ns::COMMANDS {
        let identity = Identity::new("automation", "command-list", "Commands");
        return Some(Info { node: Some(node.into()), identities: vec![identity], ..Info::default() });
    }
    let command = find(router, node).filter(|_| router.is_admin(asker))?;
    let identity = Identity::new("automation", "command-node", command.label);
    let info = Info { node: Some(node.into()), identities: vec![identity], ..Info::default() };
    Some(info.with_features([ns::COMMANDS, ns::DATA_FORMS]))
}

/// The commands the asker may use.
pub(crate) fn items(router: &Router, asker: &BareJid, node: &str) -> Option<Items> {
    if node != ns::COMMANDS {
        return None;
    }
    let visible = router.is_admin(asker) && router.shared().administration.is_some();
    let item = |command: &Command| Item {
        jid: router.domain().as_jid().clone(),
        node: Some(command.node()),
        name: Some(command.label.to_owned()),
    };
    let items = COMMANDS.iter().filter(|_| visible).map(item).collect();
    Some(Items { node: Some(node.into()), items })
}
