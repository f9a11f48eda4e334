//! In-Band Registration (XEP-0077): the fields a server asks for, what a client hands in, and the two things one may do to an account
//! one has. Fields for people's names and addresses (§14.1) are read over: a server of things has no use for them.

use super::data_forms::{DataForm, FieldKind, FormField, FormKind};
use crate::ns;
use crate::secret::Secret;
use crate::xml::Element;

/// What a client asks for.
#[derive(Debug)]
pub enum Request {
    /// Which fields are wanted (§3.1).
    Fields,
    /// A new account, or a new password for the one logged in (§3.1, §3.3).
    Register {
        /// The name before the `@`.
        username: String,
        /// Never logged.
        password: Secret<String>,
    },
    /// The end of the account logged in (§3.2).
    Remove,
}

/// Why an element is no request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// A field that is required is missing or empty, or removal is mixed with other things.
    Shape,
    /// The form is one of another kind.
    Form,
}

/// The question for the fields.
pub fn request() -> Element {
    Element::new(ns::REGISTER, "query")
}

/// The stream feature (§8).
pub fn feature() -> Element {
    Element::new(ns::REGISTER_FEATURE, "register")
}

impl Request {
    /// Reads a query, sent with a get or a set; `None` for other elements.
    ///
    /// # Errors
    /// See [`Malformed`].
    pub fn decode(element: &Element, set: bool) -> Option<Result<Self, Malformed>> {
        element.is(ns::REGISTER, "query").then(|| if set { set_request(element) } else { Ok(Request::Fields) })
    }
}

fn set_request(element: &Element) -> Result<Request, Malformed> {
    if element.child(ns::REGISTER, "remove").is_some() {
        return if element.children().count() == 1 { Ok(Request::Remove) } else { Err(Malformed::Shape) };
    }
    let form = element.children().find_map(DataForm::decode);
    if let Some(form) = &form {
        let kind = form.field("FORM_TYPE").and_then(FormField::value);
        if form.kind != FormKind::Submit || kind.is_some_and(|kind| kind != ns::REGISTER) {
            return Err(Malformed::Form);
        }
    }
    let field = |name: &str| {
        let value = match &form {
            Some(form) => form.field(name).and_then(FormField::value).map(str::to_owned),
            None => element.child_text(ns::REGISTER, name).map(|text| text.into_owned()),
        };
        value.filter(|value| !value.is_empty()).ok_or(Malformed::Shape)
    };
    Ok(Request::Register { username: field("username")?, password: Secret::new(field("password")?) })
}

/// The fields of a new account, plain and as a form (§4); `forms` are others that may be filled in instead.
pub fn fields(instructions: &str, forms: impl IntoIterator<Item = Element>) -> Element {
    let text = |name: &'static str| Element::new(ns::REGISTER, name);
    request()
        .with_child(text("instructions").with_text(instructions))
        .with_child(text("username"))
        .with_child(text("password"))
        .with_children(forms)
}

/// The form of a new account.
pub fn form(instructions: &str) -> DataForm {
    let field = |kind, var: &str, label: &str| {
        let mut field = FormField::new(kind, var);
        field.label = Some(label.into());
        field.required = true;
        field
    };
    let mut kind = FormField::new(FieldKind::Hidden, "FORM_TYPE");
    kind.values = vec![ns::REGISTER.into()];
    DataForm {
        title: Some("New account".into()),
        instructions: vec![instructions.into()],
        fields: vec![
            kind,
            field(FieldKind::TextSingle, "username", "User name"),
            field(FieldKind::TextPrivate, "password", "Password"),
        ],
        ..DataForm::default()
    }
}

/// What an account that exists is told of itself (§3.1, example 5).
pub fn registered(username: &str) -> Element {
    let text = |name: &'static str, text: &str| Element::new(ns::REGISTER, name).with_text(text);
    request().with_child(text("registered", "")).with_child(text("username", username)).with_child(text("password", ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(name: &'static str, text: &str) -> Element {
        Element::new(ns::REGISTER, name).with_text(text)
    }

    fn read(element: &Element) -> Result<(String, String), Malformed> {
        match Request::decode(element, true).unwrap()? {
            Request::Register { username, password } => Ok((username, password.expose().clone())),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn plain_fields_and_the_form_say_the_same() {
        let expected = Ok(("bill".to_owned(), "Calliope".to_owned()));
        let plain = request().with_child(text("username", "bill")).with_child(text("password", "Calliope"));
        assert_eq!(read(&plain), expected);
        let form = DataForm::submit()
            .with_value("FORM_TYPE", ns::REGISTER)
            .with_value("username", "bill")
            .with_value("password", "Calliope");
        assert_eq!(read(&request().with_child(form.encode())), expected);
    }

    #[test]
    fn a_missing_or_empty_field_and_a_foreign_form_are_refused() {
        assert_eq!(read(&request()), Err(Malformed::Shape));
        let empty = request().with_child(text("username", "bill")).with_child(text("password", ""));
        assert_eq!(read(&empty), Err(Malformed::Shape));
        let foreign = DataForm::submit().with_value("FORM_TYPE", "urn:example");
        assert_eq!(read(&request().with_child(foreign.encode())), Err(Malformed::Form));
    }

    #[test]
    fn removal_stands_alone() {
        let remove = request().with_child(text("remove", ""));
        assert!(matches!(Request::decode(&remove, true), Some(Ok(Request::Remove))));
        let mixed = remove.with_child(text("username", "bill"));
        assert!(matches!(Request::decode(&mixed, true), Some(Err(Malformed::Shape))));
    }

    #[test]
    fn what_is_offered_names_the_fields_and_carries_the_forms() {
        let offer = fields("Choose.", [form("Choose.").encode()]);
        assert!(offer.child(ns::REGISTER, "username").is_some());
        let form = offer.children().find_map(DataForm::decode).unwrap();
        assert!(form.field("password").is_some_and(|field| field.required));
        assert!(matches!(Request::decode(&offer, false), Some(Ok(Request::Fields))));
    }
}
