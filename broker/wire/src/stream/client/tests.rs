//! Scripts of the client's machine, and both machines against each other.
