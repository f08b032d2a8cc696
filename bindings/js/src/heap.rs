//! The heap as one agent sees it, and how another one joins.

use js_sys::{Object, Promise};
use wasm_bindgen::JsCast;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

use crate::given::{array, options};
use crate::{
    BlockingCell, BlockingPipe, Handle, Recovery, Result, SharedBytes, SharedCell, SharedFields, SharedList, SharedMap,
    SharedPipe, SharedResource,
};

#[wasm_bindgen]
extern "C" {
    /// One agent's view of a heap, of either face. After `detach` every method but `detach` is `Detached`.
    #[derive(Clone, Debug)]
    pub type Heap;

    /// A fresh token: lets one more agent attach. Send it with `postMessage` or as `workerData`.
    ///
    /// # Errors
    /// [`Code::Detached`](crate::Code::Detached), as of every call.
    #[wasm_bindgen(method, catch)]
    pub fn token(this: &Heap) -> Result<HeapToken>;

    /// Ties a worker to the slot that the agent with this token takes.
    ///
    /// # Errors
    /// [`Code::Adopted`](crate::Code::Adopted), [`Code::InvalidArgument`](crate::Code::InvalidArgument) for what is no
    /// worker.
    #[wasm_bindgen(method, catch)]
    pub fn adopt(this: &Heap, worker: &JsValue, token: &HeapToken) -> Result<HeapToken>;

    #[wasm_bindgen(method, js_name = adopt, catch)]
    fn adopt_for(this: &Heap, worker: &JsValue, token: &HeapToken, options: Option<&Object>) -> Result<HeapToken>;
    #[wasm_bindgen(method, js_name = terminate, catch)]
    fn promise_of_recovery(this: &Heap, worker: &JsValue) -> Result<Promise>;
    #[wasm_bindgen(method, js_name = audit, catch)]
    fn promise_of_proof(this: &Heap, options: Option<&Object>) -> Result<Promise>;
    #[wasm_bindgen(method, js_name = cell, catch)]
    fn cell_of(this: &Heap, name: Option<&str>, initial: &JsValue) -> Result<SharedCell>;
    #[wasm_bindgen(method, js_name = bytes, catch)]
    fn bytes_of(this: &Heap, name: Option<&str>, length: f64) -> Result<SharedBytes>;
    #[wasm_bindgen(method, js_name = pipe, catch)]
    fn pipe_of(this: &Heap, name: Option<&str>, options: Option<&Object>) -> Result<SharedPipe>;

    /// The cell of that name; a new one holds 0.
    ///
    /// # Errors
    /// [`Code::WrongType`](crate::Code::WrongType) when the name belongs to something else,
    /// [`Code::InvalidArgument`](crate::Code::InvalidArgument) for an empty name or one above 1,024 bytes,
    /// [`Code::OutOfMemory`](crate::Code::OutOfMemory).
    #[wasm_bindgen(method, catch)]
    pub fn cell(this: &Heap, name: &str) -> Result<SharedCell>;

    /// A new cell without a name, which holds 0.
    ///
    /// # Errors
    /// [`Code::OutOfMemory`](crate::Code::OutOfMemory).
    #[wasm_bindgen(method, js_name = cell, catch)]
    pub fn new_cell(this: &Heap) -> Result<SharedCell>;

    /// The bytes of that name and length; new ones are 0.
    ///
    /// # Errors
    /// As [`Heap::cell`]; [`Code::OutOfRange`](crate::Code::OutOfRange) when they are of another length.
    #[wasm_bindgen(method, catch)]
    pub fn bytes(this: &Heap, name: &str, length: f64) -> Result<SharedBytes>;

    /// The HTTP fields of that name; new ones have no line.
    ///
    /// # Errors
    /// As [`Heap::cell`].
    #[wasm_bindgen(method, catch)]
    pub fn fields(this: &Heap, name: &str) -> Result<SharedFields>;

    /// New HTTP fields without a name and without a line.
    ///
    /// # Errors
    /// [`Code::OutOfMemory`](crate::Code::OutOfMemory).
    #[wasm_bindgen(method, js_name = fields, catch)]
    pub fn new_fields(this: &Heap) -> Result<SharedFields>;

    /// New HTTP fields without a name, of these lines: pairs of a name and a value (an array, a `Headers`, a `Map`, other
    /// fields), or an object of them.
    ///
    /// # Errors
    /// [`Code::InvalidField`](crate::Code::InvalidField), [`Code::FieldsTooLarge`](crate::Code::FieldsTooLarge),
    /// [`Code::InvalidArgument`](crate::Code::InvalidArgument) for what is neither,
    /// [`Code::OutOfMemory`](crate::Code::OutOfMemory): nothing was made.
    #[wasm_bindgen(method, js_name = fields, catch)]
    pub fn fields_of(this: &Heap, lines: &Object) -> Result<SharedFields>;

    /// The list of that name; a new one has no value.
    ///
    /// # Errors
    /// As [`Heap::cell`].
    #[wasm_bindgen(method, catch)]
    pub fn list(this: &Heap, name: &str) -> Result<SharedList>;

    /// A new list without a name and without a value.
    ///
    /// # Errors
    /// [`Code::OutOfMemory`](crate::Code::OutOfMemory).
    #[wasm_bindgen(method, js_name = list, catch)]
    pub fn new_list(this: &Heap) -> Result<SharedList>;

    /// The map of that name; a new one has no entry.
    ///
    /// # Errors
    /// As [`Heap::cell`].
    #[wasm_bindgen(method, catch)]
    pub fn map(this: &Heap, name: &str) -> Result<SharedMap>;

    /// A new map without a name and without an entry.
    ///
    /// # Errors
    /// [`Code::OutOfMemory`](crate::Code::OutOfMemory).
    #[wasm_bindgen(method, js_name = map, catch)]
    pub fn new_map(this: &Heap) -> Result<SharedMap>;

    /// The pipe of that name; a new one has room for 64 KiB.
    ///
    /// # Errors
    /// As [`Heap::cell`].
    #[wasm_bindgen(method, catch)]
    pub fn pipe(this: &Heap, name: &str) -> Result<SharedPipe>;

    /// A new pipe without a name, with room for 64 KiB.
    ///
    /// # Errors
    /// [`Code::OutOfMemory`](crate::Code::OutOfMemory).
    #[wasm_bindgen(method, js_name = pipe, catch)]
    pub fn new_pipe(this: &Heap) -> Result<SharedPipe>;

    /// A new [`SharedList`] of the items of an array, or a new [`SharedMap`] of the properties of an object or the entries of
    /// a `Map`, without a name; what stands in them becomes lists and maps of their own. `dyn_into` makes it what it is:
    ///
    /// ```no_run
    /// # use coheap_js::{Heap, SharedList};
    /// # use wasm_bindgen::{JsCast, JsValue};
    /// # fn example(heap: &Heap) -> Result<(), JsValue> {
    /// let tags = heap.copy_of(&js_sys::Array::of2(&"a".into(), &"b".into()))?;
    /// let tags: SharedList = tags.dyn_into()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Code::InvalidArgument`](crate::Code::InvalidArgument) for what is no object,
    /// [`Code::UnsupportedValue`](crate::Code::UnsupportedValue), [`Code::OutOfMemory`](crate::Code::OutOfMemory): nothing
    /// was made. O(properties).
    #[wasm_bindgen(method, js_name = from, catch)]
    pub fn copy_of(this: &Heap, data: &JsValue) -> Result<SharedResource>;

    /// The object that a handle names, of whatever type; `dyn_into` makes it what it is.
    ///
    /// # Errors
    /// [`Code::StaleHandle`](crate::Code::StaleHandle) if it was destroyed, or never was;
    /// [`Code::ForeignHandle`](crate::Code::ForeignHandle) for one of another heap.
    #[wasm_bindgen(method, catch)]
    pub fn open(this: &Heap, handle: &Handle) -> Result<SharedResource>;

    /// Takes a name away; what it named ends with its last holder. Answers whether there was such a name.
    ///
    /// # Errors
    /// As [`Heap::cell`].
    #[wasm_bindgen(method, catch)]
    pub fn remove(this: &Heap, name: &str) -> Result<bool>;

    /// What the heap holds, as an object of numbers.
    ///
    /// # Errors
    /// None but those of every call.
    #[wasm_bindgen(method, catch)]
    pub fn stats(this: &Heap) -> Result<Object>;

    /// Leaves the heap: gives back what this agent has. Again does nothing.
    ///
    /// # Errors
    /// None of coheap's.
    #[wasm_bindgen(method, catch)]
    pub fn detach(this: &Heap) -> Result<()>;

    /// What an agent needs to attach: plain data, structured-cloneable.
    #[derive(Clone, Debug)]
    pub type HeapToken;

    /// The memory that all agents of the heap share.
    #[wasm_bindgen(method, getter)]
    pub fn memory(this: &HeapToken) -> js_sys::WebAssembly::Memory;
}

