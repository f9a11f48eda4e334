//! A profile as a page of Markdown for people: what a node with it will show, where that comes from and how sure it is.

use std::fmt::Write as _;

use torg_thing::ParameterKind;

use crate::checked::{Encoding, Point, Privilege, Profile, Shape, Write};
use crate::vectors::uncovered;

/// Describes a profile: facts, fields, parameters, enumerations, sources.
#[must_use]
pub fn document(profile: &Profile) -> String {
    let mut page = format!("# {} (`{}` {})\n\n", profile.title("en"), profile.id(), profile.version());
    let models: Vec<&str> = profile.models().collect();
    line(&mut page, format!("- Maker: {}; models: {}", profile.vendor(), models.join(", ")));
    facts(&mut page, profile);
    section(&mut page, "Fields", &["field", "value", "where", "type", "categories", "read", "note"]);
    for point in profile.points() {
        row(&mut page, &field(point));
    }
    if profile.parameters().next().is_some() {
        section(&mut page, "Parameters", &["parameter", "allowed", "function", "note"]);
        for write in profile.points().iter().filter_map(Point::write) {
            row(&mut page, &parameter(write));
        }
    }
    let mut headed = false;
    for point in profile.points() {
        let Shape::Enumeration(names) = point.shape() else { continue };
        if !headed {
            section(&mut page, "Enumerations", &["field", "type", "values"]);
            headed = true;
        }
        let values: Vec<String> = names.names.iter().map(|(raw, name)| format!("{raw} = {name}")).collect();
        row(&mut page, &[point.name().to_string(), format!("`{}`", names.kind), values.join(", ")]);
    }
    page.push_str("\n## Sources\n\n");
    for source in profile.sources() {
        line(&mut page, format!("- `{}`: {}", source.key, source.title));
    }
    let without: Vec<&str> = uncovered(profile).map(|name| name.as_str()).collect();
    if !without.is_empty() {
        line(&mut page, format!("\nNo vector shows: {}.", without.join(", ")));
    }
    page
}

fn facts(page: &mut String, profile: &Profile) {
    let link = profile.link();
    let serial = &link.serial;
    let parity = format!("{:?}", serial.parity).chars().next().unwrap_or('N');
    let baud = serial.baud.first().copied().unwrap_or_default();
    let first = format!("{baud} bit/s, 8{parity}{}, unit {}", serial.stop_bits, serial.unit);
    line(page, format!("- Protocol: {}; serial line as delivered: {first}", profile.protocol().name()));
    let limits = &link.limits;
    line(page, format!("- One request: at most {} registers or {} bits", limits.read, limits.read_bits));
    for uri in profile.interfaces() {
        line(page, format!("- Interface: `{uri}`"));
    }
    let ancestors: Vec<String> = profile.ancestors().map(|id| format!("`{id}`")).collect();
    if !ancestors.is_empty() {
        line(page, format!("- Extends: {}", ancestors.join(", ")));
    }
    line(page, format!("- Licence of the profile: {}", profile.license()));
    let unconfirmed = profile.points().iter().filter(|point| point.is_unconfirmed()).count();
    if unconfirmed > 0 {
        let all = profile.points().len();
        line(page, format!("- **Confirmed by one source only: {unconfirmed} of {all} fields**, marked below"));
    }
}

fn field(point: &Point) -> [String; 7] {
    let value = match point.shape() {
        Shape::Boolean => "boolean".to_owned(),
        Shape::Enumeration(_) => "enumeration".to_owned(),
        Shape::Int32 | Shape::Int64 => "integer".to_owned(),
        Shape::Quantity(scaling) => {
            let unit = if scaling.unit.is_empty() { "number" } else { scaling.unit.as_str() };
            let plural = if scaling.decimals == 1 { "" } else { "s" };
            format!("{unit}, {} decimal{plural}", scaling.decimals)
        }
        Shape::Text => "text".to_owned(),
    };
    let bits = point.slice().map(|slice| format!(" bits {}:{}", slice.shift(), slice.width())).unwrap_or_default();
    let kind = match point.encoding() {
        Encoding::Raw(count) | Encoding::Text(count) => format!("{}({count})", point.encoding().name()),
        other => other.name().to_owned(),
    };
    let categories: Vec<&str> = point.categories().flags().collect();
    let mut notes: Vec<String> = Vec::new();
    if point.is_unconfirmed() {
        let sources: Vec<&str> = point.sources().collect();
        notes.push(format!("**unconfirmed** (only {})", sources.join(", ")));
    }
    if let Some(valid) = point.valid() {
        notes.push(format!("valid {valid}"));
    }
    if !point.description().is_empty() {
        notes.push(point.description().to_owned());
    }
    [
        point.name().to_string(),
        value,
        format!("{} {} (0x{:04X}){bits}", point.table(), point.address(), point.address()),
        kind,
        categories.join(" "),
        point.poll().name().to_owned(),
        notes.join("; "),
    ]
}

fn parameter(write: &Write) -> [String; 4] {
    let parameter = write.parameter();
    let allowed = match (&parameter.kind, &parameter.range) {
        (ParameterKind::Enumeration { values, .. }, _) => format!("one of {}", values.join(", ")),
        (ParameterKind::Double { unit }, Some(range)) if !unit.is_empty() => format!("{range} ({unit})"),
        (_, Some(range)) => range.to_string(),
        (ParameterKind::Boolean, None) => "true or false".to_owned(),
        (_, None) => String::new(),
    };
    let mut notes = Vec::new();
    if write.verifies() {
        notes.push("read back after each write");
    }
    if write.privilege() == Privilege::Configure {
        notes.push("changes the configuration of the device");
    }
    [parameter.name.to_string(), allowed, write.function().code().to_string(), notes.join("; ")]
}

fn section(page: &mut String, title: &str, columns: &[&str]) {
    line(page, format!("\n## {title}\n"));
    line(page, format!("| {} |", columns.join(" | ")));
    line(page, format!("|{}", "---|".repeat(columns.len())));
}

/// A row of a table; a bar inside a cell would end it.
fn row(page: &mut String, cells: &[String]) {
    let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
    line(page, format!("| {} |", cells.join(" | ")));
}

fn line(page: &mut String, text: String) {
    // Writing to a String cannot fail.
    let _ = writeln!(page, "{text}");
}

#[cfg(test)]
#[path = "doc_tests.rs"]
mod tests;
