//! What clients want to hear of, learnt from their entity capabilities (XEP-0115, XEP-0060 §9.2).
//!
//! A hash is believed only with an answer that has it, checked again whenever somebody gives one; an answer with another hash is
//! believed of the one who gave it and of nobody else. A client that answers nothing hears nothing.

mod questions;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use futures_util::future::BoxFuture;
use torg_wire::jid::{BareJid, Jid};
use torg_wire::ns;
use torg_wire::stanza::{IqType, Stanza, StanzaKind};
use torg_wire::xep::caps::{Caps, CapsFault, CapsHash, wanted};
use torg_wire::xep::disco::info_request;
use torg_wire::xml::Element;

use super::limits::{CAPS_MAX, QUESTION_TIME, WANTED_MAX};
use crate::router::{Letter, Router};
use crate::session::Session;
use questions::{Question, Questions};

/// The nodes whose events a client wants, sorted. Shared by all clients of one kind.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Wishes(Box<[Box<str>]>);

impl Wishes {
    fn of(answer: &Element) -> Arc<Self> {
        // A set, so they are sorted already.
        Arc::new(Wishes(wanted(answer).into_iter().take(WANTED_MAX).map(String::into_boxed_str).collect()))
    }

    pub(super) fn has(&self, node: &str) -> bool {
        self.0.binary_search_by(|known| known.as_ref().cmp(node)).is_ok()
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What a session says it wants: in its presence as a hash, and once that is understood as wishes.
#[derive(Debug, Default)]
pub(crate) struct Interest(Mutex<Claim>);

#[derive(Debug, Default)]
struct Claim {
    caps: Option<Arc<Caps>>,
    wishes: Option<Arc<Wishes>>,
    /// What it wanted before its present hash, and so has been told of.
    before: Option<Arc<Wishes>>,
}

impl Interest {
    /// Whether events of that node are wanted.
    pub(crate) fn wants(&self, node: &str) -> bool {
        self.lock().wishes.as_ref().is_some_and(|wishes| wishes.has(node))
    }

    /// What is wanted, as far as it is known.
    pub(super) fn wishes(&self) -> Option<Arc<Wishes>> {
        self.lock().wishes.clone()
    }

    /// Notes what presence says; `initial` if the session was not there before. Answers whether there is something new to learn.
    pub(super) fn claim(&self, caps: Option<Arc<Caps>>, initial: bool) -> bool {
        let mut claim = self.lock();
        if claim.caps == caps && !initial {
            // A question that was not answered is put again.
            return claim.caps.is_some() && claim.wishes.is_none();
        }
        claim.before = if initial { None } else { claim.wishes.take() };
        claim.wishes = None;
        claim.caps = caps;
        claim.caps.is_some()
    }

    /// Notes what the hash means, if it is still that of the session. Answers what was wanted before.
    fn settle(&self, caps: &Caps, wishes: &Arc<Wishes>) -> Option<Option<Arc<Wishes>>> {
        let mut claim = self.lock();
        if claim.caps.as_deref() != Some(caps) || claim.wishes.is_some() {
            return None;
        }
        claim.wishes = Some(Arc::clone(wishes));
        Some(claim.before.take())
    }

    fn lock(&self) -> MutexGuard<'_, Claim> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A client whose hash is to be understood.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    /// Its full address.
    pub(super) jid: Jid,
    /// The account that asks: its own, or the one of ours that it shows presence to.
    pub(super) by: BareJid,
    /// Absent for clients elsewhere.
    pub(super) session: Option<Weak<Session>>,
}

/// What is known about hashes, and who is being asked.
#[derive(Debug, Default)]
pub(crate) struct Known(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    known: HashMap<(CapsHash, String), Arc<Wishes>>,
    /// Oldest first.
    order: VecDeque<(CapsHash, String)>,
    questions: Questions,
}

impl Known {
    fn find(&self, caps: &Caps) -> Option<Arc<Wishes>> {
        self.lock().known.get(&(caps.hash?, caps.ver.clone())).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn learn(&mut self, caps: &Caps, wishes: &Arc<Wishes>) {
        let Some(hash) = caps.hash else { return };
        let key = (hash, caps.ver.clone());
        if self.known.insert(key.clone(), Arc::clone(wishes)).is_none() {
            self.order.push_back(key);
        }
        if self.order.len() > CAPS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}

impl Router {
    /// Finds out what a hash in somebody's presence means: at once, or by asking.
    pub(super) async fn understand(&self, asked: Asked, caps: Arc<Caps>) {
        let known = &self.shared().pubsub.caps;
        if let Some(wishes) = known.find(&caps) {
            return self.settle(&asked, &caps, &wishes).await;
        }
        let question = known.lock().questions.ask(&caps, asked, self.next_question());
        if let Some(question) = question {
            self.put(question).await;
        }
    }

    fn next_question(&self) -> String {
        self.shared().pubsub.next_id()
    }

    /// Sends a question, and sees to it that it ends.
    async fn put(&self, question: Question) {
        let Question { id, caps, asked } = question;
        let iq = Stanza::iq_get(&id, info_request(Some(&caps.query_node()))).with_from(&asked.by).with_to(asked.jid);
        match asked.session {
            Some(session) => {
                if let Some(session) = session.upgrade() {
                    Letter::new(iq).give(&session);
                }
            }
            None => self.emit(iq).await,
        }
        let (router, stop) = (self.clone(), self.shared().stop.clone());
        self.spawn(async move {
            tokio::select! {
                () = tokio::time::sleep(QUESTION_TIME) => router.unanswered(&id, None).await,
                () = stop.cancelled() => {}
            }
        });
    }

    /// An answer to one of our own questions. Anything else that looks like one is dropped, as it always was.
    pub(crate) async fn answered(&self, from: &Jid, answer: &Stanza) {
        let Some(id) = answer.id() else { return };
        let payload = answer.payload().filter(|_| answer.kind() == StanzaKind::Iq(IqType::Result));
        let Some(payload) = payload.filter(|payload| payload.is(ns::DISCO_INFO, "query")) else {
            return self.unanswered(id, Some(from)).await;
        };
        let known = &self.shared().pubsub.caps;
        let Some(Question { caps, asked, .. }) = known.lock().questions.take(id, Some(from)) else { return };
        let verdict = caps.verify(payload);
        if verdict == Ok(()) {
            let wishes = Wishes::of(payload);
            let waiting = {
                let mut inner = known.lock();
                inner.learn(&caps, &wishes);
                inner.questions.understood(&caps)
            };
            for asked in std::iter::once(asked).chain(waiting) {
                Box::pin(self.settle(&asked, &caps, &wishes)).await;
            }
            return;
        }
        if verdict == Err(CapsFault::Mismatch) {
            Box::pin(self.settle(&asked, &caps, &Wishes::of(payload))).await;
        }
        self.ask_next(&caps).await;
    }

    /// A question that nobody has answered, or `from` with an error.
    fn unanswered<'a>(&'a self, id: &'a str, from: Option<&'a Jid>) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let taken = self.shared().pubsub.caps.lock().questions.take(id, from);
            if let Some(question) = taken {
                self.ask_next(&question.caps).await;
            }
        })
    }

