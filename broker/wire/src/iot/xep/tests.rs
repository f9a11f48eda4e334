//! Elements of the XEPs beside the same ones in short words.

use super::*;
use crate::iot::{Control, Events, Generation, Interface, SensorData, control, sensor_data};
use crate::xml::{Limits, parse_document};

fn xml(text: &str) -> Element {
    parse_document(text, &Limits::CLIENT).unwrap()
}

fn request(text: &str) -> sensor_data::Request {
    match SensorData::decode(&shorten(&xml(text))).unwrap() {
        (SensorData::Request(request), Generation::Xmpp) => request,
        other => panic!("{other:?}"),
    }
}

fn told(text: &str) -> Vec<String> {
    let text = text.replacen(' ', " xmlns='urn:xmpp:iot:sensordata' ", 1);
    lengthen(&xml(&text)).iter().map(|part| part.to_string().replace(" xmlns='urn:xmpp:iot:sensordata'", "")).collect()
}

#[test]
fn no_short_name_has_two_long_ones() {
    for table in [&ELEMENTS[..], &ATTRIBUTES] {
        let mut short: Vec<_> = table.iter().map(|(_, short)| short).collect();
        short.sort_unstable();
        short.dedup();
        assert_eq!(short.len(), table.len());
    }
}

#[test]
fn a_request_for_data_is_read() {
    let read = request(
        "<req xmlns='urn:xmpp:iot:sensordata' seqnr='5' momentary='true' status='1' historicalDay='true' \
         historicalYear='false' from='2026-03-01T00:00:00Z' serviceToken='s'>\
         <node nodeId='meter-7' sourceId='plant' cacheType='p'/><node nodeId='n'/><field name='Energy'/></req>",
    );
    let short = request(
        "<req xmlns='urn:xmpp:iot:sensordata' id='5' m='true' s='1' h='true' from='2026-03-01T00:00:00Z' st='s'>\
         <nd id='meter-7' src='plant' pt='p'/><nd id='n'/><f n='Energy'/></req>",
    );
    assert_eq!(read, short);
    assert_eq!((read.nodes.len(), read.fields.len(), read.id.as_str()), (2, 1, "5"));
}

#[test]
fn the_same_request_in_new_words_means_the_same() {
    let old = request("<req xmlns='urn:xmpp:iot:sensordata' seqnr='1' all='true'><node nodeId='n'/></req>");
    let new = xml("<req xmlns='urn:nfi:iot:sd:1.0' id='1' all='true'><nd id='n'/></req>");
    assert_eq!(SensorData::decode(&new).unwrap().0, SensorData::Request(old));
}

#[test]
fn a_subscription_is_read_with_its_rules() {
    let old = xml("<subscribe xmlns='urn:xmpp:iot:events' seqnr='1' momentary='true' minInterval='PT5S' \
         maxInterval='PT1H' maxAge='PT5M' req='true'><node nodeId='n'/>\
         <field name='State' changedBy='1' changedUp='2' changedDown='3' currentValue='0'/></subscribe>");
    let new = xml("<subscribe xmlns='urn:nf:iot:events:1.0' id='1' m='true' minInt='PT5S' maxInt='PT1H' \
         maxAge='PT5M' req='true'><nd id='n'/><f n='State' by='1' up='2' dn='3' v='0'/></subscribe>");
    let (read, generation) = Events::decode(&shorten(&old)).unwrap();
    assert_eq!((read, generation), (Events::decode(&new).unwrap().0, Generation::Xmpp));
}

#[test]
fn every_kind_of_parameter_is_read() {
    let old = xml("<set xmlns='urn:xmpp:iot:control' xml:lang='en' deviceToken='d'><node nodeId='n'/>\
         <boolean name='b' value='true'/><color name='c' value='3399FF'/><date name='d' value='2026-03-01'/>\
         <dateTime name='dt' value='2026-03-01T08:00:00'/><double name='db' value='8.192'/>\
         <duration name='dr' value='PT3M30S'/><int name='i' value='5'/><long name='l' value='5'/>\
         <string name='s' value='x'/><time name='t' value='08:00:00'/></set>");
    let new = xml("<set xmlns='urn:nfi:iot:ctr:1.0' dt='d'><nd id='n'/><b n='b' v='true'/><cl n='c' v='3399FF'/>\
         <d n='d' v='2026-03-01'/><dt n='dt' v='2026-03-01T08:00:00'/><db n='db' v='8.192'/><dr n='dr' v='PT3M30S'/>\
         <i n='i' v='5'/><l n='l' v='5'/><s n='s' v='x'/><t n='t' v='08:00:00'/></set>");
    let short = shorten(&old);
    assert_eq!(Control::decode(&short).unwrap(), (Control::decode(&new).unwrap().0, Generation::Xmpp));
    assert_eq!(short.lang(), Some("en"));
}

