//! The XML namespaces Torg speaks, and the table that turns a received name into a shared one.
//! Payload modules may keep their own constants; only names listed in [`well_known`] cost no allocation when parsed.

/// Stanzas between a client and its server (RFC 6120 §4.8.2).
pub const CLIENT: &str = "jabber:client";
/// Stanzas between servers (RFC 6120 §4.8.2).
pub const SERVER: &str = "jabber:server";
/// Stanzas between a component and its server (XEP-0114).
pub const COMPONENT: &str = "jabber:component:accept";
/// The stream element, its features and its errors (RFC 6120 §4.8.1).
pub const STREAMS: &str = "http://etherx.jabber.org/streams";
/// Conditions of stream errors (RFC 6120 §4.9.2).
pub const STREAM_ERRORS: &str = "urn:ietf:params:xml:ns:xmpp-streams";
/// Conditions of stanza errors (RFC 6120 §8.3.2).
pub const STANZA_ERRORS: &str = "urn:ietf:params:xml:ns:xmpp-stanzas";
/// STARTTLS negotiation (RFC 6120 §5).
pub const TLS: &str = "urn:ietf:params:xml:ns:xmpp-tls";
/// SASL negotiation (RFC 6120 §6).
pub const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";
/// The second SASL profile (XEP-0388).
pub const SASL2: &str = "urn:xmpp:sasl:2";
/// Resource binding together with login (XEP-0386).
pub const BIND2: &str = "urn:xmpp:bind:0";
/// Tokens for quick logins (XEP-0484).
pub const FAST: &str = "urn:xmpp:fast:0";
/// Tasks that bring keys for a better mechanism (XEP-0480 §2).
pub const SASL_UPGRADE: &str = "urn:xmpp:sasl:upgrade:0";
/// What these tasks exchange for SCRAM (XEP-0480 §3).
pub const SCRAM_UPGRADE: &str = "urn:xmpp:scram-upgrade:0";
/// SASL channel-binding types a server supports (XEP-0440).
pub const SASL_CHANNEL_BINDING: &str = "urn:xmpp:sasl-cb:0";
/// Resource binding (RFC 6120 §7).
pub const BIND: &str = "urn:ietf:params:xml:ns:xmpp-bind";
/// The session request old clients still send (RFC 3921 §3).
pub const SESSION: &str = "urn:ietf:params:xml:ns:xmpp-session";
/// Roster (RFC 6121 §2).
pub const ROSTER: &str = "jabber:iq:roster";
/// Roster versioning feature (RFC 6121 §2.6).
pub const ROSTER_VERSIONING: &str = "urn:xmpp:features:rosterver";
/// Subscription pre-approval feature (RFC 6121 §3.4).
pub const PRE_APPROVAL: &str = "urn:xmpp:features:pre-approval";
/// Service discovery, identities and features (XEP-0030).
pub const DISCO_INFO: &str = "http://jabber.org/protocol/disco#info";
/// Service discovery, items (XEP-0030).
pub const DISCO_ITEMS: &str = "http://jabber.org/protocol/disco#items";
/// Entity capabilities (XEP-0115).
pub const CAPS: &str = "http://jabber.org/protocol/caps";
/// Data forms (XEP-0004).
pub const DATA_FORMS: &str = "jabber:x:data";
/// Data form validation (XEP-0122).
pub const DATA_VALIDATE: &str = "http://jabber.org/protocol/xdata-validate";
/// Data form layout (XEP-0141).
pub const DATA_LAYOUT: &str = "http://jabber.org/protocol/xdata-layout";
/// Dynamic data forms (XEP-0336).
pub const DATA_DYNAMIC: &str = "urn:xmpp:xdata:dynamic";
/// Ping (XEP-0199).
pub const PING: &str = "urn:xmpp:ping";
/// Entity time (XEP-0202).
pub const TIME: &str = "urn:xmpp:time";
/// Software version (XEP-0092).
pub const VERSION: &str = "jabber:iq:version";
/// Delayed delivery (XEP-0203).
pub const DELAY: &str = "urn:xmpp:delay";
/// Stream limits advertisement (XEP-0478).
pub const STREAM_LIMITS: &str = "urn:xmpp:stream-limits:0";
/// Message processing hints (XEP-0334).
pub const HINTS: &str = "urn:xmpp:hints";
/// Unique stanza ids (XEP-0359).
pub const STANZA_ID: &str = "urn:xmpp:sid:0";
/// Stanza forwarding (XEP-0297).
pub const FORWARD: &str = "urn:xmpp:forward:0";
/// Carbons (XEP-0280).
pub const CARBONS: &str = "urn:xmpp:carbons:2";
/// Result set management (XEP-0059).
pub const RSM: &str = "http://jabber.org/protocol/rsm";
/// Chat state notifications (XEP-0085).
pub const CHAT_STATES: &str = "http://jabber.org/protocol/chatstates";
/// Message delivery receipts (XEP-0184).
pub const RECEIPTS: &str = "urn:xmpp:receipts";
/// Stream management (XEP-0198).
pub const STREAM_MANAGEMENT: &str = "urn:xmpp:sm:3";
/// Client state indication (XEP-0352).
pub const CLIENT_STATE: &str = "urn:xmpp:csi:0";
/// Ad-hoc commands (XEP-0050).
pub const COMMANDS: &str = "http://jabber.org/protocol/commands";
/// Blocking (XEP-0191).
pub const BLOCKING: &str = "urn:xmpp:blocking";
/// Conditions of errors about blocked addresses (XEP-0191).
pub const BLOCKING_ERRORS: &str = "urn:xmpp:blocking:errors";
/// The rules by which messages are copied (XEP-0280 §6.1).
pub const CARBONS_RULES: &str = "urn:xmpp:carbons:rules:0";
/// Chat markers (XEP-0333).
pub const CHAT_MARKERS: &str = "urn:xmpp:chat-markers:0";
/// Invitations into rooms, by a member (XEP-0249).
pub const MUC_INVITE: &str = "jabber:x:conference";
/// What a room says to a member (XEP-0045).
pub const MUC_USER: &str = "http://jabber.org/protocol/muc#user";
/// Files of user data (XEP-0227).
pub const PIE: &str = "urn:xmpp:pie:0";
/// SCRAM keys in such a file.
pub const PIE_SCRAM: &str = "urn:xmpp:pie:0#scram";
/// What such a file says of an account that only Torg knows: its class.
pub const ACCOUNT: &str = "urn:x-torg:account:0";
/// Private XML storage (XEP-0049).
pub const PRIVATE: &str = "jabber:iq:private";
/// Business cards (XEP-0054).
pub const VCARD: &str = "vcard-temp";
/// Last activity (XEP-0012).
pub const LAST: &str = "jabber:iq:last";
/// Registration with a server (XEP-0077).
pub const REGISTER: &str = "jabber:iq:register";
/// The stream feature of registration (XEP-0077 §8).
pub const REGISTER_FEATURE: &str = "http://jabber.org/features/iq-register";
/// Names of the commands of service administration (XEP-0133).
pub const ADMIN: &str = "http://jabber.org/protocol/admin";
/// Form type of what becomes of data (XEP-0504).
pub const DATA_POLICY: &str = "urn:xmpp:data-policy:0";
/// Form type of contact addresses (XEP-0157).
pub const SERVER_INFO: &str = "http://jabber.org/network/serverinfo";
/// Which servers a server talks to (XEP-0485).
pub const FEDERATION_INFO: &str = "urn:xmpp:serverinfo:0";
/// Publish and subscribe (XEP-0060 §16.1).
pub const PUBSUB: &str = "http://jabber.org/protocol/pubsub";
/// Publish and subscribe, conditions of errors (XEP-0060 §16.1).
pub const PUBSUB_ERRORS: &str = "http://jabber.org/protocol/pubsub#errors";
/// Publish and subscribe, notifications (XEP-0060 §16.1).
pub const PUBSUB_EVENT: &str = "http://jabber.org/protocol/pubsub#event";
/// Publish and subscribe, requests of owners (XEP-0060 §16.1).
pub const PUBSUB_OWNER: &str = "http://jabber.org/protocol/pubsub#owner";
/// Server dialback (XEP-0220).
pub const DIALBACK: &str = "jabber:server:dialback";
/// Server dialback with errors, as a stream feature (XEP-0220 §2.4.2).
pub const DIALBACK_FEATURE: &str = "urn:xmpp:features:dialback";
/// Bidirectional streams between servers, switched on (XEP-0288).
pub const BIDI: &str = "urn:xmpp:bidi";
/// Bidirectional streams between servers, as a stream feature (XEP-0288).
pub const BIDI_FEATURE: &str = "urn:xmpp:features:bidi";
/// Stream header of the WebSocket binding (RFC 7395 §3.3).
pub const FRAMING: &str = "urn:ietf:params:xml:ns:xmpp-framing";
/// The reserved namespace of `xml:lang` and friends (Namespaces in XML 1.0 §3).
pub const XML: &str = "http://www.w3.org/XML/1998/namespace";
/// The reserved namespace of namespace declarations (Namespaces in XML 1.0 §3).
pub const XMLNS: &str = "http://www.w3.org/2000/xmlns/";

