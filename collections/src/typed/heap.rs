//! The heap of a process, and a thread's seat at it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
#[cfg(not(target_arch = "wasm32"))]
use std::{boxed::Box, collections::hash_map::RandomState, hash::BuildHasher};

use coheap_alloc::layout::body;
use coheap_alloc::{Error, Figures, Operation, Result, Seat};
#[cfg(not(target_arch = "wasm32"))]
use coheap_alloc::{Memory, Options, layout::PAGE};

use super::owned::Owned;
use super::{Fields, Handle, Structure};
use crate::name::{self, Shape};
#[cfg(not(target_arch = "wasm32"))]
use crate::wait::native::Threads;
#[cfg(target_arch = "wasm32")]
use crate::wait::program::Imports as Threads;
use crate::wait::{self, Wake};
use crate::{Objects, Type, count};

/// One heap, for all threads of this process. A copy names the same one.
#[derive(Clone, Copy, Debug)]
pub struct Heap {
    raw: coheap_alloc::Heap,
    host: &'static Threads,
}

impl Heap {
    /// The heap in this program's own memory: that of `GlobalAlloc`, or one that grows to at most `maximum` bytes.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] when there is no room for it.
    #[cfg(target_arch = "wasm32")]
    pub fn of_program(maximum: u64) -> Result<Self> {
        let pages = u32::try_from(maximum.div_ceil(u64::from(coheap_alloc::layout::PAGE))).unwrap_or(u32::MAX);
        let raw = coheap_alloc::program::heap(pages).ok_or(Error::out_of_memory(maximum, 0, maximum))?;
        Ok(Self { raw, host: &Threads })
    }

    /// Makes a heap in this process that grows to at most `maximum` bytes, rounded up to pages of 64 KiB. Its memory is
    /// the process's until that ends.
    ///
    /// # Errors
    /// [`Error::InvalidLayout`] for more than 4 GiB; [`Error::OutOfMemory`] when the maximum leaves no room for a heap,
    /// or the system has no such range of addresses.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn in_process(maximum: u64) -> Result<Self> {
        let pages = u32::try_from(maximum.div_ceil(u64::from(PAGE))).ok().filter(|&pages| pages <= 65_536);
        let pages = pages.ok_or(Error::invalid_layout(maximum, u64::from(PAGE)))?;
        let none = Error::out_of_memory(maximum, 0, maximum);
        let memory = Memory::map(pages.min(2), pages).ok_or(none)?;
        let seed = RandomState::new().hash_one(maximum);
        let options = Options { maximum_pages: pages, fixed: false, seed };
        let raw = coheap_alloc::Heap::initialize(memory, PAGE, options)?;
        Ok(Self { raw, host: Box::leak(Box::new(Threads::new(memory))) })
    }

    /// Gives the calling thread a seat at the heap. It is given back with the last copy of the agent and the last
    /// structure that was opened by it. Never blocks.
    ///
    /// # Errors
    /// [`Error::NoSlot`], [`Error::OutOfMemory`].
    pub fn attach(self) -> Result<Agent> {
        // A thread of a WebAssembly program that must not block is refused by what it imports.
        let raw = self.raw.attach(Seat { may_block: true, ..Seat::default() })?;
        Ok(Agent(Rc::new(Attached { raw, host: self.host, opened: RefCell::default() })))
    }
}

/// A seat, and how often each of its objects is open.
#[derive(Debug)]
pub(super) struct Attached {
    raw: coheap_alloc::Agent,
    host: &'static Threads,
    /// By handle. An agent has one reference to an object, however often it opened it.
    opened: RefCell<HashMap<crate::Handle, u32>>,
}

impl Drop for Attached {
    fn drop(&mut self) {
        // A seat that cannot be left now is the next reaper's.
        let _ = count::detach(self.raw, self.host);
    }
}

/// A thread's seat at a heap. Stays on its thread; clones are the same seat.
#[derive(Clone, Debug)]
pub struct Agent(Rc<Attached>);

impl Agent {
    /// Whether the other is the same seat.
    pub(super) fn is(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }

    /// The structure of that name, made empty if there is none.
    ///
    /// # Errors
    /// [`Error::WrongType`] when the name belongs to something else, [`Error::NameTooLong`], [`Error::OutOfRange`] for
    /// an empty name, [`Error::OutOfMemory`].
    fn named<T: Structure>(&self, name: &str, shape: Shape) -> Result<T> {
        self.open_by(|operation| name::open(operation, name.as_bytes(), shape))
    }

    /// The cell of that name; a new one holds 0.
    ///
    /// # Errors
    /// [`Error::WrongType`] when the name belongs to something else, [`Error::NameTooLong`], [`Error::OutOfRange`] for
    /// an empty name, [`Error::OutOfMemory`].
    pub fn cell<V: super::CellValue>(&self, name: &str) -> Result<super::Cell<V>> {
        self.named(name, Shape::Cell(0.0))
    }

