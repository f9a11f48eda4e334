//! Whom to ask what a hash means: a few of those who show it, the others when those keep silent. No clock and no sending.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use torg_wire::jid::Jid;
use torg_wire::xep::caps::{Caps, CapsHash};

use super::super::limits::{QUESTIONS_MAX, QUESTIONS_PER_HASH, WAITING_MAX};
use super::Asked;

/// A question on its way.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub(super) id: String,
    pub(super) caps: Arc<Caps>,
    pub(super) asked: Asked,
}

type Key = (CapsHash, String);

/// All questions, and those who wait for the answers of others.
#[derive(Debug, Default)]
pub(super) struct Questions {
    open: HashMap<String, Question>,
    hashes: HashMap<Key, Hash>,
    waiting: usize,
}

#[derive(Debug, Default)]
struct Hash {
    open: usize,
    waiting: VecDeque<(Arc<Caps>, Asked)>,
}

impl Questions {
    /// The question to send, if one is to be sent. One too many is forgotten, and so is whoever would wait too long.
    pub(super) fn ask(&mut self, caps: &Arc<Caps>, asked: Asked, id: String) -> Option<Question> {
        let full = self.open.len() >= QUESTIONS_MAX;
        // A hash that cannot be checked is asked of each who shows it.
        if let Some(key) = key(caps) {
            let hash = self.hashes.entry(key.clone()).or_default();
            if hash.open >= QUESTIONS_PER_HASH || full && hash.open > 0 {
                if self.waiting < WAITING_MAX {
                    self.waiting += 1;
                    hash.waiting.push_back((Arc::clone(caps), asked));
                }
                return None;
            }
            if full {
                // With those who waited, if this was the next of them: all are asked at their next presence.
                let waited = self.hashes.remove(&key).map_or(0, |hash| hash.waiting.len());
                self.waiting = self.waiting.saturating_sub(waited);
                return None;
            }
            hash.open += 1;
        } else if full {
            return None;
        }
        let question = Question { id, caps: Arc::clone(caps), asked };
        self.open.insert(question.id.clone(), question.clone());
        Some(question)
    }

    /// Ends a question: answered by `from`, who must be the one that was asked, or without an answer.
    pub(super) fn take(&mut self, id: &str, from: Option<&Jid>) -> Option<Question> {
        let asked = &self.open.get(id)?.asked.jid;
        if from.is_some_and(|from| from != asked) {
            return None;
        }
        let question = self.open.remove(id)?;
        if let Some(key) = key(&question.caps)
            && let Some(hash) = self.hashes.get_mut(&key)
        {
            hash.open = hash.open.saturating_sub(1);
            if hash.open == 0 && hash.waiting.is_empty() {
                self.hashes.remove(&key);
            }
        }
        Some(question)
    }

    /// Everybody who has waited to know what the hash means.
    pub(super) fn understood(&mut self, caps: &Caps) -> Vec<Asked> {
        let Some(key) = key(caps) else { return Vec::new() };
        let Some(hash) = self.hashes.get_mut(&key) else { return Vec::new() };
        let waiting = std::mem::take(&mut hash.waiting);
        self.waiting = self.waiting.saturating_sub(waiting.len());
        if hash.open == 0 {
            self.hashes.remove(&key);
        }
        waiting.into_iter().map(|(_, asked)| asked).collect()
    }

    /// The next of those who wait is asked itself.
    pub(super) fn next(&mut self, caps: &Caps, id: String) -> Option<Question> {
        let (caps, asked) = self.hashes.get_mut(&key(caps)?)?.waiting.pop_front()?;
        self.waiting = self.waiting.saturating_sub(1);
        self.ask(&caps, asked, id)
    }
}

