//! Stream errors: why a stream ends (RFC 6120 §4.9). Encode and decode; when to raise one is decided elsewhere.

use std::borrow::Cow;
use std::fmt;

use crate::ns;
use crate::xml::Element;

/// The defined conditions (RFC 6120 §4.9.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each variant is the condition of the same name in RFC 6120 §4.9.3")]
pub enum StreamCondition {
    BadFormat,
    BadNamespacePrefix,
    Conflict,
    ConnectionTimeout,
    HostGone,
    HostUnknown,
    ImproperAddressing,
    InternalServerError,
    InvalidFrom,
    InvalidNamespace,
    InvalidXml,
    NotAuthorized,
    NotWellFormed,
    PolicyViolation,
    RemoteConnectionFailed,
    Reset,
    ResourceConstraint,
    RestrictedXml,
    SeeOtherHost,
    SystemShutdown,
    UndefinedCondition,
    UnsupportedEncoding,
    UnsupportedFeature,
    UnsupportedStanzaType,
    UnsupportedVersion,
}

impl StreamCondition {
    /// Every condition, in the order of the standard.
    pub const ALL: [StreamCondition; 25] = [
        Self::BadFormat,
        Self::BadNamespacePrefix,
        Self::Conflict,
        Self::ConnectionTimeout,
        Self::HostGone,
        Self::HostUnknown,
        Self::ImproperAddressing,
        Self::InternalServerError,
        Self::InvalidFrom,
        Self::InvalidNamespace,
        Self::InvalidXml,
        Self::NotAuthorized,
        Self::NotWellFormed,
        Self::PolicyViolation,
        Self::RemoteConnectionFailed,
        Self::Reset,
        Self::ResourceConstraint,
        Self::RestrictedXml,
        Self::SeeOtherHost,
        Self::SystemShutdown,
        Self::UndefinedCondition,
        Self::UnsupportedEncoding,
        Self::UnsupportedFeature,
        Self::UnsupportedStanzaType,
        Self::UnsupportedVersion,
    ];

    /// The element name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::BadFormat => "bad-format",
            Self::BadNamespacePrefix => "bad-namespace-prefix",
            Self::Conflict => "conflict",
            Self::ConnectionTimeout => "connection-timeout",
            Self::HostGone => "host-gone",
            Self::HostUnknown => "host-unknown",
            Self::ImproperAddressing => "improper-addressing",
            Self::InternalServerError => "internal-server-error",
            Self::InvalidFrom => "invalid-from",
            Self::InvalidNamespace => "invalid-namespace",
            Self::InvalidXml => "invalid-xml",
            Self::NotAuthorized => "not-authorized",
            Self::NotWellFormed => "not-well-formed",
            Self::PolicyViolation => "policy-violation",
            Self::RemoteConnectionFailed => "remote-connection-failed",
            Self::Reset => "reset",
            Self::ResourceConstraint => "resource-constraint",
            Self::RestrictedXml => "restricted-xml",
            Self::SeeOtherHost => "see-other-host",
            Self::SystemShutdown => "system-shutdown",
            Self::UndefinedCondition => "undefined-condition",
            Self::UnsupportedEncoding => "unsupported-encoding",
            Self::UnsupportedFeature => "unsupported-feature",
            Self::UnsupportedStanzaType => "unsupported-stanza-type",
            Self::UnsupportedVersion => "unsupported-version",
        }
    }
}

impl fmt::Display for StreamCondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// `<stream:error/>`: a condition, for people a text, for programs perhaps an element of the application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamError {
    condition: StreamCondition,
    /// Character data of the condition: where to go, for `see-other-host`.
    target: Option<String>,
    text: Option<Cow<'static, str>>,
    application: Option<Box<Element>>,
}

impl StreamError {
    /// An error of that condition.
    pub const fn new(condition: StreamCondition) -> Self {
        StreamError { condition, target: None, text: None, application: None }
    }

