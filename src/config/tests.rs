//! Mistakes in configurations, each with its place and suggestion. The bridge here is a small invented one.

use std::sync::Arc;

use async_trait::async_trait;
use torg_thing::config::{ConfigError, Section};
use torg_thing::{Bridge, BridgeError, BridgeKind, BridgeLine, Host, NodeId, NodeRef, SourceId};

use super::*;

struct Idle;

#[async_trait]
impl Bridge for Idle {
    async fn run(&mut self, host: Host) -> Result<(), BridgeError> {
        host.shutdown.cancelled().await;
        Ok(())
    }
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Invented {
    line: Vec<InventedLine>,
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct InventedLine {
    name: String,
    node: String,
}

fn build(section: &Section<'_>) -> Result<Vec<BridgeLine>, Vec<ConfigError>> {
    let parsed: Invented = section.parse()?;
    let source = SourceId::parse(section.name()).unwrap();
    let line = |line: InventedLine| BridgeLine {
        name: Arc::from(line.name.as_str()),
        fingerprint: line.node.clone(),
        nodes: vec![NodeRef::new(source.clone(), NodeId::parse(&line.node).unwrap())],
        bridge: Box::new(Idle),
    };
    Ok(parsed.line.into_iter().map(line).collect())
}

const INVENTED: BridgeKind = BridgeKind { name: "invented", sample: "", build };
const KINDS: &[&BridgeKind] = &[&INVENTED];

const SMALL: &str = "[broker]\ndomain = \"site.example\"\n";
const WITH_CONCENTRATOR: &str = "[broker]\ndomain = \"site.example\"\n[concentrator]\njid = \"gateway@site.example\"\n";

fn errors(text: &str) -> Vec<String> {
    match parse("torg.toml", text, KINDS) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.iter().map(ToString::to_string).collect(),
    }
}

fn errors_of_files(files: &[(&str, &str)]) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("conf.d")).unwrap();
    for (name, text) in files {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    let prefix = format!("{}/", dir.path().display());
    match load(&dir.path().join("torg.toml"), KINDS) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.iter().map(|error| error.to_string().replace(&prefix, "")).collect(),
    }
}

mod components;
mod peers;
mod web;

#[test]
fn a_small_configuration_gets_the_standard_ports() {
    let config = parse("torg.toml", SMALL, KINDS).unwrap();
    assert_eq!(config.settings.broker.c2s, ["0.0.0.0:5222".parse().unwrap()]);
    assert_eq!(config.settings.broker.c2s_tls, ["0.0.0.0:5223".parse().unwrap()]);
    assert_eq!(config.settings.store, std::path::Path::new("torg.db"));
    assert!(!config.settings.broker.scram_sha_1);
    assert!(!config.settings.broker.plain);
    assert!(config.settings.broker.tokens && config.settings.broker.downgrade_protection);
    assert_eq!(config.settings.broker.client_ca, None);
}

#[test]
fn every_mistake_of_every_section_is_told_at_once() {
    let text = "[broker]\ndomain = \"site.example\"\nadmin = [\"a@site.example\"]\n[stor]\npath = \"x\"\n\
                [log]\nlevel = \"inof\"\n[[bridge]]\nkind = \"inventd\"\nname = \"plant\"\n\
                [[bridge]]\nkind = \"invented\"\nname = \"cellar\"\nlin = []\n";
    assert_eq!(
        errors(text),
        [
            "torg.toml:3:1: broker.admin: unknown key; did you mean `admins`?",
            "torg.toml:4:2: stor: unknown key; did you mean `store`?",
            "torg.toml:7:9: log.level: unknown value: found \"inof\", expected \"error\", \"warn\", \"info\", \"debug\" or \"trace\"; did you mean `info`?",
            "torg.toml:9:8: bridge[0].kind: unknown value: found \"inventd\", expected invented; did you mean `invented`?",
            "torg.toml:14:1: bridge[1].lin: unknown key; did you mean `line`?",
        ]
    );
}

#[test]
fn mistakes_of_form_hide_no_mistakes_of_meaning() {
    let text = "[broker]\ndomain = \"site.example\"\nadmin = [\"a@site.example\"]\n[broker.listen]\nc2s = [\"localhost\"]\n\
                [concentrator]\njid = \"gateway@elsewhere.example\"\nfriends = 7\n[[bridge]]\nkind = \"invnted\"\nname = 1\n";
    let keys: Vec<String> = parse("torg.toml", text, KINDS).unwrap_err().iter().map(|e| e.key.to_string()).collect();
    assert_eq!(
        keys,
        [
            "broker.admin",
            "broker.listen.c2s[0]",
            "concentrator.jid",
            "concentrator.friends",
            "bridge[0].kind",
            "bridge[0].name"
        ]
    );
}

