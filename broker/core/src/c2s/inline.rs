//! What a session may begin with when it is bound together with the login (XEP-0386 §3.1): here that is carbons and the client's
//! state, neither of which has a result. Stream management is the machine's own.

use torg_wire::ns;
use torg_wire::xep::carbons;
use torg_wire::xep::csi::ClientState;
use torg_wire::xml::Element;

use crate::session::Session;

/// The names of these features.
pub(crate) const FEATURES: &[&str] = &[ns::STREAM_MANAGEMENT, ns::CARBONS, ns::CLIENT_STATE];

/// Begins a session with what its client asked for; what we do not know is passed over.
pub(super) fn begin_with(session: &Session, wishes: &[Element]) {
    for wish in wishes {
        if let Some(enable) = carbons::decode(wish) {
            session.set_carbons(enable);
        }
        if let Some(state) = ClientState::from_element(wish) {
            session.queue.set_inactive(state == ClientState::Inactive);
        }
    }
}
