use super::*;
use crate::ns;

fn element(xml: &str) -> Element {
    parse_document(xml, &Limits::CLIENT).unwrap()
}

fn written(element: &Element, scope: &Scope<'_>) -> String {
    let mut text = String::new();
    element.write_to(&mut text, scope);
    text
}

#[test]
fn a_tree_is_built_and_asked() {
    let query = Element::new(ns::ROSTER, "query")
        .with_attr("ver", "7")
        .with_attr_opt("missing", None::<&str>)
        .with_child(Element::new(ns::ROSTER, "item").with_attr("jid", "a@b").with_text("x"))
        .with_child(Element::new("urn:other", "item"));
    assert!(query.is(ns::ROSTER, "query"));
    assert_eq!((query.attr("ver"), query.attr("missing")), (Some("7"), None));
    assert_eq!(query.children().count(), 2);
    assert_eq!(query.child_text(ns::ROSTER, "item").as_deref(), Some("x"));
    assert_eq!(query.children_named("urn:other", "item").count(), 1);
    assert_eq!(query.child("urn:other", "query"), None);
}

#[test]
fn attributes_are_replaced_and_removed() {
    let mut item = Element::new("urn:x", "item").with_attr("a", "1").with_attr("a", "2");
    assert_eq!(item.attributes().len(), 1);
    assert_eq!(item.remove_attr("a").as_deref(), Some("2"));
    assert_eq!(item.remove_attr("a"), None);
}

#[test]
fn attributes_have_no_order() {
    assert_eq!(element("<m a='1' b='2'/>"), element("<m b='2' a='1'/>"));
    assert_ne!(element("<m a='1' b='2'/>"), element("<m a='2' b='1'/>"));
    assert_ne!(element("<m a='1'/>"), element("<m a='1' b='2'/>"));
}

#[test]
fn texts_join_when_a_child_between_them_goes() {
    let mut taken = element("<m>a<b/>c<d/></m>");
    assert_eq!(taken.take_child("", "b"), Some(element("<b/>")));
    assert_eq!(taken, element("<m>ac<d/></m>"));
    let mut retained = element("<m>a<b/>c<d/></m>");
    retained.retain_children(|child| child.name() == "d");
    assert_eq!(retained, element("<m>ac<d/></m>"));
}

#[test]
fn text_is_that_of_the_element_alone() {
    assert_eq!(element("<m>a<b>x</b>c</m>").text(), "ac");
    assert_eq!(element("<m><b>x</b></m>").text(), "");
}

#[test]
fn foreign_names_are_checked() {
    assert!(Element::try_new("urn:x", "name").is_some());
    for bad in ["", "a b", "a:b", "1a", "a>", "<a"] {
        assert!(Element::try_new("urn:x", bad).is_none(), "{bad}");
    }
    assert!(Element::try_new(ns::XMLNS, "name").is_none());
}

#[test]
fn a_namespace_is_declared_where_it_changes() {
    let tree = element("<a xmlns='u'><b/><c xmlns='v'><d xmlns='u'/></c><e xmlns=''/></a>");
    assert_eq!(tree.to_string(), "<a xmlns='u'><b/><c xmlns='v'><d xmlns='u'/></c><e xmlns=''/></a>");
}

#[test]
fn prefixes_are_for_attributes_only() {
    let tree = element("<p:a xmlns:p='u' xmlns:q='v' p:x='1' q:y='2' p:z='3' w='4'/>");
    assert_eq!(tree.to_string(), "<a xmlns='u' w='4' xmlns:n0='u' n0:x='1' xmlns:n1='v' n1:y='2' n0:z='3'/>");
    assert_eq!(element("<a xml:lang='en'/>").to_string(), "<a xml:lang='en'/>");
}

#[test]
fn the_prefix_of_the_stream_is_spelled_as_everyone_does() {
    let features = Element::new(ns::STREAMS, "features").with_child(Element::new(ns::BIND, "bind"));
    assert_eq!(
        written(&features, &Scope::CLIENT),
        "<stream:features><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></stream:features>"
    );
    let dialback = Element::new(ns::DIALBACK, "result").with_text("key");
    assert_eq!(written(&dialback, &Scope::SERVER), "<db:result>key</db:result>");
}

#[test]
fn special_characters_are_written_so_that_they_come_back() {
    let tree = Element::new("", "a").with_attr("b", "<>&'\"\t\n\r").with_text("<>&'\"\t\n\r]]>");
    assert_eq!(tree.to_string(), "<a b='&lt;&gt;&amp;&apos;\"&#9;&#10;&#13;'>&lt;&gt;&amp;'\"\t\n&#13;]]&gt;</a>");
    assert_eq!(element(&tree.to_string()), tree);
}

#[test]
fn every_sink_gets_the_same() {
    let tree = element("<a b='c'>d</a>");
    let (mut text, mut bytes) = (Vec::new(), bytes::BytesMut::new());
    tree.write_to(&mut text, &Scope::DOCUMENT);
    tree.write_to(&mut bytes, &Scope::DOCUMENT);
    assert_eq!((text.as_slice(), &bytes[..]), (tree.to_string().as_bytes(), tree.to_string().as_bytes()));
}

#[test]
fn known_namespaces_are_shared() {
    let name = String::from("jabber:client");
    assert_eq!(Namespace::intern(&name).as_str().as_ptr(), ns::well_known(&name).unwrap().as_ptr());
    assert_eq!(Namespace::intern("urn:new"), Namespace::from_static("urn:new"));
    assert!(Namespace::intern("").is_none());
}

#[test]
fn a_known_namespace_is_known_once() {
    let element = element("<a xmlns='urn:not:known:to:us'><b/><c/></a>");
    let names: Vec<*const u8> = element.children().map(|c| c.namespace().as_str().as_ptr()).collect();
    assert!(names.iter().all(|name| *name == element.namespace().as_str().as_ptr()), "one copy per declaration");
}
