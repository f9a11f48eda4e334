//! The `torg` command.

fn main() {}
