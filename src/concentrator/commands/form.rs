//! The form of a command: one field for each parameter, all of which need a value.

use torg_thing::{Assignment, CommandSummary};
use torg_wire::xep::data_forms::{DataForm, FormField, FormKind};

use crate::concentrator::control::form::open_field;
use crate::concentrator::control::values;

/// The form to be filled in.
pub(super) fn empty(command: &CommandSummary) -> DataForm {
    let field = |parameter| FormField { required: true, ..open_field(parameter) };
    DataForm {
        kind: FormKind::Form,
        title: Some(command.name.to_string()),
        fields: command.parameters.iter().map(field).collect(),
        ..DataForm::default()
    }
}

/// What was filled in, or the form again with what is wrong with it.
pub(super) fn read(command: &CommandSummary, form: &DataForm) -> Result<Vec<Assignment>, Box<DataForm>> {
    let mut again = empty(command);
    let mut read = Vec::with_capacity(command.parameters.len());
    for (parameter, field) in command.parameters.iter().zip(&mut again.fields) {
        field.values = form.field(&field.var).map(|filled| filled.values.clone()).unwrap_or_default();
        if field.values.is_empty() {
            field.error = Some("A value is needed.".to_owned());
            continue;
        }
        match values::value(parameter, &field.values.join("\n")) {
            Ok(value) => read.push(Assignment { parameter: parameter.name.clone(), value }),
            Err(error) => field.error = Some(crate::concentrator::refusal::sentence(&error.to_string())),
        }
    }
    if again.fields.iter().any(|field| field.error.is_some()) { Err(Box::new(again)) } else { Ok(read) }
}
