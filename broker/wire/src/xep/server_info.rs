//! What a server says of itself to people, in forms of its discovery information (XEP-0128): whom to write to (XEP-0157) and what becomes
//! of data (XEP-0504).

use super::data_forms::{DataForm, FieldKind, FormField, FormKind};
use crate::ns;

/// Addresses to write to, as URIs such as `mailto:` and `xmpp:`; by role, in the order of XEP-0157 §3.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Contacts {
    /// Misuse of the service.
    pub abuse: Vec<String>,
    /// Who runs it.
    pub admin: Vec<String>,
    /// Praise and blame.
    pub feedback: Vec<String>,
    /// Buying.
    pub sales: Vec<String>,
    /// Holes in it.
    pub security: Vec<String>,
    /// Whether it works just now.
    pub status: Vec<String>,
    /// Help.
    pub support: Vec<String>,
}

impl Contacts {
    /// The form; `None` if there is nothing to say. `info_node`: where the server tells which others it talks to, if it does; that stands
    /// in the same form (XEP-0485 §9.2).
    pub fn form(&self, info_node: Option<String>) -> Option<DataForm> {
        let fields = [
            ("abuse-addresses", &self.abuse),
            ("admin-addresses", &self.admin),
            ("feedback-addresses", &self.feedback),
            ("sales-addresses", &self.sales),
            ("security-addresses", &self.security),
            ("status-addresses", &self.status),
            ("support-addresses", &self.support),
        ];
        let given = fields.into_iter().filter(|(_, uris)| !uris.is_empty());
        let mut fields: Vec<_> = given.map(|(var, uris)| field(FieldKind::ListMulti, var, uris.clone())).collect();
        fields.extend(info_node.map(|uri| field(FieldKind::TextSingle, "serverinfo-pubsub-node", vec![uri])));
        (!fields.is_empty()).then(|| result(ns::SERVER_INFO, fields))
    }
}

/// What becomes of data at a server that keeps them in the clear, for its users and its administrators.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct DataPolicy {
    /// Whether passwords are proven without being shown (SCRAM) or seen by the server (PLAIN).
    pub passwords_seen: bool,
    /// Anything else, for people.
    pub remarks: Vec<String>,
}

impl DataPolicy {
    /// The form.
    pub fn form(&self) -> DataForm {
        let one = |kind, var, value: &str| field(kind, var, vec![value.into()]);
        result(
            ns::DATA_POLICY,
            vec![
                one(FieldKind::ListSingle, "auth_data", if self.passwords_seen { "plain" } else { "hidden" }),
                // Messages wait until they are fetched; what users keep stays until they delete it.
                one(FieldKind::TextSingle, "data_retention", "infinite"),
                one(FieldKind::Boolean, "data_deletion", "true"),
                one(FieldKind::Boolean, "encryption_at_rest", "false"),
                one(FieldKind::Boolean, "data_export", "false"),
                one(FieldKind::ListMulti, "access_policy", "admins"),
                one(FieldKind::Boolean, "full_erasure", "true"),
                field(FieldKind::TextMulti, "extra_info", self.remarks.clone()),
            ],
        )
    }
}

fn field(kind: FieldKind, var: &str, values: Vec<String>) -> FormField {
    FormField { values, ..FormField::new(kind, var) }
}

fn result(kind: &str, fields: Vec<FormField>) -> DataForm {
    let first = field(FieldKind::Hidden, "FORM_TYPE", vec![kind.into()]);
    DataForm { kind: FormKind::Result, fields: std::iter::once(first).chain(fields).collect(), ..DataForm::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value<'a>(form: &'a DataForm, var: &str) -> Option<&'a str> {
        form.field(var).and_then(FormField::value)
    }

    #[test]
    fn only_roles_with_somebody_behind_them_are_shown() {
        assert_eq!(Contacts::default().form(None), None);
        let contacts = Contacts { admin: vec!["mailto:ops@site.example".into()], ..Contacts::default() };
        let form = contacts.form(None).unwrap();
        assert_eq!(value(&form, "FORM_TYPE"), Some("http://jabber.org/network/serverinfo"));
        assert_eq!(value(&form, "admin-addresses"), Some("mailto:ops@site.example"));
        assert_eq!(form.fields.len(), 2);
    }

    #[test]
    fn where_the_server_tells_of_others_stands_in_the_same_form() {
        let form = Contacts::default().form(Some("xmpp:pubsub.site.example?;node=serverinfo".into())).unwrap();
        assert_eq!(value(&form, "FORM_TYPE"), Some("http://jabber.org/network/serverinfo"));
        assert_eq!(value(&form, "serverinfo-pubsub-node"), Some("xmpp:pubsub.site.example?;node=serverinfo"));
    }

    #[test]
    fn the_policy_tells_whether_passwords_are_seen() {
        for (passwords_seen, expected) in [(true, "plain"), (false, "hidden")] {
            let form = DataPolicy { passwords_seen, remarks: Vec::new() }.form();
            assert_eq!(value(&form, "auth_data"), Some(expected));
            assert_eq!(value(&form, "FORM_TYPE"), Some("urn:xmpp:data-policy:0"));
        }
    }
}
