//! Standing wishes.

use super::*;

#[test]
fn a_subscription_is_read_with_its_rules() {
    let element =
        xml("<subscribe xmlns='urn:nfi:iot:events:1.0' id='s' m='true' minInt='PT1S' maxInt='PT1M' maxAge='P1D' \
         req='true'><nd id='n' src='plant'/><f n='Power' v='10.5' by='0.5' up='1' dn='2'/><f n='Relay'/></subscribe>");
    let (Events::Subscribe(read), generation) = Events::decode(&element).unwrap() else { panic!("no subscribe") };
    assert_eq!(generation, Generation::Nfi);
    assert_eq!(read.max_interval, Some(Span { minutes: 1, ..Span::default() }));
    assert!(read.request);
    let number = |text: &str| Some(text.parse::<Decimal>().unwrap());
    let power = FieldRule {
        name: name("Power"),
        current: number("10.5"),
        by: number("0.5"),
        up: number("1"),
        down: number("2"),
    };
    assert_eq!(read.rules, [power, FieldRule::any_change(name("Relay"))]);
}

#[test]
fn a_threshold_must_be_positive() {
    for threshold in ["0", "-1", "0.00", "x"] {
        let element =
            xml(&format!("<subscribe xmlns='urn:nfi:iot:events:1.0' id='s'><f n='a' by='{threshold}'/></subscribe>"));
        assert!(matches!(Events::decode(&element), Err(DecodeError::Invalid { name: "by", .. })), "{threshold}");
    }
}

#[test]
fn subscribe_and_unsubscribe_read_back_as_written() {
    let mut wish = Subscribe::to("s", vec![node("n", "s", "p")]);
    wish.rules.push(FieldRule::any_change(name("a")));
    wish.min_interval = Some(Span { seconds: 1, ..Span::default() });
    for generation in Generation::ALL {
        for payload in [Events::Subscribe(wish.clone()), Events::Unsubscribe("s".into())] {
            assert_eq!(Events::decode(&payload.encode(generation)), Ok((payload, generation)));
        }
    }
}
