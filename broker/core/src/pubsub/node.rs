//! A node as the service sees it, and the compact text in which its configuration is a column of a row.

use torg_wire::jid::BareJid;
use torg_wire::xep::pubsub::{AccessModel, Config, PublishModel, SendLast};

/// A node, as it was when it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    /// Never used again.
    pub(crate) id: i64,
    /// Grows with every change but publications: a decision holds for the version it was made on.
    pub(crate) version: i64,
    /// Number of the newest item on disk; 0 if there was none yet.
    pub(crate) last: i64,
    /// The account, or the address of the service.
    pub(crate) service: BareJid,
    pub(crate) name: String,
    /// Whose quota it counts for: who made it. Its presence and roster are meant by the access models of those names.
    pub(crate) payer: BareJid,
    /// Microseconds since 1970.
    pub(crate) created: i64,
    pub(crate) config: Config,
}

impl Node {
    /// Whether it is a node of an account (XEP-0163).
    pub(crate) fn is_personal(&self) -> bool {
        self.service.local().is_some()
    }
}

/// Parts and groups are joined by characters that XML cannot carry, so no text of a form contains them.
const PART: char = '\u{1F}';
const GROUP: char = '\u{1E}';

/// The switches, in the order of their bits; new ones go last.
fn flags(config: &mut Config) -> [&mut bool; 11] {
    [
        &mut config.persist,
        &mut config.reject_when_full,
        &mut config.notify,
        &mut config.payloads,
        &mut config.notify_config,
        &mut config.notify_delete,
        &mut config.notify_retract,
        &mut config.notify_subscriptions,
        &mut config.presence_based,
        &mut config.subscribe,
        &mut config.normal_messages,
    ]
}

/// As text for a column.
pub(crate) fn pack(config: &Config) -> String {
    let mut config = config.clone();
    let bits: String = flags(&mut config).iter().map(|flag| if **flag { '1' } else { '0' }).collect();
    let groups = config.groups.join(&GROUP.to_string());
    let Config { title, description, payload, access, publish, items, payload_bytes, send_last, .. } = config;
    let (access, publish, send_last) = (access.name(), publish.name(), send_last.name());
    format!(
        "{bits}{PART}{access}{PART}{publish}{PART}{send_last}{PART}{items}{PART}{payload_bytes}{PART}{title}{PART}\
         {description}{PART}{payload}{PART}{groups}"
    )
}

/// The configuration that was packed; `None` if the text is not one.
pub(crate) fn unpack(text: &str) -> Option<Config> {
    let mut parts = text.split(PART);
    let bits = parts.next()?;
    let (access, publish, send_last) = (parts.next()?, parts.next()?, parts.next()?);
    let mut config = Config {
        access: AccessModel::ALL.into_iter().find(|model| model.name() == access)?,
        publish: PublishModel::ALL.into_iter().find(|model| model.name() == publish)?,
        send_last: SendLast::ALL.into_iter().find(|when| when.name() == send_last)?,
        items: parts.next()?.parse().ok()?,
        payload_bytes: parts.next()?.parse().ok()?,
        title: parts.next()?.to_owned(),
        description: parts.next()?.to_owned(),
        payload: parts.next()?.to_owned(),
        groups: parts.next()?.split(GROUP).filter(|group| !group.is_empty()).map(str::to_owned).collect(),
        ..Config::default()
    };
    for (flag, bit) in flags(&mut config).into_iter().zip(bits.chars()) {
        *flag = bit == '1';
    }
    Some(config)
}

#[cfg(test)]
mod tests {
    use super::super::limits::BOUNDS;
    use super::*;

    #[test]
    fn a_configuration_unpacks_as_it_was_packed() {
        let full = Config {
            title: "A <title>".into(),
            groups: vec!["Friends".into(), "Family".into()],
            reject_when_full: true,
            normal_messages: true,
            ..Config::shared(&BOUNDS)
        };
        for config in [Config::personal(&BOUNDS), Config::shared(&BOUNDS), full, Config::default()] {
            assert_eq!(unpack(&pack(&config)), Some(config));
        }
    }

    #[test]
    fn other_text_is_no_configuration() {
        for text in ["", "1", "11111\u{1F}open"] {
            assert_eq!(unpack(text), None, "{text}");
        }
    }
}
