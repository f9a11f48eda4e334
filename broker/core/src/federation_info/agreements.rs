//! Which servers agree to be named, as they have answered. No sending, and time goes in as an argument.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How long an answer holds; then it is asked again.
const HOLDS: Duration = Duration::from_secs(6 * 3_600);
/// Time until a question that was not answered is put again.
const AGAIN: Duration = Duration::from_secs(3_600);
/// Servers kept in mind; those beyond are not named until others are forgotten.
const KEPT_MAX: usize = 4_096;
/// Questions put at once; the rest waits for the next look.
const QUESTIONS_MAX: usize = 32;

#[derive(Debug, Default)]
pub(super) struct Agreements {
    servers: HashMap<Box<str>, Server>,
    asked: u64,
}

#[derive(Debug)]
struct Server {
    /// Of the last question.
    id: String,
    asked: Instant,
    /// What it said, and when.
    answer: Option<(bool, Instant)>,
}

impl Agreements {
    /// The questions to put now, by their ids, so that it is known of all these servers whether they agree.
    pub(super) fn questions<'a>(
        &mut self,
        servers: impl Iterator<Item = &'a str>,
        now: Instant,
    ) -> Vec<(String, String)> {
        self.servers.retain(|_, server| now.saturating_duration_since(server.asked) < HOLDS + AGAIN);
        let mut questions = Vec::new();
        for name in servers {
            let is_due = match self.servers.get(name) {
                None => self.servers.len() < KEPT_MAX,
                Some(server) => now.saturating_duration_since(server.asked) >= server.pause(),
            };
            if !is_due {
                continue;
            }
            if questions.len() >= QUESTIONS_MAX {
                break;
            }
            self.asked = self.asked.wrapping_add(1);
            let id = self.asked.to_string();
            let answer = self.servers.get(name).and_then(|server| server.answer);
            self.servers.insert(name.into(), Server { id: id.clone(), asked: now, answer });
            questions.push((id, name.to_owned()));
        }
        questions
    }

    /// A server has answered; `false` if nobody has asked it that.
    pub(super) fn answered(&mut self, id: &str, from: &str, agrees: bool, now: Instant) -> bool {
        match self.servers.get_mut(from) {
            // An empty id is that of a server which has answered already.
            Some(server) if !id.is_empty() && server.id == id => {
                server.answer = Some((agrees, now));
                server.id = String::new(); // once
                true
            }
            _ => false,
        }
    }

    /// Whether the server agrees. Silence is no, also of one that has agreed before and does not answer any more.
    pub(super) fn agrees(&self, server: &str, now: Instant) -> bool {
        let answer = self.servers.get(server).and_then(|server| server.answer);
        answer.is_some_and(|(agrees, when)| agrees && now.saturating_duration_since(when) < HOLDS + AGAIN)
    }
}

impl Server {
    /// Time between its last question and the next.
    fn pause(&self) -> Duration {
        let is_answered = self.id.is_empty();
        if is_answered { HOLDS } else { AGAIN }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(agreements: &mut Agreements, name: &str, now: Instant) -> Option<String> {
        agreements.questions(std::iter::once(name), now).pop().map(|(id, _)| id)
    }

    #[test]
    fn only_a_server_that_says_so_agrees() {
        let (mut agreements, now) = (Agreements::default(), Instant::now());
        let id = ask(&mut agreements, "x", now).unwrap();
        assert!(!agreements.agrees("x", now));
        assert!(agreements.answered(&id, "x", true, now));
        assert!(agreements.agrees("x", now) && !agreements.agrees("y", now));
    }

    #[test]
    fn only_the_server_that_was_asked_answers_and_once() {
        let (mut agreements, now) = (Agreements::default(), Instant::now());
        let id = ask(&mut agreements, "x", now).unwrap();
        assert!(!agreements.answered(&id, "y", true, now));
        assert!(!agreements.answered("", "x", true, now) && !agreements.answered("99", "x", true, now));
        assert!(agreements.answered(&id, "x", false, now));
        assert!(!agreements.answered(&id, "x", true, now) && !agreements.answered("", "x", true, now));
        assert!(!agreements.agrees("x", now));
    }

    #[test]
    fn an_answer_holds_for_hours_and_is_asked_for_again() {
        let (mut agreements, now) = (Agreements::default(), Instant::now());
        let id = ask(&mut agreements, "x", now).unwrap();
        agreements.answered(&id, "x", true, now);
        assert_eq!(ask(&mut agreements, "x", now + HOLDS - Duration::from_secs(1)), None);
        let later = now + HOLDS;
        let id = ask(&mut agreements, "x", later).unwrap();
        assert!(agreements.agrees("x", later), "until it answers");
        agreements.answered(&id, "x", false, later);
        assert!(!agreements.agrees("x", later));
    }

    #[test]
    fn who_does_not_answer_any_more_agrees_no_more() {
        let (mut agreements, now) = (Agreements::default(), Instant::now());
        let id = ask(&mut agreements, "x", now).unwrap();
        agreements.answered(&id, "x", true, now);
        ask(&mut agreements, "x", now + HOLDS).unwrap();
        assert!(!agreements.agrees("x", now + HOLDS + AGAIN));
    }

    #[test]
    fn a_question_without_an_answer_is_put_again_after_an_hour() {
        let (mut agreements, now) = (Agreements::default(), Instant::now());
        ask(&mut agreements, "x", now).unwrap();
        assert_eq!(ask(&mut agreements, "x", now + AGAIN - Duration::from_secs(1)), None);
        assert!(ask(&mut agreements, "x", now + AGAIN).is_some());
    }

    #[test]
    fn few_are_asked_at_once_and_so_many_kept_in_mind() {
        let (mut agreements, now) = (Agreements::default(), Instant::now());
        let names: Vec<String> = (0..KEPT_MAX + 1).map(|n| format!("x{n}")).collect();
        let mut asked = 0;
        loop {
            let questions = agreements.questions(names.iter().map(String::as_str), now);
            assert!(questions.len() <= QUESTIONS_MAX);
            if questions.is_empty() {
                break;
            }
            asked += questions.len();
        }
        assert_eq!((asked, agreements.servers.len()), (KEPT_MAX, KEPT_MAX));
        agreements.questions(std::iter::empty(), now + HOLDS + AGAIN);
        assert!(agreements.servers.is_empty(), "forgotten");
    }
}
