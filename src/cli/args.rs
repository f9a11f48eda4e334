//! The command line of `torg`: what can be typed, with an example in every help text.
//!
//! Names here are a contract with tooling outside this repository: they are extended, never renamed.
//! This file says what a command line looks like; what the commands do is in the files beside it.
//!
//! # Why
//! `clap` with derive: the type is the grammar, and help, usage errors and suggestions come from it.

mod state;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use torg_wire::sasl::AccountClass;

pub use self::state::{AccountExport, AccountImport, Backup, Restore, StatusArguments};

/// Brings field buses into XMPP: every device a node that its owner shares with whom they choose.
#[derive(Debug, Parser)]
#[command(
    name = "torg",
    version,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "First steps:\n  \
        torg demo                                 See it work, with simulated meters\n  \
        torg config sample > torg.toml            Start a configuration of your own\n  \
        torg check --config torg.toml             Find every mistake in it before it matters\n  \
        torg account add anna@site.example        Create an account (asks for the password)\n  \
        torg run --config torg.toml               Run the appliance\n\n\
        Exit codes: 0 done, 1 it failed (the message says who is to blame), 2 wrong usage, 3 the store cannot be used\n\
        (the message says why and what to do; it will not go away by trying again)."
)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the appliance until SIGTERM; SIGHUP reloads the configuration
    #[command(after_help = "READY is printed on standard output, and told to systemd, once every listener is bound \
        and every bridge is started. SIGTERM finishes what is under way and ends within 20 s. SIGHUP reads the \
        configuration again and restarts only the lines that changed.\n\n\
        Example:\n  torg run --config /etc/torg/torg.toml")]
    Run(Run),
    /// Check a configuration without running it: all errors at once, each with line, key and suggestion
    #[command(after_help = "Example:\n  torg check --config torg.toml\n  torg check --config torg.toml --json")]
    Check(Check),
    /// Show it working: simulated meters, broker, concentrator and a foreign client on this machine
    #[command(after_help = "Everything runs on the loopback interface on free ports, so it disturbs nothing.\n\n\
        Example:\n  torg demo                      Stay up and refresh the readings until Ctrl-C\n  \
        torg demo --once --json        One readout as JSON; exit code 0 only if every node was read")]
    Demo(Demo),
    /// Accounts of the broker's domain (works with the appliance running or stopped)
    #[command(subcommand)]
    Account(Account),
    /// Nodes of a concentrator, over XMPP as any client sees them
    #[command(subcommand)]
    Node(Node),
    /// Other servers: whether they can be talked to, and if not why
    #[command(subcommand)]
    Peer(Peer),
    /// Device profiles: what registers mean
    #[command(subcommand)]
    Profile(Profile),
    /// The configuration file itself: a commented sample, and its JSON Schema for editors
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Show how the running appliance is: listeners, sessions, peers, store, certificate, lines and nodes
    #[command(
        after_help = "It asks through a socket beside the store, which only the appliance's own user and root may open. Exit code 0 \
        if it is ready, 1 if it is not, or does not run.\n\n\
        Example:\n  torg status --config /etc/torg/torg.toml\n  torg status --json"
    )]
    Status(StatusArguments),
    /// Save the state of the appliance to one file, while it runs or not
    #[command(
        after_help = "FILE holds the accounts with their keys, rosters and waiting messages, and the private keys of the local \
        authority and of ACME: keep it as safe as the appliance. It is for this user only (mode 0600), whole or not there. The \
        configuration and the files it names are not in it. It needs twice its size while it is made. tar -tvf FILE lists it.\n\n\
        Example:\n  torg backup /backup/torg-$(date +%F).tar --config /etc/torg/torg.toml\n  \
        torg backup /backup/torg.tar --overwrite"
    )]
    Backup(Backup),
    /// Put a backup in the place of a stopped appliance's state
    #[command(
        after_help = "Every byte of FILE is checked before anything is changed; a state that is there is kept aside, and a crash in \
        between is finished by the next start. A newer Torg restores what an older one saved.\n\
        What comes back is the state of that day: passwords too, and accounts removed since. Messages that were waiting come \
        again, even if they were delivered since. Sessions cannot be resumed, and quick logins (FAST) ask for the password once.\n\n\
        Example:\n  torg restore /backup/torg-2026-03-01.tar --config /etc/torg/torg.toml\n  \
        torg restore /backup/torg.tar --replace"
    )]
    Restore(Restore),
    /// Print the version
    Version,
}

