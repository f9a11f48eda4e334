//! The devices on one line, by unit id, shared between the line and whoever wants to look at or change them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::Unit;

/// Several simulated devices that answer on the same line; clones share the devices.
#[derive(Debug, Clone, Default)]
pub struct Rack(Arc<Mutex<BTreeMap<u8, Unit>>>);

impl Rack {
    /// No device yet: a silent line.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds or replaces the device that answers to `id`.
    #[must_use]
    pub fn with(self, id: u8, unit: Unit) -> Self {
        self.lock().insert(id, unit);
        self
    }

    /// Takes a device off the line; from now on nobody answers to `id`.
    pub fn unplug(&self, id: u8) -> Option<Unit> {
        self.lock().remove(&id)
    }

    /// Looks into, or changes, one device. `None` if there is no such device.
    pub fn on<R>(&self, id: u8, act: impl FnOnce(&mut Unit) -> R) -> Option<R> {
        self.lock().get_mut(&id).map(act)
    }

    /// What the unit answers; `None` is silence. Unit 0 is a broadcast: all obey, nobody answers.
    pub(crate) fn answer(&self, id: u8, request: &[u8], age: Duration, broadcast: bool) -> Option<Vec<u8>> {
        let mut units = self.lock();
        if broadcast && id == 0 {
            for unit in units.values_mut() {
                unit.answer(request, age);
            }
            return None;
        }
        units.get_mut(&id).map(|unit| unit.answer(request, age))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u8, Unit>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
