//! What this program has references to: it has an object or not, however often it opened it.

use core::fmt;
use core::marker::PhantomData;
use std::cell::RefCell;
use std::collections::BTreeMap;

use super::import;
use crate::{Handle, Type};

std::thread_local! {
    /// How often each object is open, by its handle's word.
    static OPENED: RefCell<BTreeMap<u64, u32>> = const { RefCell::new(BTreeMap::new()) };
}

/// A reference to an object. Given back when it is dropped, unless this program has it open elsewhere.
pub struct Owned {
    handle: Handle,
    kind: Type,
    not_send: PhantomData<*mut ()>,
}

impl Owned {
    /// Of an object that this agent has just been given a reference to, or had one.
    pub(super) fn new(handle: Handle, kind: Type) -> Self {
        OPENED.with_borrow_mut(|opened| {
            let times = opened.entry(handle.to_word()).or_default();
            *times = times.saturating_add(1);
        });
        Self { handle, kind, not_send: PhantomData }
    }

    pub(super) fn handle(&self) -> Handle {
        self.handle
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        let last = OPENED.with_borrow_mut(|opened| {
            let times = opened.get_mut(&self.handle.to_word())?;
            *times = times.saturating_sub(1);
            (*times == 0).then(|| opened.remove(&self.handle.to_word()))
        });
        if last.is_some() {
            // What cannot be given back now is given back when the agent leaves.
            let _ = import::release(self.handle.index, self.handle.generation);
        }
    }
}

impl fmt::Debug for Owned {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?} {}.{}", self.kind, self.handle.index, self.handle.generation)
    }
}