/// Which configuration to use.
#[derive(Args, Clone, Debug)]
pub struct ConfigFile {
    /// Configuration file; conf.d/*.toml beside it is added to it
    #[arg(long, value_name = "FILE", default_value = "torg.toml")]
    pub config: PathBuf,
}

/// `torg run`.
#[derive(Args, Debug)]
pub struct Run {
    /// Which configuration to run.
    #[command(flatten)]
    pub config: ConfigFile,
    /// After READY, print one line `ADDRESS KIND HOST:PORT` for every bound listener
    #[arg(long)]
    pub print_addresses: bool,
}

/// `torg check`.
#[derive(Args, Debug)]
pub struct Check {
    /// Which configuration to check.
    #[command(flatten)]
    pub config: ConfigFile,
    /// Print the errors as JSON
    #[arg(long)]
    pub json: bool,
}

/// `torg demo`.
#[derive(Args, Debug)]
pub struct Demo {
    /// Read every node once, print, and end; the exit code is 0 only if every node was read
    #[arg(long)]
    pub once: bool,
    /// Print JSON instead of a table
    #[arg(long)]
    pub json: bool,
    /// Keep configuration, store, certificates and passwords in DIR [default: a directory that is removed at the end]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// `torg account`.
#[derive(Debug, Subcommand)]
pub enum Account {
    /// Create an account
    #[command(
        after_help = "The password is asked for without echo, or read from the first line of standard input.\n\n\
        Example:\n  torg account add anna@site.example\n  \
        pass show anna | torg account add anna@site.example --password-stdin\n  \
        torg account add meter-7@site.example --class thing"
    )]
    Add(AccountAdd),
    /// Write accounts with all they keep here to a file that other servers read (XEP-0227)
    #[command(
        after_help = "Of each account: SCRAM keys (no passwords), roster, requests, waiting messages, private data, card, block list, \
        personal nodes. The file is for this user only (mode 0600): its keys let others guess passwords. Works with the appliance running.\n\n\
        Example:\n  torg account export accounts.xml                     All accounts\n  \
        torg account export anna.xml anna@site.example      One of them"
    )]
    Export(AccountExport),
    /// Take accounts over from a file of this or another server (XEP-0227)
    #[command(
        after_help = "Each account comes with all it brings, or not at all; the report says what was left out and why. An account that \
        exists stays as it is, unless --replace. Payload of devices is never taken over. Exit code 1 if an account was not imported.\n\n\
        Example:\n  torg account import accounts.xml\n  torg account import accounts.xml --replace --json"
    )]
    Import(AccountImport),
    /// List the accounts
    #[command(after_help = "Example:\n  torg account list --json")]
    List(AccountList),
    /// Remove an account; its open sessions end within seconds
    #[command(after_help = "Example:\n  torg account remove anna@site.example")]
    Remove(AccountName),
    /// Set a new password
    #[command(after_help = "Example:\n  torg account passwd anna@site.example")]
    Passwd(AccountPassword),
}

/// `torg account add`.
#[derive(Args, Debug)]
pub struct AccountAdd {
    /// What stands behind it: person or thing. A thing's full address always has a part that cannot be guessed
    #[arg(long, value_name = "CLASS", default_value = "person", value_parser = class)]
    pub class: AccountClass,
    /// Which account, and its password.
    #[command(flatten)]
    pub account: AccountPassword,
}

fn class(text: &str) -> Result<AccountClass, String> {
    AccountClass::parse(text).ok_or_else(|| "it is person or thing".to_owned())
}

/// An account and where its password comes from.
#[derive(Args, Debug)]
pub struct AccountPassword {
    /// Account address, such as anna@site.example
    #[arg(value_name = "JID")]
    pub jid: String,
    /// Read the password from the first line of standard input
    #[arg(long)]
    pub password_stdin: bool,
    /// The configuration that names domain and store.
    #[command(flatten)]
    pub config: ConfigFile,
}

/// An account.
#[derive(Args, Debug)]
pub struct AccountName {
    /// Account address, such as anna@site.example
    #[arg(value_name = "JID")]
    pub jid: String,
    /// The configuration that names domain and store.
    #[command(flatten)]
    pub config: ConfigFile,
}

/// `torg account list`.
#[derive(Args, Debug)]
pub struct AccountList {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// The configuration that names domain and store.
    #[command(flatten)]
    pub config: ConfigFile,
}