#[test]
fn the_broker_needs_a_domain() {
    assert_eq!(
        errors("[store]\npath = \"torg.db\"\n"),
        [
            "torg.toml:1:1: broker: needs a [broker] section with the domain it serves; expected domain = \"site.example\""
        ]
    );
}

#[test]
fn an_account_is_no_domain() {
    assert_eq!(
        errors("[broker]\ndomain = \"anna@site.example\"\n"),
        [
            "torg.toml:2:10: broker.domain: is an account, not a domain: found \"anna@site.example\"; did you mean `site.example`?"
        ]
    );
}

#[test]
fn a_domain_is_no_account() {
    let text = format!("{WITH_CONCENTRATOR}friends = [\"anna@site.example\", \"site.example\"]\n");
    assert_eq!(
        errors(&text),
        [
            "torg.toml:5:33: concentrator.friends[1]: \"site.example\" is a domain, not an account; expected an address such as anna@site.example"
        ]
    );
}

#[test]
fn a_session_is_no_friend_but_its_account_is() {
    let text = format!("{WITH_CONCENTRATOR}friends = [\"anna@site.example/phone\"]\n");
    let errors = errors(&text);
    assert_eq!(errors.len(), 1);
    assert!(errors[0].ends_with("did you mean `anna@site.example`?"), "{}", errors[0]);
}

#[test]
fn friends_may_be_of_any_domain() {
    assert_eq!(errors(&format!("{WITH_CONCENTRATOR}friends = [\"bob@elsewhere.example\"]\n")), Vec::<String>::new());
}

#[test]
fn the_concentrator_is_of_the_brokers_domain() {
    assert_eq!(
        errors("[broker]\ndomain = \"site.example\"\n[concentrator]\njid = \"gateway@sit.example\"\n"),
        [
            "torg.toml:4:7: concentrator.jid: \"gateway@sit.example\" is not an account of the domain site.example; did you mean `gateway@site.example`?"
        ]
    );
}

#[test]
fn an_admin_is_of_the_brokers_domain() {
    assert_eq!(
        errors("[broker]\ndomain = \"site.example\"\nadmins = [\"admin@other.example\"]\n"),
        ["torg.toml:3:11: broker.admins[0]: \"admin@other.example\" is not an account of the domain site.example"]
    );
}

#[test]
fn a_name_alone_is_told_once_with_the_address_it_stands_for() {
    assert_eq!(
        errors("[broker]\ndomain = \"site.example\"\nadmins = [\"admin\"]\n"),
        [
            "torg.toml:3:11: broker.admins[0]: \"admin\" is a domain, not an account; expected an address such as anna@site.example; did you mean `admin@site.example`?"
        ]
    );
}

#[test]
fn a_mistyped_key_is_told_once() {
    assert_eq!(
        errors("[broker]\ndomian = \"site.example\"\n"),
        ["torg.toml:2:1: broker.domian: unknown key; did you mean `domain`?"]
    );
}

#[test]
fn a_value_where_a_list_belongs_is_shown_as_a_list() {
    let text = "[broker]\ndomain = \"site.example\"\nadmins = \"anna@site.example\"\n";
    assert_eq!(
        errors(text),
        [
            "torg.toml:3:10: broker.admins: wrong type: found \"anna@site.example\", expected a list; did you mean `[\"anna@site.example\"]`?"
        ]
    );
    let text = "[broker]\ndomain = \"site.example\"\n[broker.peer]\ndomain = \"other.example\"\n";
    let found = errors(text);
    assert!(found[0].ends_with("found a table, expected a list; did you mean `[[broker.peer]]`?"), "{found:?}");
}

#[test]
fn who_has_no_configuration_yet_is_told_how_to_make_one() {
    let errors = load(std::path::Path::new("/nowhere/torg.toml"), &[]).expect_err("no such file");
    let told = errors[0].to_string();
    assert!(told.ends_with("expected a file such as `torg config sample > /nowhere/torg.toml` makes"), "{told}");
}

