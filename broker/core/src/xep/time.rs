//! Entity Time (XEP-0202): how a device without a clock learns the time. Always UTC.

use torg_wire::ns;
use torg_wire::xml::Element;

use crate::router::Router;
use crate::service::Route;

pub(crate) const ROUTES: &[Route] = &[Route::get(ns::TIME, "time")];

pub(super) fn answer(router: &Router) -> Element {
    let now = router.shared().clock.now();
    Element::new(ns::TIME, "time")
        .with_child(Element::new(ns::TIME, "tzo").with_text("+00:00"))
        .with_child(Element::new(ns::TIME, "utc").with_text(now.to_string()))
}
