//! When a subscription sends an event, and what is in it (nfi EventSubscription). Pure: values and times go in.
//!
//! A change counts from the value that the subscriber knows: the one of the last event, or the one it said it knows, or
//! the first one seen. A threshold is reached when the change equals it. An event carries what was seen since the last
//! one; a heartbeat with nothing new repeats what is known.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;
use torg_thing::{Decimal, Field, FieldName, FieldValue, Timestamp};
use torg_wire::iot::events::{FieldRule, Subscribe};

/// Values kept for the next event of one subscription. Quantities take one place each, so this is a limit on bursts of
/// state changes; the oldest give way.
const FRESH_MAX: usize = 1024;

/// Which field of which node of the subscription.
type Key = (usize, FieldName);

/// The state of one subscription.
#[derive(Debug)]
pub(super) struct Trigger {
    /// Empty: any change of any field.
    rules: HashMap<FieldName, FieldRule>,
    min: Option<Duration>,
    max: Option<Duration>,
    begin: Instant,
    last: Option<Instant>,
    triggered: bool,
    /// What the subscriber knows.
    baseline: HashMap<Key, Option<FieldValue>>,
    /// The newest value of each field.
    latest: HashMap<Key, Field>,
    /// Seen since the last event, in order.
    fresh: Vec<(usize, Field)>,
}

impl Trigger {
    /// The state of a new subscription. Intervals counted in months have no length and are not heeded.
    pub(super) fn new(wish: &Subscribe, now: Instant) -> Self {
        let length = |span: Option<torg_thing::Span>| span.and_then(torg_thing::Span::to_duration);
        Self {
            rules: wish.rules.iter().map(|rule| (rule.name.clone(), rule.clone())).collect(),
            min: length(wish.min_interval),
            // A heartbeat of zero would never rest.
            max: length(wish.max_interval).map(|max| max.max(Duration::from_secs(1))),
            begin: now,
            last: None,
            triggered: false,
            baseline: HashMap::new(),
            latest: HashMap::new(),
            fresh: Vec::new(),
        }
    }

    /// A field was seen.
    pub(super) fn observe(&mut self, node: usize, field: Field) {
        let key = (node, field.name.clone());
        let rule = self.rules.get(&field.name);
        if rule.is_none() && !self.rules.is_empty() {
            return;
        }
        match self.baseline.get(&key) {
            Some(known) => self.triggered |= is_trigger(rule, known.as_ref(), field.value.as_ref()),
            None => match rule.and_then(|rule| rule.current) {
                Some(believed) => {
                    let known = like(field.value.as_ref(), believed);
                    self.triggered |= is_trigger(rule, known.as_ref(), field.value.as_ref());
                    self.baseline.insert(key.clone(), known);
                }
                None => {
                    self.baseline.insert(key.clone(), field.value.clone());
                }
            },
        }
        let replaces = matches!(field.value, Some(FieldValue::Quantity(_)) | None);
        let old =
            replaces.then(|| self.fresh.iter().position(|(n, seen)| *n == node && seen.name == field.name)).flatten();
        match old.and_then(|at| self.fresh.get_mut(at)) {
            Some(slot) => slot.1 = field.clone(),
            None => {
                if self.fresh.len() >= FRESH_MAX {
                    self.fresh.remove(0);
                }
                self.fresh.push((node, field.clone()));
            }
        }
        self.latest.insert(key, field);
    }

    /// When the next event is due, as things stand.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let heartbeat = self.max.map(|max| self.last.unwrap_or(self.begin) + max);
        let change = self.triggered.then(|| match (self.last, self.min) {
            (Some(last), Some(min)) => last + min,
            _ => self.begin,
        });
        match (heartbeat, change) {
            (Some(heartbeat), Some(change)) => Some(heartbeat.min(change)),
            (heartbeat, change) => heartbeat.or(change),
        }
    }

    /// Whether the event that is due is a sign of life rather than news.
    pub(super) fn is_heartbeat(&self) -> bool {
        !self.triggered
    }

    /// What goes into the event that is due now; the subscriber will know it.
    pub(super) fn fire(&mut self, now: Instant) -> Vec<(usize, Field)> {
        self.last = Some(now);
        self.triggered = false;
        let mut event = std::mem::take(&mut self.fresh);
        if event.is_empty() {
            event = self.latest.iter().map(|((node, _), field)| (*node, field.clone())).collect();
            event.sort_by(|(a, x), (b, y)| (a, x.at, &x.name).cmp(&(b, y.at, &y.name)));
        }
        for (node, field) in &event {
            self.baseline.insert((*node, field.name.clone()), field.value.clone());
        }
        event
    }
}

