//! The JSON Schema of a type, and its parts put into words.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value;

/// The JSON Schema (2020-12) of what a type accepts when it is read. Editors use it to complete and lint.
pub fn schema_of<T: JsonSchema>() -> Value {
    SchemaSettings::draft2020_12().for_deserialize().into_generator().into_root_schema_for::<T>().to_value()
}

/// Follows `$ref` into the definitions of `root`. A reference that leads nowhere stands for "anything".
pub(super) fn resolve<'s>(root: &'s Value, mut schema: &'s Value) -> &'s Value {
    // A chain longer than this would be a cycle; schemars makes chains of one or two.
    for _ in 0..8 {
        let Some(target) = schema.get("$ref").and_then(Value::as_str) else {
            return schema;
        };
        let Some(next) = target.strip_prefix('#').and_then(|pointer| root.pointer(pointer)) else {
            return &Value::Bool(true);
        };
        schema = next;
    }
    &Value::Bool(true)
}

/// The alternatives of `oneOf` or `anyOf`, resolved, without the `null` that stands for an absent option.
pub(super) fn branches<'s>(root: &'s Value, schema: &'s Value) -> Option<Vec<&'s Value>> {
    let list = schema.get("oneOf").or_else(|| schema.get("anyOf"))?.as_array()?;
    let list = list.iter().map(|branch| resolve(root, branch));
    Some(list.filter(|branch| branch.get("type").and_then(Value::as_str) != Some("null")).collect())
}

/// The types a schema allows, `null` left out. Empty: not restricted.
pub(super) fn types(schema: &Value) -> Vec<&str> {
    let names = match schema.get("type") {
        Some(Value::String(name)) => vec![name.as_str()],
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    names.into_iter().filter(|&name| name != "null").collect()
}

/// The closed set of values a schema allows (`const`, `enum`, or a `oneOf` of only those).
pub(super) fn closed_set<'s>(root: &'s Value, schema: &'s Value) -> Option<Vec<&'s Value>> {
    let schema = resolve(root, schema);
    if let Some(only) = schema.get("const") {
        return Some(vec![only]);
    }
    if let Some(list) = schema.get("enum").and_then(Value::as_array) {
        return Some(list.iter().filter(|value| !value.is_null()).collect());
    }
    let mut all = Vec::new();
    for branch in branches(root, schema)? {
        all.extend(closed_set(root, branch)?);
    }
    Some(all)
}

/// Smallest and largest integer a schema allows: its `minimum` and `maximum`, and what the Rust type can hold.
pub(super) fn integer_limits(schema: &Value) -> (i128, i128) {
    let (low, high): (i128, i128) = match schema.get("format").and_then(Value::as_str) {
        Some("int8") => (i8::MIN.into(), i8::MAX.into()),
        Some("int16") => (i16::MIN.into(), i16::MAX.into()),
        Some("int32") => (i32::MIN.into(), i32::MAX.into()),
        Some("uint8") => (0, u8::MAX.into()),
        Some("uint16") => (0, u16::MAX.into()),
        Some("uint32") => (0, u32::MAX.into()),
        Some("uint" | "uint64") => (0, u64::MAX.into()),
        _ => (i64::MIN.into(), i64::MAX.into()),
    };
    let bound = |key: &str, step: i128| {
        let number = schema.get(key)?;
        let whole = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
        whole.or_else(|| number.as_f64().and_then(whole_number)).map(|whole| whole.saturating_add(step))
    };
    let lower = [bound("minimum", 0), bound("exclusiveMinimum", 1), Some(low)].into_iter().flatten().max();
    let upper = [bound("maximum", 0), bound("exclusiveMaximum", -1), Some(high)].into_iter().flatten().min();
    (lower.unwrap_or(low), upper.unwrap_or(high))
}

/// A limit written as a float by an attribute such as `range(min = 1.0)`.
fn whole_number(number: f64) -> Option<i128> {
    format!("{number:.0}").parse().ok()
}

/// What a schema allows, for "expected ...".
pub(super) fn describe(root: &Value, schema: &Value) -> String {
    let schema = resolve(root, schema);
    if let Some(values) = closed_set(root, schema) {
        return join_or(values.iter().map(|value| value.to_string()));
    }
    if let Some(list) = branches(root, schema) {
        let mut words: Vec<String> = Vec::new();
        for branch in list {
            let word = describe(root, branch);
            if !words.contains(&word) {
                words.push(word);
            }
        }
        return join_or(words);
    }
    join_or(types(schema).iter().map(|name| match *name {
        "array" => "a list".to_owned(),
        "boolean" => "true or false".to_owned(),
        "integer" => match integer_limits(schema) {
            (low, high) if low == i128::from(i64::MIN) && high == i128::from(i64::MAX) => "an integer".to_owned(),
            (low, high) if high >= i128::from(i64::MAX) => format!("an integer of at least {low}"),
            (low, high) => format!("an integer from {low} to {high}"),
        },
        "number" => {
            let limit = |key: &str| schema.get(key).and_then(Value::as_f64);
            match (limit("minimum"), limit("maximum")) {
                (Some(low), Some(high)) => format!("a number from {low} to {high}"),
                (Some(low), None) => format!("a number of at least {low}"),
                (None, Some(high)) => format!("a number of at most {high}"),
                (None, None) => "a number".to_owned(),
            }
        }
        "object" => "a table".to_owned(),
        "string" => "a string".to_owned(),
        other => other.to_owned(),
    }))
}

/// `a`, `a or b`, `a, b or c`.
pub(super) fn join_or(words: impl IntoIterator<Item = String>) -> String {
    let mut words: Vec<String> = words.into_iter().collect();
    let last = words.pop().unwrap_or_default();
    if words.is_empty() { last } else { format!("{} or {last}", words.join(", ")) }
}

/// A value that the schema allows, as dull as possible: stands in for a wrong one while the rest of the text is checked.
pub(super) fn harmless(root: &Value, schema: &Value) -> Value {
    let schema = resolve(root, schema);
    if let Some(default) = schema.get("default") {
        return default.clone();
    }
    if let Some(values) = closed_set(root, schema) {
        return values.first().map_or(Value::Null, |first| (*first).clone());
    }
    if let Some(list) = branches(root, schema) {
        return list.first().map_or(Value::Null, |first| harmless(root, first));
    }
    match types(schema).first() {
        Some(&"array") => Value::Array(Vec::new()),
        Some(&"boolean") => Value::Bool(false),
        Some(&"integer") => {
            let (low, high) = integer_limits(schema);
            serde_json::from_str(&0.clamp(low, high.max(low)).to_string()).unwrap_or_default()
        }
        Some(&"number") => schema.get("minimum").cloned().unwrap_or_else(|| 0.into()),
        Some(&"object") => {
            let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
            let property = |name: &str| schema.get("properties").and_then(|map| map.get(name)).unwrap_or(&Value::Null);
            required.filter_map(Value::as_str).map(|name| (name, harmless(root, property(name)))).collect()
        }
        Some(&"string") => Value::String(String::new()),
        _ => Value::Null,
    }
}
