//! XMPP Ping (XEP-0199): the server says that it is there.

use torg_wire::ns;

use crate::service::Route;

pub(crate) const ROUTES: &[Route] = &[Route::get(ns::PING, "ping")];