    /// Asks the next client that shows this hash.
    async fn ask_next(&self, caps: &Arc<Caps>) {
        let id = self.next_question();
        let next = self.shared().pubsub.caps.lock().questions.next(caps, id);
        if let Some(question) = next {
            self.put(question).await;
        }
    }

    /// Now it is known what a client wants: it gets the last items of what it had not wanted before (XEP-0163 §4.3.2).
    async fn settle(&self, asked: &Asked, caps: &Caps, wishes: &Arc<Wishes>) {
        let told = match &asked.session {
            Some(session) => {
                let Some(session) = session.upgrade() else { return };
                let Some(before) = session.interest.settle(caps, wishes) else { return };
                if wishes.is_empty() {
                    return;
                }
                self.introduce_events(&session, wishes, before.as_deref()).await
            }
            None => self.introduce_remote(&asked.jid, caps, wishes).await,
        };
        if let Err(error) = told {
            tracing::error!(%error, to = %asked.jid, "The last items could not be sent.");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caps(ver: &str) -> Arc<Caps> {
        Arc::new(Caps { hash: Some(CapsHash::Sha1), node: "n".into(), ver: ver.into() })
    }

    fn wishes(nodes: &[&str]) -> Arc<Wishes> {
        Arc::new(Wishes(nodes.iter().map(|node| (*node).into()).collect()))
    }

    #[test]
    fn an_answer_to_an_older_hash_changes_nothing() {
        let interest = Interest::default();
        assert!(interest.claim(Some(caps("a")), true));
        assert!(interest.claim(Some(caps("b")), false));
        assert_eq!(interest.settle(&caps("a"), &wishes(&["x"])), None);
        assert!(!interest.wants("x"));
        assert_eq!(interest.settle(&caps("b"), &wishes(&["x"])), Some(None));
        assert!(interest.wants("x"));
    }

    #[test]
    fn a_new_hash_leaves_what_was_wanted_before() {
        let interest = Interest::default();
        interest.claim(Some(caps("a")), true);
        interest.settle(&caps("a"), &wishes(&["x"]));
        assert!(!interest.claim(Some(caps("a")), false), "nothing new");
        assert!(interest.wants("x"));
        assert!(interest.claim(Some(caps("b")), false));
        assert!(interest.claim(Some(caps("b")), false), "not yet understood: asked again");
        assert_eq!(interest.settle(&caps("b"), &wishes(&["y"])), Some(Some(wishes(&["x"]))));
        assert!(interest.claim(Some(caps("b")), true), "a new beginning");
        assert_eq!(interest.settle(&caps("b"), &wishes(&["y"])), Some(None));
        assert!(!interest.claim(None, false));
        assert!(!interest.wants("y"));
    }

    #[test]
    fn the_cache_is_bounded_and_its_oldest_gives_way() {
        let known = Known::default();
        for n in 0..=CAPS_MAX {
            known.lock().learn(&caps(&n.to_string()), &wishes(&[]));
        }
        assert!(known.find(&caps("0")).is_none());
        assert!(known.find(&caps("1")).is_some());
        let inner = known.lock();
        assert_eq!((inner.known.len(), inner.order.len()), (CAPS_MAX, CAPS_MAX));
    }

    #[test]
    fn a_hash_of_an_unknown_function_is_never_known() {
        let known = Known::default();
        let odd = Caps { hash: None, node: "n".into(), ver: "v".into() };
        known.lock().learn(&odd, &wishes(&["x"]));
        assert!(known.find(&odd).is_none());
    }
}