#[test]
fn a_form_in_an_order_stays_as_it_is() {
    let form = "<x xmlns='jabber:x:data' type='submit'><field var='a'><value>1</value></field></x>";
    let old = xml(&format!("<set xmlns='urn:xmpp:iot:control'><node nodeId='n'/>{form}</set>"));
    assert_eq!(shorten(&old).children().last(), Some(&xml(form)));
}

#[test]
fn what_was_operated_on_is_told() {
    let node =
        torg_thing::NodeRef::new(torg_thing::SourceId::parse("s").unwrap(), torg_thing::NodeId::parse("n").unwrap());
    let name = torg_thing::FieldName::parse("Output").unwrap();
    let response = Control::Response(control::Response { nodes: vec![node], parameters: vec![name] });
    assert_eq!(
        lengthen(&response.encode(Generation::Xmpp)),
        [xml(
            "<setResponse xmlns='urn:xmpp:iot:control' responseCode='OK'><node nodeId='n' sourceId='s'/><parameter name='Output'/>\
              </setResponse>"
        )]
    );
}

#[test]
fn fields_are_told_in_long_words() {
    let resp = "<resp id='5'><nd id='n' src='s' pt='p'><ts v='2026-03-01T10:15:00Z'>\
                <q n='Power' v='21.50' u='W' m='true' ar='true' ctr='true'/><b n='On' v='true' s='true' h='true' er='true'/>\
                <e n='E' v='a' t='T' i='true'/></ts><ts v='2026-03-01T10:16:00Z'><i n='I' v='1' c='true'/></ts></nd></resp>";
    assert_eq!(
        told(resp),
        ["<fields seqnr='5' done='true'><node nodeId='n' sourceId='s' cacheType='p'>\
          <timestamp value='2026-03-01T10:15:00Z'><numeric name='Power' value='21.50' unit='W' momentary='true' \
          automaticReadout='true' writable='true'/><boolean name='On' value='true' status='true' \
          historicalOther='true' error='true'/><enum name='E' value='a' dataType='T' identity='true'/></timestamp>\
          <timestamp value='2026-03-01T10:16:00Z'><int name='I' value='1' computed='true'/></timestamp></node></fields>"]
    );
}

#[test]
fn errors_follow_the_fields_and_end_the_readout() {
    let resp = "<resp id='5'><nd id='a'><ts v='1'><b n='On' v='true'/><err>Late.</err></ts></nd></resp>";
    assert_eq!(
        told(resp),
        [
            "<fields seqnr='5'><node nodeId='a'><timestamp value='1'><boolean name='On' value='true'/></timestamp></node>\
             </fields>",
            "<failure seqnr='5' done='true'><error nodeId='a' timestamp='1'>Late.</error></failure>"
        ]
    );
}

#[test]
fn nothing_is_done_while_more_follows() {
    let one = "<resp id='5' more='true'><nd id='a'><ts v='1'><err>Late.</err></ts></nd></resp>";
    assert_eq!(told(one), ["<failure seqnr='5'><error nodeId='a' timestamp='1'>Late.</error></failure>"]);
    assert_eq!(told("<resp id='5' more='true'/>"), Vec::<String>::new());
}

#[test]
fn a_readout_without_anything_is_done() {
    assert_eq!(told("<resp id='5'/>"), ["<done seqnr='5'/>"]);
    assert_eq!(told("<done id='5'/>"), ["<done seqnr='5'/>"]);
    assert_eq!(told("<accepted id='5' queued='true'/>"), ["<accepted seqnr='5' queued='true'/>"]);
    assert_eq!(told("<started id='5'/>"), ["<started seqnr='5'/>"]);
}

#[test]
fn what_is_not_of_this_generation_passes_untouched() {
    for text in ["<req xmlns='urn:nfi:iot:sd:1.0' seqnr='1'/>", "<query xmlns='jabber:iq:roster' name='a'/>"] {
        assert_eq!(shorten(&xml(text)), xml(text));
        assert_eq!(lengthen(&xml(text)), [xml(text)]);
    }
}

