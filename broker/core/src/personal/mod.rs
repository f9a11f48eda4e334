//! What accounts keep at the server beside roster and messages: private XML (XEP-0049), a business card (XEP-0054), and when they were
//! last there (XEP-0012). Payload of devices is not taken: it is never written to disk.

mod last;
mod private;
mod table;
mod vcard;

use torg_store::StoreError;
use torg_wire::stanza::StanzaCondition;
use torg_wire::xml::{Element, Limits, parse_document};

pub(crate) use last::ROUTES as LAST_ROUTES;
pub(crate) use last::handle as handle_last;
pub(crate) use private::ROUTES as PRIVATE_ROUTES;
pub(crate) use private::handle as handle_private;
pub(crate) use private::name_in_file as private_name;
pub(crate) use table::{BYTES_MAX, DOCUMENTS_MAX, MIGRATIONS, Personal, Refused};
pub(crate) use vcard::NAME as CARD;
pub(crate) use vcard::ROUTES as VCARD_ROUTES;
pub(crate) use vcard::handle as handle_vcard;

use crate::router::store_error;
use crate::service::Reply;

/// Why a request is not granted.
enum Refusal {
    Stanza(StanzaCondition),
    Store(StoreError),
}

impl From<StanzaCondition> for Refusal {
    fn from(condition: StanzaCondition) -> Self {
        Refusal::Stanza(condition)
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Refusal::Store(error)
    }
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Full => Refusal::Stanza(StanzaCondition::ResourceConstraint),
            Refused::Store(error) => Refusal::Store(error),
        }
    }
}

fn answer(reply: Reply, outcome: Result<Option<Element>, Refusal>) {
    match outcome {
        Ok(payload) => reply.result(payload),
        Err(Refusal::Stanza(condition)) => reply.error(condition),
        Err(Refusal::Store(error)) => {
            tracing::error!(%error, "What an account keeps could not be read or written.");
            reply.error(store_error(&error));
        }
    }
}

/// A document that was kept. One that no longer reads is as if it were not there.
fn parsed(document: Option<String>) -> Option<Element> {
    match parse_document(document?, &Limits::SERVER) {
        Ok(element) => Some(element),
        Err(error) => {
            tracing::error!(%error, "A document that was kept cannot be read.");
            None
        }
    }
}
