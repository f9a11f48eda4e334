//! The service itself: a store, a domain and a clock.

use std::sync::Arc;

use torg_store::{Batch, Engine, Row, StoreError, Value};
use torg_thing::{Clock, Timestamp};
use torg_wire::jid::{BareJid, DomainPart};
use torg_wire::sasl::{
    AccountClass, Credentials, ITERATIONS, SALT_BYTES, ScramHash, ServerSecret, StoredKeys, TokenSecret,
};
use torg_wire::secret::Secret;

use crate::{AccountError, sql};

/// Accounts read at once on a walk over all: a page that costs a few milliseconds.
pub const NAMES_MAX: u32 = 1_000;

/// The accounts of one domain.
#[derive(Clone)]
pub struct Accounts {
    pub(crate) engine: Arc<dyn Engine>,
    domain: DomainPart,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) scram_sha1: bool,
    /// Without it no tokens are kept.
    pub(crate) tokens: Option<TokenSecret>,
}

/// One line of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its address.
    pub jid: BareJid,
    /// What stands behind it.
    pub class: AccountClass,
    /// Switched off: it cannot log in, but nobody else gets its name.
    pub disabled: bool,
    /// When it was made.
    pub created: Timestamp,
}

impl Accounts {
    /// The accounts in this store. Run [`crate::MIGRATIONS`] and [`torg_core::MIGRATIONS`] before.
    pub fn new(engine: Arc<dyn Engine>, domain: DomainPart, clock: Arc<dyn Clock>) -> Accounts {
        Accounts { engine, domain, clock, scram_sha1: false, tokens: None }
    }

    /// Whether passwords set from now on also get keys for SCRAM-SHA-1, for clients that cannot do better.
    #[must_use]
    pub fn with_scram_sha1(mut self, on: bool) -> Accounts {
        self.scram_sha1 = on;
        self
    }

    /// The address of a new account, given as `anna` or `anna@site.example`.
    ///
    /// # Errors
    /// The name means different accounts to different clients or cannot be one; the domain is another.
    pub fn parse_new(&self, text: &str) -> Result<BareJid, AccountError> {
        let wrong = |source| AccountError::UserName { name: text.into(), source };
        let whole = if text.contains('@') { text.into() } else { format!("{text}@{}", self.domain) };
        self.ours(BareJid::parse_new_account(&whole).map_err(wrong)?)
    }

    /// The address of an account that exists, given as `anna` or `anna@site.example`.
    ///
    /// # Errors
    /// It is no address, or of another domain.
    pub fn parse(&self, text: &str) -> Result<BareJid, AccountError> {
        let wrong = |source| AccountError::UserName { name: text.into(), source };
        let whole = if text.contains('@') { text.into() } else { format!("{text}@{}", self.domain) };
        self.ours(BareJid::parse(&whole).map_err(wrong)?)
    }

    fn ours(&self, account: BareJid) -> Result<BareJid, AccountError> {
        if account.domain() == self.domain.as_str() && account.local().is_some() {
            Ok(account)
        } else {
            Err(AccountError::UserDomain { account, domain: self.domain.to_string() })
        }
    }

    /// Creates a person's account from an address of [`Accounts::parse_new`].
    ///
    /// # Errors
    /// As [`Accounts::create_as`].
    pub async fn create(&self, account: &BareJid, password: Secret<String>) -> Result<(), AccountError> {
        self.create_as(account, password, AccountClass::Person).await
    }

    /// Creates an account of this class from an address of [`Accounts::parse_new`].
    ///
    /// # Errors
    /// It exists, its domain is another, or the password cannot be used.
    pub async fn create_as(
        &self,
        account: &BareJid,
        password: Secret<String>,
        class: AccountClass,
    ) -> Result<(), AccountError> {
        self.ours(account.clone())?;
        let keys = self.derive(password).await?;
        let now = self.clock.now().micros();
        let args = [Value::from(account.as_str()), Value::from(now), Value::from(class.name())];
        let batch = Batch::new().run(sql::INSERT, args);
        match self.engine.write(with_keys(batch, account, &keys)).await {
            Ok(_) => Ok(()),
            Err(StoreError::Constraint { .. }) => Err(AccountError::UserExists(account.clone())),
            Err(error) => Err(error.into()),
        }
    }

