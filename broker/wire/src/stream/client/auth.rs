//! Logging in (RFC 6120 §6, XEP-0440).

use super::{After, ClientFault, ClientOutput, Common, Step, StepResult, Talk};
use crate::ns;
use crate::sasl::{
    BindingKind, Client, ClientError, ClientStep, DerivedKeys, Failure, Mechanism, Offer, base64_decode, base64_encode,
};
use crate::stream::Secured;
use crate::xml::Element;

/// The features must offer mechanisms.
#[derive(Debug)]
pub(super) struct AwaitMechanisms;

/// A mechanism is under way.
#[derive(Debug)]
pub(super) struct Exchange {
    client: Client,
    /// The shell derives keys, and the server must wait.
    asked: bool,
}

impl AwaitMechanisms {
    pub(super) fn element(self, element: &Element, common: &mut Common, talk: &mut Talk<ClientOutput>) -> StepResult {
        if !element.is(ns::STREAMS, "features") {
            return Err(ClientFault::Protocol("no stream features"));
        }
        let names: Vec<_> = element
            .child(ns::SASL, "mechanisms")
            .into_iter()
            .flat_map(|list| list.children_named(ns::SASL, "mechanism"))
            .map(|mechanism| mechanism.text().trim().to_owned())
            .collect();
        let kinds: Option<Vec<&str>> = element.child(ns::SASL_CHANNEL_BINDING, "sasl-channel-binding").map(|list| {
            let named = list.children_named(ns::SASL_CHANNEL_BINDING, "channel-binding");
            named.filter_map(|kind| kind.attr("type")).collect()
        });
        let offer = Offer::new(names.iter().map(String::as_str), kinds.clone());
        let offered: Vec<Mechanism> = names.iter().filter_map(|name| Mechanism::parse(name)).collect();
        let kinds: Option<Vec<BindingKind>> =
            kinds.map(|kinds| kinds.into_iter().filter_map(BindingKind::parse).collect());
        let Secured { bindings, .. } = common.secured.clone().unwrap_or_default();
        let nonce = common.seed.draw("nonce");
        let (client, first) = Client::start(&common.settings.login, &offered, &bindings, kinds.as_deref(), &nonce)?;
        let client = client.expecting(offer);
        let auth = Element::new(ns::SASL, "auth").with_attr("mechanism", client.mechanism().name());
        talk.element(&auth.with_text(base64_encode(&first)));
        Ok(Step::Exchange(Exchange { client, asked: false }))
    }
}

impl Exchange {
    pub(super) const fn is_waiting(&self) -> bool {
        self.asked
    }

    pub(super) fn element(mut self, element: &Element, talk: &mut Talk<ClientOutput>) -> StepResult {
        if element.namespace() != ns::SASL {
            return Err(ClientFault::Protocol("no SASL message"));
        }
        match element.name() {
            "challenge" => {
                let message = decode(element, talk)?;
                let step = self.client.challenge(&message);
                self.follow(step, talk)
            }
            "failure" => Err(refused(element)),
            "success" => {
                let data = if element.text().is_empty() { None } else { Some(decode(element, talk)?) };
                // An impostor's success is not answered with an abort: there is nothing left to abort.
                self.client.success(data.as_deref())?;
                talk.restart();
                Ok(Step::Header(After::Bind))
            }
            _ => Err(ClientFault::Protocol("no SASL message")),
        }
    }

    pub(super) fn derived(mut self, keys: &DerivedKeys, talk: &mut Talk<ClientOutput>) -> StepResult {
        if !self.asked {
            return Ok(Step::Exchange(self));
        }
        self.asked = false;
        let step = self.client.derived(keys);
        self.follow(step, talk)
    }

    fn follow(mut self, step: Result<ClientStep, ClientError>, talk: &mut Talk<ClientOutput>) -> StepResult {
        match step {
            Ok(ClientStep::Derive(derivation)) => {
                talk.ask(ClientOutput::Derive(derivation));
                self.asked = true;
            }
            Ok(ClientStep::Respond(response)) => {
                talk.element(&Element::new(ns::SASL, "response").with_text(base64_encode(&response)))
            }
            Ok(ClientStep::Done) => {}
            Err(error) => return Err(aborted(error, talk)),
        }
        Ok(Step::Exchange(self))
    }
}

fn decode(element: &Element, talk: &mut Talk<ClientOutput>) -> Result<Vec<u8>, ClientFault> {
    base64_decode(&element.text()).map_err(|_| aborted(ClientError::ServerMalformed, talk))
}

fn aborted(error: ClientError, talk: &mut Talk<ClientOutput>) -> ClientFault {
    talk.element(&Element::new(ns::SASL, "abort"));
    ClientFault::Login(error)
}

fn refused(element: &Element) -> ClientFault {
    let failure = element.children().find_map(|child| Failure::parse(child.name())).unwrap_or(Failure::NotAuthorized);
    let text = element.child_text(ns::SASL, "text").map(|text| text.into_owned());
    ClientFault::Refused { failure, text }
}
