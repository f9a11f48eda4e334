//! Result set management: asking for one page of a long list, and cutting that page out (XEP-0059).
//! What the list is, and how long a page may be, is for the caller to say.

use std::ops::Range;

use crate::ns;
use crate::xml::Element;

/// A page that somebody asks for.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct PageRequest {
    /// At most so many entries; 0 asks for the count alone (XEP-0059 §2.7).
    pub max: Option<usize>,
    /// Which part of the list.
    pub window: Window,
}

/// Which part of a list is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Window {
    /// The entries after this one (§2.1).
    After(String),
    /// The entries just before this one (§2.4).
    Before(String),
    /// The first page.
    #[default]
    First,
    /// The page that begins at this position (§2.6).
    Index(usize),
    /// The last page (§2.5).
    Last,
}

/// Why a page cannot be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageFault {
    /// A number is none.
    Malformed,
    /// The entry that the page is to begin or end at is not there: `item-not-found` (§2.2).
    NotFound,
}

impl PageRequest {
    /// Reads a `<set/>`.
    ///
    /// # Errors
    /// [`PageFault::Malformed`].
    pub fn decode(set: &Element) -> Result<Self, PageFault> {
        let number = |name| {
            let text = set.child_text(ns::RSM, name);
            text.map(|text| text.trim().parse().map_err(|_| PageFault::Malformed)).transpose()
        };
        let text = |name| set.child_text(ns::RSM, name).map(std::borrow::Cow::into_owned);
        let window = match (text("after"), text("before"), number("index")?) {
            (Some(after), ..) => Window::After(after),
            (None, Some(before), _) if before.is_empty() => Window::Last,
            (None, Some(before), _) => Window::Before(before),
            (None, None, Some(index)) => Window::Index(index),
            (None, None, None) => Window::First,
        };
        Ok(PageRequest { max: number("max")?, window })
    }

    /// The positions of the page in a list of these ids, at most `most` of them.
    ///
    /// # Errors
    /// [`PageFault::NotFound`].
    pub fn cut(&self, ids: &[&str], most: usize) -> Result<Range<usize>, PageFault> {
        let most = self.max.unwrap_or(most).min(most);
        let position = |id: &str| ids.iter().position(|known| *known == id).ok_or(PageFault::NotFound);
        let forward = |start: usize| start.min(ids.len())..start.saturating_add(most).min(ids.len());
        let backward = |end: usize| end.saturating_sub(most)..end;
        Ok(match &self.window {
            Window::After(id) => forward(position(id)?.saturating_add(1)),
            Window::Before(id) => backward(position(id)?),
            Window::First => forward(0),
            Window::Index(index) => forward(*index),
            Window::Last => backward(ids.len()),
        })
    }
}

/// The `<set/>` of an answer: which part of `ids` it holds.
pub fn result(ids: &[&str], page: &Range<usize>) -> Element {
    let shown = ids.get(page.clone()).unwrap_or_default();
    let mut set = Element::new(ns::RSM, "set");
    if let (Some(first), Some(last)) = (shown.first(), shown.last()) {
        set.push(Element::new(ns::RSM, "first").with_attr("index", page.start.to_string()).with_text(first));
        set.push(Element::new(ns::RSM, "last").with_text(last));
    }
    set.with_child(Element::new(ns::RSM, "count").with_text(ids.len().to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDS: [&str; 5] = ["a", "b", "c", "d", "e"];

    fn cut(max: Option<usize>, window: Window) -> Result<Range<usize>, PageFault> {
        PageRequest { max, window }.cut(&IDS, 4)
    }

    fn request(children: &[(&'static str, &str)]) -> Result<PageRequest, PageFault> {
        let children = children.iter().map(|(name, text)| Element::new(ns::RSM, name).with_text(text));
        PageRequest::decode(&Element::new(ns::RSM, "set").with_children(children))
    }

    #[test]
    fn every_window_cuts_its_page() {
        assert_eq!(cut(Some(2), Window::First), Ok(0..2));
        assert_eq!(cut(Some(2), Window::Last), Ok(3..5));
        assert_eq!(cut(Some(2), Window::After("b".into())), Ok(2..4));
        assert_eq!(cut(Some(2), Window::After("e".into())), Ok(5..5));
        assert_eq!(cut(Some(2), Window::Before("b".into())), Ok(0..1));
        assert_eq!(cut(Some(2), Window::Index(4)), Ok(4..5));
        assert_eq!(cut(Some(2), Window::Index(usize::MAX)), Ok(5..5));
    }

    #[test]
    fn nobody_gets_more_than_the_caller_allows() {
        assert_eq!(cut(None, Window::First), Ok(0..4));
        assert_eq!(cut(Some(usize::MAX), Window::First), Ok(0..4));
        assert_eq!(cut(Some(0), Window::First), Ok(0..0));
    }

    #[test]
    fn an_entry_that_is_gone_is_not_found() {
        assert_eq!(cut(None, Window::After("x".into())), Err(PageFault::NotFound));
        assert_eq!(cut(None, Window::Before("x".into())), Err(PageFault::NotFound));
    }

    #[test]
    fn a_request_is_read() {
        assert_eq!(request(&[]), Ok(PageRequest::default()));
        let page = |max, window| Ok(PageRequest { max, window });
        assert_eq!(request(&[("max", "10"), ("after", "x")]), page(Some(10), Window::After("x".into())));
        assert_eq!(request(&[("max", "10"), ("before", "")]), page(Some(10), Window::Last));
        assert_eq!(request(&[("before", "x")]), page(None, Window::Before("x".into())));
        assert_eq!(request(&[("index", "7")]), page(None, Window::Index(7)));
    }

    #[test]
    fn a_number_that_is_none_is_malformed() {
        for text in ["", "-1", "ten", "99999999999999999999999"] {
            assert_eq!(request(&[("max", text)]), Err(PageFault::Malformed), "{text}");
        }
    }

    #[test]
    fn an_answer_names_first_last_and_count() {
        let set = result(&IDS, &(1..3));
        assert_eq!(
            set.to_string(),
            "<set xmlns='http://jabber.org/protocol/rsm'><first index='1'>b</first><last>c</last><count>5</count></set>"
        );
        assert_eq!(
            result(&[], &(0..0)).to_string(),
            "<set xmlns='http://jabber.org/protocol/rsm'><count>0</count></set>"
        );
    }
}
