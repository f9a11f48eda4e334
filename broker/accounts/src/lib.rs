//! Accounts: stored SCRAM keys, creation, removal, password change.
