//! Client state indication (XEP-0352): whether somebody looks at the client. What to hold back meanwhile is the broker's.

use crate::ns;
use crate::xml::Element;

/// What the client says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientState {
    /// Somebody looks at it; every stream begins so (§4).
    #[default]
    Active,
    /// It could do with less traffic.
    Inactive,
}

impl ClientState {
    /// From `<active/>` or `<inactive/>`; `None` if it is another element.
    pub fn from_element(element: &Element) -> Option<ClientState> {
        match element.name() {
            "active" if element.namespace() == ns::CLIENT_STATE => Some(ClientState::Active),
            "inactive" if element.namespace() == ns::CLIENT_STATE => Some(ClientState::Inactive),
            _ => None,
        }
    }
}

/// The stream feature (§3.1).
pub fn feature() -> Element {
    Element::new(ns::CLIENT_STATE, "csi")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_states_are_read_and_nothing_else() {
        let state = |namespace, name| ClientState::from_element(&Element::new(namespace, name));
        assert_eq!(state(ns::CLIENT_STATE, "active"), Some(ClientState::Active));
        assert_eq!(state(ns::CLIENT_STATE, "inactive"), Some(ClientState::Inactive));
        assert_eq!(state(ns::CLIENT_STATE, "csi"), None);
        assert_eq!(state(ns::CHAT_STATES, "active"), None, "a chat state of the same name");
    }
}
