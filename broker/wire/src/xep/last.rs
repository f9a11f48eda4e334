//! Last Activity (XEP-0012): seconds since an account logged out, a client was touched, or a server was started.

use crate::ns;
use crate::xml::Element;

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct LastActivity {
    /// Seconds: 0 for an account that is there.
    pub seconds: u64,
    /// What the account said when it went.
    pub status: Option<String>,
}

/// The question.
pub fn request() -> Element {
    Element::new(ns::LAST, "query")
}

impl LastActivity {
    /// Reads an answer; `None` if `element` is not one.
    pub fn decode(element: &Element) -> Option<Self> {
        let seconds = element.is(ns::LAST, "query").then(|| element.attr("seconds"))??.parse().ok()?;
        let status = Some(element.text().into_owned()).filter(|text| !text.is_empty());
        Some(LastActivity { seconds, status })
    }

    /// Writes an answer.
    pub fn encode(&self) -> Element {
        let query = request().with_attr("seconds", self.seconds.to_string());
        match &self.status {
            Some(status) => query.with_text(status),
            None => query,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_reads_back_as_written() {
        for status in [None, Some("Heading Home".to_owned())] {
            let last = LastActivity { seconds: 903, status };
            assert_eq!(LastActivity::decode(&last.encode()), Some(last));
        }
        assert_eq!(LastActivity::decode(&request()), None);
    }
}
