//! What changes between two configurations: which lines stop, start or go on, and what only a restart can change.

use std::collections::BTreeMap;
use std::sync::Arc;

use torg_thing::SourceId;

use super::checked::Settings;

/// A line's identity across reloads.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct LineKey {
    /// Name of the bridge.
    pub bridge: SourceId,
    /// Name of the line in it.
    pub line: Arc<str>,
}

/// What a reload does to one line.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LineChange {
    /// It is no longer configured: stopped.
    Gone,
    /// It is configured as before: untouched, its socket stays open.
    Kept,
    /// It is new: started.
    New,
    /// It is configured differently: stopped, then started.
    Replaced,
}

/// Compares lines by their fingerprints.
#[must_use]
pub fn lines(old: &BTreeMap<LineKey, String>, new: &BTreeMap<LineKey, String>) -> BTreeMap<LineKey, LineChange> {
    let mut changes: BTreeMap<LineKey, LineChange> = old.keys().map(|key| (key.clone(), LineChange::Gone)).collect();
    for (key, fingerprint) in new {
        let change = match old.get(key) {
            None => LineChange::New,
            Some(before) if before == fingerprint => LineChange::Kept,
            Some(_) => LineChange::Replaced,
        };
        changes.insert(key.clone(), change);
    }
    changes
}

/// A setting that a reload cannot change.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RestartNeeded {
    /// Key of the setting.
    pub key: &'static str,
}

/// The settings that differ and only take effect after a restart.
#[must_use]
pub fn needs_restart(old: &Settings, new: &Settings) -> Vec<RestartNeeded> {
    let concentrator =
        |settings: &Settings| settings.concentrator.as_ref().map(|concentrator| concentrator.jid.clone());
    let remote =
        |settings: &Settings| settings.concentrator.as_ref().and_then(|concentrator| concentrator.remote.clone());
    // The peers themselves change while running.
    let listeners = |settings: &Settings| {
        settings.broker.federation.as_ref().map(|on| (on.s2s.clone(), on.s2s_tls.clone(), on.dns.clone()))
    };
    let web = |settings: &Settings| {
        let web = &settings.broker.web;
        (web.websocket.clone(), web.origins.clone(), web.channel_binding, web.admin_token_file.clone())
    };
    let differences = [
        ("broker.domain", old.broker.domain != new.broker.domain),
        ("broker.admins", old.broker.admins != new.broker.admins),
        ("broker.listen.c2s", old.broker.c2s != new.broker.c2s),
        ("broker.listen.c2s_tls", old.broker.c2s_tls != new.broker.c2s_tls),
        ("broker.listen.s2s", listeners(old) != listeners(new)),
        ("broker.listen.https", old.broker.web.https != new.broker.web.https),
        ("broker.listen.http", old.broker.web.http != new.broker.web.http),
        ("broker.listen.admin", old.broker.web.admin != new.broker.web.admin),
        ("broker.component", old.broker.components != new.broker.components),
        ("broker.web", web(old) != web(new)),
        ("broker.acme", old.broker.acme != new.broker.acme),
        ("broker.auth.scram_sha_1", old.broker.scram_sha_1 != new.broker.scram_sha_1),
        ("broker.registration", old.broker.open_registration != new.broker.open_registration),
        ("broker.server_info", old.broker.public_server_info != new.broker.public_server_info),
        ("broker.contact", old.broker.contacts != new.broker.contacts),
        ("broker.limits", old.broker.limits != new.broker.limits),
        ("broker.auth.plain", old.broker.plain != new.broker.plain),
        ("broker.auth.tokens", old.broker.tokens != new.broker.tokens),
        ("broker.auth.downgrade_protection", old.broker.downgrade_protection != new.broker.downgrade_protection),
        ("broker.auth.client_ca", old.broker.client_ca != new.broker.client_ca),
        ("store.path", old.store != new.store),
        ("concentrator.jid", concentrator(old) != concentrator(new)),
        ("concentrator.server", remote(old) != remote(new)),
        ("log.format", old.log.format != new.log.format),
    ];
    differences.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| RestartNeeded { key }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(lines: &[(&str, &str)]) -> BTreeMap<LineKey, String> {
        let key = |name: &str| LineKey { bridge: SourceId::parse("plant").unwrap(), line: name.into() };
        lines.iter().map(|(name, fingerprint)| (key(name), (*fingerprint).to_owned())).collect()
    }

    #[test]
    fn a_line_is_kept_replaced_gone_or_new() {
        let old = set(&[("kept", "1"), ("replaced", "1"), ("gone", "1")]);
        let new = set(&[("kept", "1"), ("replaced", "2"), ("new", "1")]);
        let changes: Vec<(String, LineChange)> =
            lines(&old, &new).into_iter().map(|(key, change)| (key.line.to_string(), change)).collect();
        assert_eq!(
            changes,
            [
                ("gone".to_owned(), LineChange::Gone),
                ("kept".to_owned(), LineChange::Kept),
                ("new".to_owned(), LineChange::New),
                ("replaced".to_owned(), LineChange::Replaced),
            ]
        );
    }

    #[test]
    fn the_same_line_of_another_bridge_is_another_line() {
        let old = set(&[("meters", "1")]);
        let new: BTreeMap<_, _> = old
            .iter()
            .map(|(key, print)| (LineKey { bridge: SourceId::parse("cellar").unwrap(), ..key.clone() }, print.clone()))
            .collect();
        let changes: Vec<LineChange> = lines(&old, &new).into_values().collect();
        assert_eq!(changes, [LineChange::New, LineChange::Gone]);
    }
}
