//! Ad-hoc commands and service administration (XEP-0050, XEP-0133).

use async_trait::async_trait;
use torg_core::{Administration, AdministrationError, ListedAccount};
use torg_wire::jid::BareJid;
use torg_wire::ns;
use torg_wire::secret::Secret;
use torg_wire::stanza::{Stanza, StanzaCondition};
use torg_wire::xep::commands::{Action, Request, Response, Status};
use torg_wire::xep::data_forms::{DataForm, FormField};
use torg_wire::xep::disco;
use torg_wire::xml::Element;

use crate::client::Client;
use crate::world::{Accounts, DOMAIN, World, jid};

#[async_trait]
impl Administration for Accounts {
    async fn create(&self, account: &BareJid, _: Secret<String>) -> Result<(), AdministrationError> {
        if self.known.lock().unwrap().contains_key(account) {
            return Err(AdministrationError::Exists);
        }
        self.add(account.local().unwrap());
        Ok(())
    }

    async fn remove(&self, account: &BareJid) -> Result<(), AdministrationError> {
        self.known.lock().unwrap().remove(account).map(drop).ok_or(AdministrationError::Unknown)
    }

    async fn set_password(&self, account: &BareJid, password: Secret<String>) -> Result<(), AdministrationError> {
        if password.expose().len() < 3 {
            return Err(AdministrationError::Password("short".into()));
        }
        self.known.lock().unwrap().get(account).map(drop).ok_or(AdministrationError::Unknown)
    }

    async fn set_disabled(&self, account: &BareJid, disabled: bool) -> Result<(), AdministrationError> {
        if disabled {
            Administration::remove(self, account).await?;
            self.disabled.lock().unwrap().insert(account.clone());
        } else if self.disabled.lock().unwrap().remove(account) {
            self.add(account.local().unwrap());
        } else {
            return Err(AdministrationError::Unknown);
        }
        Ok(())
    }

    async fn list(&self) -> Result<Vec<ListedAccount>, AdministrationError> {
        let known: Vec<_> = self.known.lock().unwrap().keys().cloned().collect();
        let off = self.disabled.lock().unwrap().clone();
        let listed = known.into_iter().map(|jid| ListedAccount { jid, disabled: false });
        let mut all: Vec<_> = listed.chain(off.into_iter().map(|jid| ListedAccount { jid, disabled: true })).collect();
        all.sort_by(|one, other| one.jid.cmp(&other.jid));
        Ok(all)
    }
}

fn stanza(id: &str, request: &Request) -> Stanza {
    Stanza::iq_set(id, request.encode()).with_to(jid(DOMAIN))
}

fn node(name: &str) -> String {
    format!("{}#{name}", ns::ADMIN)
}

async fn begin(client: &mut Client, name: &str) -> Stanza {
    client.ask(&stanza("begin", &Request::execute(node(name)))).await
}

fn response(answer: &Stanza) -> Response {
    Response::decode(answer.payload().unwrap_or_else(|| panic!("{answer:?}"))).unwrap()
}

/// A command from its beginning to its end, with these fields filled in.
async fn command(client: &mut Client, name: &str, fields: &[(&str, &str)]) -> Stanza {
    let begun = response(&begin(client, name).await);
    assert_eq!(begun.status, Status::Executing);
    assert!(begun.form.is_some_and(|form| fields.iter().all(|(var, _)| form.field(var).is_some())));
    let form = DataForm::submit().with_value("FORM_TYPE", ns::ADMIN);
    let form = fields.iter().fold(form, |form, (var, value)| form.with_value(*var, *value));
    let request =
        Request { node: node(name), session: Some(begun.session), action: Action::Complete, form: Some(form) };
    client.ask(&stanza("end", &request)).await
}

fn values(answer: &Stanza, var: &str) -> Vec<String> {
    response(answer).form.and_then(|form| form.field(var).map(|field| field.values.clone())).unwrap_or_default()
}