/// `torg peer`.
#[derive(Debug, Subcommand)]
pub enum Peer {
    /// Walk to another server: DNS, TCP, TLS, certificate, what it offers; name the one thing that fails
    #[command(
        after_help = "It opens a stream as the server would, authenticates nobody and sends no stanza. Exit code 0 \
        if the server can be talked to, 1 if not. For this server's own domain it prints what DNS must say.\n\n\
        Example:\n  torg peer check other.example --config torg.toml\n  torg peer check other.example --json"
    )]
    Check(PeerCheck),
}

/// `torg peer check`.
#[derive(Args, Debug)]
pub struct PeerCheck {
    /// Domain of the other server, such as other.example
    #[arg(value_name = "DOMAIN")]
    pub domain: String,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// The configuration that says what is believed, and where peers are.
    #[command(flatten)]
    pub config: ConfigFile,
}

/// `torg node`.
#[derive(Debug, Subcommand)]
pub enum Node {
    /// List the nodes of the concentrator
    #[command(after_help = "Example:\n  torg node ls --as anna@site.example --password-stdin < password\n  \
        torg node ls --as anna@site.example --server 127.0.0.1:5222 --ca ca.pem --json")]
    Ls(NodeLs),
    /// Read fields of nodes
    #[command(after_help = "Without NODE every node is read; without --field every field.\n\n\
        Example:\n  torg node read --as anna@site.example meter-7\n  \
        torg node read --as anna@site.example meter-7 --field \"Voltage L1\" --category momentary --json")]
    Read(NodeRead),
    /// Set control parameters of one node
    #[command(after_help = "A value out of the parameter's range is refused before anything reaches the bus.\n\n\
        Example:\n  torg node set --as anna@site.example relay-1 \"Digital Output 1=true\" \"Digital Output 2=false\"")]
    Set(NodeSet),
    /// Follow the fields of nodes until Ctrl-C
    #[command(after_help = "Example:\n  torg node watch --as anna@site.example meter-7 --every 5\n  \
        torg node watch --as anna@site.example --json")]
    Watch(NodeWatch),
}

/// How to reach the concentrator, and as whom.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Connection")]
pub struct Connection {
    /// Account to log in with
    #[arg(long = "as", value_name = "JID")]
    pub jid: String,
    /// Read the password from the first line of standard input [default: ask for it]
    #[arg(long)]
    pub password_stdin: bool,
    /// Connect here instead of to the account's domain on port 5222
    #[arg(long, value_name = "HOST:PORT")]
    pub server: Option<String>,
    /// The server speaks TLS from the first byte (usually port 5223)
    #[arg(long)]
    pub direct_tls: bool,
    /// Trust the certificate authority in this PEM file [default: those of the system]
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Address of the concentrator [default: the one the server or the roster shows]
    #[arg(long = "jid", value_name = "CONCENTRATOR")]
    pub concentrator: Option<String>,
    /// Give up after this many seconds without an answer
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub timeout: u64,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Narrows a node's id when it is not unique.
#[derive(Args, Clone, Debug)]
pub struct Place {
    /// Data source of the node, when several sources hold its id
    #[arg(long, value_name = "SOURCE")]
    pub source: Option<String>,
    /// Partition of the node
    #[arg(long, value_name = "PARTITION")]
    pub partition: Option<String>,
}

/// Which fields are wanted.
#[derive(Args, Clone, Debug)]
pub struct Wanted {
    /// Only this field (may be repeated)
    #[arg(long = "field", value_name = "NAME")]
    pub fields: Vec<String>,
    /// Only this category: momentary, identity, status, computed, peak or historical (may be repeated)
    #[arg(long = "category", value_name = "CATEGORY")]
    pub categories: Vec<String>,
}

/// `torg node ls`.
#[derive(Args, Debug)]
pub struct NodeLs {
    /// Only this data source
    #[arg(long, value_name = "SOURCE")]
    pub source: Option<String>,
    /// How to reach the concentrator.
    #[command(flatten)]
    pub connection: Connection,
}

/// `torg node read`.
#[derive(Args, Debug)]
pub struct NodeRead {
    /// Nodes to read [default: all]
    #[arg(value_name = "NODE")]
    pub nodes: Vec<String>,
    /// Where the nodes are.
    #[command(flatten)]
    pub place: Place,
    /// What to read.
    #[command(flatten)]
    pub wanted: Wanted,
    /// How to reach the concentrator.
    #[command(flatten)]
    pub connection: Connection,
}

/// `torg node set`.
#[derive(Args, Debug)]
pub struct NodeSet {
    /// Node to control
    #[arg(value_name = "NODE")]
    pub node: String,
    /// Parameters and their new values
    #[arg(value_name = "NAME=VALUE", required = true, value_parser = assignment)]
    pub values: Vec<(String, String)>,
    /// Where the node is.
    #[command(flatten)]
    pub place: Place,
    /// How to reach the concentrator.
    #[command(flatten)]
    pub connection: Connection,
}

/// `torg node watch`.
#[derive(Args, Debug)]
pub struct NodeWatch {
    /// Nodes to follow [default: all]
    #[arg(value_name = "NODE")]
    pub nodes: Vec<String>,
    /// Ask for new values at least this often
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub every: u64,
    /// End after this many updates of all nodes [default: go on until Ctrl-C]
    #[arg(long, value_name = "N")]
    pub count: Option<u64>,
    /// Where the nodes are.
    #[command(flatten)]
    pub place: Place,
    /// What to follow.
    #[command(flatten)]
    pub wanted: Wanted,
    /// How to reach the concentrator.
    #[command(flatten)]
    pub connection: Connection,
}

/// `torg profile`.
#[derive(Debug, Subcommand)]
pub enum Profile {
    /// Check profiles: all errors with file, line, key and suggestion
    #[command(after_help = "Example:\n  torg profile check my-meter.toml")]
    Check(ProfileFiles),
    /// Run the test vectors inside profiles
    #[command(after_help = "Example:\n  torg profile test my-meter.toml")]
    Test(ProfileFiles),
    /// Write what profiles say as a page for people
    #[command(
        after_help = "Without FILE the shipped profiles are listed; an id such as eastron.sdm630 names a shipped one.\n\n\
        Example:\n  torg profile doc eastron.sdm630"
    )]
    Doc(ProfileDoc),
    /// Print the JSON Schema of profiles, for completion and checks in an editor
    #[command(after_help = "Example:\n  torg profile schema > torg-profile.schema.json")]
    Schema(ProfileSchema),
}

