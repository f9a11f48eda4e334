//! Scripts of the server's machine.