fn condition(answer: &Stanza) -> StanzaCondition {
    answer.error().unwrap_or_else(|| panic!("{answer:?}")).condition()
}

async fn admin(world: &World) -> Client {
    world.client("admin@site.example/desk").await
}

#[tokio::test]
async fn administrators_see_the_commands_and_nobody_else_does() {
    let world = World::new().await;
    let listed = Stanza::iq_get("list", disco::items_request(Some(ns::COMMANDS))).with_to(jid(DOMAIN));
    let info = Stanza::iq_get("info", disco::info_request(Some(&node("add-user")))).with_to(jid(DOMAIN));
    let mut admin = admin(&world).await;
    let items = disco::Items::decode(admin.ask(&listed).await.payload().unwrap()).unwrap().items;
    assert_eq!(items.len(), 16);
    assert!(items.iter().any(|item| item.node.as_deref() == Some(&node("add-user")) && item.jid.as_str() == DOMAIN));
    let found = disco::Info::decode(admin.ask(&info).await.payload().unwrap()).unwrap();
    assert_eq!(found.identities[0].kind, "command-node");
    assert!(found.has(ns::COMMANDS) && found.has(ns::DATA_FORMS));
    let mut anna = world.client("anna@site.example/phone").await;
    assert!(disco::Items::decode(anna.ask(&listed).await.payload().unwrap()).unwrap().items.is_empty());
    assert_eq!(condition(&anna.ask(&info).await), StanzaCondition::ItemNotFound);
}

#[tokio::test]
async fn who_is_no_administrator_is_forbidden() {
    let world = World::new().await;
    let mut anna = world.client("anna@site.example/phone").await;
    for name in ["add-user", "get-online-users-num", "announce"] {
        assert_eq!(condition(&begin(&mut anna, name).await), StanzaCondition::Forbidden);
    }
}

#[tokio::test]
async fn commands_are_given_to_the_domain_and_to_no_other_address() {
    let world = World::new().await;
    let mut admin = admin(&world).await;
    let request = Stanza::iq_set("c", Request::execute(node("add-user")).encode()).with_to(jid("anna@site.example"));
    assert_eq!(condition(&admin.ask(&request).await), StanzaCondition::ServiceUnavailable);
}

#[tokio::test]
async fn an_account_is_made_once_and_can_log_in() {
    let world = World::new().await;
    let mut admin = admin(&world).await;
    let fields = [("accountjid", "dora@site.example"), ("password", "secret"), ("password-verify", "secret")];
    let done = command(&mut admin, "add-user", &fields).await;
    assert_eq!(response(&done).status, Status::Completed);
    world.client("dora@site.example/x").await;
    assert_eq!(condition(&command(&mut admin, "add-user", &fields).await), StanzaCondition::Conflict);
}

#[tokio::test]
async fn a_form_with_a_mistake_is_refused_and_may_be_handed_in_again() {
    let world = World::new().await;
    let mut admin = admin(&world).await;
    let begun = response(&begin(&mut admin, "add-user").await);
    let right = DataForm::submit()
        .with_value("FORM_TYPE", ns::ADMIN)
        .with_value("accountjid", "dora@site.example")
        .with_value("password", "secret")
        .with_value("password-verify", "secret");
    let set = |var: &str, value: &str| {
        let mut form = right.clone();
        form.fields.retain(|field| field.var != var);
        form.fields.push(FormField { var: var.into(), values: vec![value.into()], ..FormField::default() });
        form
    };
    let step = |form: DataForm| Request {
        node: begun.node.clone(),
        session: Some(begun.session.clone()),
        action: Action::Execute,
        form: Some(form),
    };
    let wrong = [
        set("FORM_TYPE", "urn:example"),
        set("accountjid", "dora@elsewhere.example"),
        set("accountjid", "site.example"),
        set("password-verify", "secrets"),
        set("password", ""),
        DataForm::default(),
    ];
    for form in wrong {
        assert_eq!(condition(&admin.ask(&stanza("s", &step(form))).await), StanzaCondition::BadRequest);
    }
    let done = admin.ask(&stanza("s", &step(right.clone()))).await;
    assert_eq!(response(&done).status, Status::Completed);
    let again = admin.ask(&stanza("s", &step(right.clone()))).await;
    assert_eq!(condition(&again), StanzaCondition::BadRequest, "the run has ended");
}