impl Heap {
    /// As [`Heap::adopt`]; if the worker is lost, these pipes, which cannot go on without it, end for whoever reads or
    /// writes there, with [`Code::AgentLost`](crate::Code::AgentLost).
    ///
    /// # Errors
    /// As [`Heap::adopt`].
    pub fn adopt_with_pipes(&self, worker: &JsValue, token: &HeapToken, pipes: &[SharedPipe]) -> Result<HeapToken> {
        self.adopt_for(worker, token, options([("pipes", Some(array(pipes).into()))])?.as_ref())
    }

    /// Ends a worker that this agent has adopted, wherever it is; ready when what it left is ended and what it had is given
    /// back, or when 30 seconds have brought no proof that it has ended.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`](crate::Code::InvalidArgument) for a worker that was not adopted,
    /// [`Code::Corrupt`](crate::Code::Corrupt).
    pub async fn terminate(&self, worker: &JsValue) -> Result<Recovery> {
        Ok(JsFuture::from(self.promise_of_recovery(worker)?).await?.unchecked_into())
    }

    /// Proves the heap consistent and answers its figures, as [`Heap::stats`] does: every block is free, or in exactly one
    /// place. Tries for so many milliseconds while other agents are at work; 1,000 when `None`. Blocks nobody. O(memory in use).
    ///
    /// # Errors
    /// [`Code::Corrupt`](crate::Code::Corrupt) says which rule is broken where; [`Code::Busy`](crate::Code::Busy) that the
    /// others did not pause long enough.
    pub async fn audit(&self, timeout: Option<f64>) -> Result<Object> {
        let options = options([("timeout", timeout.map(Into::into))])?;
        Ok(JsFuture::from(self.promise_of_proof(options.as_ref())?).await?.unchecked_into())
    }