#[test]
fn an_address_to_listen_on_is_ip_and_port() {
    let text = format!("{SMALL}[broker.listen]\nc2s = [\"localhost\"]\nc2s_tls = [\"*:5223\"]\n");
    assert_eq!(
        errors(&text),
        [
            "torg.toml:4:8: broker.listen.c2s[0]: \"localhost\" is not an address to listen on; expected IP and port, such as 127.0.0.1:5222, 0.0.0.0:5222 or [::]:5222; did you mean `127.0.0.1:5222`?",
            "torg.toml:5:12: broker.listen.c2s_tls[0]: \"*:5223\" is not an address to listen on; expected IP and port, such as 127.0.0.1:5223, 0.0.0.0:5223 or [::]:5223; did you mean `0.0.0.0:5223`?",
        ]
    );
}

#[test]
fn one_port_cannot_speak_both_ways() {
    let text = format!("{SMALL}[broker.listen]\nc2s = [\"[::]:5222\"]\nc2s_tls = [\"[::]:5222\"]\n");
    assert_eq!(
        errors(&text),
        ["torg.toml:5:12: broker.listen.c2s_tls[0]: [::]:5222 is in c2s too; one port speaks one of the two"]
    );
}

#[test]
fn port_zero_may_stand_twice() {
    let text =
        format!("{SMALL}[broker.listen]\nc2s = [\"127.0.0.1:0\", \"127.0.0.1:0\"]\nc2s_tls = [\"127.0.0.1:0\"]\n");
    assert_eq!(errors(&text), Vec::<String>::new());
}

#[test]
fn an_address_listed_twice_is_refused() {
    let text = format!("{SMALL}[broker.listen]\nc2s = [\"127.0.0.1:5222\", \"127.0.0.1:5222\"]\n");
    assert_eq!(errors(&text), ["torg.toml:4:26: broker.listen.c2s[1]: 127.0.0.1:5222 is listed twice"]);
}

#[test]
fn no_listener_at_all_is_refused() {
    let text = format!("{SMALL}[broker.listen]\nc2s = []\nc2s_tls = []\n");
    assert_eq!(
        errors(&text),
        ["torg.toml:3:9: broker.listen: leaves no way to connect: c2s and c2s_tls are both empty"]
    );
}

#[test]
fn a_missing_certificate_is_named_with_its_path() {
    let text = format!("{SMALL}[broker.tls]\ncertificate = \"absent.pem\"\nkey = \"absent.key\"\n");
    let errors = errors(&text);
    assert_eq!(errors.len(), 2);
    assert!(
        errors[0].starts_with("torg.toml:4:15: broker.tls.certificate: absent.pem cannot be read:"),
        "{}",
        errors[0]
    );
    assert!(errors[1].starts_with("torg.toml:5:7: broker.tls.key: absent.key cannot be read:"), "{}", errors[1]);
}

/// A certificate for site.example in a new directory, and a configuration that names it.
fn with_certificate(domain: &str) -> (tempfile::TempDir, Vec<String>) {
    use torg_core::tls::{Authority, SelfNames};
    use torg_thing::{Clock as _, SystemClock};
    let dir = tempfile::tempdir().unwrap();
    let now = SystemClock.now();
    Authority::new(dir.path()).certificate("site.example", SelfNames::DomainOnly, now).unwrap();
    let text =
        format!("[broker]\ndomain = \"{domain}\"\n[broker.tls]\ncertificate = \"leaf.pem\"\nkey = \"leaf.key\"\n");
    let file = dir.path().join("torg.toml");
    std::fs::write(&file, text).unwrap();
    let errors = load(&file, KINDS).err().unwrap_or_default();
    (dir, errors.iter().map(ToString::to_string).collect())
}

#[test]
fn a_certificate_of_the_domain_is_right() {
    assert_eq!(with_certificate("site.example").1, Vec::<String>::new());
}

#[test]
fn a_certificate_of_another_domain_is_found_before_the_start() {
    let (_dir, errors) = with_certificate("other.example");
    assert_eq!(errors.len(), 1);
    assert!(errors[0].contains(":4:15: broker.tls.certificate: "), "{}", errors[0]);
    assert!(errors[0].contains("is not for other.example"), "{}", errors[0]);
}

#[test]
fn a_missing_profile_directory_is_named() {
    let text = format!("{SMALL}[profiles]\npaths = [\"absent\"]\n");
    assert_eq!(errors(&text), ["torg.toml:4:10: profiles.paths[0]: absent is not a directory"]);
}

