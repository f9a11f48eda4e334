//! How a node behaves: the configuration, and the `pubsub#node_config` form that shows and changes it (XEP-0060 §16.4.4,
//! XEP-0068). What a form leaves out stays as it is; fields of other implementations are no mistake, except as preconditions.

use super::{AccessModel, PublishModel, SendLast};
use crate::xep::data_forms::{DataForm, FieldKind, FormField, FormKind, FormOption, Validation};

/// How a node behaves.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Config {
    /// Name for people.
    pub title: String,
    /// What it is about.
    pub description: String,
    /// Namespace of the payloads, for people and programs that look for it.
    pub payload: String,
    /// Who may subscribe and read.
    pub access: AccessModel,
    /// Groups of the owner's roster, for the access model roster.
    pub groups: Vec<String>,
    /// Who may publish.
    pub publish: PublishModel,
    /// Items kept.
    pub items: usize,
    /// Bytes of a payload.
    pub payload_bytes: usize,
    /// Items can be read later.
    pub persist: bool,
    /// A full node refuses a new item instead of dropping its oldest.
    pub reject_when_full: bool,
    /// Events are sent at all.
    pub notify: bool,
    /// Events carry payloads.
    pub payloads: bool,
    /// Another configuration is an event.
    pub notify_config: bool,
    /// The end of the node is an event.
    pub notify_delete: bool,
    /// Retracted items are events.
    pub notify_retract: bool,
    /// Owners hear of new and ended subscriptions.
    pub notify_subscriptions: bool,
    /// Only to those who are on line.
    pub presence_based: bool,
    /// Subscribing is possible.
    pub subscribe: bool,
    /// When the last item is sent by itself.
    pub send_last: SendLast,
    /// Events are normal messages, which wait for those who are away, instead of headlines, which do not.
    pub normal_messages: bool,
}

/// How far a service lets its nodes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Items of a node.
    pub items: usize,
    /// Bytes of a payload.
    pub payload_bytes: usize,
    /// Bytes of a title, a description, a name of a group.
    pub text: usize,
    /// Groups.
    pub groups: usize,
}

/// Why a form cannot be applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigFault {
    /// No such access model.
    AccessModel,
    /// No such value.
    Value,
    /// No such field; only preconditions are that strict (§7.1.5).
    Unknown,
}

const NODE_CONFIG: &str = "http://jabber.org/protocol/pubsub#node_config";
/// A number, or the word `max` for the most there is (XEP-0060 §16.7).
const INTEGER_OR_MAX: &str = "pubsub:integer-or-max";

impl Config {
    /// What a personal node is unless its owner says otherwise (XEP-0163 §5).
    pub fn personal(bounds: &Bounds) -> Self {
        Config {
            access: AccessModel::Presence,
            items: 1,
            payload_bytes: bounds.payload_bytes,
            persist: true,
            notify: true,
            payloads: true,
            notify_delete: true,
            notify_retract: true,
            presence_based: true,
            subscribe: true,
            send_last: SendLast::OnPresence,
            ..Config::default()
        }
    }

    /// What a node of a service is unless its owner says otherwise.
    pub fn shared(bounds: &Bounds) -> Self {
        Config {
            access: AccessModel::Open,
            items: bounds.items,
            presence_based: false,
            send_last: SendLast::OnSubscription,
            ..Config::personal(bounds)
        }
    }

    /// The form of the present configuration: to be filled in, or as the result of a question.
    pub fn form(&self, kind: FormKind) -> DataForm {
        let mut fields =
            vec![FormField { values: vec![NODE_CONFIG.to_owned()], ..FormField::new(FieldKind::Hidden, "FORM_TYPE") }];
        fields.extend(FIELDS.iter().map(|field| {
            let names = |all: &[&str]| {
                let option = |name: &&str| FormOption { value: (*name).to_owned(), label: None };
                all.iter().map(option).collect()
            };
            let (kind, values, options, datatype) = match field.show(self) {
                Shown::Flag(on) => (FieldKind::Boolean, vec![if on { "1" } else { "0" }.to_owned()], Vec::new(), None),
                Shown::Choice(value, all) => (FieldKind::ListSingle, vec![value.to_owned()], names(all), None),
                Shown::Number(number) => {
                    (FieldKind::TextSingle, vec![number.to_string()], Vec::new(), Some(INTEGER_OR_MAX))
                }
                Shown::Text(text) => (FieldKind::TextSingle, vec![text.to_owned()], Vec::new(), None),
                Shown::Texts(texts) => (FieldKind::TextMulti, texts.to_vec(), Vec::new(), None),
            };
            FormField {
                values,
                options,
                label: Some(field.label.to_owned()),
                validation: datatype.map(Validation::basic),
                ..FormField::new(kind, format!("pubsub#{}", field.name))
            }
        }));
        DataForm { kind, fields, ..DataForm::default() }
    }

