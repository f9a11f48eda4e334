//! The commands, the forms they ask for, and how a form that was handed in is read.

use futures_util::future::BoxFuture;
use torg_wire::jid::{BareJid, Jid};
use torg_wire::ns;
use torg_wire::secret::Secret;
use torg_wire::stanza::StanzaError;
use torg_wire::xep::commands::Fault;
use torg_wire::xep::data_forms::{DataForm, FieldKind, FormField, FormKind, FormOption};

use super::tasks::{self, Done};
use crate::router::Router;

/// Accounts named in one form: a screen full. More are a job for the command line.
const ACCOUNTS_MAX: usize = 100;

/// One command of XEP-0133.
pub(super) struct Command {
    /// What follows `http://jabber.org/protocol/admin#`.
    pub(super) name: &'static str,
    pub(super) label: &'static str,
    /// The fields it asks for; none for one that is done at once.
    fields: &'static [Field],
    pub(super) run: Run,
}

struct Field {
    var: &'static str,
    kind: FieldKind,
    label: &'static str,
    required: bool,
}

const fn required(var: &'static str, kind: FieldKind, label: &'static str) -> Field {
    Field { var, kind, label, required: true }
}

const fn optional(var: &'static str, kind: FieldKind, label: &'static str) -> Field {
    Field { var, kind, label, required: false }
}

const ACCOUNT: Field = required("accountjid", FieldKind::JidSingle, "Account");
const ACCOUNTS: Field = required("accountjids", FieldKind::JidMulti, "Accounts");
const PASSWORD: Field = required("password", FieldKind::TextPrivate, "Password");
const VERIFY: Field = required("password-verify", FieldKind::TextPrivate, "Password again");
const MAX: Field = optional("max_items", FieldKind::ListSingle, "Most to show");
const SUBJECT: Field = optional("subject", FieldKind::TextSingle, "Subject");
const TEXT: Field = required("announcement", FieldKind::TextMulti, "Announcement");

/// What one may choose for the length of a list (XEP-0133 §4.20).
const LENGTHS: [&str; 7] = ["25", "50", "75", "100", "150", "200", "none"];

type Run = for<'a> fn(&'a Router, &'a Jid, &'a DataForm) -> BoxFuture<'a, Result<Done, StanzaError>>;

const fn command(name: &'static str, label: &'static str, fields: &'static [Field], run: Run) -> Command {
    Command { name, label, fields, run }
}

/// All commands, in the order of the standard.
pub(super) const COMMANDS: &[Command] = &[
    command("add-user", "Add user", &[ACCOUNT, PASSWORD, VERIFY], |r, by, form| Box::pin(tasks::add_user(r, by, form))),
    command("delete-user", "Delete users", &[ACCOUNTS], |r, by, form| Box::pin(tasks::delete_users(r, by, form))),
    command("disable-user", "Switch users off", &[ACCOUNTS], |r, by, form| Box::pin(tasks::disable_users(r, by, form))),
    command("reenable-user", "Switch users on again", &[ACCOUNTS], |r, by, form| {
        Box::pin(tasks::reenable_users(r, by, form))
    }),
    command("end-user-session", "End sessions of users", &[ACCOUNTS], |r, by, form| {
        Box::pin(tasks::end_sessions(r, by, form))
    }),
    command("change-user-password", "Change password of a user", &[ACCOUNT, PASSWORD], |r, by, form| {
        Box::pin(tasks::change_password(r, by, form))
    }),
    command("get-user-roster", "Roster of a user", &[ACCOUNT], |r, by, form| Box::pin(tasks::roster(r, by, form))),
    command("get-user-lastlogin", "When a user was last there", &[ACCOUNT], |r, by, form| {
        Box::pin(tasks::last_login(r, by, form))
    }),
    command("user-stats", "Figures of a user", &[ACCOUNT], |r, by, form| Box::pin(tasks::user_stats(r, by, form))),
    command("get-registered-users-num", "Number of users", &[], |r, by, form| {
        Box::pin(tasks::count_registered(r, by, form))
    }),
    command("get-disabled-users-num", "Number of users switched off", &[], |r, by, form| {
        Box::pin(tasks::count_disabled(r, by, form))
    }),
    command("get-online-users-num", "Number of users on-line", &[], |r, by, form| {
        Box::pin(tasks::count_online(r, by, form))
    }),
    command("get-registered-users-list", "Users", &[MAX], |r, by, form| Box::pin(tasks::list_registered(r, by, form))),
    command("get-disabled-users-list", "Users switched off", &[MAX], |r, by, form| {
        Box::pin(tasks::list_disabled(r, by, form))
    }),
    command("get-online-users-list", "Users on-line", &[MAX], |r, by, form| Box::pin(tasks::list_online(r, by, form))),
    command("announce", "Tell all users on-line", &[SUBJECT, TEXT], |r, by, form| {
        Box::pin(tasks::announce(r, by, form))
    }),
];