    /// Sets a new password. Keys of the old one are gone, and all tokens; a running broker ends the sessions opened with it within seconds.
    ///
    /// # Errors
    /// There is no such account, or the password cannot be used.
    pub async fn set_password(&self, account: &BareJid, password: Secret<String>) -> Result<(), AccountError> {
        let keys = self.derive(password).await?;
        let name = Value::from(account.as_str());
        let batch = Batch::new()
            .guard(1, sql::TOUCH, [name.clone(), Value::from(self.clock.now().micros())])
            .run(sql::DELETE_KEYS, [name.clone()])
            .run(sql::DELETE_TOKENS, [name]);
        self.change(account, torg_core::password_changed(with_keys(batch, account, &keys), account)).await
    }

    /// Switches an account off or on again.
    ///
    /// # Errors
    /// There is no such account.
    pub async fn set_disabled(&self, account: &BareJid, disabled: bool) -> Result<(), AccountError> {
        let args = [Value::from(account.as_str()), Value::from(disabled), Value::from(self.clock.now().micros())];
        self.change(account, Batch::new().guard(1, sql::DISABLE, args)).await
    }

    /// Removes an account, its keys and tokens, and what the broker keeps for it: whoever gets the name later must not inherit its
    /// contacts or messages. A running broker ends its sessions and tells its contacts within seconds.
    ///
    /// # Errors
    /// There is no such account.
    pub async fn remove(&self, account: &BareJid) -> Result<(), AccountError> {
        let name = Value::from(account.as_str());
        let batch = Batch::new()
            .guard(1, sql::DELETE, [name.clone()])
            .run(sql::DELETE_KEYS, [name.clone()])
            .run(sql::DELETE_TOKENS, [name]);
        self.change(account, torg_core::forgetting(batch, account)).await
    }

    async fn change(&self, account: &BareJid, batch: Batch) -> Result<(), AccountError> {
        match self.engine.write(batch).await {
            Ok(_) => Ok(()),
            Err(StoreError::Conflict { .. }) => Err(AccountError::UserUnknown(account.clone())),
            Err(error) => Err(error.into()),
        }
    }

    /// All accounts, by name.
    ///
    /// # Errors
    /// The store fails or holds what we did not write.
    pub async fn list(&self) -> Result<Vec<Account>, AccountError> {
        let rows = self.engine.query(sql::LIST, Vec::new()).await?;
        let read = |row: &Row| {
            let text = row.text(0)?;
            let jid = BareJid::parse(text)
                .map_err(|error| AccountError::StoreDamaged { account: text.into(), text: error.to_string() })?;
            let (disabled, created) = (row.boolean(1)?, Timestamp::from_micros(row.integer(2)?));
            Ok(Account { class: class(row, 3, text)?, jid, disabled, created })
        };
        rows.iter().map(read).collect()
    }