    /// Applies a form that was filled in. Fields that are not ours are ignored.
    ///
    /// # Errors
    /// See [`ConfigFault`]; then nothing has changed.
    pub fn apply(&mut self, form: &DataForm, bounds: &Bounds) -> Result<(), ConfigFault> {
        self.change(form, bounds, false)
    }

    /// This configuration with these preconditions fulfilled (§7.1.5); equal to this one if they are.
    ///
    /// # Errors
    /// [`ConfigFault::Unknown`] for a field that is not ours, and whatever [`Config::apply`] says.
    pub fn required_by(&self, form: &DataForm, bounds: &Bounds) -> Result<Self, ConfigFault> {
        let mut wanted = self.clone();
        wanted.change(form, bounds, true)?;
        Ok(wanted)
    }

    fn change(&mut self, form: &DataForm, bounds: &Bounds, strict: bool) -> Result<(), ConfigFault> {
        let mut next = self.clone();
        for field in form.fields.iter().filter(|field| field.var != "FORM_TYPE" && field.kind != Some(FieldKind::Fixed))
        {
            let name = field.var.strip_prefix("pubsub#").unwrap_or_default();
            match FIELDS.iter().find(|known| known.name == name) {
                Some(known) => known.set(&mut next, &field.values, bounds)?,
                // The one type there is.
                None if name == "node_type" && field.value() == Some("leaf") => {}
                None if strict || name == "node_type" => return Err(ConfigFault::Unknown),
                None => {}
            }
        }
        *self = next;
        Ok(())
    }
}

