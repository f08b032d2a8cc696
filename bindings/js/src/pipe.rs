//! A stream of bytes.

use js_sys::{Array, Object, Promise, Uint8Array};
use wasm_bindgen::prelude::*;

use crate::given::{array, options};
use crate::resource::has;
use crate::wait::wait;
use crate::{Lease, Result, SharedResource};

/// What a read takes, or a lease.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wish<'a> {
    /// Most bytes, at least one; a single token may be longer. When `None` 28 KiB for a read, 64 KiB for a lease.
    pub max: Option<u32>,
    /// Whole tokens: up to the last of these delimiters, of one to eight bytes.
    pub until: Option<&'a [u8]>,
    /// Milliseconds to wait; without limit when `None`.
    pub timeout: Option<f64>,
}

impl Wish<'_> {
    fn options(self) -> Result<Option<Object>> {
        let until = self.until.map(|until| Uint8Array::from(until).into());
        options([("max", self.max.map(Into::into)), ("until", until), ("timeout", self.timeout.map(Into::into))])
    }
}

/// What a read that does not wait found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// These bytes, at least one.
    Bytes(Vec<u8>),
    /// Nothing yet.
    Nothing,
    /// The end.
    End,
}

#[wasm_bindgen]
extern "C" {
    /// A bounded stream of bytes that several agents write and read. Writes of at most 4,096 bytes stand in it whole.
    ///
    /// Waits of the calls that are `async` begin when they are polled, and end when the future is dropped.
    ///
    /// ```no_run
    /// # use coheap_js::{Heap, Result, Wish};
    /// # async fn example(heap: &Heap) -> Result<()> {
    /// let (lines, words) = (heap.pipe("lines")?, heap.map("words")?);
    /// let wish = Wish { until: Some(b"\n"), ..Wish::default() };
    /// while let Some(lease) = lines.lease(wish).await? {
    ///     let text = String::from_utf8_lossy(&lease);
    ///     let tally = text.split_whitespace().map(|word| (word, 1.0));
    ///     words.add_many(tally, Some(&lease))?; // counted and used up, as one step; else the bytes go back
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[wasm_bindgen(extends = SharedResource, is_type_of = |value| has(value, "tryRead"))]
    #[derive(Clone, Debug)]
    pub type SharedPipe;

    /// How many bytes it has room for.
    #[wasm_bindgen(method, getter)]
    pub fn capacity(this: &SharedPipe) -> f64;

    /// How many bytes can be read now, without those that came back from leases.
    ///
    /// # Errors
    /// [`Code::StaleHandle`](crate::Code::StaleHandle), [`Code::Disposed`](crate::Code::Disposed),
    /// [`Code::Detached`](crate::Code::Detached), as of every call; [`Code::PipeAborted`](crate::Code::PipeAborted), and
    /// [`Code::AgentLost`](crate::Code::AgentLost) when an agent has died that the pipe cannot go on without, as of every
    /// call but `close` and `abort`.
    #[wasm_bindgen(method, getter, catch)]
    pub fn available(this: &SharedPipe) -> Result<f64>;

    /// Nothing more is written: readers get what there is, and then the end. Again does nothing. Never blocks.
    ///
    /// # Errors
    /// None but those of every call.
    #[wasm_bindgen(method, catch)]
    pub fn close(this: &SharedPipe) -> Result<()>;

    /// Ends the pipe at once, for writers and readers. The first reason stays, of at most 1,024 units. Never blocks.
    ///
    /// # Errors
    /// [`Code::OutOfMemory`](crate::Code::OutOfMemory): the pipe is as it was.
    #[wasm_bindgen(method, catch)]
    pub fn abort(this: &SharedPipe, reason: &str) -> Result<()>;

    /// A `ReadableStream` of the bytes. To cancel it is to abort the pipe.
    ///
    /// # Errors
    /// None of coheap's.
    #[wasm_bindgen(method, getter, catch)]
    pub fn readable(this: &SharedPipe) -> Result<Object>;

    /// A `WritableStream` into the pipe. To close it is to close the pipe, to abort it is to abort the pipe.
    ///
    /// # Errors
    /// None of coheap's.
    #[wasm_bindgen(method, getter, catch)]
    pub fn writable(this: &SharedPipe) -> Result<Object>;

    #[wasm_bindgen(method, js_name = read, catch)]
    fn promise_of_bytes(this: &SharedPipe, options: &Object) -> Result<Promise>;
    #[wasm_bindgen(method, js_name = tryRead, catch)]
    fn bytes_now(this: &SharedPipe, options: Option<&Object>) -> Result<JsValue>;
    #[wasm_bindgen(method, js_name = lease, catch)]
    fn promise_of_lease(this: &SharedPipe, options: &Object) -> Result<Promise>;
    #[wasm_bindgen(method, js_name = write, catch)]
    fn promise_of_room(this: &SharedPipe, chunk: &Uint8Array, options: &Object) -> Result<Promise>;
    #[wasm_bindgen(method, js_name = writeMany, catch)]
    fn promise_of_room_for_all(this: &SharedPipe, chunks: &Array, options: &Object) -> Result<Promise>;

    /// Writes what there is room for, at once; answers how many bytes: all or none of at most 4,096. Never waits.
    ///
    /// # Errors
    /// [`Code::PipeClosed`](crate::Code::PipeClosed), [`Code::OutOfMemory`](crate::Code::OutOfMemory).
    #[wasm_bindgen(method, js_name = tryWrite, catch)]
    pub fn try_write(this: &SharedPipe, chunk: &[u8]) -> Result<f64>;

    /// A pipe, as an agent sees it that may block.
    #[wasm_bindgen(extends = SharedPipe, extends = SharedResource, is_type_of = |value| has(value, "readSync"))]
    #[derive(Clone, Debug)]
    pub type BlockingPipe;

    #[wasm_bindgen(method, js_name = readSync, catch)]
    fn bytes(this: &BlockingPipe, options: Option<&Object>) -> Result<JsValue>;
    #[wasm_bindgen(method, js_name = leaseSync, catch)]
    fn loan(this: &BlockingPipe, options: Option<&Object>) -> Result<JsValue>;
    #[wasm_bindgen(method, js_name = writeSync, catch)]
    fn put(this: &BlockingPipe, chunk: &[u8], options: Option<&Object>) -> Result<()>;
    #[wasm_bindgen(method, js_name = writeManySync, catch)]
    fn put_all(this: &BlockingPipe, chunks: &Array, options: Option<&Object>) -> Result<()>;
}