    /// How many accounts there are.
    ///
    /// # Errors
    /// The store fails.
    pub async fn count(&self) -> Result<u64, AccountError> {
        let rows = self.engine.query(sql::COUNT, Vec::new()).await?;
        let count = rows.first().map(|row| row.integer(0)).transpose().map_err(StoreError::from)?.unwrap_or(0);
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// At most [`NAMES_MAX`] accounts after that name, by name: for walks over all of them, however many there are.
    ///
    /// # Errors
    /// The store fails or holds what we did not write.
    pub async fn names_after(&self, name: &str) -> Result<Vec<BareJid>, AccountError> {
        let rows = self.engine.query(sql::NAMES, vec![Value::from(name), Value::from(NAMES_MAX)]).await?;
        let jid = |row: &Row| {
            let text = row.text(0)?;
            BareJid::parse(text)
                .map_err(|error| AccountError::StoreDamaged { account: text.into(), text: error.to_string() })
        };
        rows.iter().map(jid).collect()
    }

    /// Whether there is such an account and it is not switched off.
    ///
    /// # Errors
    /// The store fails.
    pub async fn exists(&self, account: &BareJid) -> Result<bool, AccountError> {
        Ok(self.class(account).await?.is_some())
    }

    /// The class of an account; `None` if there is no such account or it is switched off.
    ///
    /// # Errors
    /// The store fails or holds what we did not write.
    pub async fn class(&self, account: &BareJid) -> Result<Option<AccountClass>, AccountError> {
        let rows = self.engine.query_key(sql::STATE, vec![account.as_str().into()]).await?;
        match rows.first() {
            Some(row) if !row.boolean(0)? => class(row, 1, account.as_str()).map(Some),
            _ => Ok(None),
        }
    }

    /// What a login needs: the keys for this hash; `None` for an unknown account, or one without such keys.
    ///
    /// # Errors
    /// The store fails or holds what we did not write.
    pub async fn credentials(&self, account: &BareJid, hash: ScramHash) -> Result<Option<Credentials>, AccountError> {
        let rows = self.engine.query_key(sql::KEYS, vec![account.as_str().into(), hash.name().into()]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let damaged = |text: String| AccountError::StoreDamaged { account: account.to_string(), text };
        let iterations = u32::try_from(row.integer(2)?).map_err(|error| damaged(error.to_string()))?;
        let keys = StoredKeys::from_parts(hash, row.blob(1)?.to_vec(), iterations, row.blob(3)?, row.blob(4)?);
        Ok(Some(Credentials {
            keys: keys.map_err(|error| damaged(error.to_string()))?,
            disabled: row.boolean(0)?,
            class: class(row, 5, account.as_str())?,
            upgrade: self.upgrade(account, hash).await?,
        }))
    }

    /// Keeps keys that a client of the account has brought, unless it has some for that hash.
    ///
    /// # Errors
    /// The store fails.
    pub async fn add_keys(&self, account: &BareJid, keys: &StoredKeys) -> Result<(), AccountError> {
        self.engine.write(Batch::new().run(sql::ADD_KEYS, key_row(account, keys))).await?;
        Ok(())
    }

    /// The better hash that an account has no keys for.
    async fn upgrade(&self, account: &BareJid, hash: ScramHash) -> Result<Option<ScramHash>, AccountError> {
        let better = ScramHash::Sha256;
        if hash == better {
            return Ok(None);
        }
        let rows = self.engine.query_key(sql::HAS_KEYS, vec![account.as_str().into(), better.name().into()]).await?;
        Ok(rows.is_empty().then_some(better))
    }

    /// The secret behind the answers for unknown users: made once, then the same for ever.
    ///
    /// # Errors
    /// The store fails.
    pub async fn server_secret(&self) -> Result<ServerSecret, AccountError> {
        let fresh: [u8; 32] = random()?;
        let stored = self.engine.query(sql::SECRET, Vec::new()).await?;
        if stored.is_empty() {
            self.engine.write(Batch::new().run(sql::INSERT_SECRET, [Value::from(fresh.as_slice())])).await?;
        }
        let stored = self.engine.query(sql::SECRET, Vec::new()).await?;
        let damaged = || AccountError::StoreDamaged { account: "(secret)".into(), text: "not 32 bytes".into() };
        let row = stored.first().ok_or_else(damaged)?;
        Ok(ServerSecret::new(row.blob(0)?.try_into().map_err(|_| damaged())?))
    }

    /// Derives the keys off the runtime's threads: milliseconds of arithmetic.
    pub(crate) async fn derive(&self, password: Secret<String>) -> Result<Vec<StoredKeys>, AccountError> {
        let mut hashes = vec![ScramHash::Sha256];
        if self.scram_sha1 {
            hashes.push(ScramHash::Sha1);
        }
        let salts = hashes.iter().map(|_| random()).collect::<Result<Vec<[u8; SALT_BYTES]>, _>>()?;
        let work = move || {
            let each = hashes.into_iter().zip(salts);
            each.map(|(hash, salt)| StoredKeys::derive(hash, &password, &salt, ITERATIONS)).collect()
        };
        let done: Result<Vec<StoredKeys>, _> =
            tokio::task::spawn_blocking(work).await.map_err(|error| AccountError::Internal(error.to_string()))?;
        Ok(done?)
    }
}

/// The class in a column.
pub(crate) fn class(row: &Row, column: usize, account: &str) -> Result<AccountClass, AccountError> {
    let name = row.text(column)?;
    let damaged = || AccountError::StoreDamaged { account: account.into(), text: format!("no class: {name:?}") };
    AccountClass::parse(name).ok_or_else(damaged)
}

pub(crate) fn with_keys(batch: Batch, account: &BareJid, keys: &[StoredKeys]) -> Batch {
    keys.iter().fold(batch, |batch, keys| batch.run(sql::INSERT_KEYS, key_row(account, keys)))
}

fn key_row(account: &BareJid, keys: &StoredKeys) -> [Value; 6] {
    [
        Value::from(account.as_str()),
        Value::from(keys.hash().name()),
        Value::from(keys.salt()),
        Value::from(keys.iterations()),
        Value::from(keys.stored_key()),
        Value::from(keys.server_key()),
    ]
}

pub(crate) fn random<const N: usize>() -> Result<[u8; N], AccountError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| AccountError::Internal(error.to_string()))?;
    Ok(bytes)
}
