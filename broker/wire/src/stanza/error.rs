//! Stanza errors: why a stanza was not handled (RFC 6120 §8.3). Encode and decode; who gets one is decided elsewhere.

use std::borrow::Cow;
use std::fmt;

use crate::ns;
use crate::xml::Element;

/// The defined conditions (RFC 6120 §8.3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each variant is the condition of the same name in RFC 6120 §8.3.3")]
pub enum StanzaCondition {
    BadRequest,
    Conflict,
    FeatureNotImplemented,
    Forbidden,
    Gone,
    InternalServerError,
    ItemNotFound,
    JidMalformed,
    NotAcceptable,
    NotAllowed,
    NotAuthorized,
    PolicyViolation,
    RecipientUnavailable,
    Redirect,
    RegistrationRequired,
    RemoteServerNotFound,
    RemoteServerTimeout,
    ResourceConstraint,
    ServiceUnavailable,
    SubscriptionRequired,
    UndefinedCondition,
    UnexpectedRequest,
}

/// What the sender may do about it (RFC 6120 §8.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorType {
    /// Retry after providing credentials.
    Auth,
    /// Do not retry.
    Cancel,
    /// Proceed; it was only a warning.
    Continue,
    /// Retry after changing the data sent.
    Modify,
    /// Retry after waiting.
    Wait,
}

impl StanzaCondition {
    /// Every condition, in the order of the standard.
    pub const ALL: [StanzaCondition; 22] = [
        Self::BadRequest,
        Self::Conflict,
        Self::FeatureNotImplemented,
        Self::Forbidden,
        Self::Gone,
        Self::InternalServerError,
        Self::ItemNotFound,
        Self::JidMalformed,
        Self::NotAcceptable,
        Self::NotAllowed,
        Self::NotAuthorized,
        Self::PolicyViolation,
        Self::RecipientUnavailable,
        Self::Redirect,
        Self::RegistrationRequired,
        Self::RemoteServerNotFound,
        Self::RemoteServerTimeout,
        Self::ResourceConstraint,
        Self::ServiceUnavailable,
        Self::SubscriptionRequired,
        Self::UndefinedCondition,
        Self::UnexpectedRequest,
    ];

    /// The element name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::BadRequest => "bad-request",
            Self::Conflict => "conflict",
            Self::FeatureNotImplemented => "feature-not-implemented",
            Self::Forbidden => "forbidden",
            Self::Gone => "gone",
            Self::InternalServerError => "internal-server-error",
            Self::ItemNotFound => "item-not-found",
            Self::JidMalformed => "jid-malformed",
            Self::NotAcceptable => "not-acceptable",
            Self::NotAllowed => "not-allowed",
            Self::NotAuthorized => "not-authorized",
            Self::PolicyViolation => "policy-violation",
            Self::RecipientUnavailable => "recipient-unavailable",
            Self::Redirect => "redirect",
            Self::RegistrationRequired => "registration-required",
            Self::RemoteServerNotFound => "remote-server-not-found",
            Self::RemoteServerTimeout => "remote-server-timeout",
            Self::ResourceConstraint => "resource-constraint",
            Self::ServiceUnavailable => "service-unavailable",
            Self::SubscriptionRequired => "subscription-required",
            Self::UndefinedCondition => "undefined-condition",
            Self::UnexpectedRequest => "unexpected-request",
        }
    }

    /// The condition of that element name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|condition| condition.name() == name)
    }

    /// The type RFC 6120 §8.3.3 says should go with the condition.
    pub const fn usual_type(self) -> ErrorType {
        match self {
            Self::Forbidden | Self::NotAuthorized | Self::RegistrationRequired | Self::SubscriptionRequired => {
                ErrorType::Auth
            }
            Self::BadRequest | Self::JidMalformed | Self::NotAcceptable | Self::PolicyViolation | Self::Redirect => {
                ErrorType::Modify
            }
            Self::RecipientUnavailable
            | Self::RemoteServerTimeout
            | Self::ResourceConstraint
            | Self::UnexpectedRequest => ErrorType::Wait,
            Self::Conflict
            | Self::FeatureNotImplemented
            | Self::Gone
            | Self::InternalServerError
            | Self::ItemNotFound
            | Self::NotAllowed
            | Self::RemoteServerNotFound
            | Self::ServiceUnavailable
            | Self::UndefinedCondition => ErrorType::Cancel,
        }
    }
}

impl ErrorType {
    const ALL: [ErrorType; 5] = [Self::Auth, Self::Cancel, Self::Continue, Self::Modify, Self::Wait];