#[test]
fn bridges_need_a_concentrator() {
    let text = format!("{SMALL}[[bridge]]\nkind = \"invented\"\nname = \"plant\"\nline = []\n");
    assert_eq!(
        errors(&text),
        ["torg.toml:3:1: bridge[0]: needs a [concentrator] section with the address under which its nodes are reached"]
    );
}

#[test]
fn two_bridges_cannot_have_one_name() {
    let bridge = "[[bridge]]\nkind = \"invented\"\nname = \"plant\"\nline = []\n";
    assert_eq!(
        errors(&format!("{WITH_CONCENTRATOR}{bridge}{bridge}")),
        ["torg.toml:11:8: bridge[1].name: \"plant\" names another bridge already (in torg.toml)"]
    );
}

#[test]
fn a_node_is_on_one_line_only() {
    let bridge = "[[bridge]]\nkind = \"invented\"\nname = \"plant\"\nline = [{ name = \"a\", node = \"meter-7\" }, { name = \"b\", node = \"meter-7\" }]\n";
    let errors = errors(&format!("{WITH_CONCENTRATOR}{bridge}"));
    assert_eq!(errors.len(), 1);
    assert!(errors[0].contains("meter-7") && errors[0].ends_with("is on line plant/a already"), "{}", errors[0]);
}

#[test]
fn files_of_conf_d_add_their_bridges_in_order() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("conf.d")).unwrap();
    std::fs::write(dir.path().join("torg.toml"), WITH_CONCENTRATOR).unwrap();
    for name in ["b", "a"] {
        let text = format!("[[bridge]]\nkind = \"invented\"\nname = \"{name}\"\nline = []\n");
        std::fs::write(dir.path().join(format!("conf.d/{name}.toml")), text).unwrap();
    }
    std::fs::write(dir.path().join("conf.d/notes.txt"), "not read").unwrap();
    let config = load(&dir.path().join("torg.toml"), KINDS).unwrap();
    let names: Vec<&str> = config.bridges.iter().map(|bridge| bridge.name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
}

#[test]
fn a_section_in_two_files_names_both() {
    assert_eq!(
        errors_of_files(&[("torg.toml", SMALL), ("conf.d/more.toml", "[broker]\ndomain = \"other.example\"\n")]),
        ["conf.d/more.toml:1:2: broker: stands in torg.toml already; keep it in one file"]
    );
}

#[test]
fn mistakes_of_several_files_are_told_together() {
    assert_eq!(
        errors_of_files(&[
            ("torg.toml", "[broker]\ndomain = 7\n"),
            ("conf.d/a.toml", "[[bridge]]\nkind = \"invented\"\n"),
            ("conf.d/b.toml", "not toml"),
        ]),
        [
            "torg.toml:2:10: broker.domain: wrong type: found 7, expected a string",
            "conf.d/a.toml:1:1: bridge[0].name: missing key; expected a string",
            "conf.d/a.toml:1:1: bridge[0].line: missing key; expected a list",
            "conf.d/b.toml:1:5: not valid TOML: key with no value, expected `=`",
        ]
    );
}

#[test]
fn a_missing_file_is_one_clear_error() {
    let errors = load(std::path::Path::new("/absent/torg.toml"), KINDS).unwrap_err();
    assert_eq!(errors.len(), 1);
    assert!(errors[0].to_string().starts_with("/absent/torg.toml: cannot be read: No such file"), "{}", errors[0]);
}

#[test]
fn relative_paths_start_at_the_file_that_names_them() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("torg.toml");
    std::fs::write(&file, format!("{SMALL}[store]\npath = \"data/torg.db\"\n")).unwrap();
    assert_eq!(load(&file, KINDS).unwrap().settings.store, dir.path().join("data/torg.db"));
}

#[test]
fn a_restart_is_needed_for_domain_store_and_listeners_but_not_for_friends() {
    let settings = |text: &str| parse("torg.toml", text, KINDS).unwrap().settings;
    let old = settings(WITH_CONCENTRATOR);
    let friends = settings(&format!("{WITH_CONCENTRATOR}friends = [\"anna@site.example\"]\n"));
    assert_eq!(needs_restart(&old, &friends), []);
    let other = settings(
        "[broker]\ndomain = \"other.example\"\n[broker.listen]\nc2s = []\n[store]\npath = \"other.db\"\n\
         [concentrator]\njid = \"gateway@other.example\"\n",
    );
    let keys: Vec<&str> = needs_restart(&old, &other).iter().map(|needed| needed.key).collect();
    assert_eq!(keys, ["broker.domain", "broker.listen.c2s", "store.path", "concentrator.jid"]);
}

