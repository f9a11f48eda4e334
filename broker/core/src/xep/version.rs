//! Software Version (XEP-0092). The operating system is not told: nobody but an attacker needs it.

use torg_wire::ns;
use torg_wire::xep::version::Version;
use torg_wire::xml::Element;

use crate::service::Route;

pub(crate) const ROUTES: &[Route] = &[Route::get(ns::VERSION, "query")];

pub(super) fn answer() -> Element {
    Version { name: "Torg".into(), version: env!("CARGO_PKG_VERSION").into(), system: None }.encode()
}
