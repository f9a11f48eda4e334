//! Stanza errors the concentrator answers with, and what a node's error becomes on the wire.
//!
//! Conditions and types follow RFC 6120 §8.3.3, except where deployed clients of these interfaces expect another type.
//! Texts are for people and reveal nothing of the inside.

use torg_thing::{Blame, FieldName, NodeError};
use torg_wire::iot::control::ParameterError;
use torg_wire::iot::{DecodeError, Generation};
use torg_wire::stanza::{ErrorType, StanzaCondition, StanzaError};
use torg_wire::xep::data_forms::DataForm;

/// The caller is no friend, or a decision left nothing over.
pub(super) fn forbidden() -> StanzaError {
    StanzaError::new(StanzaCondition::Forbidden).with_type(ErrorType::Cancel).with_text("Access denied.")
}

/// The node does not exist.
pub(super) fn node_not_found() -> StanzaError {
    StanzaError::new(StanzaCondition::ItemNotFound).with_text("Node not found.")
}

/// Something else that was named does not exist.
pub(super) fn not_found(text: &'static str) -> StanzaError {
    StanzaError::new(StanzaCondition::ItemNotFound).with_text(text)
}

/// The request is not well made.
pub(super) fn bad_request(text: impl Into<String>) -> StanzaError {
    StanzaError::new(StanzaCondition::BadRequest).with_text(text.into())
}

/// A request of that id is running.
pub(super) fn conflict() -> StanzaError {
    StanzaError::new(StanzaCondition::Conflict).with_text("A request with this id is running.")
}

/// Too much is going on.
pub(super) fn busy(text: &'static str) -> StanzaError {
    StanzaError::new(StanzaCondition::ResourceConstraint).with_text(text)
}

/// A namespace that we know, but not this element in it.
pub(super) fn not_implemented() -> StanzaError {
    StanzaError::new(StanzaCondition::FeatureNotImplemented)
}

/// A namespace that we do not know at all (RFC 6120 §8.4).
pub(super) fn unsupported() -> StanzaError {
    StanzaError::new(StanzaCondition::ServiceUnavailable)
}

/// A request that could not be read.
pub(super) fn unreadable(problem: &DecodeError) -> StanzaError {
    match problem {
        DecodeError::Unknown { .. } => not_implemented(),
        problem => bad_request(problem.to_string()),
    }
}

/// A control parameter that does not exist on a node.
pub(super) fn unknown_parameter(generation: Generation, parameter: &str, text: String) -> StanzaError {
    StanzaError::new(StanzaCondition::ItemNotFound)
        .with_type(ErrorType::Modify)
        .with_text(text.clone())
        .with_application(ParameterError { parameter: parameter.to_owned(), text }.encode(generation))
}

/// A value that a control parameter may not have.
pub(super) fn bad_parameter(generation: Generation, parameter: &str, text: String) -> StanzaError {
    StanzaError::new(StanzaCondition::BadRequest)
        .with_text(text.clone())
        .with_application(ParameterError { parameter: parameter.to_owned(), text }.encode(generation))
}

/// What went wrong with a node while it was being set. `text` says where.
///
/// The device answered and will not: `not-allowed`. It did not answer: `recipient-unavailable`, try later. It did
/// something else than it was told: `undefined-condition` with the text.
pub(super) fn not_set(generation: Generation, error: &NodeError, text: String) -> StanzaError {
    match error {
        NodeError::AskerControl { parameter, .. } => bad_parameter(generation, parameter.as_str(), text),
        NodeError::AskerUnknownParameter(parameter) => unknown_parameter(generation, parameter.as_str(), text),
        NodeError::DeviceException { .. } => StanzaError::new(StanzaCondition::NotAllowed).with_text(text),
        NodeError::DeviceNotVerified { .. } => StanzaError::new(StanzaCondition::UndefinedCondition).with_text(text),
        error => match error.blame() {
            Blame::Asker => bad_request(text),
            Blame::Config => StanzaError::new(StanzaCondition::InternalServerError).with_text(text),
            Blame::Device => StanzaError::new(StanzaCondition::RecipientUnavailable).with_text(text),
            Blame::Load => StanzaError::new(StanzaCondition::ResourceConstraint).with_text(text),
        },
    }
}

/// What went wrong with a node while it carried out a command.
pub(super) fn not_executed(error: &NodeError) -> StanzaError {
    let condition = match (error, error.blame()) {
        (NodeError::AskerUnsupported(_), _) => StanzaCondition::FeatureNotImplemented,
        (NodeError::DeviceException { .. }, _) => StanzaCondition::NotAllowed,
        (_, Blame::Asker) => StanzaCondition::BadRequest,
        (_, Blame::Config) => StanzaCondition::InternalServerError,
        (_, Blame::Device) => StanzaCondition::RecipientUnavailable,
        (_, Blame::Load) => StanzaCondition::ResourceConstraint,
    };
    StanzaError::new(condition).with_text(sentence(&error.to_string()))
}

/// A form that cannot be taken, with the reasons at its fields: clients show it again when it stands in an error of this
/// type.
pub(super) fn bad_form(form: &DataForm) -> StanzaError {
    StanzaError::new(StanzaCondition::NotAcceptable)
        .with_type(ErrorType::Modify)
        .with_text("The form is not filled in as it should be.")
        .with_application(form.encode())
}

/// Fields named in one error; more are counted.
const NAMES_SHOWN: usize = 5;

/// The line in a readout for fields that could not be read; no names mean the node as a whole.
pub(super) fn failure_line(fields: &[FieldName], error: &NodeError) -> String {
    let shown: Vec<_> = fields.iter().take(NAMES_SHOWN).map(FieldName::as_str).collect();
    let hidden = fields.len().saturating_sub(shown.len());
    match (shown.is_empty(), hidden) {
        (true, _) => sentence(&error.to_string()),
        (false, 0) => format!("{}: {error}.", shown.join(", ")),
        (false, hidden) => format!("{} and {hidden} more: {error}.", shown.join(", ")),
    }
}

/// A capital at the start and a full stop at the end.
pub(super) fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    let stop = if text.ends_with('.') { "" } else { "." };
    format!("{first}{}{stop}", letters.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn names(count: usize) -> Vec<FieldName> {
        (0..count).map(|index| FieldName::parse(&format!("F{index}")).unwrap()).collect()
    }

    #[test]
    fn a_failure_names_a_few_fields_and_counts_the_rest() {
        let error = NodeError::DeviceSilent { waited: Duration::from_millis(500) };
        assert_eq!(failure_line(&[], &error), "No answer within 500 ms.");
        assert_eq!(failure_line(&names(5), &error), "F0, F1, F2, F3, F4: no answer within 500 ms.");
        assert_eq!(failure_line(&names(7), &error), "F0, F1, F2, F3, F4 and 2 more: no answer within 500 ms.");
    }

    #[test]
    fn a_device_that_refuses_differs_from_one_that_is_silent() {
        let refused = NodeError::DeviceException { code: 2, meaning: "illegal data address" };
        let silent = NodeError::DeviceSilent { waited: Duration::from_millis(1) };
        let condition = |error| not_set(Generation::Nfi, error, String::new()).condition();
        assert_eq!(condition(&refused), StanzaCondition::NotAllowed);
        assert_eq!(condition(&silent), StanzaCondition::RecipientUnavailable);
    }
}
