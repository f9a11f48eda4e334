//! The control form: the parameters that all the nodes have in common, with present values where they are known.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::timeout;
use torg_provisioning::Scope;
use torg_thing::{
    About, Categories, ControlParameter, Field, FieldName, FieldValue, Node, ParameterKind, Range, ReadoutPart,
    Selection, readout,
};
use torg_wire::xep::data_forms::{DataForm, FieldKind, FormField, FormKind, FormOption, Validation, ValidationMethod};

use crate::concentrator::readout::Target;
use crate::concentrator::refusal;

/// How long the present values may take to be read. What is not known by then is left open; deployed clients give up on the
/// form after 15 s.
const VALUES_WITHIN: Duration = Duration::from_secs(8);

/// Nodes whose present values are read; with more, values count as unknown.
const NODES_READ_MAX: usize = 16;

/// The form; `None` if no parameter is left over.
pub(super) async fn build(targets: Vec<Target>, scope: &Scope) -> Option<DataForm> {
    let abouts: Vec<_> = targets.iter().map(|target| target.node.about()).collect();
    let mut parameters = common(&abouts);
    parameters.retain(|parameter| scope.names.contains(&parameter.name));
    if parameters.is_empty() {
        return None;
    }
    let values = present(&targets, &abouts, &parameters).await;
    let fields = parameters.iter().map(|parameter| form_field(parameter, values.get(&parameter.name))).collect();
    let title = match abouts.as_slice() {
        [only] => only.name.to_string(),
        several => format!("{} nodes", several.len()),
    };
    Some(DataForm { kind: FormKind::Form, title: Some(title), fields, ..DataForm::default() })
}

/// Parameters of the first node that all others have, too, with equal type and range.
fn common(abouts: &[Arc<About>]) -> Vec<ControlParameter> {
    let Some((first, others)) = abouts.split_first() else { return Vec::new() };
    let shared = |parameter: &&ControlParameter| {
        others.iter().all(|other| {
            other
                .control(&parameter.name)
                .is_some_and(|twin| twin.kind == parameter.kind && twin.range == parameter.range)
        })
    };
    first.controls.iter().filter(shared).cloned().collect()
}

/// The value of each parameter, and whether it is the same on all nodes.
#[derive(Debug, PartialEq)]
struct Present {
    text: String,
    same: bool,
}

/// Reads the fields named like the parameters. Values are those of the first node; what is not known is left out.
async fn present(
    targets: &[Target],
    abouts: &[Arc<About>],
    parameters: &[ControlParameter],
) -> HashMap<FieldName, Present> {
    let mut values = HashMap::new();
    if targets.len() > NODES_READ_MAX {
        return values;
    }
    let wanted: BTreeSet<_> = parameters.iter().map(|parameter| parameter.name.clone()).collect();
    let mut readers = JoinSet::new();
    for (index, (target, about)) in targets.iter().zip(abouts).enumerate() {
        let shown = about.fields.iter().map(|field| &field.name).filter(|name| wanted.contains(*name));
        let fields: BTreeSet<_> = shown.cloned().collect();
        if !fields.is_empty() {
            let (node, selection) =
                (Arc::clone(&target.node), Selection { fields: Some(fields), ..Selection::everything() });
            readers
                .spawn(async move { (index, timeout(VALUES_WITHIN, read(node, selection)).await.unwrap_or_default()) });
        }
    }
    let mut found: Vec<HashMap<FieldName, String>> = vec![HashMap::new(); targets.len()];
    while let Some(read) = readers.join_next().await {
        if let Ok((index, values)) = read
            && let Some(slot) = found.get_mut(index)
        {
            *slot = values;
        }
    }
    let Some((first, others)) = found.split_first() else { return values };
    for (name, text) in first {
        let same = others.iter().all(|other| other.get(name) == Some(text));
        values.insert(name.clone(), Present { text: text.clone(), same });
    }
    values
}

/// Momentary values of a node as text of a form. A node that cannot be read has none.
async fn read(node: Arc<dyn Node>, selection: Selection) -> HashMap<FieldName, String> {
    let (sender, mut stream) = readout();
    let mut values = HashMap::new();
    let collect = async {
        while let Some(part) = stream.next().await {
            let ReadoutPart::Fields(fields) = part else { continue };
            let momentary = fields.into_iter().filter(|field| !field.categories.contains(Categories::HISTORICAL));
            values.extend(momentary.filter_map(|field| Some((field.name.clone(), text(&field)?))));
        }
    };
    let (outcome, ()) = tokio::join!(node.read(&selection, sender), collect);
    if outcome.is_err() {
        values.clear();
    }
    values
}