/// Whether the step from what the subscriber knows to what is now makes an event.
fn is_trigger(rule: Option<&FieldRule>, known: Option<&FieldValue>, now: Option<&FieldValue>) -> bool {
    let (Some(known), Some(now)) = (known, now) else { return known.is_some() != now.is_some() };
    let thresholds = rule.filter(|rule| rule.by.is_some() || rule.up.is_some() || rule.down.is_some());
    let numbers = number(known).zip(number(now));
    let same_unit = match (known, now) {
        (FieldValue::Quantity(known), FieldValue::Quantity(now)) => known.unit == now.unit,
        _ => true,
    };
    match (thresholds, numbers) {
        (Some(rule), Some((known, now))) if same_unit => {
            let rise = difference(now, known);
            let reached = |step: Option<Decimal>, change: Option<Decimal>| match (step, change) {
                (Some(step), Some(change)) => change.numeric_cmp(step) != Ordering::Less,
                // So far apart that it cannot be counted.
                (Some(_), None) => true,
                (None, _) => false,
            };
            let fall = rise.map(Decimal::negated);
            let size = rise.map(|rise| if rise.mantissa() < 0 { rise.negated() } else { rise });
            reached(rule.by, size) || reached(rule.up, rise) || reached(rule.down, fall)
        }
        (_, Some((known, now))) if same_unit => known.numeric_cmp(now) != Ordering::Equal,
        _ => known != now,
    }
}

fn difference(a: Decimal, b: Decimal) -> Option<Decimal> {
    a.checked_add(b.negated()).ok()
}

/// A number the subscriber believes to be current, as a value of the kind that was seen.
fn like(seen: Option<&FieldValue>, believed: Decimal) -> Option<FieldValue> {
    match seen? {
        FieldValue::Quantity(quantity) => {
            Some(FieldValue::Quantity(torg_thing::Quantity { value: believed, unit: quantity.unit.clone() }))
        }
        FieldValue::Boolean(_) => Some(FieldValue::Boolean(believed.mantissa() != 0)),
        FieldValue::Int32(_) | FieldValue::Int64(_) => {
            Some(FieldValue::Int64(i64::try_from(believed.to_integer()?).ok()?))
        }
        _ => None,
    }
}

