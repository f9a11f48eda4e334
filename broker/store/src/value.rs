//! Values, rows and typed access to them.

use std::vec;

use thiserror::Error;

/// One value of a row or one argument of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Absent.
    Null,
    /// A signed 64 bit number; also booleans (0, 1) and milliseconds since 1970.
    Integer(i64),
    /// UTF-8 text.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
}

impl Value {
    fn kind(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Integer(_) => "integer",
            Value::Text(_) => "text",
            Value::Blob(_) => "blob",
        }
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Value::Integer(value)
    }
}

impl From<i32> for Value {
    fn from(value: i32) -> Self {
        Value::Integer(value.into())
    }
}

impl From<u32> for Value {
    fn from(value: u32) -> Self {
        Value::Integer(value.into())
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Value::Integer(value.into())
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Value::Text(value.to_owned())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Value::Text(value)
    }
}

impl From<Vec<u8>> for Value {
    fn from(value: Vec<u8>) -> Self {
        Value::Blob(value)
    }
}

impl From<&[u8]> for Value {
    fn from(value: &[u8]) -> Self {
        Value::Blob(value.to_vec())
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Value::Null, Into::into)
    }
}

/// A row does not have the shape its reader expects: the statement and its reader disagree, or a newer Torg wrote it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RowError {
    /// There is no such column.
    #[error("the row has {columns} columns, column {column} was asked for")]
    Column {
        /// The position asked for, from 0.
        column: usize,
        /// How many columns the row has.
        columns: usize,
    },
    /// The value is of another kind.
    #[error("column {column} holds {found}, expected {expected}")]
    Kind {
        /// The position asked for, from 0.
        column: usize,
        /// What the reader wanted.
        expected: &'static str,
        /// What is there.
        found: &'static str,
    },
}

/// One row of an answer; columns are counted from 0 in the order of the `SELECT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    values: Vec<Value>,
}

impl Row {
    /// A row of these values; for engines.
    pub fn new(values: Vec<Value>) -> Self {
        Row { values }
    }

    /// The value as it is.
    pub fn value(&self, column: usize) -> Result<&Value, RowError> {
        self.values.get(column).ok_or(RowError::Column { column, columns: self.values.len() })
    }

    /// A number; NULL is an error.
    pub fn integer(&self, column: usize) -> Result<i64, RowError> {
        match self.value(column)? {
            Value::Integer(number) => Ok(*number),
            other => Err(RowError::Kind { column, expected: "integer", found: other.kind() }),
        }
    }

    /// Zero is false, everything else true; NULL is an error.
    pub fn boolean(&self, column: usize) -> Result<bool, RowError> {
        Ok(self.integer(column)? != 0)
    }

    /// Text; NULL is an error.
    pub fn text(&self, column: usize) -> Result<&str, RowError> {
        match self.value(column)? {
            Value::Text(text) => Ok(text),
            other => Err(RowError::Kind { column, expected: "text", found: other.kind() }),
        }
    }

    /// Text, or nothing where NULL stands.
    pub fn text_if_any(&self, column: usize) -> Result<Option<&str>, RowError> {
        match self.value(column)? {
            Value::Null => Ok(None),
            _ => self.text(column).map(Some),
        }
    }

    /// A number, or nothing where NULL stands.
    pub fn integer_if_any(&self, column: usize) -> Result<Option<i64>, RowError> {
        match self.value(column)? {
            Value::Null => Ok(None),
            _ => self.integer(column).map(Some),
        }
    }

    /// Bytes; NULL is an error.
    pub fn blob(&self, column: usize) -> Result<&[u8], RowError> {
        match self.value(column)? {
            Value::Blob(bytes) => Ok(bytes),
            other => Err(RowError::Kind { column, expected: "blob", found: other.kind() }),
        }
    }
}

/// The rows of one query, in the order the database gave them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    rows: Vec<Row>,
}

impl Rows {
    /// These rows; for engines.
    pub fn new(rows: Vec<Row>) -> Self {
        Rows { rows }
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The first row, if any.
    pub fn first(&self) -> Option<&Row> {
        self.rows.first()
    }

    /// All rows, borrowed.
    pub fn iter(&self) -> std::slice::Iter<'_, Row> {
        self.rows.iter()
    }
}

impl IntoIterator for Rows {
    type Item = Row;
    type IntoIter = vec::IntoIter<Row>;

    fn into_iter(self) -> Self::IntoIter {
        self.rows.into_iter()
    }
}

impl<'a> IntoIterator for &'a Rows {
    type Item = &'a Row;
    type IntoIter = std::slice::Iter<'a, Row>;

    fn into_iter(self) -> Self::IntoIter {
        self.rows.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_kind_is_a_typed_error() {
        let row = Row::new(vec![Value::from("a"), Value::Null]);
        assert_eq!(row.integer(0), Err(RowError::Kind { column: 0, expected: "integer", found: "text" }));
        assert_eq!(row.text(1), Err(RowError::Kind { column: 1, expected: "text", found: "null" }));
        assert_eq!(row.text_if_any(1), Ok(None));
    }

    #[test]
    fn a_missing_column_is_a_typed_error() {
        let row = Row::new(vec![Value::from(1)]);
        assert_eq!(row.text(1), Err(RowError::Column { column: 1, columns: 1 }));
    }
}