    /// A new cell without a name, which holds 0.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn new_cell<V: super::CellValue>(&self) -> Result<super::Cell<V>> {
        self.open_by(|operation| crate::cell::create(operation, 0.0))
    }

    /// The HTTP fields of that name; new ones have no line.
    ///
    /// # Errors
    /// As [`Agent::cell`].
    pub fn fields(&self, name: &str) -> Result<Fields> {
        self.named(name, Shape::Fields)
    }

    /// New HTTP fields without a name and without a line.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn new_fields(&self) -> Result<Fields> {
        self.open_by(|operation| crate::fields::create(operation, core::iter::empty()))
    }

    /// The map of that name; a new one has no entry.
    ///
    /// # Errors
    /// As [`Agent::cell`].
    pub fn map<K: super::MapKey, V: super::Value>(&self, name: &str) -> Result<super::Map<K, V>> {
        self.named(name, Shape::Map)
    }

    /// A new map without a name and without an entry.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn new_map<K: super::MapKey, V: super::Value>(&self) -> Result<super::Map<K, V>> {
        self.open_by(crate::map::create)
    }

    /// The pipe of that name; a new one has room for `capacity` bytes, 4,096 at least and 2³⁰ at most.
    ///
    /// # Errors
    /// As [`Agent::cell`]; [`Error::OutOfRange`] for another capacity.
    pub fn pipe(&self, name: &str, capacity: u32) -> Result<super::Pipe> {
        self.named(name, Shape::Pipe(capacity))
    }

    /// A new pipe without a name.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for a capacity that no pipe has, [`Error::OutOfMemory`].
    pub fn new_pipe(&self, capacity: u32) -> Result<super::Pipe> {
        self.open_by(|operation| crate::pipe::create(operation, capacity))
    }

    /// The list of that name; a new one has no value.
    ///
    /// # Errors
    /// As [`Agent::cell`].
    pub fn list<V: super::Value>(&self, name: &str) -> Result<super::List<V>> {
        self.named(name, Shape::List)
    }

    /// A new list without a name and without a value.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn new_list<V: super::Value>(&self) -> Result<super::List<V>> {
        self.open_by(crate::list::create)
    }

    /// The structure that a handle names; a parked one is this agent's from here on.
    ///
    /// # Errors
    /// [`Error::StaleHandle`] if it was destroyed, or never was; [`Error::WrongType`], [`Error::OutOfMemory`],
    /// [`Error::TooManyReferences`].
    pub fn open<T: Structure>(&self, handle: Handle<T>) -> Result<T> {
        let raw = handle.raw();
        self.open_by(|operation| count::acquire(operation, raw, Some(T::KIND)).map(|_| raw))
    }

    /// Takes a name away: what it named ends with its last holder. Answers whether there was such a name.
    ///
    /// # Errors
    /// [`Error::NameTooLong`], [`Error::OutOfRange`] for an empty name.
    pub fn remove(&self, name: &str) -> Result<bool> {
        let (removed, wake) = self.run(|operation| name::remove(operation, name.as_bytes()))?;
        self.notify(wake);
        Ok(removed)
    }

    /// Proves the heap consistent and answers its figures. Linear in the memory in use.
    ///
    /// # Errors
    /// [`Error::Corrupt`] with the rule that is broken, [`Error::Busy`] while another agent is online.
    pub fn audit(&self) -> Result<Figures> {
        self.0.raw.audit(&mut Objects)
    }

    pub(super) fn run<R>(&self, f: impl FnOnce(&Operation) -> Result<R>) -> Result<R> {
        self.0.raw.operation(f)
    }

    /// Sleeps as [`wait::sleep`].
    pub(super) fn sleep(&self, watch: wait::Watch, left: f64) -> Result<()> {
        wait::sleep(self.0.raw, self.0.host, watch, left)
    }

    /// The agent's own buffer in the heap, and how many bytes it has.
    pub(super) fn transfer(&self) -> (coheap_alloc::Address, u32) {
        (self.0.raw.transfer(), body::TRANSFER_LENGTH)
    }

    /// Copies what stands at the beginning of the agent's own buffer.
    pub(super) fn copy_out(&self, into: &mut [u8]) {
        self.0.raw.memory().copy_out(self.0.raw.transfer(), into);
    }

    pub(super) fn notify(&self, wake: Wake) {
        wake.notify(self.0.host);
    }

    /// Owns what `find` answers a handle of, which this agent has a reference to by then.
    pub(super) fn open_by<T: Structure>(&self, find: impl FnOnce(&Operation) -> Result<crate::Handle>) -> Result<T> {
        let handle = self.run(find)?;
        let mut opened = self.0.opened.borrow_mut();
        let times = opened.entry(handle).or_default();
        *times = times.saturating_add(1);
        drop(opened);
        Ok(T::from_owned(Owned::new(self.clone(), handle, T::KIND)))
    }

    /// One owner less; the last one gives the agent's reference back.
    pub(super) fn close(&self, handle: crate::Handle, kind: Type) {
        let mut opened = self.0.opened.borrow_mut();
        let Some(times) = opened.get_mut(&handle) else { return };
        *times = times.saturating_sub(1);
        if *times > 0 {
            return;
        }
        opened.remove(&handle);
        drop(opened);
        // What cannot be given back now is given back when the agent leaves.
        if let Ok(wake) = self.run(|operation| count::release(operation, handle, kind)) {
            self.notify(wake);
        }
    }
}