    /// `see-other-host` with the host to try instead (RFC 6120 §4.9.3.19).
    pub fn see_other_host(host: impl Into<String>) -> Self {
        StreamError { target: Some(host.into()), ..Self::new(StreamCondition::SeeOtherHost) }
    }

    /// Adds a text in English. It must reveal no internals.
    #[must_use]
    pub fn with_text(mut self, text: impl Into<Cow<'static, str>>) -> Self {
        self.text = Some(text.into());
        self
    }

    /// Adds an element of an application's namespace.
    #[must_use]
    pub fn with_application(mut self, element: Element) -> Self {
        self.application = Some(Box::new(element));
        self
    }

    /// The condition.
    pub const fn condition(&self) -> StreamCondition {
        self.condition
    }

    /// The text, if any.
    pub fn text(&self) -> Option<&str> {
        self.text.as_deref()
    }

    /// Where to go instead, for `see-other-host`.
    pub fn target(&self) -> Option<&str> {
        self.target.as_deref()
    }

    /// The application's element, if any.
    pub fn application(&self) -> Option<&Element> {
        self.application.as_deref()
    }

    /// As the element to send.
    pub fn to_element(&self) -> Element {
        let mut condition = Element::new(ns::STREAM_ERRORS, self.condition.name());
        if let Some(target) = &self.target {
            condition.push_text(target);
        }
        let text = self.text.as_ref().map(|t| Element::new(ns::STREAM_ERRORS, "text").with_lang("en").with_text(t));
        Element::new(ns::STREAMS, "error")
            .with_child(condition)
            .with_child_opt(text)
            .with_child_opt(self.application.as_deref().cloned())
    }

    /// From a received `<stream:error/>`. Unknown conditions are read as `undefined-condition`; `None` if it is another element.
    pub fn from_element(element: &Element) -> Option<Self> {
        if !element.is(ns::STREAMS, "error") {
            return None;
        }
        let mut error = StreamError::new(StreamCondition::UndefinedCondition);
        for child in element.children() {
            if child.namespace() != ns::STREAM_ERRORS {
                error.application.get_or_insert_with(|| Box::new(child.clone()));
            } else if child.name() == "text" {
                error.text = Some(Cow::Owned(child.text().into_owned()));
            } else if let Some(condition) = StreamCondition::ALL.into_iter().find(|c| c.name() == child.name()) {
                error.condition = condition;
                error.target = Some(child.text().into_owned()).filter(|t| !t.is_empty());
            }
        }
        Some(error)
    }
}

impl fmt::Display for StreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.text {
            Some(text) => write!(f, "{}: {text}", self.condition),
            None => write!(f, "{}", self.condition),
        }
    }
}

impl std::error::Error for StreamError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::Scope;

    #[test]
    fn a_stream_error_reads_back_as_itself() {
        let error = StreamError::see_other_host("[2001:db8::1]:5222")
            .with_text("Moved.")
            .with_application(Element::new("urn:app", "moved"));
        assert_eq!(StreamError::from_element(&error.to_element()), Some(error));
    }

    #[test]
    fn every_condition_reads_back_as_itself() {
        for condition in StreamCondition::ALL {
            let error = StreamError::new(condition);
            assert_eq!(StreamError::from_element(&error.to_element()), Some(error), "{condition}");
        }
    }

    #[test]
    fn an_unknown_condition_is_undefined() {
        let element =
            Element::new(ns::STREAMS, "error").with_child(Element::new(ns::STREAM_ERRORS, "not-yet-invented"));
        let error = StreamError::from_element(&element);
        assert_eq!(error, Some(StreamError::new(StreamCondition::UndefinedCondition)));
        assert_eq!(StreamError::from_element(&Element::new(ns::CLIENT, "error")), None);
    }

    #[test]
    fn a_stream_error_is_written_with_the_prefix_of_the_stream() {
        let error = StreamError::new(StreamCondition::HostUnknown);
        let mut text = String::new();
        error.to_element().write_to(&mut text, &Scope::CLIENT);
        assert_eq!(text, "<stream:error><host-unknown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>");
    }
}