    /// The attribute value on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Cancel => "cancel",
            Self::Continue => "continue",
            Self::Modify => "modify",
            Self::Wait => "wait",
        }
    }
}

impl fmt::Display for StanzaCondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for ErrorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// `<error/>` inside a stanza of type `error`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StanzaError {
    kind: ErrorType,
    condition: StanzaCondition,
    /// Character data of the condition: the new address, for `gone` and `redirect`.
    target: Option<String>,
    by: Option<String>,
    text: Option<Cow<'static, str>>,
    application: Option<Box<Element>>,
}

impl StanzaError {
    /// An error of that condition with its usual type.
    pub const fn new(condition: StanzaCondition) -> Self {
        let kind = condition.usual_type();
        StanzaError { kind, condition, target: None, by: None, text: None, application: None }
    }

    /// Another type than the usual one.
    #[must_use]
    pub const fn with_type(mut self, kind: ErrorType) -> Self {
        self.kind = kind;
        self
    }

    /// Adds a text in English. It must reveal no internals.
    #[must_use]
    pub fn with_text(mut self, text: impl Into<Cow<'static, str>>) -> Self {
        self.text = Some(text.into());
        self
    }

    /// Adds the new address, for `gone` and `redirect`.
    #[must_use]
    pub fn with_target(mut self, uri: impl Into<String>) -> Self {
        self.target = Some(uri.into());
        self
    }

    /// Adds who raised the error.
    #[must_use]
    pub fn with_by(mut self, by: impl Into<String>) -> Self {
        self.by = Some(by.into());
        self
    }

    /// Adds an element of an application's namespace.
    #[must_use]
    pub fn with_application(mut self, element: Element) -> Self {
        self.application = Some(Box::new(element));
        self
    }

    /// What the sender may do about it.
    pub const fn kind(&self) -> ErrorType {
        self.kind
    }

    /// The condition.
    pub const fn condition(&self) -> StanzaCondition {
        self.condition
    }

    /// The text, if any.
    pub fn text(&self) -> Option<&str> {
        self.text.as_deref()
    }

    /// The new address, for `gone` and `redirect`.
    pub fn target(&self) -> Option<&str> {
        self.target.as_deref()
    }

    /// Who raised it, if said.
    pub fn by(&self) -> Option<&str> {
        self.by.as_deref()
    }

    /// The application's element, if any.
    pub fn application(&self) -> Option<&Element> {
        self.application.as_deref()
    }

    /// As the element to put into the stanza.
    pub fn to_element(&self) -> Element {
        let mut condition = Element::new(ns::STANZA_ERRORS, self.condition.name());
        if let Some(target) = &self.target {
            condition.push_text(target);
        }
        let text = self.text.as_ref().map(|t| Element::new(ns::STANZA_ERRORS, "text").with_lang("en").with_text(t));
        Element::new(ns::CLIENT, "error")
            .with_attr_opt("by", self.by.as_deref())
            .with_attr("type", self.kind.name())
            .with_child(condition)
            .with_child_opt(text)
            .with_child_opt(self.application.as_deref().cloned())
    }

    /// From the `<error/>` child of a received stanza; `None` if it is another element.
    ///
    /// Unknown conditions are read as `undefined-condition`, an unknown type as the condition's usual one.
    pub fn from_element(element: &Element) -> Option<Self> {
        if !element.is(ns::CLIENT, "error") {
            return None;
        }
        let mut error = StanzaError::new(StanzaCondition::UndefinedCondition);
        for child in element.children() {
            if child.namespace() != ns::STANZA_ERRORS {
                error.application.get_or_insert_with(|| Box::new(child.clone()));
            } else if child.name() == "text" {
                error.text = Some(Cow::Owned(child.text().into_owned()));
            } else if let Some(condition) = StanzaCondition::from_name(child.name()) {
                error.condition = condition;
                error.target = Some(child.text().into_owned()).filter(|t| !t.is_empty());
            }
        }
        let kind = element.attr("type").and_then(|kind| ErrorType::ALL.into_iter().find(|k| k.name() == kind));
        error.kind = kind.unwrap_or(error.condition.usual_type());
        error.by = element.attr("by").map(String::from);
        Some(error)
    }
}

impl From<StanzaCondition> for StanzaError {
    fn from(condition: StanzaCondition) -> Self {
        StanzaError::new(condition)
    }
}

impl fmt::Display for StanzaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.text {
            Some(text) => write!(f, "{}: {text}", self.condition),
            None => write!(f, "{}", self.condition),
        }
    }
}

impl std::error::Error for StanzaError {}