fn text(field: &Field) -> Option<String> {
    Some(match field.value.as_ref()? {
        FieldValue::Quantity(quantity) => quantity.value.to_string(),
        value => value.to_string(),
    })
}

/// The field for a parameter that has no present value.
pub(in crate::concentrator) fn open_field(parameter: &ControlParameter) -> FormField {
    FormField { not_same: false, ..form_field(parameter, None) }
}

fn form_field(parameter: &ControlParameter, value: Option<&Present>) -> FormField {
    let (kind, datatype) = match &parameter.kind {
        ParameterKind::Boolean => (FieldKind::Boolean, Some("xs:boolean")),
        ParameterKind::Color => (FieldKind::TextSingle, Some("xdc:colorAlpha")),
        ParameterKind::Date => (FieldKind::TextSingle, Some("xs:date")),
        ParameterKind::DateTime => (FieldKind::TextSingle, Some("xs:dateTime")),
        ParameterKind::Double { .. } => (FieldKind::TextSingle, Some("xs:double")),
        ParameterKind::Duration => (FieldKind::TextSingle, Some("xs:duration")),
        ParameterKind::Enumeration { .. } => (FieldKind::ListSingle, None),
        ParameterKind::Int32 => (FieldKind::TextSingle, Some("xs:int")),
        ParameterKind::Int64 => (FieldKind::TextSingle, Some("xs:long")),
        ParameterKind::Time => (FieldKind::TextSingle, Some("xs:time")),
        _ => (FieldKind::TextSingle, Some("xs:string")),
    };
    let options = options(parameter);
    // Options belong to lists (XEP-0004 §3.3), whatever the type of their values.
    let kind = if options.is_empty() { kind } else { FieldKind::ListSingle };
    let mut field = FormField::new(kind, parameter.name.as_str());
    field.label =
        Some(if parameter.label.is_empty() { parameter.name.to_string() } else { parameter.label.to_string() });
    field.description = description(parameter);
    field.validation = datatype.map(|datatype| Validation { datatype: datatype.to_owned(), method: method(parameter) });
    field.not_same = value.is_none_or(|value| !value.same);
    field.values = value.map(|value| value.text.clone()).into_iter().collect();
    field.options = options;
    field
}

fn description(parameter: &ControlParameter) -> Option<String> {
    let unit = match &parameter.kind {
        ParameterKind::Double { unit } if !unit.is_empty() => Some(unit.as_str()),
        _ => None,
    };
    match (parameter.description.is_empty(), unit) {
        (true, None) => None,
        (false, None) => Some(parameter.description.to_string()),
        (true, Some(unit)) => Some(format!("In {unit}.")),
        (false, Some(unit)) => Some(format!("{} In {unit}.", refusal::sentence(&parameter.description))),
    }
}

fn method(parameter: &ControlParameter) -> ValidationMethod {
    match &parameter.range {
        // What is chosen from a list needs no range.
        Some(Range { min, max, values }) if values.is_empty() && (min.is_some() || max.is_some()) => {
            ValidationMethod::Range { min: min.map(|value| value.to_string()), max: max.map(|value| value.to_string()) }
        }
        _ => ValidationMethod::Basic,
    }
}

fn options(parameter: &ControlParameter) -> Vec<FormOption> {
    let option = |value: String| FormOption { value, label: None };
    match (&parameter.kind, &parameter.range) {
        (ParameterKind::Enumeration { values, .. }, _) => {
            values.iter().map(|value| option(value.to_string())).collect()
        }
        (_, Some(range)) => range.values.iter().map(|value| option(value.to_string())).collect(),
        (_, None) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use torg_thing::{Decimal, Unit};

    use super::*;

    fn period(values: Vec<Decimal>) -> ControlParameter {
        ControlParameter {
            name: FieldName::parse("Demand Period").unwrap(),
            kind: ParameterKind::Double { unit: Unit::new("min") },
            range: Some(Range { min: Some(Decimal::ZERO), max: Some(Decimal::from(60)), values }),
            label: "Demand period".into(),
            description: "".into(),
        }
    }

    #[test]
    fn a_number_from_a_list_of_values_is_a_list() {
        let field = form_field(&period(vec![Decimal::from(5), Decimal::from(10)]), None);
        assert_eq!((field.kind, field.options.len()), (Some(FieldKind::ListSingle), 2));
    }

    #[test]
    fn a_number_from_a_range_is_typed_in() {
        let field = form_field(&period(Vec::new()), None);
        assert_eq!((field.kind, field.options.len()), (Some(FieldKind::TextSingle), 0));
    }
}