    /// The cell of that name (`None`: a new one without a name); a new one holds `initial`, or 0 for undefined.
    ///
    /// # Errors
    /// As [`Heap::cell`]; [`Code::UnsupportedValue`](crate::Code::UnsupportedValue) for an object.
    pub fn cell_holding(&self, name: Option<&str>, initial: impl Into<JsValue>) -> Result<SharedCell> {
        self.cell_of(name, &initial.into())
    }

    /// So many new bytes without a name, which are 0.
    ///
    /// # Errors
    /// [`Code::OutOfMemory`](crate::Code::OutOfMemory), [`Code::InvalidArgument`](crate::Code::InvalidArgument) for no length.
    pub fn new_bytes(&self, length: f64) -> Result<SharedBytes> {
        self.bytes_of(None, length)
    }

    /// The pipe of that name (`None`: a new one without a name); a new one has room for `capacity` bytes, 4,096 to 2³⁰.
    ///
    /// # Errors
    /// As [`Heap::cell`]; [`Code::InvalidArgument`](crate::Code::InvalidArgument) for another capacity.
    pub fn pipe_with_capacity(&self, name: Option<&str>, capacity: f64) -> Result<SharedPipe> {
        self.pipe_of(name, options([("capacity", Some(capacity.into()))])?.as_ref())
    }
}

#[wasm_bindgen(module = "coheap")]
extern "C" {
    /// A heap, as an agent sees it that never blocks.
    #[wasm_bindgen(extends = Heap)]
    #[derive(Clone, Debug)]
    pub type SharedHeap;

    #[wasm_bindgen(static_method_of = SharedHeap, js_class = "SharedHeap", js_name = create, catch)]
    fn promise(options: &Object) -> Result<Promise>;

    /// Attaches this agent to the heap of a token; imports `coheap`.
    ///
    /// # Errors
    /// [`Code::InvalidToken`](crate::Code::InvalidToken), [`Code::AbiMismatch`](crate::Code::AbiMismatch),
    /// [`Code::NoSlot`](crate::Code::NoSlot): every byte of the heap is as it was.
    #[wasm_bindgen(static_method_of = SharedHeap, js_class = "SharedHeap", catch)]
    pub fn attach(token: &HeapToken) -> Result<SharedHeap>;
}

impl SharedHeap {
    /// Makes a heap and attaches; imports `coheap`. `options` are those of JavaScript: `maximum`, `fixed`, `wasm`.
    ///
    /// # Errors
    /// [`Code::NotIsolated`](crate::Code::NotIsolated), [`Code::MaximumRefused`](crate::Code::MaximumRefused),
    /// [`Code::WasmUnavailable`](crate::Code::WasmUnavailable), [`Code::InvalidArgument`](crate::Code::InvalidArgument).
    pub async fn create(options: &Object) -> Result<Self> {
        Ok(JsFuture::from(Self::promise(options)?).await?.unchecked_into())
    }
}

#[wasm_bindgen(module = "coheap/worker")]
extern "C" {
    /// A heap, as an agent sees it that may block: its cells and pipes are [`BlockingCell`]s and [`BlockingPipe`]s, whatever
    /// answers them; `dyn_into` makes them that.
    #[wasm_bindgen(extends = Heap)]
    #[derive(Clone, Debug)]
    pub type BlockingHeap;

    /// Attaches this agent, which may block, to the heap of a token; imports `coheap/worker`.
    ///
    /// # Errors
    /// Those of [`SharedHeap::attach`]; [`Code::CannotBlock`](crate::Code::CannotBlock) on a page's main thread.
    #[wasm_bindgen(catch)]
    pub fn attach(token: &HeapToken) -> Result<BlockingHeap>;

    /// The cell of that name; a new one holds 0.
    ///
    /// # Errors
    /// As [`Heap::cell`].
    #[wasm_bindgen(method, js_name = cell, catch)]
    pub fn blocking_cell(this: &BlockingHeap, name: &str) -> Result<BlockingCell>;

    /// The pipe of that name; a new one has room for 64 KiB.
    ///
    /// # Errors
    /// As [`Heap::cell`].
    #[wasm_bindgen(method, js_name = pipe, catch)]
    pub fn blocking_pipe(this: &BlockingHeap, name: &str) -> Result<BlockingPipe>;
}
