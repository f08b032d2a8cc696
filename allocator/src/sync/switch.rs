//! Which seeded bug is on, for test builds. No word of a heap, so neither a fault point nor a word of the checkers'.

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// One number for the whole program; 0: no bug is on.
#[derive(Debug)]
pub struct Switch(AtomicU32);

impl Switch {
    /// With no bug on.
    #[must_use]
    #[allow(clippy::new_without_default, reason = "for a static")]
    pub const fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    /// Turns one bug on and all others off; 0 turns all off.
    pub fn set(&self, number: u32) {
        self.0.store(number, Relaxed);
    }

    /// Whether this bug is on.
    pub fn is(&self, number: u32) -> bool {
        self.0.load(Relaxed) == number
    }

    /// Turns on what `COHEAP_CONTROL` names by number: for native test programs.
    #[cfg(feature = "std")]
    pub fn set_from_environment(&self) {
        extern crate std;
        if let Some(number) = std::env::var("COHEAP_CONTROL").ok().and_then(|value| value.parse().ok()) {
            self.set(number);
        }
    }
}