#[test]
fn the_namespaces_are_those_of_the_generation() {
    for (interface, namespace) in [
        (Interface::Concentrator, NS_CONCENTRATOR),
        (Interface::Control, NS_CONTROL),
        (Interface::Events, NS_EVENTS),
        (Interface::SensorData, NS_SENSOR_DATA),
    ] {
        assert_eq!(Generation::Xmpp.namespace(interface), namespace);
        assert_eq!(Interface::of_namespace(namespace), Some((interface, Generation::Xmpp)));
    }
}

mod of_nodes {
    use super::*;
    use crate::iot::concentrator::{Answer, Question};
    use crate::iot::{DataSource, NodeInfo, Parent};
    use crate::stanza::StanzaCondition;
    use torg_thing::{NodeId, NodeRef, Partition, SourceId};

    fn meter() -> NodeInfo {
        let node = NodeRef {
            id: NodeId::parse("meter-7").unwrap(),
            source: SourceId::parse("plant").unwrap(),
            partition: Partition::parse("p").unwrap(),
        };
        let parent = Parent { id: NodeId::parse("line").unwrap(), partition: Partition::parse("p").unwrap() };
        NodeInfo { parent: Some(parent), sniffable: true, is_readable: true, ..NodeInfo::new(node) }
    }

    #[test]
    fn a_question_is_read() {
        let old = xml("<getNodes xmlns='urn:xmpp:iot:concentrators' parameters='true' userToken='u' xml:lang='en'>\
             <node sourceId='plant' nodeId='meter-7' cacheType='p'/></getNodes>");
        let new = xml("<getNodes xmlns='urn:nfi:iot:concentrator:1.0' parameters='true' ut='u' xml:lang='en'>\
             <nd src='plant' id='meter-7' pt='p'/></getNodes>");
        let (question, generation) = Question::decode(&shorten(&old)).unwrap();
        assert_eq!((question, generation), (Question::decode(&new).unwrap().0, Generation::Xmpp));
    }

    #[test]
    fn nodes_are_told_without_what_came_later() {
        let node = "nodeId='meter-7' cacheType='p' state='None' hasChildren='false' isReadable='true' parentId='line' \
                    parentCacheType='p'";
        assert_eq!(
            answered("getNode", &Answer::NodeInfo(Box::new(meter()))),
            xml(&format!("<getNodeResponse xmlns='urn:xmpp:iot:concentrators' result='OK' {node}/>"))
        );
        assert_eq!(
            answered("getChildNodes", &Answer::NodeInfos(vec![meter()])),
            xml(&format!(
                "<getChildNodesResponse xmlns='urn:xmpp:iot:concentrators' result='OK'><node {node}/></getChildNodesResponse>"
            ))
        );
    }

    #[test]
    fn sources_strings_and_truth_are_told() {
        let source = DataSource {
            source: SourceId::parse("plant").unwrap(),
            name: "Plant".into(),
            has_children: true,
            last_changed: None,
        };
        let inheritance = Answer::Inheritance { base_classes: vec!["a".into()], interfaces: Vec::new() };
        for (operation, answer, inside) in [
            (
                "getAllDataSources",
                Answer::DataSources(vec![source]),
                "<dataSource sourceId='plant' name='Plant' hasChildren='true'/>",
            ),
            ("getCapabilities", Answer::Strings(vec!["getNode".into()]), "<value>getNode</value>"),
            ("containsNode", Answer::Bool(true), "true"),
            ("containsNodes", Answer::Bools(vec![true, false]), "<value>true</value><value>false</value>"),
            ("getNodeInheritance", inheritance, "<baseClasses><value>a</value></baseClasses><interfaces/>"),
        ] {
            let name = format!("{operation}Response");
            let expected = format!("<{name} xmlns='urn:xmpp:iot:concentrators' result='OK'>{inside}</{name}>");
            assert_eq!(answered(operation, &answer), xml(&expected));
        }
    }

    #[test]
    fn what_went_wrong_is_told_in_a_result_if_there_is_a_code_for_it() {
        let code =
            |condition| failed("getNode", condition).and_then(|element| element.attr("result").map(str::to_owned));
        assert_eq!(code(StanzaCondition::ItemNotFound).as_deref(), Some("NotFound"));
        assert_eq!(code(StanzaCondition::Forbidden).as_deref(), Some("InsufficientPrivileges"));
        assert_eq!(code(StanzaCondition::FeatureNotImplemented), None);
        assert_eq!(code(StanzaCondition::BadRequest), None);
    }
}
