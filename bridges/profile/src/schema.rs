//! The JSON Schema of the format `torg-profile/1`, for editors.

use serde_json::Value;
use torg_thing::config::schema_of;

use crate::raw::RawProfile;

/// The schema as text, pretty-printed and ending in a newline; committed as `profiles/torg-profile-1.schema.json`.
#[must_use]
pub fn schema() -> String {
    let mut schema = schema_of::<RawProfile>();
    if let Value::Object(map) = &mut schema {
        map.insert("title".to_owned(), "torg-profile/1".into());
    }
    format!("{schema:#}\n")
}
