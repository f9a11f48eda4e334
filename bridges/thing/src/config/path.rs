//! Dotted paths into a TOML text: `bridge[0].line[1].device[0].unit`, `points."Voltage L1".type`.

use std::fmt;

/// One step into a table or a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Index(usize),
    Key(String),
}

/// A place in a TOML text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct KeyPath(Vec<Step>);

impl KeyPath {
    /// Reads the notation of `Display`. Lenient: what is not an index is part of a key.
    pub(super) fn parse(text: &str) -> Self {
        let mut steps = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            if let Some(inside) = rest.strip_prefix('[')
                && let Some((digits, after)) = inside.split_once(']')
                && let Ok(index) = digits.parse()
            {
                steps.push(Step::Index(index));
                rest = after;
            } else if let Some(inside) = rest.strip_prefix('"') {
                let (key, after) = unquote(inside);
                steps.push(Step::Key(key));
                rest = after;
            } else {
                let end = rest.find(['.', '[']).filter(|&end| end > 0).unwrap_or(rest.len());
                let (key, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
                steps.push(Step::Key(key.to_owned()));
                rest = after;
            }
            rest = rest.strip_prefix('.').unwrap_or(rest);
        }
        Self(steps)
    }

    pub(super) fn steps(&self) -> &[Step] {
        &self.0
    }

    pub(super) fn push(&mut self, step: Step) {
        self.0.push(step);
    }

    pub(super) fn pop(&mut self) {
        self.0.pop();
    }

    /// This path, then `rest`.
    pub(super) fn join(&self, rest: &KeyPath) -> Self {
        Self(self.0.iter().chain(&rest.0).cloned().collect())
    }

    /// The place beside this one that has another key.
    pub(super) fn beside(mut self, key: &str) -> Self {
        self.pop();
        self.push(Step::Key(key.to_owned()));
        self
    }

    /// This path as the header of one more table of a list: `[[bridge.line.device]]`.
    pub(super) fn header(&self) -> String {
        let keys = self.0.iter().filter(|step| matches!(step, Step::Key(_))).cloned();
        format!("[[{}]]", Self(keys.collect()))
    }

    /// Whether this path is `outer` or leads further from there.
    pub(super) fn starts_with(&self, outer: &KeyPath) -> bool {
        self.0.starts_with(&outer.0)
    }

    /// Whether this path leads from `outer` by exactly one step.
    pub(super) fn is_directly_in(&self, outer: &KeyPath) -> bool {
        self.0.split_last().is_some_and(|(_, before)| before == outer.0)
    }

    /// Whether a key on the way names a secret: then the value found is never shown.
    pub(super) fn is_secret(&self) -> bool {
        self.0.iter().any(|step| match step {
            Step::Key(key) => {
                let key = key.to_ascii_lowercase();
                ["password", "secret", "key", "token"].iter().any(|word| key.contains(word))
            }
            Step::Index(_) => false,
        })
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, step) in self.0.iter().enumerate() {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Key(key) => {
                    if position > 0 {
                        f.write_str(".")?;
                    }
                    f.write_str(&quote_key(key))?;
                }
            }
        }
        Ok(())
    }
}

/// A key as TOML writes it: bare if it may be, else in quotes. For building the paths that `error_at` takes.
pub fn quote_key(key: &str) -> String {
    let bare = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if bare { key.to_owned() } else { format!("\"{}\"", key.replace('\\', "\\\\").replace('"', "\\\"")) }
}

/// Reads up to the closing quote; gives the key and what follows.
fn unquote(inside: &str) -> (String, &str) {
    let mut key = String::new();
    let mut chars = inside.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (key, inside.get(at.saturating_add(1)..).unwrap_or("")),
            '\\' => key.extend(chars.next().map(|(_, escaped)| escaped)),
            _ => key.push(c),
        }
    }
    (key, "")
}
