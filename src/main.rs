//! The `torg` command: arguments in, exit code out. Everything else is in the library.

use std::io::{BufReader, Write as _, stderr, stdin, stdout};
use std::process::ExitCode;

use clap::Parser as _;
use torg::cli::{self, Terminal};

fn main() -> ExitCode {
    // Usage errors leave here with exit code 2, help with 0: clap's own contract.
    let arguments = cli::args::Arguments::parse();
    let (mut out, mut err, mut input) = (stdout(), stderr(), BufReader::new(stdin()));
    let mut terminal = Terminal { out: &mut out, err: &mut err, input: &mut input };
    match cli::run(arguments, &mut terminal) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if failure.is_to_be_told() {
                // The text may quote a peer. If even standard error is closed, the exit code is all that is left.
                let _ = writeln!(stderr(), "torg: {}", cli::printable(&failure.to_string()));
            }
            failure.code()
        }
    }
}