/// A value of the configuration as forms show it.
enum Shown<'a> {
    Choice(&'static str, &'static [&'static str]),
    Flag(bool),
    Number(usize),
    Text(&'a str),
    Texts(&'a [String]),
}

/// One field of the form.
struct Field {
    /// After `pubsub#`.
    name: &'static str,
    label: &'static str,
    part: Part,
}

#[derive(Clone, Copy)]
enum Part {
    Access,
    Description,
    Flag(fn(&mut Config) -> &mut bool),
    Full,
    Groups,
    Items,
    Notification,
    Payload,
    PayloadBytes,
    Publish,
    SendLast,
    Title,
}

const ACCESS: &[&str] = &["authorize", "open", "presence", "roster", "whitelist"];
const PUBLISH: &[&str] = &["publishers", "subscribers", "open"];
const SEND_LAST: &[&str] = &["never", "on_sub", "on_sub_and_presence"];
const NOTIFICATION: &[&str] = &["normal", "headline"];
const FULL: &[&str] = &["retract-oldest", "reject"];

const fn field(name: &'static str, label: &'static str, part: Part) -> Field {
    Field { name, label, part }
}

const FIELDS: &[Field] = &[
    field("title", "Name of the node", Part::Title),
    field("description", "What the node is about", Part::Description),
    field("type", "Namespace of the payloads", Part::Payload),
    field("access_model", "Who may subscribe and read", Part::Access),
    field("roster_groups_allowed", "Groups of the roster that may subscribe and read", Part::Groups),
    field("publish_model", "Who may publish", Part::Publish),
    field("max_items", "Items to keep; max for as many as there may be", Part::Items),
    field("max_payload_size", "Bytes of a payload", Part::PayloadBytes),
    field("publish_node_full", "What a full node does with a new item", Part::Full),
    field("persist_items", "Keep items", Part::Flag(|config| &mut config.persist)),
    field("deliver_notifications", "Send events", Part::Flag(|config| &mut config.notify)),
    field("deliver_payloads", "Send payloads with events", Part::Flag(|config| &mut config.payloads)),
    field("notify_config", "Tell of another configuration", Part::Flag(|config| &mut config.notify_config)),
    field("notify_delete", "Tell of the end of the node", Part::Flag(|config| &mut config.notify_delete)),
    field("notify_retract", "Tell of items that are removed", Part::Flag(|config| &mut config.notify_retract)),
    field("notify_sub", "Tell owners of subscriptions", Part::Flag(|config| &mut config.notify_subscriptions)),
    field("presence_based_delivery", "Only to those on line", Part::Flag(|config| &mut config.presence_based)),
    field("subscribe", "Allow subscriptions", Part::Flag(|config| &mut config.subscribe)),
    field("send_last_published_item", "When to send the last item", Part::SendLast),
    field("notification_type", "Type of event messages", Part::Notification),
];

impl Field {
    fn show<'a>(&self, config: &'a Config) -> Shown<'a> {
        match self.part {
            Part::Access => Shown::Choice(config.access.name(), ACCESS),
            Part::Description => Shown::Text(&config.description),
            Part::Flag(flag) => Shown::Flag(*flag(&mut config.clone())),
            Part::Full => Shown::Choice(if config.reject_when_full { "reject" } else { "retract-oldest" }, FULL),
            Part::Groups => Shown::Texts(&config.groups),
            Part::Items => Shown::Number(config.items),
            Part::Notification => {
                Shown::Choice(if config.normal_messages { "normal" } else { "headline" }, NOTIFICATION)
            }
            Part::Payload => Shown::Text(&config.payload),
            Part::PayloadBytes => Shown::Number(config.payload_bytes),
            Part::Publish => Shown::Choice(config.publish.name(), PUBLISH),
            Part::SendLast => Shown::Choice(config.send_last.name(), SEND_LAST),
            Part::Title => Shown::Text(&config.title),
        }
    }

    fn set(&self, config: &mut Config, values: &[String], bounds: &Bounds) -> Result<(), ConfigFault> {
        let value = values.first().map_or("", |value| value.trim());
        let number = |most: usize| match value {
            "max" | "" => Ok(most),
            digits => digits.parse().map(|number: usize| number.min(most)).map_err(|_| ConfigFault::Value),
        };
        let fits = |text: &str| text.len() <= bounds.text;
        let text = || if fits(value) { Ok(value.to_owned()) } else { Err(ConfigFault::Value) };
        match self.part {
            Part::Access => {
                let model = AccessModel::ALL.into_iter().find(|model| model.name() == value);
                config.access = model.ok_or(ConfigFault::AccessModel)?;
            }
            Part::Description => config.description = text()?,
            Part::Flag(flag) => {
                *flag(config) = match value {
                    "1" | "true" => true,
                    "0" | "false" => false,
                    _ => return Err(ConfigFault::Value),
                }
            }
            Part::Full => match value {
                "retract-oldest" | "discard-oldest" => config.reject_when_full = false,
                "reject" => config.reject_when_full = true,
                _ => return Err(ConfigFault::Value),
            },
            Part::Groups => {
                if values.len() > bounds.groups || !values.iter().all(|group| fits(group)) {
                    return Err(ConfigFault::Value);
                }
                config.groups = values.to_vec();
            }
            Part::Items => config.items = number(bounds.items)?.max(1),
            Part::Notification => match value {
                "normal" => config.normal_messages = true,
                "headline" => config.normal_messages = false,
                _ => return Err(ConfigFault::Value),
            },
            Part::Payload => config.payload = text()?,
            Part::PayloadBytes => config.payload_bytes = number(bounds.payload_bytes)?,
            Part::Publish => {
                let model = PublishModel::ALL.into_iter().find(|model| model.name() == value);
                config.publish = model.ok_or(ConfigFault::Value)?;
            }
            Part::SendLast => {
                let when = SendLast::ALL.into_iter().find(|when| when.name() == value);
                config.send_last = when.ok_or(ConfigFault::Value)?;
            }
            Part::Title => config.title = text()?,
        }
        Ok(())
    }
}