/// The names worth sharing, most frequent first.
const WELL_KNOWN: &[&str] = &[
    CLIENT,
    SERVER,
    STANZA_ERRORS,
    STREAMS,
    XML,
    "urn:nf:iot:sd:1.0",
    "urn:ieee:iot:sd:1.0",
    "urn:nfi:iot:sd:1.0",
    "urn:nf:iot:concentrator:1.0",
    "urn:ieee:iot:concentrator:1.0",
    "urn:nfi:iot:concentrator:1.0",
    "urn:nf:iot:ctr:1.0",
    "urn:ieee:iot:ctr:1.0",
    "urn:nfi:iot:ctr:1.0",
    "urn:nf:iot:events:1.0",
    "urn:ieee:iot:events:1.0",
    "urn:nfi:iot:events:1.0",
    "urn:nf:iot:synchronization:1.0",
    "urn:ieee:iot:synchronization:1.0",
    "urn:nfi:iot:synchronization:1.0",
    "urn:xmpp:iot:sensordata",
    "urn:xmpp:iot:control",
    "urn:xmpp:iot:concentrators",
    ROSTER,
    DISCO_INFO,
    DISCO_ITEMS,
    PING,
    CAPS,
    DATA_FORMS,
    DATA_VALIDATE,
    DATA_LAYOUT,
    DATA_DYNAMIC,
    DELAY,
    STANZA_ID,
    RECEIPTS,
    CHAT_STATES,
    HINTS,
    STREAM_MANAGEMENT,
    CLIENT_STATE,
    SASL,
    SASL2,
    BIND2,
    FAST,
    TLS,
    BIND,
    SESSION,
    TIME,
    VERSION,
    FORWARD,
    CARBONS,
    RSM,
    PUBSUB,
    PUBSUB_EVENT,
    PUBSUB_OWNER,
    COMMANDS,
    STREAM_ERRORS,
    COMPONENT,
    DIALBACK,
    SASL_CHANNEL_BINDING,
    STREAM_LIMITS,
    ROSTER_VERSIONING,
    PRE_APPROVAL,
    FRAMING,
];

/// The shared copy of a namespace name that Torg knows, so that parsing it allocates nothing.
pub fn well_known(name: &str) -> Option<&'static str> {
    WELL_KNOWN.iter().copied().find(|known| *known == name)
}
