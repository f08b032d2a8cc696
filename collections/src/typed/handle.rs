//! Plain data that names a structure.

use core::fmt;
use core::marker::PhantomData;

use super::owned::Owned;
use crate::Type;

/// Names a structure, on any thread and in JavaScript; keeps nothing alive. Opened by [`super::Agent::open`].
///
/// ```
/// use coheap::typed::{Heap, List, Structure};
///
/// let heap = Heap::in_process(64 << 20)?;
/// let list: List<f64> = heap.attach()?.new_list()?;
/// let handle = list.handle();
/// std::thread::scope(|scope| {
///     scope.spawn(move || heap.attach()?.open(handle)?.push(1.0));
/// });
/// assert_eq!(list.len()?, 1);
/// # Ok::<(), coheap_alloc::Error>(())
/// ```
///
/// A structure itself stays on the thread of its agent:
///
/// ```compile_fail,E0277
/// # use coheap::typed::{Heap, List};
/// # let heap = Heap::in_process(64 << 20).unwrap();
/// let list: List<f64> = heap.attach().unwrap().new_list().unwrap();
/// std::thread::spawn(move || list.push(1.0));
/// ```
pub struct Handle<T> {
    raw: crate::Handle,
    names: PhantomData<fn() -> T>,
}

impl<T> Handle<T> {
    pub(super) fn new(raw: crate::Handle) -> Self {
        Self { raw, names: PhantomData }
    }

    pub(super) fn raw(self) -> crate::Handle {
        self.raw
    }

    /// The handle as one word: index in the lower half, generation in the upper.
    #[must_use]
    pub fn to_bits(self) -> u64 {
        self.raw.to_word()
    }

    /// The handle of a word. Any word will do: one that names nothing is refused when it is opened.
    #[must_use]
    pub fn from_bits(bits: u64) -> Self {
        Self::new(crate::Handle::from_word(bits))
    }
}

impl<T> Clone for Handle<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Handle<T> {}

impl<T> PartialEq for Handle<T> {
    fn eq(&self, other: &Self) -> bool {
        self.raw == other.raw
    }
}

impl<T> Eq for Handle<T> {}

impl<T> fmt::Debug for Handle<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Handle({}.{})", self.raw.index, self.raw.generation)
    }
}

/// What a handle can name: the structures of this module.
pub trait Structure: Sized + sealed::Sealed {
    #[doc(hidden)]
    const KIND: Type;
    #[doc(hidden)]
    fn from_owned(owned: Owned) -> Self;
    #[doc(hidden)]
    fn owned(&self) -> &Owned;

    /// The handle of this structure.
    #[must_use]
    fn handle(&self) -> Handle<Self> {
        Handle::new(self.owned().handle())
    }
}

pub(super) mod sealed {
    /// Only this crate's types.
    pub trait Sealed {}
}