/// A value as a number to compare with thresholds: truth is 1, times are seconds. Text and enumerations are none.
fn number(value: &FieldValue) -> Option<Decimal> {
    let seconds = |micros: i128| Decimal::try_new(micros, 6).ok();
    match value {
        FieldValue::Boolean(value) => Some(Decimal::from(i64::from(*value))),
        FieldValue::Date(value) => {
            let midnight: Timestamp = format!("{value}T00:00:00Z").parse().ok()?;
            seconds(i128::from(midnight.micros()))
        }
        FieldValue::DateTime(value) => seconds(i128::from(value.micros())),
        FieldValue::Duration(value) => seconds(i128::try_from(value.to_duration()?.as_micros()).ok()?),
        FieldValue::Int32(value) => Some(Decimal::from(*value)),
        FieldValue::Int64(value) => Some(Decimal::from(*value)),
        FieldValue::Quantity(quantity) => Some(quantity.value),
        FieldValue::Time(value) => seconds(i128::from(value.micros())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use torg_thing::{Categories, Qos, Quantity, Span, Unit};

    fn rule(by: Option<&str>, up: Option<&str>, down: Option<&str>) -> FieldRule {
        let number = |text: Option<&str>| text.map(|text| text.parse().unwrap());
        FieldRule { by: number(by), up: number(up), down: number(down), ..FieldRule::any_change(name("a")) }
    }

    fn name(text: &str) -> FieldName {
        FieldName::parse(text).unwrap()
    }

    fn quantity(text: &str, unit: &str) -> FieldValue {
        FieldValue::Quantity(Quantity { value: text.parse().unwrap(), unit: Unit::new(unit) })
    }

    fn field(named: &str, value: FieldValue) -> Field {
        Field {
            name: name(named),
            at: Timestamp::from_micros(0),
            value: Some(value),
            categories: Categories::MOMENTARY,
            qos: Qos::NONE,
            writable: false,
        }
    }

    fn steps(rule: &FieldRule, from: &str, to: &str) -> bool {
        is_trigger(Some(rule), Some(&quantity(from, "W")), Some(&quantity(to, "W")))
    }

    #[test]
    fn a_threshold_is_reached_when_the_change_equals_it() {
        for (by, from, to, expected) in [
            (rule(Some("0.1"), None, None), "0.2", "0.3", true),
            (rule(Some("0.1"), None, None), "0.3", "0.20", true),
            (rule(Some("0.1"), None, None), "0.2", "0.29", false),
            (rule(None, Some("1"), None), "1", "2", true),
            (rule(None, Some("1"), None), "2", "1", false),
            (rule(None, Some("1"), None), "1", "1.99", false),
            (rule(None, None, Some("1")), "2", "1", true),
            (rule(None, None, Some("1")), "1", "2", false),
            (rule(None, Some("5"), Some("1")), "2", "1", true),
            (rule(None, None, None), "1", "1.01", true),
            (rule(None, None, None), "1", "1.00", false),
        ] {
            assert_eq!(steps(&by, from, to), expected, "{by:?} {from} {to}");
        }
    }

    #[test]
    fn values_that_are_no_numbers_trigger_by_any_change() {
        let by = rule(Some("100"), None, None);
        let text = |text: &str| FieldValue::Text(text.into());
        assert!(is_trigger(Some(&by), Some(&text("a")), Some(&text("b"))));
        assert!(!is_trigger(Some(&by), Some(&text("a")), Some(&text("a"))));
        let unit = is_trigger(Some(&by), Some(&quantity("1", "W")), Some(&quantity("1", "kW")));
        assert!(unit, "another unit is a change");
    }

    #[test]
    fn truth_and_time_have_numbers() {
        let half = rule(Some("0.5"), None, None);
        assert!(is_trigger(Some(&half), Some(&FieldValue::Boolean(false)), Some(&FieldValue::Boolean(true))));
        let minute = rule(Some("60"), None, None);
        let at = |text: &str| FieldValue::DateTime(text.parse().unwrap());
        assert!(is_trigger(Some(&minute), Some(&at("2026-01-01T00:00:00Z")), Some(&at("2026-01-01T00:01:00Z"))));
        assert!(!is_trigger(Some(&minute), Some(&at("2026-01-01T00:00:00Z")), Some(&at("2026-01-01T00:00:59Z"))));
    }

    #[test]
    fn a_value_that_goes_missing_or_comes_back_triggers() {
        let by = rule(Some("100"), None, None);
        assert!(is_trigger(Some(&by), Some(&quantity("1", "W")), None));
        assert!(is_trigger(Some(&by), None, Some(&quantity("1", "W"))));
        assert!(!is_trigger(Some(&by), None, None));
    }

    fn trigger(wish: Subscribe) -> (Trigger, Instant) {
        let now = Instant::now();
        (Trigger::new(&wish, now), now)
    }

    fn wish() -> Subscribe {
        Subscribe::to("s", Vec::new())
    }

    #[test]
    fn the_first_value_only_sets_what_is_known() {
        let (mut trigger, now) = trigger(wish());
        trigger.observe(0, field("a", quantity("1", "W")));
        assert_eq!(trigger.deadline(), None);
        trigger.observe(0, field("a", quantity("2", "W")));
        assert!(trigger.deadline().is_some_and(|deadline| deadline <= now));
    }

    #[test]
    fn what_the_subscriber_believes_is_what_is_known() {
        for (believed, expected) in [("1.5", false), ("1", true)] {
            let mut wish = wish();
            let mut rule = rule(Some("1"), None, None);
            rule.current = Some(believed.parse().unwrap());
            wish.rules.push(rule);
            let (mut trigger, _) = trigger(wish);
            trigger.observe(0, field("a", quantity("2", "W")));
            assert_eq!(trigger.deadline().is_some(), expected, "{believed}");
        }
    }

    #[test]
    fn slow_drift_adds_up_against_the_last_event() {
        let mut wish = wish();
        wish.rules.push(rule(Some("1"), None, None));
        let (mut trigger, now) = trigger(wish);
        for value in ["1.0", "1.4", "1.8"] {
            trigger.observe(0, field("a", quantity(value, "W")));
            assert_eq!(trigger.deadline(), None);
        }
        trigger.observe(0, field("a", quantity("2.0", "W")));
        assert!(trigger.deadline().is_some());
        assert_eq!(trigger.fire(now), [(0, field("a", quantity("2.0", "W")))]);
        trigger.observe(0, field("a", quantity("2.9", "W")));
        assert_eq!(trigger.deadline(), None);
    }

    #[test]
    fn an_early_trigger_waits_for_the_least_interval() {
        let min = Span { seconds: 10, ..Span::default() };
        let (mut trigger, now) = trigger(Subscribe { min_interval: Some(min), ..wish() });
        trigger.observe(0, field("a", FieldValue::Boolean(false)));
        trigger.observe(0, field("a", FieldValue::Boolean(true)));
        assert!(trigger.deadline().is_some_and(|deadline| deadline <= now), "the first event need not wait");
        trigger.fire(now);
        trigger.observe(0, field("a", FieldValue::Boolean(false)));
        assert_eq!(trigger.deadline(), Some(now + Duration::from_secs(10)));
    }

    #[test]
    fn the_heartbeat_counts_from_the_last_event_and_repeats_what_is_known() {
        let max = Span { seconds: 60, ..Span::default() };
        let (mut trigger, now) = trigger(Subscribe { max_interval: Some(max), ..wish() });
        assert_eq!(trigger.deadline(), Some(now + Duration::from_secs(60)));
        trigger.observe(0, field("a", quantity("1", "W")));
        let later = now + Duration::from_secs(30);
        trigger.fire(later);
        assert_eq!(trigger.deadline(), Some(later + Duration::from_secs(60)));
        assert_eq!(trigger.fire(later), [(0, field("a", quantity("1", "W")))]);
    }

    #[test]
    fn fields_without_a_rule_are_not_told_where_there_are_rules() {
        let mut wish = wish();
        wish.rules.push(rule(None, None, None));
        let (mut trigger, now) = trigger(wish);
        for value in ["1", "2"] {
            trigger.observe(0, field("b", quantity(value, "W")));
        }
        assert_eq!(trigger.deadline(), None);
        assert!(trigger.fire(now).is_empty());
    }

    #[test]
    fn changes_of_state_are_all_told_and_quantities_once() {
        let (mut trigger, now) = trigger(wish());
        for value in [true, false, true] {
            trigger.observe(0, field("door", FieldValue::Boolean(value)));
            trigger.observe(0, field("power", quantity(if value { "1" } else { "2" }, "W")));
        }
        let names: Vec<_> = trigger.fire(now).into_iter().map(|(_, field)| field.name.to_string()).collect();
        assert_eq!(names, ["door", "power", "door", "door"]);
    }

    #[test]
    fn a_burst_beyond_the_limit_drops_the_oldest() {
        let (mut trigger, now) = trigger(wish());
        for index in 0..=i32::try_from(FRESH_MAX).unwrap() {
            trigger.observe(0, field("a", FieldValue::Int32(index)));
        }
        let event = trigger.fire(now);
        assert_eq!(event.len(), FRESH_MAX);
        assert_eq!(event[0].1.value, Some(FieldValue::Int32(1)));
    }
}