#[tokio::test]
async fn a_command_may_be_cancelled_and_has_no_other_steps() {
    let world = World::new().await;
    let mut admin = admin(&world).await;
    let begun = response(&begin(&mut admin, "announce").await);
    let step = |session: &str, action| Request {
        node: begun.node.clone(),
        session: Some(session.to_owned()),
        action,
        form: None,
    };
    for action in [Action::Next, Action::Prev, Action::Complete] {
        let answer = admin.ask(&stanza("s", &step(&begun.session, action))).await;
        assert_eq!(condition(&answer), StanzaCondition::BadRequest);
    }
    let mut anna = world.client("anna@site.example/phone").await;
    let foreign = anna.ask(&stanza("s", &step(&begun.session, Action::Cancel))).await;
    assert_eq!(condition(&foreign), StanzaCondition::Forbidden);
    let canceled = admin.ask(&stanza("s", &step(&begun.session, Action::Cancel))).await;
    assert_eq!(response(&canceled).status, Status::Canceled);
    let unknown = admin.ask(&stanza("s", &step("guessed", Action::Complete))).await;
    assert!(unknown.error().unwrap().application().is_some_and(|it| it.is(ns::COMMANDS, "bad-sessionid")));
}

#[tokio::test]
async fn an_account_that_is_switched_off_loses_its_sessions_and_comes_back() {
    let world = World::new().await;
    let mut admin = admin(&world).await;
    let mut anna = world.client("anna@site.example/phone").await;
    command(&mut admin, "disable-user", &[("accountjids", "anna@site.example")]).await;
    assert!(anna.end().await.to_string().contains("not-authorized"));
    assert!(Client::login(&world, "anna@site.example/phone").await.is_err());
    let off = begin_now(&mut admin, "get-disabled-users-num").await;
    assert_eq!(values(&off, "disabledusersnum"), ["1"]);
    let list = command(&mut admin, "get-disabled-users-list", &[]).await;
    assert_eq!(values(&list, "disableduserjids"), ["anna@site.example"]);
    command(&mut admin, "reenable-user", &[("accountjids", "anna@site.example")]).await;
    world.client("anna@site.example/phone").await;
}

/// A command without a form is done at once.
async fn begin_now(client: &mut Client, name: &str) -> Stanza {
    let answer = begin(client, name).await;
    assert_eq!(response(&answer).status, Status::Completed);
    answer
}

#[tokio::test]
async fn administrators_do_not_lock_themselves_out_nor_end_parts_of_the_process() {
    let world = World::new().await;
    let _gateway = world.broker.attach("gateway@site.example/torg".parse().unwrap(), "test").await;
    let mut admin = admin(&world).await;
    for name in ["disable-user", "delete-user"] {
        for account in ["admin@site.example", "gateway@site.example"] {
            let answer = command(&mut admin, name, &[("accountjids", account)]).await;
            assert_eq!(condition(&answer), StanzaCondition::NotAllowed, "{name} {account}");
        }
    }
}