fn key(caps: &Caps) -> Option<Key> {
    Some((caps.hash?, caps.ver.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use torg_wire::jid::BareJid;

    fn caps(ver: &str) -> Arc<Caps> {
        Arc::new(Caps { hash: Some(CapsHash::Sha1), node: "n".into(), ver: ver.into() })
    }

    fn client(n: usize) -> Asked {
        let jid = Jid::parse(&format!("a{n}@x/r")).unwrap();
        Asked { jid, by: BareJid::parse("x").unwrap(), session: None }
    }

    fn ask(questions: &mut Questions, caps: &Arc<Caps>, n: usize) -> bool {
        questions.ask(caps, client(n), n.to_string()).is_some()
    }

    #[test]
    fn only_a_few_who_show_a_hash_are_asked_and_all_learn_the_answer() {
        let mut questions = Questions::default();
        for n in 0..6 {
            assert_eq!(ask(&mut questions, &caps("v"), n), n < QUESTIONS_PER_HASH, "{n}");
        }
        assert!(questions.take("0", Some(&client(0).jid)).is_some());
        let waiting: Vec<_> = questions.understood(&caps("v")).into_iter().map(|asked| asked.jid).collect();
        assert_eq!(waiting, [client(4).jid, client(5).jid]);
        assert_eq!(questions.waiting, 0);
        assert!(questions.understood(&caps("v")).is_empty());
    }

    #[test]
    fn nothing_is_left_of_a_hash_that_was_understood() {
        let mut questions = Questions::default();
        for n in 0..QUESTIONS_PER_HASH + 2 {
            ask(&mut questions, &caps("v"), n);
        }
        for n in 0..QUESTIONS_PER_HASH {
            questions.take(&n.to_string(), None).unwrap();
        }
        assert_eq!(questions.understood(&caps("v")).len(), 2);
        assert!(questions.hashes.is_empty() && questions.open.is_empty());
    }

    #[test]
    fn whoever_would_be_asked_next_where_there_is_no_room_is_forgotten_with_the_others() {
        let mut questions = Questions::default();
        for n in 0..QUESTIONS_PER_HASH + 3 {
            ask(&mut questions, &caps("v"), n);
        }
        for n in 0..QUESTIONS_PER_HASH {
            questions.take(&n.to_string(), None).unwrap();
        }
        for n in 0..QUESTIONS_MAX {
            ask(&mut questions, &caps(&format!("other {n}")), n + 100);
        }
        assert!(questions.next(&caps("v"), "next".to_owned()).is_none());
        assert_eq!(questions.waiting, 0);
        assert_eq!(questions.hashes.len(), QUESTIONS_MAX);
    }

    #[test]
    fn only_who_was_asked_can_answer() {
        let mut questions = Questions::default();
        assert!(ask(&mut questions, &caps("v"), 0));
        assert!(questions.take("0", Some(&client(1).jid)).is_none());
        assert!(questions.take("1", Some(&client(0).jid)).is_none());
        assert!(questions.take("0", Some(&client(0).jid)).is_some());
        assert!(questions.take("0", Some(&client(0).jid)).is_none(), "once");
        assert!(questions.hashes.is_empty());
    }

    #[test]
    fn who_keeps_silent_makes_room_for_the_next() {
        let mut questions = Questions::default();
        for n in 0..=QUESTIONS_PER_HASH {
            ask(&mut questions, &caps("v"), n);
        }
        let silent = questions.take("0", None).unwrap();
        let next = questions.next(&silent.caps, "next".to_owned()).unwrap();
        assert_eq!(next.asked.jid, client(QUESTIONS_PER_HASH).jid);
        assert!(questions.next(&silent.caps, "none".to_owned()).is_none());
    }

    #[test]
    fn there_are_as_many_questions_as_the_limit_and_no_more() {
        let mut questions = Questions::default();
        for n in 0..QUESTIONS_MAX {
            assert!(ask(&mut questions, &caps(&n.to_string()), n));
        }
        assert!(!ask(&mut questions, &caps("one more"), 0));
        assert_eq!(questions.hashes.len(), QUESTIONS_MAX, "nothing is left of what is not asked");
        questions.take("0", None).unwrap();
        assert!(ask(&mut questions, &caps("one more"), 0));
    }

    #[test]
    fn there_wait_as_many_as_the_limit_and_no_more() {
        let mut questions = Questions::default();
        for n in 0..QUESTIONS_PER_HASH + WAITING_MAX + 1 {
            ask(&mut questions, &caps("v"), n);
        }
        assert_eq!(questions.understood(&caps("v")).len(), WAITING_MAX);
    }

    #[test]
    fn a_hash_that_cannot_be_checked_is_asked_of_everybody() {
        let mut questions = Questions::default();
        let odd = Arc::new(Caps { hash: None, node: "n".into(), ver: "v".into() });
        for n in 0..QUESTIONS_PER_HASH + 2 {
            assert!(ask(&mut questions, &odd, n));
        }
        assert!(questions.understood(&odd).is_empty());
    }
}
