//! Software Version (XEP-0092). The operating system is not told: nobody but an attacker needs it.

use torg_wire::ns;
use torg_wire::xml::Element;

use crate::service::Route;

pub(crate) const ROUTES: &[Route] = &[Route::get(ns::VERSION, "query")];

pub(super) fn answer() -> Element {
    Element::new(ns::VERSION, "query")
        .with_child(Element::new(ns::VERSION, "name").with_text("Torg"))
        .with_child(Element::new(ns::VERSION, "version").with_text(env!("CARGO_PKG_VERSION")))
}