/// Null is the end.
fn taken(bytes: &JsValue) -> Option<Vec<u8>> {
    (!bytes.is_null()).then(|| Uint8Array::new(bytes).to_vec())
}

/// The options of a write.
fn within(timeout: Option<f64>) -> Result<Option<Object>> {
    options([("timeout", timeout.map(Into::into))])
}

fn array_of_bytes(chunks: impl IntoIterator<Item: AsRef<[u8]>>) -> Array {
    array(chunks.into_iter().map(|chunk| Uint8Array::from(chunk.as_ref())))
}

impl SharedPipe {
    /// The next bytes, at least one, as soon as there are any; `None` at the end: the pipe is closed, all was read, and no
    /// other agent has bytes on lease. Blocks nobody. Bytes that were found already when the future is dropped are lost:
    /// where none may be, [`SharedPipe::lease`] them. O(bytes).
    ///
    /// # Errors
    /// [`Code::TokenTooLong`](crate::Code::TokenTooLong) when the pipe is full and has no delimiter,
    /// [`Code::TimedOut`](crate::Code::TimedOut), [`Code::InvalidArgument`](crate::Code::InvalidArgument) for a wish that is
    /// none: nothing was read.
    pub async fn read(&self, wish: Wish<'_>) -> Result<Option<Vec<u8>>> {
        Ok(taken(&wait(wish.options()?, |options| self.promise_of_bytes(options)).await?))
    }

