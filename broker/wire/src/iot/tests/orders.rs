//! Orders, and their forms.

use super::*;

#[test]
fn every_kind_of_parameter_is_read_and_written() {
    let element = xml("<set xmlns='urn:nf:iot:ctr:1.0' dt='t'><b n='b' v='1'/><nd id='n'/><cl n='cl' v='FF800010'/>\
         <d n='d' v='2026-02-28'/><db n='db' v='1.50'/><dr n='dr' v='PT5M'/><dt n='dt' v='2026-01-01T00:00:00'/>\
         <e n='e' v='Auto' t='Mode'/><i n='i' v='7'/><l n='l' v='8'/><s n='s' v='a&#10;b'/><t n='t' v='06:30:00'/></set>");
    let (payload, generation) = Control::decode(&element).unwrap();
    let Control::Set(set) = &payload else { panic!("not a set") };
    assert_eq!(set.nodes, [node("n", "", "")]);
    let Values::Simple(values) = &set.values else { panic!("not simple") };
    assert_eq!(values.len(), 11);
    assert_eq!(values[0], Assignment { parameter: name("b"), value: ControlValue::Boolean(true) });
    assert_eq!(values[1].value, ControlValue::Color("FF800010".parse::<Color>().unwrap()));
    assert_eq!(Control::decode(&payload.encode(generation)), Ok((payload.clone(), generation)));
}

#[test]
fn an_unknown_child_of_an_order_is_refused() {
    for child in ["<q n='a' v='1'/>", "<b xmlns='urn:x' n='a' v='1'/>", "<b n='a' v='maybe'/>", "<b v='1'/>"] {
        let element = xml(&format!("<set xmlns='urn:nfi:iot:ctr:1.0'>{child}</set>"));
        assert!(Control::decode(&element).is_err(), "{child}");
    }
}

#[test]
fn a_form_must_be_a_submitted_one_and_stand_alone() {
    let form = |kind: &str| format!("<x xmlns='jabber:x:data' type='{kind}'/>");
    for (children, good) in [
        (form("submit"), true),
        (form("form"), false),
        (form("submit") + &form("submit"), false),
        (form("submit") + "<b n='a' v='1'/>", false),
    ] {
        let element = xml(&format!("<set xmlns='urn:nfi:iot:ctr:1.0'>{children}</set>"));
        assert_eq!(Control::decode(&element).is_ok(), good, "{children}");
    }
}

#[test]
fn everything_reads_back_as_written() {
    let form = DataForm::submit().with_value("Relay", "true");
    let nodes = vec![node("n", "s", "p")];
    for generation in Generation::ALL {
        for payload in [
            Control::FormRequest(control::FormRequest { nodes: nodes.clone(), tokens: Tokens::default() }),
            Control::Response(control::Response { nodes: nodes.clone(), parameters: vec![name("Relay")] }),
            Control::Set(control::Set {
                nodes: nodes.clone(),
                values: Values::Form(form.clone()),
                tokens: Tokens { user: Some("u".into()), ..Tokens::default() },
            }),
        ] {
            assert_eq!(Control::decode(&payload.encode(generation)), Ok((payload, generation)));
        }
    }
}

#[test]
fn a_parameter_error_is_written_with_both_names_and_read_with_either() {
    let problem = ParameterError { parameter: "Relay".into(), text: "No.".into() };
    let element = problem.encode(Generation::Nf);
    assert_eq!((element.attr("var"), element.attr("n")), (Some("Relay"), Some("Relay")));
    for attribute in ["var", "n"] {
        let text = format!("<paramError xmlns='urn:nf:iot:ctr:1.0' {attribute}='Relay'>No.</paramError>");
        assert_eq!(ParameterError::decode(&xml(&text)), Some(problem.clone()));
    }
}

#[test]
fn a_parameter_group_is_written_with_both_names_and_read_with_either() {
    let element = control::parameter_group(Generation::Nfi, "g");
    assert_eq!((element.attr("n"), element.attr("name")), (Some("g"), Some("g")));
    for attribute in ["n", "name"] {
        let element = xml(&format!("<pGroup xmlns='urn:nfi:iot:ctr:1.0' {attribute}='g'/>"));
        assert_eq!(control::decode_parameter_group(&element), Some("g"));
    }
}
