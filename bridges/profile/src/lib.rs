//! Profiles: what registers, records and bytes of a device mean.
