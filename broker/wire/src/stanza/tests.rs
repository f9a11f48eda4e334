use super::*;
use crate::xml::{Limits, parse_document};

fn stanza(xml: &str) -> Result<Stanza, StanzaFault> {
    Stanza::from_element(parse_document(xml, &Limits::CLIENT).unwrap())
}

#[test]
fn reads_and_writes_a_message_unchanged() {
    let xml = "<message xmlns='jabber:client' type='chat' id='1' from='a@b/c' to='d@e' xml:lang='en'>\
               <body>Hi</body><x xmlns='urn:unknown' y='1'/></message>";
    assert_eq!(stanza(xml).unwrap().to_string(), xml);
}
