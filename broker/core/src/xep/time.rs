//! Entity Time (XEP-0202): how a device without a clock learns the time. Always UTC.

use torg_wire::ns;

use crate::service::Route;

pub(crate) const ROUTES: &[Route] = &[Route::get(ns::TIME, "time")];
