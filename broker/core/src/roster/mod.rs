//! Rosters (RFC 6121 §2): get with versions, set, remove, and the pushes to all interested sessions of the account.

pub(crate) mod state;
mod table;

use std::sync::Arc;

use torg_store::StoreError;
use torg_wire::jid::{BareJid, Jid};
use torg_wire::ns;
use torg_wire::stanza::{IqType, Stanza, StanzaCondition, StanzaError, StanzaKind};
use torg_wire::xml::Element;

pub(crate) use table::{ATTEMPTS_MAX, Item, MIGRATIONS, Rosters, begin, clear, move_versions_on, place};
pub(crate) use table::{ITEMS_MAX, PENDING_MAX, REQUEST_BYTES_MAX};

use self::state::Subscription;
use crate::identity::Envelope;
use crate::router::{Letter, RouteError, Router, Taken};
use crate::service::{Reply, Route};
use crate::session::{Push, Session};

pub(crate) const ROUTES: &[Route] = &[Route::get(ns::ROSTER, "query"), Route::set(ns::ROSTER, "query")];

/// What is done to the roster of another.
pub(crate) const WRITING: &[Route] = &[Route::set(ns::ROSTER, "query")];

/// Characters of a name or group: enough for any label, and a bound for what each login has to send.
const NAME_MAX: usize = 1_023;
/// Groups of one item.
const GROUPS_MAX: usize = 32;

pub(crate) async fn handle(router: &Router, envelope: Envelope, reply: Reply) {
    let asker = envelope.identity().jid();
    let owner = asker.to_bare();
    match (envelope.stanza().kind(), envelope.stanza().payload()) {
        (StanzaKind::Iq(IqType::Get), Some(query)) => {
            let session = asker.resource().and_then(|it| router.shared().sessions.find(owner.as_str(), it));
            if let Some(session) = &session {
                session.hold_pushes();
            }
            let (read, outcome) = match get(router, &owner, query).await {
                Ok((version, roster)) => (version, Ok(roster)),
                Err(refusal) => (0, Err(refusal)),
            };
            answer(&owner, reply, outcome);
            while let Some((session, push)) = session.as_ref().and_then(|it| Some((it, it.next_held(read)?))) {
                send(session, &push);
            }
        }
        (StanzaKind::Iq(IqType::Set), Some(query)) => answer(&owner, reply, set(router, &owner, query).await),
        _ => reply.error(StanzaCondition::BadRequest),
    }
}

fn answer(owner: &BareJid, reply: Reply, outcome: Result<Option<Element>, Refusal>) {
    match outcome {
        Ok(payload) => reply.result(payload),
        Err(Refusal::Stanza(error)) => reply.error(error),
        Err(Refusal::Route(error)) => {
            tracing::error!(%error, %owner, "A roster request could not be handled.");
            reply.error(error.answer());
        }
    }
}

/// Why a roster request is not granted.
enum Refusal {
    Stanza(StanzaError),
    Route(RouteError),
}

impl From<StanzaCondition> for Refusal {
    fn from(condition: StanzaCondition) -> Self {
        Refusal::Stanza(condition.into())
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Refusal::Route(error.into())
    }
}

impl From<RouteError> for Refusal {
    fn from(error: RouteError) -> Self {
        Refusal::Route(error)
    }
}

/// The version, and the whole roster unless that is the version the client has (§2.6.2).
async fn get(router: &Router, owner: &BareJid, query: &Element) -> Result<(i64, Option<Element>), Refusal> {
    let (version, items) = router.shared().rosters.load(owner).await?;
    let text = version.to_string();
    if query.attr("ver") == Some(text.as_str()) {
        return Ok((version, None));
    }
    let listed = items.iter().filter(|item| item.listed).map(Item::to_element);
    Ok((version, Some(Element::new(ns::ROSTER, "query").with_attr("ver", text).with_children(listed))))
}

