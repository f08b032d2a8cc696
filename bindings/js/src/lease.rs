//! Bytes on loan from a pipe.

use std::fmt;
use std::ops::Deref;

use wasm_bindgen::prelude::*;

use crate::Result;

#[wasm_bindgen]
extern "C" {
    /// The npm package's `SharedLease`.
    #[derive(Debug)]
    pub(crate) type SharedLease;

    #[wasm_bindgen(method, getter)]
    fn bytes(this: &SharedLease) -> Vec<u8>;
    #[wasm_bindgen(method, getter)]
    fn offset(this: &SharedLease) -> u64;
    #[wasm_bindgen(method, catch)]
    fn commit(this: &SharedLease) -> Result<()>;
    #[wasm_bindgen(method, catch)]
    fn dispose(this: &SharedLease) -> Result<()>;
}

/// Bytes on loan from a pipe: a copy of them, which it derefs to. They go back, as the next to be read, unless they are
/// committed: when this is dropped, with the pipe's wrapper, and when the agent detaches or dies.
pub struct Lease {
    lease: SharedLease,
    bytes: Vec<u8>,
}

impl Lease {
    /// Null is the end.
    pub(crate) fn of(lease: JsValue) -> Option<Self> {
        if lease.is_null() {
            return None;
        }
        let lease: SharedLease = lease.unchecked_into();
        let bytes = lease.bytes();
        Some(Self { lease, bytes })
    }

    /// Where in the pipe's stream the bytes begin, modulo 4 TiB.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.lease.offset()
    }

    /// The bytes are used up, as one step: nobody reads them again. Never blocks.
    ///
    /// # Errors
    /// [`Code::LeaseLost`](crate::Code::LeaseLost) when they went back before, or were committed;
    /// [`Code::StaleHandle`](crate::Code::StaleHandle), [`Code::Disposed`](crate::Code::Disposed),
    /// [`Code::Detached`](crate::Code::Detached) when the pipe or the heap is gone, and the loan with it.
    pub fn commit(self) -> Result<()> {
        self.lease.commit()
    }

    /// The object of JavaScript, for calls that commit it.
    pub(crate) fn as_js(&self) -> &SharedLease {
        &self.lease
    }
}

impl Deref for Lease {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // Does nothing for one that was committed; what this throws, the end of the stack, leaves it to the garbage collector.
        let _ = self.lease.dispose();
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Lease").field("offset", &self.offset()).field("bytes", &self.bytes).finish()
    }
}