#[tokio::test]
async fn accounts_are_removed_and_get_new_passwords() {
    let world = World::new().await;
    let mut admin = admin(&world).await;
    let done = command(&mut admin, "delete-user", &[("accountjids", "bob@site.example")]).await;
    assert_eq!(response(&done).status, Status::Completed);
    let gone = [("accountjid", "bob@site.example"), ("password", "another")];
    assert_eq!(condition(&command(&mut admin, "change-user-password", &gone).await), StanzaCondition::ItemNotFound);
    let short = [("accountjid", "anna@site.example"), ("password", "x")];
    assert_eq!(condition(&command(&mut admin, "change-user-password", &short).await), StanzaCondition::NotAcceptable);
    let good = [("accountjid", "anna@site.example"), ("password", "another")];
    assert!(command(&mut admin, "change-user-password", &good).await.error().is_none());
}

#[tokio::test]
async fn one_session_is_ended_or_all_of_an_account() {
    let world = World::new().await;
    let mut admin = admin(&world).await;
    let mut phone = world.client("anna@site.example/phone").await;
    let mut desk = world.client("anna@site.example/desk").await;
    let mut bob = world.client("bob@site.example/desk").await;
    command(&mut admin, "end-user-session", &[("accountjids", "anna@site.example/phone")]).await;
    assert!(phone.end().await.to_string().contains("reset"));
    desk.sync().await;
    command(&mut admin, "end-user-session", &[("accountjids", "bob@site.example")]).await;
    assert!(bob.end().await.to_string().contains("reset"));
}

#[tokio::test]
async fn accounts_are_counted_listed_and_looked_at() {
    let world = World::new().await;
    let mut admin = admin(&world).await;
    let mut anna = world.client("anna@site.example/phone").await;
    let item = Element::new(ns::ROSTER, "item").with_attr("jid", "bob@site.example");
    anna.ask(&Stanza::iq_set("r", Element::new(ns::ROSTER, "query").with_child(item))).await;
    assert_eq!(values(&begin_now(&mut admin, "get-registered-users-num").await, "registeredusersnum"), ["4"]);
    assert_eq!(values(&begin_now(&mut admin, "get-online-users-num").await, "onlineusersnum"), ["2"]);
    let online = command(&mut admin, "get-online-users-list", &[("max_items", "25")]).await;
    assert_eq!(values(&online, "onlineuserjids"), ["admin@site.example", "anna@site.example"]);
    let some = command(&mut admin, "get-registered-users-list", &[("max_items", "1")]).await;
    assert_eq!(values(&some, "registereduserjids"), ["admin@site.example"]);
    let stats = command(&mut admin, "user-stats", &[("accountjid", "anna@site.example")]).await;
    assert_eq!(values(&stats, "rostersize"), ["1"]);
    assert_eq!(values(&stats, "onlineresources"), ["phone"]);
    let roster = command(&mut admin, "get-user-roster", &[("accountjid", "anna@site.example")]).await;
    let form = roster.payload().unwrap().child(ns::DATA_FORMS, "x").unwrap();
    assert!(
        form.child(ns::ROSTER, "query").unwrap().children().any(|item| item.attr("jid") == Some("bob@site.example"))
    );
    let seen = command(&mut admin, "get-user-lastlogin", &[("accountjid", "anna@site.example")]).await;
    assert_eq!(values(&seen, "lastlogin"), ["2026-03-01T10:15:00Z"]);
    let nobody = command(&mut admin, "user-stats", &[("accountjid", "nobody@site.example")]).await;
    assert_eq!(condition(&nobody), StanzaCondition::ItemNotFound);
}

#[tokio::test]
async fn an_announcement_reaches_all_who_are_available() {
    let world = World::new().await;
    let mut admin = admin(&world).await;
    let mut anna = world.client("anna@site.example/phone").await;
    let mut away = world.client("bob@site.example/desk").await;
    anna.online().await;
    command(&mut admin, "announce", &[("subject", "Now"), ("announcement", "Maintenance at noon.")]).await;
    let told = anna.recv().await;
    assert_eq!(told.body().as_deref(), Some("Maintenance at noon."));
    assert_eq!(told.from().map(torg_wire::jid::Jid::as_str), Some(DOMAIN));
    assert!(away.pending().await.is_empty());
}