#[test]
fn a_broker_on_another_machine_needs_port_and_password_file() {
    let remote = "[broker]\ndomain = \"site.example\"\n[concentrator]\njid = \"gateway@other.example\"\n";
    assert_eq!(
        errors(&format!("{remote}server = \"other.example\"\n")),
        [
            "torg.toml:5:10: concentrator.server: \"other.example\" has no port; expected HOST:PORT, such as broker.example:5222; did you mean `other.example:5222`?",
            "torg.toml:5:10: concentrator.server: needs password_file, the file with its password at that server",
        ]
    );
}

#[test]
fn a_password_file_without_a_server_is_refused() {
    assert_eq!(
        errors(&format!("{WITH_CONCENTRATOR}password_file = \"gateway.password\"\n")),
        ["torg.toml:5:17: concentrator.password_file: is only for a broker on another machine, and no server is named"]
    );
}

#[test]
fn a_friend_whose_account_anybody_could_make_is_refused() {
    let with = |registration: &str, friend: &str| {
        let broker = format!("[broker]\ndomain = \"site.example\"\nregistration = \"{registration}\"\n");
        let concentrator = format!("[concentrator]\njid = \"gateway@site.example\"\nfriends = [\"{friend}\"]\n");
        errors(&(broker + &concentrator))
    };
    let refused = with("open", "anna@site.example");
    assert!(
        refused[0].contains("concentrator.friends[0]") && refused[0].contains("registration is open"),
        "{refused:?}"
    );
    assert_eq!(with("closed", "anna@site.example"), Vec::<String>::new());
    assert_eq!(with("open", "anna@other.example"), Vec::<String>::new());
}

#[test]
fn a_contact_is_an_address_to_write_to() {
    let found = errors(&format!("{SMALL}contact.admin = [\"ops@site.example\"]\n"));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("broker.contact.admin[0]") && found[0].contains("mailto:ops@site.example"), "{found:?}");
}

#[test]
fn registration_is_closed_unless_it_is_opened() {
    let open = |line: &str| parse("torg.toml", &format!("{SMALL}{line}\n"), KINDS).unwrap().settings.broker;
    assert!(!open("").open_registration);
    assert!(!open("registration = \"closed\"").open_registration);
    assert!(open("registration = \"open\"").open_registration);
}

#[test]
fn limits_have_limits_of_their_own() {
    let with = |limits: &str| format!("{SMALL}[broker.limits]\n{limits}\n");
    assert_eq!(errors(&with("sessions_per_account = 1")), Vec::<String>::new());
    assert_eq!(errors(&with("sessions_per_account = 1000")), Vec::<String>::new());
    assert_eq!(
        errors(&with("sessions_per_account = 0")),
        [
            "torg.toml:4:24: broker.limits.sessions_per_account: out of range: found 0, expected an integer from 1 to 1000"
        ]
    );
    assert_eq!(errors(&with("sessions_per_account = 1001")).len(), 1);
}

#[test]
fn an_administrator_may_never_do_less_than_others() {
    let text = format!("{SMALL}[broker.limits]\nbytes_per_second = 5000000\n");
    let limits = parse("torg.toml", &text, KINDS).unwrap().settings.broker.limits;
    for class in [limits.thing, limits.person, limits.admin, limits.service] {
        assert_eq!(class.rate.per_second, 5_000_000);
    }
    assert_eq!(limits.sessions_per_account, 10);
}

#[test]
fn the_sample_with_every_comment_taken_away_has_no_unknown_key() {
    // What is commented out must be as right as the rest: only files that are not there may be missed, and of the two ways to a
    // certificate only one may be taken.
    let text: String = SAMPLE
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(rest) if rest.starts_with('[') || rest.contains(" = ") => format!("{rest}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    let errors: Vec<String> = parse("torg.toml", &text, crate::catalog::BRIDGES)
        .err()
        .unwrap_or_default()
        .iter()
        .map(ToString::to_string)
        .filter(|error| {
            let excused = ["cannot be read", "cannot read", "is not a directory", "[broker.tls] exclude each other"];
            !excused.iter().any(|excuse| error.contains(excuse))
        })
        .collect();
    assert_eq!(errors, Vec::<String>::new());
}