/// One item changed or removed (§2.3.1).
async fn set(router: &Router, owner: &BareJid, query: &Element) -> Result<Option<Element>, Refusal> {
    let mut items = query.children();
    let (Some(item), None) = (items.next(), items.next()) else { return Err(StanzaCondition::BadRequest.into()) };
    if !item.is(ns::ROSTER, "item") {
        return Err(StanzaCondition::BadRequest.into());
    }
    let contact = item.attr("jid").map(Jid::parse).ok_or(StanzaCondition::BadRequest)?;
    let contact = contact.map_err(|_| StanzaCondition::JidMalformed)?.to_bare();
    if item.attr("subscription") == Some("remove") {
        router.remove_contact(owner, &contact).await?.map_err(Refusal::Stanza)?;
        return Ok(None);
    }
    let name = item.attr("name").filter(|name| !name.is_empty()).map(str::to_owned);
    if name.as_ref().is_some_and(|name| name.len() > NAME_MAX) {
        return Err(StanzaCondition::NotAcceptable.into());
    }
    let groups = groups(item)?;
    update(router, owner, contact, name, groups).await?;
    Ok(None)
}

/// §2.3.3: an empty or too long group is not acceptable, the same group twice is a bad request.
fn groups(item: &Element) -> Result<Vec<String>, StanzaCondition> {
    let mut groups: Vec<String> = Vec::new();
    for group in item.children_named(ns::ROSTER, "group") {
        let group = group.text().into_owned();
        if group.is_empty() || group.len() > NAME_MAX || groups.len() >= GROUPS_MAX {
            return Err(StanzaCondition::NotAcceptable);
        }
        if groups.contains(&group) {
            return Err(StanzaCondition::BadRequest);
        }
        groups.push(group);
    }
    Ok(groups)
}

