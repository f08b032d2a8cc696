//! The heap as one agent sees it, and how another one joins.

use js_sys::{Object, Promise};
use wasm_bindgen::JsCast;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

use crate::{
    BlockingCell, BlockingPipe, Handle, Result, SharedBytes, SharedCell, SharedFields, SharedMap, SharedPipe,
    SharedResource,
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

    /// A new map of plain data: an object, an array or a `Map`; what stands in them becomes maps of their own.
    ///
    /// # Errors
    /// [`Code::UnsupportedValue`](crate::Code::UnsupportedValue), [`Code::OutOfMemory`](crate::Code::OutOfMemory): nothing
    /// was made.
    #[wasm_bindgen(method, js_name = from, catch)]
    pub fn copy_of(this: &Heap, data: &JsValue) -> Result<SharedMap>;

    /// The object that a handle names, of whatever type; `unchecked_into` makes it what it is.
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
    /// A heap, as an agent sees it that may block.
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
