//! The session request of RFC 3921 §3, which old clients send after binding: it has meant nothing since RFC 6121, and is granted.

use torg_wire::ns;

use crate::service::Route;

pub(crate) const ROUTES: &[Route] = &[Route::set(ns::SESSION, "session")];