async fn update(
    router: &Router,
    owner: &BareJid,
    contact: BareJid,
    name: Option<String>,
    groups: Vec<String>,
) -> Result<(), Refusal> {
    let rosters = &router.shared().rosters;
    for _ in 0..ATTEMPTS_MAX {
        let (version, found) = rosters.find(owner, &contact).await?;
        let mut item = found.unwrap_or_else(|| Item::new(contact.clone()));
        if !item.listed && rosters.listed(owner).await? >= ITEMS_MAX {
            return Err(StanzaCondition::ResourceConstraint.into());
        }
        item.name.clone_from(&name);
        item.groups.clone_from(&groups);
        item.listed = true;
        match rosters.change(owner, version, std::slice::from_ref(&item)).await {
            Ok(version) => {
                router.push_roster(owner, version, &item.to_element());
                return Ok(());
            }
            Err(StoreError::Conflict { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(StanzaCondition::ResourceConstraint.into())
}

impl Item {
    /// As the client sees it (§2.1.2).
    pub(crate) fn to_element(&self) -> Element {
        Element::new(ns::ROSTER, "item")
            .with_attr("jid", self.contact.as_str())
            .with_attr_opt("name", self.name.as_deref())
            .with_attr("subscription", self.state.name())
            .with_attr_opt("ask", self.state.asked().then_some("subscribe"))
            .with_attr_opt("approved", self.approved.then_some("true"))
            .with_children(self.groups.iter().map(|group| Element::new(ns::ROSTER, "group").with_text(group)))
    }

    /// An item of a file: as [`Item::to_element`] writes it. `None` if its address, name or groups cannot be used.
    pub(crate) fn from_file(element: &Element) -> Option<Self> {
        let contact = Jid::parse(element.attr("jid")?).ok()?.to_bare();
        let asked = element.attr("ask") == Some("subscribe");
        let state = match (element.attr("subscription").unwrap_or("none"), asked) {
            ("none", false) => Subscription::None,
            ("none", true) => Subscription::NoneOut,
            ("to", _) => Subscription::To,
            ("from", false) => Subscription::From,
            ("from", true) => Subscription::FromOut,
            ("both", _) => Subscription::Both,
            _ => return None,
        };
        let name = element.attr("name").map(str::to_owned);
        let groups = element.children_named(ns::ROSTER, "group").map(|group| group.text().into_owned());
        let groups: std::collections::BTreeSet<String> = groups.filter(|group| !group.is_empty()).collect();
        let is_short = |text: &String| text.len() <= NAME_MAX;
        let fits = name.iter().all(is_short) && groups.iter().all(is_short) && groups.len() <= GROUPS_MAX;
        let approved = matches!(element.attr("approved"), Some("true" | "1"));
        let groups = groups.into_iter().collect();
        fits.then(|| Item { name, groups, state, approved, listed: true, ..Item::new(contact) })
    }

    /// What a push says of an item that is no longer there.
    pub(crate) fn removed(contact: &BareJid) -> Element {
        Element::new(ns::ROSTER, "item").with_attr("jid", contact.as_str()).with_attr("subscription", "remove")
    }
}

impl Router {
    /// Tells all interested sessions of the account what changed (§2.1.6).
    pub(crate) fn push_roster(&self, owner: &BareJid, version: i64, item: &Element) {
        for session in self.shared().sessions.of(owner.as_str()).iter().filter(|session| session.is_interested()) {
            if let Some(push) = session.or_hold(Push { version, item: item.clone() }) {
                send(session, &push);
            }
        }
    }
}

fn send(session: &Arc<Session>, Push { version, item }: &Push) {
    let told = session.has_all_pushes().then(|| version.to_string());
    let query = Element::new(ns::ROSTER, "query").with_attr_opt("ver", told).with_child(item.clone());
    // The version is different for each push, which makes the id unique within the session.
    let push = Stanza::iq_set(format!("push-{version}"), query).with_to(&session.jid);
    if Letter::new(push).give(session) == Taken::Full {
        session.miss_push();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use torg_wire::jid::FullJid;

    use super::*;
    use crate::allowance::Allowances;
    use crate::identity::Proof;
    use crate::limits::{Limits, QUEUE_STANZAS};

    fn session() -> Arc<Session> {
        let jid = FullJid::parse("anna@site.example/phone").unwrap();
        let allowance = Allowances::default().of(&jid.to_bare(), &Limits::default().person, Instant::now());
        let session = Session::new(jid, Proof::Client("SCRAM-SHA-256"), false, 0, allowance);
        session.hold_pushes();
        assert_eq!(session.next_held(0), None);
        Arc::new(session)
    }

    fn push(version: i64) -> Push {
        Push { version, item: Item::removed(&BareJid::parse("bob@site.example").unwrap()) }
    }

    /// The version that the next push in the queue says, if it says one.
    fn next(session: &Session) -> Option<String> {
        let stanza = session.queue.pop()?.stanza;
        stanza.payload()?.attr("ver").map(str::to_owned)
    }

    #[test]
    fn after_a_push_was_lost_the_others_say_no_version_until_the_roster_is_asked_for_again() {
        let session = session();
        for version in 1..=i64::try_from(QUEUE_STANZAS).unwrap() + 1 {
            send(&session, &push(version));
        }
        assert_eq!(next(&session).as_deref(), Some("1"));
        while session.queue.pop().is_some() {}
        send(&session, &push(1_000));
        assert_eq!(next(&session), None);
        session.hold_pushes();
        while session.next_held(1_000).is_some() {}
        send(&session, &push(1_001));
        assert_eq!(next(&session).as_deref(), Some("1001"));
    }

    #[test]
    fn pushes_wait_while_the_roster_is_read_and_those_it_contains_are_forgotten() {
        let session = session();
        assert_eq!(session.or_hold(push(1)), Some(push(1)));
        session.hold_pushes();
        for version in 2..=4 {
            assert_eq!(session.or_hold(push(version)), None);
        }
        assert_eq!(session.next_held(2), Some(push(3)));
        assert_eq!(session.or_hold(push(5)), None, "behind those that wait");
        assert_eq!(
            [session.next_held(2), session.next_held(2), session.next_held(2)],
            [Some(push(4)), Some(push(5)), None]
        );
        assert_eq!(session.or_hold(push(6)), Some(push(6)));
    }
}