impl Command {
    pub(super) fn node(&self) -> String {
        format!("{}#{}", ns::ADMIN, self.name)
    }

    /// The form to fill in.
    pub(super) fn form(&self) -> Option<DataForm> {
        if self.fields.is_empty() {
            return None;
        }
        let fields = self.fields.iter().map(|field| {
            let mut shown = FormField::new(field.kind, field.var);
            shown.label = Some(field.label.into());
            shown.required = field.required;
            if field.var == MAX.var {
                let option = |value: &str| FormOption { value: value.into(), label: None };
                shown.options = LENGTHS.map(option).into();
            }
            shown
        });
        let fields = std::iter::once(form_type()).chain(fields).collect();
        Some(DataForm { title: Some(self.label.into()), fields, ..DataForm::default() })
    }
}

fn form_type() -> FormField {
    let mut field = FormField::new(FieldKind::Hidden, "FORM_TYPE");
    field.values = vec![ns::ADMIN.into()];
    field
}

/// A result with these fields.
pub(super) fn result(fields: impl IntoIterator<Item = (&'static str, FieldKind, Vec<String>)>) -> DataForm {
    let field = |(var, kind, values): (&str, FieldKind, Vec<String>)| {
        let mut field = FormField::new(kind, var);
        field.values = values;
        field
    };
    let fields = std::iter::once(form_type()).chain(fields.into_iter().map(field)).collect();
    DataForm { kind: FormKind::Result, fields, ..DataForm::default() }
}

/// Whether a form was handed in, and for these commands.
pub(super) fn is_of_administration(form: &DataForm) -> bool {
    form.kind == FormKind::Submit && form.field("FORM_TYPE").and_then(FormField::value) == Some(ns::ADMIN)
}

/// The accounts a form names, for the log; passwords are no part of it.
pub(super) fn named(form: &DataForm) -> String {
    let fields = form.fields.iter().filter(|field| field.var == ACCOUNT.var || field.var == ACCOUNTS.var);
    fields.flat_map(|field| &field.values).take(ACCOUNTS_MAX).cloned().collect::<Vec<_>>().join(" ")
}

/// The one account a form names.
pub(super) fn account(router: &Router, form: &DataForm) -> Result<BareJid, StanzaError> {
    let value = form.field(ACCOUNT.var).and_then(FormField::value).ok_or(Fault::BadPayload)?;
    let jid = BareJid::parse(value).map_err(|_| Fault::BadPayload)?;
    of_ours(router, jid.as_jid()).map(|()| jid)
}

/// The accounts a form names, perhaps sessions of them.
pub(super) fn accounts(router: &Router, form: &DataForm) -> Result<Vec<Jid>, StanzaError> {
    let values = form.field(ACCOUNTS.var).map(|field| field.values.as_slice()).unwrap_or_default();
    if values.is_empty() || values.len() > ACCOUNTS_MAX {
        return Err(Fault::BadPayload.into());
    }
    let jids = values.iter().map(|value| Jid::parse(value).map_err(|_| StanzaError::from(Fault::BadPayload)));
    jids.map(|jid| jid.and_then(|jid| of_ours(router, &jid).map(|()| jid))).collect()
}

fn of_ours(router: &Router, jid: &Jid) -> Result<(), StanzaError> {
    if jid.local().is_some() && jid.domain() == router.domain().as_str() {
        Ok(())
    } else {
        Err(Fault::BadPayload.into())
    }
}

/// The password, given twice where the form asks for that.
pub(super) fn password(form: &DataForm, twice: bool) -> Result<Secret<String>, StanzaError> {
    let value = |var: &str| form.field(var).and_then(FormField::value).filter(|value| !value.is_empty());
    let password = value(PASSWORD.var).ok_or(Fault::BadPayload)?;
    if twice && value(VERIFY.var) != Some(password) {
        return Err(StanzaError::from(Fault::BadPayload).with_text("The passwords differ."));
    }
    Ok(Secret::new(password.to_owned()))
}

/// How long a list may be.
pub(super) fn length(form: &DataForm) -> Result<usize, StanzaError> {
    match form.field(MAX.var).and_then(FormField::value) {
        None | Some("none" | "") => Ok(usize::MAX),
        Some(number) => number.parse().map_err(|_| Fault::BadPayload.into()),
    }
}

/// Subject and text of an announcement.
pub(super) fn announcement(form: &DataForm) -> Result<(Option<String>, String), StanzaError> {
    let lines =
        |field: &Field| form.field(field.var).map(|field| field.values.join("\n")).filter(|text| !text.is_empty());
    Ok((lines(&SUBJECT), lines(&TEXT).ok_or(Fault::BadPayload)?))
}
