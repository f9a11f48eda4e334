//! Accounts that move between servers (XEP-0227): keys and class here, all else by the broker's own tables.

use torg_store::{Batch, Row, StoreError, Value};
use torg_wire::jid::BareJid;
use torg_wire::ns;
use torg_wire::sasl::{AccountClass, ScramHash, StoredKeys};
use torg_wire::secret::Secret;
use torg_wire::xep::pie;
use torg_wire::xml::Element;

use crate::service::{class, with_keys};
use crate::{AccountError, Accounts, sql};

/// What became of an account of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Transfer {
    /// It is here now, with what it brought; another one of its name is gone.
    Imported(BareJid, torg_core::Imported),
    /// There is one of its name, which was to stay.
    Exists(BareJid),
    /// It cannot be taken over: why.
    Refused(String, String),
}

impl Accounts {
    /// The account as the `<user/>` of a file; `None` if there is none.
    ///
    /// # Errors
    /// The store fails or holds what we did not write.
    pub async fn export(&self, account: &BareJid) -> Result<Option<Element>, AccountError> {
        let state = self.engine.query_key(sql::STATE, vec![account.as_str().into()]).await?;
        let (Some(row), Some(local)) = (state.first(), account.local()) else { return Ok(None) };
        let about = Element::new(ns::ACCOUNT, "account")
            .with_attr("class", class(row, 1, account.as_str())?.name())
            .with_attr_opt("disabled", row.boolean(0)?.then_some("true"));
        let mut user = Element::new(ns::PIE, "user").with_attr("name", local).with_child(about);
        let damaged = |text: String| AccountError::StoreDamaged { account: account.to_string(), text };
        for row in &self.engine.query(sql::ALL_KEYS, vec![account.as_str().into()]).await? {
            user.push(pie::scram_element(&keys(row).map_err(damaged)?));
        }
        let parts = torg_core::export_account(&self.engine, account).await?;
        Ok(Some(user.with_children(parts)))
    }

    /// Takes an account of a file over: all of it, or nothing. Over one of its name only if `replace` says so; that one's sessions
    /// end within seconds.
    ///
    /// # Errors
    /// The store fails; then nothing has changed.
    pub async fn import(&self, user: &Element, replace: bool) -> Result<Transfer, AccountError> {
        let name = user.attr("name").unwrap_or_default();
        let refused = |why: String| Ok(Transfer::Refused(name.to_owned(), why));
        let account = match self.parse_new(name) {
            Ok(account) => account,
            Err(error) => return refused(error.to_string()),
        };
        let exists = !self.engine.query_key(sql::STATE, vec![account.as_str().into()]).await?.is_empty();
        if exists && !replace {
            return Ok(Transfer::Exists(account));
        }
        let mut left_out = Vec::new();
        let keys = match self.keys_of(user, &mut left_out).await {
            Ok(keys) => keys,
            Err(AccountError::UserPassword(error)) => return refused(format!("its password cannot be used: {error}")),
            Err(error) => return Err(error),
        };
        if keys.is_empty() {
            return refused("neither a password nor SCRAM keys that can be used are in the file".to_owned());
        }
        let about = user.child(ns::ACCOUNT, "account");
        let class = about.and_then(|about| AccountClass::parse(about.attr("class")?)).unwrap_or(AccountClass::Person);
        let now = self.clock.now();
        let jid = Value::from(account.as_str());
        // Noted for a new account, too: a running broker then reads its block list.
        let mut batch = torg_core::password_changed(Batch::new(), &account);
        if exists {
            batch = torg_core::clearing(batch, &account)
                .guard(1, sql::DELETE, [jid.clone()])
                .run(sql::DELETE_KEYS, [jid.clone()])
                .run(sql::DELETE_TOKENS, [jid.clone()]);
        }
        batch = batch.run(sql::INSERT, [jid.clone(), Value::from(now.micros()), Value::from(class.name())]);
        if about.is_some_and(|about| about.attr("disabled") == Some("true")) {
            batch = batch.guard(1, sql::DISABLE, [jid, Value::from(true), Value::from(now.micros())]);
        }
        let domain = account.as_jid().to_domain();
        let (batch, mut done) =
            torg_core::import_account(with_keys(batch, &account, &keys), &domain, &account, user, now);
        done.left_out.splice(0..0, left_out);
        match self.engine.write(batch).await {
            Ok(_) => Ok(Transfer::Imported(account, done)),
            Err(StoreError::TooMany { what, limit }) => refused(format!("it has more than {limit} {what}")),
            Err(StoreError::Constraint { .. } | StoreError::Conflict { .. }) if !replace => {
                Ok(Transfer::Exists(account))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The keys that are kept of what the file brings: those of the better hash; the weaker ones only where they are wanted or all
    /// there is.
    async fn keys_of(&self, user: &Element, left_out: &mut Vec<String>) -> Result<Vec<StoredKeys>, AccountError> {
        let mut keys: Vec<StoredKeys> = Vec::new();
        for element in user.children_named(ns::PIE_SCRAM, "scram-credentials") {
            match pie::scram_keys(element) {
                Some(found) if keys.iter().all(|other| other.hash() != found.hash()) => keys.push(found),
                _ => {
                    let mechanism = element.attr("mechanism").unwrap_or_default();
                    left_out.push(format!("keys for {mechanism:?}: not known here, given twice, or not well-formed"));
                }
            }
        }
        let has = |keys: &[StoredKeys], hash| keys.iter().any(|keys| keys.hash() == hash);
        if !has(&keys, ScramHash::Sha256)
            && let Some(password) = user.attr("password")
        {
            keys = self.derive(Secret::new(password.to_owned())).await?;
        }
        if !self.scram_sha1 && has(&keys, ScramHash::Sha256) {
            keys.retain(|keys| keys.hash() != ScramHash::Sha1);
        } else if !self.scram_sha1 && !keys.is_empty() {
            left_out.push(
                "keys for SCRAM-SHA-256: there are only those for SCRAM-SHA-1, with which it can log in once [broker.auth] scram_sha_1 \
                 is on, or after torg account passwd"
                    .to_owned(),
            );
        }
        Ok(keys)
    }
}

fn keys(row: &Row) -> Result<StoredKeys, String> {
    let text = |error: torg_store::RowError| error.to_string();
    let hash = ScramHash::parse(row.text(0).map_err(text)?).ok_or("keys of an unknown hash")?;
    let iterations = u32::try_from(row.integer(2).map_err(text)?).map_err(|error| error.to_string())?;
    let (salt, stored) = (row.blob(1).map_err(text)?, row.blob(3).map_err(text)?);
    StoredKeys::from_parts(hash, salt.to_vec(), iterations, stored, row.blob(4).map_err(text)?)
        .map_err(|error| error.to_string())
}
