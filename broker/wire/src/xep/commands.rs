//! Ad-Hoc Commands (XEP-0050): what is to be done next with a command, where it stands, and what it shows.

use super::data_forms::DataForm;
use crate::ns;
use crate::stanza::{StanzaCondition, StanzaError};
use crate::xml::Element;

/// A step asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Which command.
    pub node: String,
    /// Which run of it; absent at the first step.
    pub session: Option<String>,
    /// What to do.
    pub action: Action,
    /// The form that is handed in.
    pub form: Option<DataForm>,
}

/// What to do with a command (§4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Action {
    /// Give it up.
    Cancel,
    /// This was all.
    Complete,
    /// What goes without saying: begin, or do what the last step proposed.
    #[default]
    Execute,
    /// On to the next step.
    Next,
    /// Back to the step before.
    Prev,
}

/// Where a command stands (§4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Given up.
    Canceled,
    /// Done.
    Completed,
    /// More is wanted.
    Executing,
}

/// The answer to a step.
#[derive(Clone, Debug, PartialEq)]
pub struct Response {
    /// Which command.
    pub node: String,
    /// Which run of it.
    pub session: String,
    /// Where it stands.
    pub status: Status,
    /// What is to be filled in, or the result.
    pub form: Option<DataForm>,
    /// Something to tell the person.
    pub note: Option<String>,
}

/// What is wrong with a step (§4.4); each is an application's condition of a stanza error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The step does not exist here.
    BadAction,
    /// The form is not acceptable.
    BadPayload,
    /// There is no such run, or it is somebody else's.
    BadSession,
    /// The action is not understood.
    MalformedAction,
    /// The run has been forgotten.
    SessionExpired,
}

impl Fault {
    fn name(self) -> &'static str {
        match self {
            Fault::BadAction => "bad-action",
            Fault::BadPayload => "bad-payload",
            Fault::BadSession => "bad-sessionid",
            Fault::MalformedAction => "malformed-action",
            Fault::SessionExpired => "session-expired",
        }
    }
}

impl From<Fault> for StanzaError {
    fn from(fault: Fault) -> Self {
        let condition = match fault {
            Fault::SessionExpired => StanzaCondition::NotAllowed,
            _ => StanzaCondition::BadRequest,
        };
        StanzaError::new(condition).with_application(Element::new(ns::COMMANDS, fault.name()))
    }
}

impl Request {
    /// The first step of a command.
    pub fn execute(node: impl Into<String>) -> Self {
        Request { node: node.into(), session: None, action: Action::Execute, form: None }
    }

    /// Reads a step; `None` for other elements.
    ///
    /// # Errors
    /// An action that is none.
    pub fn decode(element: &Element) -> Option<Result<Self, Fault>> {
        element.is(ns::COMMANDS, "command").then(|| {
            Ok(Request {
                node: element.attr("node").unwrap_or_default().to_owned(),
                session: element.attr("sessionid").map(str::to_owned),
                action: Action::decode(element.attr("action"))?,
                form: element.children().find_map(DataForm::decode),
            })
        })
    }

    /// Writes the step.
    pub fn encode(&self) -> Element {
        Element::new(ns::COMMANDS, "command")
            .with_attr("node", &self.node)
            .with_attr("action", self.action.name())
            .with_attr_opt("sessionid", self.session.as_deref())
            .with_child_opt(self.form.as_ref().map(DataForm::encode))
    }
}

impl Action {
    fn decode(name: Option<&str>) -> Result<Self, Fault> {
        Ok(match name {
            None | Some("execute") => Action::Execute,
            Some("cancel") => Action::Cancel,
            Some("complete") => Action::Complete,
            Some("next") => Action::Next,
            Some("prev") => Action::Prev,
            Some(_) => return Err(Fault::MalformedAction),
        })
    }

    fn name(self) -> &'static str {
        match self {
            Action::Cancel => "cancel",
            Action::Complete => "complete",
            Action::Execute => "execute",
            Action::Next => "next",
            Action::Prev => "prev",
        }
    }
}

impl Response {
    /// Reads an answer; `None` if `element` is not one.
    pub fn decode(element: &Element) -> Option<Self> {
        if !element.is(ns::COMMANDS, "command") {
            return None;
        }
        let status = match element.attr("status")? {
            "canceled" => Status::Canceled,
            "completed" => Status::Completed,
            "executing" => Status::Executing,
            _ => return None,
        };
        Some(Response {
            node: element.attr("node")?.to_owned(),
            session: element.attr("sessionid")?.to_owned(),
            status,
            form: element.children().find_map(DataForm::decode),
            note: element.child_text(ns::COMMANDS, "note").map(|text| text.into_owned()),
        })
    }

    /// Writes the answer. While more is wanted it says that one more step completes the command.
    pub fn encode(&self) -> Element {
        let status = match self.status {
            Status::Canceled => "canceled",
            Status::Completed => "completed",
            Status::Executing => "executing",
        };
        let actions = (self.status == Status::Executing).then(|| {
            Element::new(ns::COMMANDS, "actions")
                .with_attr("execute", "complete")
                .with_child(Element::new(ns::COMMANDS, "complete"))
        });
        let note = self.note.as_deref();
        let note = note.map(|text| Element::new(ns::COMMANDS, "note").with_attr("type", "info").with_text(text));
        Element::new(ns::COMMANDS, "command")
            .with_attr("node", &self.node)
            .with_attr("sessionid", &self.session)
            .with_attr("status", status)
            .with_child_opt(actions)
            .with_child_opt(self.form.as_ref().map(DataForm::encode))
            .with_child_opt(note)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_read_back_as_written() {
        for action in [Action::Cancel, Action::Complete, Action::Execute, Action::Next, Action::Prev] {
            let request = Request {
                node: "config".into(),
                session: Some("1".into()),
                action,
                form: Some(DataForm::submit().with_value("a", "b")),
            };
            assert_eq!(Request::decode(&request.encode()), Some(Ok(request)));
        }
    }

    #[test]
    fn no_action_means_execute_and_an_unknown_one_is_refused() {
        let command = Element::new(ns::COMMANDS, "command").with_attr("node", "list");
        assert_eq!(Request::decode(&command), Some(Ok(Request::execute("list"))));
        let unknown = command.with_attr("action", "explode");
        assert_eq!(Request::decode(&unknown), Some(Err(Fault::MalformedAction)));
    }

    #[test]
    fn answers_read_back_as_written() {
        for status in [Status::Canceled, Status::Completed, Status::Executing] {
            let form = DataForm::decode(&DataForm::submit().encode());
            let response =
                Response { node: "config".into(), session: "1".into(), status, form, note: Some("Done.".into()) };
            assert_eq!(Response::decode(&response.encode()), Some(response));
        }
    }

    #[test]
    fn a_fault_is_an_error_with_its_own_condition() {
        let error = StanzaError::from(Fault::BadSession);
        assert_eq!(error.condition(), StanzaCondition::BadRequest);
        assert!(error.application().is_some_and(|it| it.is(ns::COMMANDS, "bad-sessionid")));
        assert_eq!(StanzaError::from(Fault::SessionExpired).condition(), StanzaCondition::NotAllowed);
    }
}
