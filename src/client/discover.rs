//! Finding a concentrator: by name or by what the server and the roster show, then by its presence.
//!
//! RFC 6121 §2 and §3 (roster, subscription), XEP-0030 (what it is). A full address is only ever learnt from presence:
//! that is the consent of the other side.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use torg_wire::jid::{BareJid, FullJid, Jid};
use torg_wire::ns;
use torg_wire::stanza::{PresenceType, Stanza, StanzaKind};
use torg_wire::xep::disco;
use torg_wire::xml::Element;

use super::gateway::{Gateway, GatewayError, next_stanza};
use super::session::{Inbox, Session};

/// How long presences of several candidates are collected before the choice is made.
const CANDIDATES_WITHIN: Duration = Duration::from_secs(3);

/// Most accounts looked at when no concentrator was named; whoever has more contacts names one.
const CANDIDATES_MAX: usize = 50;

impl Gateway {
    /// Finds the concentrator `named`, or the only one that the server or the roster shows, and becomes its friend if
    /// it lets us. Announces us as available.
    ///
    /// # Errors
    /// As [`GatewayError`].
    pub async fn find(session: &Session, named: Option<&BareJid>, within: Duration) -> Result<Self, GatewayError> {
        let mut search = Search { session, inbox: session.inbox(), within };
        session.send(Stanza::presence(PresenceType::Available)).await?;
        match named {
            Some(jid) => search.befriend(jid).await,
            None => search.any().await,
        }
    }
}

struct Search<'a> {
    session: &'a Session,
    inbox: Inbox,
    within: Duration,
}

/// What a presence stanza of somebody says to us.
enum Heard {
    Here(FullJid),
    Refused,
    Other,
}

impl Search<'_> {
    /// Waits for the presence of `jid`, asking to see it if it may not be seen yet.
    async fn befriend(&mut self, jid: &BareJid) -> Result<Gateway, GatewayError> {
        let deadline = Instant::now() + self.within;
        let seen = self.friends().await?.contains(jid);
        if !seen {
            let ask = Stanza::presence(PresenceType::Subscribe).with_to(jid.as_jid().clone());
            self.session.send(ask).await?;
        }
        let mut present = false;
        loop {
            let stanza = match timeout_at(deadline, next_stanza(self.session, &mut self.inbox)).await {
                Ok(stanza) => stanza?,
                Err(_) if present => return Err(GatewayError::NoConcentrator(jid.clone())),
                Err(_) => return Err(GatewayError::NotOnline(jid.clone())),
            };
            match heard(&stanza, jid) {
                Heard::Here(address) => {
                    present = true;
                    if let Some(gateway) = self.look_at(address).await? {
                        return Ok(gateway);
                    }
                }
                Heard::Refused => return Err(GatewayError::NoFriend(jid.clone())),
                Heard::Other => {}
            }
        }
    }

    /// The only concentrator among those the server and the roster show.
    async fn any(&mut self) -> Result<Gateway, GatewayError> {
        let mut candidates = self.friends().await?;
        candidates.extend(self.server_items().await);
        let candidates: Vec<BareJid> = candidates.into_iter().take(CANDIDATES_MAX).collect();
        match candidates.as_slice() {
            [] => {
                let text = "No concentrator is known to your server or your roster: name it with --jid, such as --jid gateway@site.example.";
                return Err(GatewayError::Choice(text.to_owned()));
            }
            [only] => return self.befriend(only).await,
            _ => {}
        }
        let deadline = Instant::now() + CANDIDATES_WITHIN.min(self.within);
        let mut found: Vec<Gateway> = Vec::new();
        while let Ok(stanza) = timeout_at(deadline, next_stanza(self.session, &mut self.inbox)).await {
            let stanza = stanza?;
            let Some(candidate) =
                candidates.iter().find(|jid| stanza.from().is_some_and(|from| from.bare_str() == jid.as_str()))
            else {
                continue;
            };
            if let Heard::Here(address) = heard(&stanza, candidate)
                && let Some(gateway) = self.look_at(address).await?
            {
                found.push(gateway);
                if found.len() == candidates.len() {
                    break;
                }
            }
        }
        let names = |jids: &[BareJid]| jids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let addresses: Vec<BareJid> = found.iter().map(|gateway| gateway.address().to_bare()).collect();
        match found.pop() {
            Some(gateway) if found.is_empty() => Ok(gateway),
            Some(_) => Err(GatewayError::Choice(format!(
                "There are several concentrators, choose one with --jid: {}.",
                names(&addresses)
            ))),
            None => Err(GatewayError::Choice(format!(
                "No concentrator is online among {}: name one with --jid.",
                names(&candidates)
            ))),
        }
    }

    /// Asks a session what it is; `None` if it is no concentrator or does not say.
    async fn look_at(&self, address: FullJid) -> Result<Option<Gateway>, GatewayError> {
        let answer = self.session.get(Some(address.as_jid()), disco::info_request(None), self.within).await;
        let info = match answer {
            Ok(info) => info.as_ref().and_then(disco::Info::decode),
            // Somebody's phone may refuse or not answer; that is no reason to stop looking.
            Err(error) if error.condition().is_some() => None,
            Err(super::session::RequestError::PeerSilent { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        Ok(info.and_then(|info| {
            Gateway::new(self.session.clone(), address, info.features.into_iter().collect(), self.within)
        }))
    }

    /// Accounts whose presence we may see.
    async fn friends(&self) -> Result<BTreeSet<BareJid>, GatewayError> {
        let roster = self.session.get(None, Element::new(ns::ROSTER, "query"), self.within).await?;
        let items = roster.iter().flat_map(|roster| roster.children_named(ns::ROSTER, "item"));
        let seen = items.filter(|item| matches!(item.attr("subscription"), Some("to" | "both")));
        Ok(seen.filter_map(|item| BareJid::parse(item.attr("jid")?).ok()).collect())
    }

    /// Accounts that our server lists as its services and that are concentrators as far as it can say.
    async fn server_items(&self) -> BTreeSet<BareJid> {
        let Ok(server) = Jid::parse(self.session.jid().domain()) else { return BTreeSet::new() };
        let items = self.session.get(Some(&server), disco::items_request(None), self.within).await;
        // A server without this list has simply nothing to show.
        let items = items.ok().flatten().as_ref().and_then(disco::Items::decode);
        let accounts = items.into_iter().flat_map(|items| items.items).map(|item| item.jid.to_bare());
        accounts.filter(|jid| jid.local().is_some()).collect()
    }
}

/// What a stanza says about `jid`'s presence.
fn heard(stanza: &Stanza, jid: &BareJid) -> Heard {
    let StanzaKind::Presence(kind) = stanza.kind() else { return Heard::Other };
    let Some(from) = stanza.from().filter(|from| from.bare_str() == jid.as_str()) else { return Heard::Other };
    match kind {
        PresenceType::Available => from.to_full().map_or(Heard::Other, Heard::Here),
        PresenceType::Unsubscribed | PresenceType::Error => Heard::Refused,
        _ => Heard::Other,
    }
}
