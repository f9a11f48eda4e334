//! External components: where they may connect, which domains they may have, what keeps their secrets.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use super::*;

/// A folder with the secret of a component in a file of this mode.
fn secret(text: &str, mode: u32) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rooms.secret");
    fs::write(&file, text).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
    (folder, file.display().to_string())
}

const GOOD: &str = "0123456789abcdef\n";

fn with(listen: &str, domains: &[&str], file: &str) -> String {
    let sections =
        domains.iter().map(|domain| format!("[[broker.component]]\ndomain = \"{domain}\"\nsecret_file = \"{file}\"\n"));
    let sections: String = sections.collect();
    format!("[broker]\ndomain = \"site.example\"\n[broker.listen]\n{listen}\n{sections}")
}

const LISTEN: &str = "component = [\"127.0.0.1:5347\", \"[::1]:5347\"]";

#[test]
fn without_a_listener_there_are_no_components() {
    let config = parse("torg.toml", SMALL, KINDS).unwrap();
    assert_eq!(config.settings.broker.components, ComponentsConfig::default());
}

#[test]
fn a_component_has_its_domain_and_its_secret_and_is_named_by_the_certificate() {
    let (_folder, file) = secret(GOOD, 0o600);
    let config = parse("torg.toml", &with(LISTEN, &["Rooms.site.example", "other.example"], &file), KINDS).unwrap();
    let components = &config.settings.broker.components;
    assert_eq!(components.listen.len(), 2);
    let names: Vec<&str> = components.components.iter().map(|component| component.domain.as_str()).collect();
    assert_eq!(names, ["rooms.site.example", "other.example"]);
    assert_eq!(components.components[0].secret().unwrap().expose(), "0123456789abcdef");
    assert_eq!(config.settings.broker.services(), ["pubsub.site.example", "rooms.site.example", "other.example"]);
}

#[test]
fn listeners_that_others_can_reach_are_refused() {
    let (_folder, file) = secret(GOOD, 0o600);
    let found = errors(&with("component = [\"0.0.0.0:5347\"]", &["rooms.site.example"], &file));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("torg.toml:4:") && found[0].contains("127.0.0.1:5347"), "{found:?}");
}

#[test]
fn components_without_a_listener_and_a_listener_without_components_are_told() {
    let (_folder, file) = secret(GOOD, 0o600);
    let found = errors(&with("", &["rooms.site.example"], &file));
    assert!(found.len() == 1 && found[0].contains("has no effect"), "{found:?}");
    let found = errors(&with(LISTEN, &[], &file));
    assert!(found.len() == 1 && found[0].contains("lets nobody in"), "{found:?}");
}

#[test]
fn a_domain_that_is_somebody_else_s_is_refused() {
    let (_folder, file) = secret(GOOD, 0o600);
    let peers = "s2s = []\n";
    for (domain, reason) in [
        ("site.example", "own domain"),
        ("pubsub.site.example", "a service of this server"),
        ("peer.example", "belongs to"),
        ("x.peer.example", "belongs to"),
        ("127.0.0.1", "is not a domain"),
        ("rooms@site.example", "`rooms.site.example`"),
        ("a b", "is not a domain"),
    ] {
        let text = with(&format!("{LISTEN}\n{peers}"), &[domain], &file);
        let found = errors(&format!("{text}[[broker.peer]]\ndomain = \"peer.example\"\n"));
        assert_eq!(found.len(), 1, "{domain}: {found:?}");
        assert!(found[0].contains("broker.component") && found[0].contains(reason), "{domain}: {found:?}");
    }
    let near = with(&format!("{LISTEN}\n{peers}"), &["notpeer.example"], &file);
    assert_eq!(errors(&format!("{near}[[broker.peer]]\ndomain = \"peer.example\"\n")), Vec::<String>::new());
}

#[test]
fn two_components_of_one_domain_are_told() {
    let (_folder, file) = secret(GOOD, 0o600);
    let found = errors(&with(LISTEN, &["rooms.site.example", "ROOMS.site.example"], &file));
    assert!(found.len() == 1 && found[0].contains("the first"), "{found:?}");
}

#[test]
fn a_secret_that_others_may_read_is_refused() {
    for (mode, is_good) in [(0o600, true), (0o400, true), (0o440, true), (0o620, false), (0o604, false), (0o601, false)]
    {
        let (_folder, file) = secret(GOOD, mode);
        let found = errors(&with(LISTEN, &["rooms.site.example"], &file));
        assert_eq!(found.is_empty(), is_good, "{mode:o}: {found:?}");
        assert!(is_good || found[0].contains("chmod 600"), "{found:?}");
    }
}

#[test]
fn a_secret_has_sixteen_characters_at_least() {
    for (text, is_good) in [("0123456789abcde", false), ("0123456789abcdef", true), ("\n0123456789abcdef", false)] {
        let (_folder, file) = secret(text, 0o600);
        let found = errors(&with(LISTEN, &["rooms.site.example"], &file));
        assert_eq!(found.is_empty(), is_good, "{text}: {found:?}");
        assert!(!found.concat().contains("0123456789"), "the secret itself is never shown");
    }
    let found = errors(&with(LISTEN, &["rooms.site.example"], "/no/such/file"));
    assert!(found.len() == 1 && found[0].contains("cannot be read"), "{found:?}");
}

#[test]
fn components_are_bounded() {
    let (_folder, file) = secret(GOOD, 0o600);
    let names: Vec<String> = (0..=COMPONENTS_MAX).map(|n| format!("c{n}.site.example")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    assert!(errors(&with(LISTEN, &names[1..], &file)).is_empty());
    let found = errors(&with(LISTEN, &names, &file));
    assert!(found.len() == 1 && found[0].contains("at most 64"), "{found:?}");
}