    /// As [`SharedPipe::read`], at once. Never waits.
    ///
    /// # Errors
    /// As [`SharedPipe::read`], but for the time.
    pub fn try_read(&self, wish: Wish<'_>) -> Result<Found> {
        let found = self.bytes_now(wish.options()?.as_ref())?;
        Ok(if found.is_undefined() { Found::Nothing } else { taken(&found).map_or(Found::End, Found::Bytes) })
    }

    /// As [`SharedPipe::read`], on loan: the bytes go back, in order, unless they are committed. 31 leases of a pipe can be
    /// out at once; then this waits. Blocks nobody.
    ///
    /// # Errors
    /// As [`SharedPipe::read`]; [`Code::OutOfMemory`](crate::Code::OutOfMemory): nothing was taken.
    pub async fn lease(&self, wish: Wish<'_>) -> Result<Option<Lease>> {
        Ok(Lease::of(wait(wish.options()?, |options| self.promise_of_lease(options)).await?))
    }

    /// Writes all of it, as soon as there is room, within so many milliseconds (`None`: however long it takes). Blocks
    /// nobody. O(bytes).
    ///
    /// # Errors
    /// [`Code::PipeClosed`](crate::Code::PipeClosed), [`Code::OutOfMemory`](crate::Code::OutOfMemory),
    /// [`Code::TimedOut`](crate::Code::TimedOut), whose detail `written` says how many bytes are in the pipe: what was
    /// written before stays.
    pub async fn write(&self, chunk: &[u8], timeout: Option<f64>) -> Result<()> {
        let chunk = Uint8Array::from(chunk);
        wait(within(timeout)?, |options| self.promise_of_room(&chunk, options)).await.map(drop)
    }

    /// As [`SharedPipe::write`] of each chunk, one after the other, many in a step: those of at most 4,096 bytes stand in
    /// the stream whole.
    ///
    /// # Errors
    /// As [`SharedPipe::write`].
    pub async fn write_many(&self, chunks: impl IntoIterator<Item: AsRef<[u8]>>, timeout: Option<f64>) -> Result<()> {
        let chunks = array_of_bytes(chunks);
        wait(within(timeout)?, |options| self.promise_of_room_for_all(&chunks, options)).await.map(drop)
    }
}

impl BlockingPipe {
    /// As [`SharedPipe::read`], and blocks until there are any.
    ///
    /// # Errors
    /// As [`SharedPipe::read`].
    pub fn read_sync(&self, wish: Wish<'_>) -> Result<Option<Vec<u8>>> {
        self.bytes(wish.options()?.as_ref()).map(|bytes| taken(&bytes))
    }

    /// As [`SharedPipe::lease`], and blocks until there are any.
    ///
    /// # Errors
    /// As [`SharedPipe::lease`].
    pub fn lease_sync(&self, wish: Wish<'_>) -> Result<Option<Lease>> {
        self.loan(wish.options()?.as_ref()).map(Lease::of)
    }

    /// As [`SharedPipe::write`], and blocks while there is no room.
    ///
    /// # Errors
    /// As [`SharedPipe::write`].
    pub fn write_sync(&self, chunk: &[u8], timeout: Option<f64>) -> Result<()> {
        self.put(chunk, within(timeout)?.as_ref())
    }

    /// As [`SharedPipe::write_many`], and blocks while there is no room.
    ///
    /// # Errors
    /// As [`SharedPipe::write`].
    pub fn write_many_sync(&self, chunks: impl IntoIterator<Item: AsRef<[u8]>>, timeout: Option<f64>) -> Result<()> {
        self.put_all(&array_of_bytes(chunks), within(timeout)?.as_ref())
    }
}