/// The format whose schema is wanted.
#[derive(Args, Debug)]
pub struct ProfileSchema {
    /// A profile of that format; there is one format so far, torg-profile/1
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
}

/// Profile files.
#[derive(Args, Debug)]
pub struct ProfileFiles {
    /// Profile files (or ids of shipped profiles)
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

/// `torg profile doc`.
#[derive(Args, Debug)]
pub struct ProfileDoc {
    /// Profile files (or ids of shipped profiles) [default: list the shipped ones]
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

/// `torg config`.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print a commented sample configuration
    #[command(after_help = "Example:\n  torg config sample > torg.toml")]
    Sample,
    /// Print the JSON Schema of the configuration file, for completion and checks in an editor
    #[command(after_help = "Example:\n  torg config schema > torg.schema.json")]
    Schema,
}

/// Splits `NAME=VALUE` at the first equals sign; the name must not be empty.
fn assignment(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => Ok((name.trim().to_owned(), value.to_owned())),
        Some(_) => Err("the name before = is empty".to_owned()),
        None => Err("write NAME=VALUE, such as \"Digital Output 1=true\"".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_tree_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_command_shows_an_example() {
        fn visit(command: &clap::Command, path: &str, without: &mut Vec<String>) {
            for child in command.get_subcommands().filter(|child| !["help", "version"].contains(&child.get_name())) {
                let path = format!("{path} {}", child.get_name());
                let leaf = !child.has_subcommands();
                let help = child.get_after_help().map(ToString::to_string).unwrap_or_default();
                if leaf && !help.contains(&path) {
                    without.push(path.clone());
                }
                visit(child, &path, without);
            }
        }
        let mut without = Vec::new();
        visit(&Arguments::command(), "torg", &mut without);
        assert_eq!(without, Vec::<String>::new());
    }

    #[test]
    fn an_assignment_splits_at_its_first_equals_sign() {
        assert_eq!(assignment("Text=a=b"), Ok(("Text".to_owned(), "a=b".to_owned())));
    }

    #[test]
    fn an_assignment_needs_a_name_and_an_equals_sign() {
        assert!(assignment("=1").is_err());
        assert!(assignment("Relay 1").is_err());
    }
}
