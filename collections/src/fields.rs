//! HTTP fields: ordered lines of a name and a value, found whatever the casing of the name. The semantics are those of
//! `wasi:http/types` 0.2.
//!
//! The entry's value word is the *commit* word: reference of the block 28 (its address ⁄ 16) · flags 4 · sequence 32. No
//! block: no lines. Every change builds a new block and exchanges this word, with the next sequence. A block never
//! changes while it is published:
//!
//! | offset | word |
//! |---|---|
//! | 0 | u64: number of lines 32 · bytes of the texts 32 |
//! | 8 | u64: the block's own generation, so that who holds the commit word can name the block |
//! | 16 | u64 a line: length of the value 18 · length of the name 18 · tag 8 · where the name begins, in words 20 |
//! | … | the texts: each line's name and then its value, each padded with zeros to whole words |
//!
//! The tag is a hash of the name in one casing, so that a search reads one word of most lines. A name keeps the casing
//! in which it came first.
//!
//! # Consistency
//! Linearizable. A read copies what it answers and then looks at the commit word again: it is the same word, sequence
//! and all, so nothing of the block was changed, freed or reused meanwhile. A change holds the object ([`crate::hold`])
//! and commits with one compare-exchange.
//!
//! # If the caller dies here
//! The change has happened or it has not; recovery frees the block that the commit word does not name.
//!
//! Nothing here blocks. A call is linear in the size of the fields, at most [`LARGEST`]. Where a loop has no bound, each
//! round means that another agent changed the fields.

use coheap_alloc::layout::PAGE;
use coheap_alloc::{Address, Block, Error, Kind, Memory, Operation, Result};

use crate::claim::{self, claim};
use crate::object::{Handle, Info, Table, Type, VALUE};
use crate::{hold, rule};

/// How large fields may be: names, values, and [`OVERHEAD`] for each line, as HTTP counts them (RFC 9113, 6.5.2).
pub const LARGEST: u32 = 128 * 1024;
/// What a line counts beside its name and value.
pub const OVERHEAD: u32 = 32;
/// Lines at most: each has a name.
pub const MOST: u32 = LARGEST / (OVERHEAD + 1);
/// Bytes of the head of a block.
pub const HEAD: u32 = 16;

const WORD: u32 = 8;
/// Beyond so many bytes a bulk copy and its fence cost less than a loop.
const SHORT: u32 = 512;
/// A block that is larger is not left in a hold.
const LARGE: u32 = 4096;
const LENGTH: u64 = (1 << 18) - 1;
/// The bit in which the two casings of a letter differ.
const CASE: u64 = 0x2020_2020_2020_2020;
const LOWEST: u64 = 0x0101_0101_0101_0101;
const HIGHEST: u64 = 0x8080_8080_8080_8080;
/// The characters of a token.
const TOKEN: u128 = {
    let signs = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut set = 0;
    let mut index = 0;
    while index < signs.len() {
        set |= 1 << signs[index];
        index += 1;
    }
    set
};

/// A commit word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Commit(u64);

impl Commit {
    const FROZEN: u64 = 1 << 28;

    fn address(self) -> Address {
        (self.0 as u32 & 0x0FFF_FFFF) << 4
    }

    fn is_frozen(self) -> bool {
        self.0 & Self::FROZEN != 0
    }

    fn sequence(self) -> u32 {
        (self.0 >> 32) as u32
    }

    fn first(address: Address) -> Self {
        Self(u64::from(address >> 4))
    }

    fn next(self, address: Address) -> Self {
        Self(u64::from(address >> 4) | u64::from(self.sequence().wrapping_add(1)) << 32)
    }

    fn frozen(self) -> Self {
        Self(self.next(self.address()).0 | Self::FROZEN)
    }
}

/// A name or a value, wherever it is.
#[derive(Clone, Copy, Debug)]
pub enum Text<'a> {
    /// In the program's own memory.
    Given(&'a [u8]),
    /// In the heap, at a multiple of 8 and padded to one. Each word is read as often as it is needed.
    InHeap {
        /// Which memory.
        memory: Memory,
        /// Where.
        at: Address,
        /// Bytes.
        length: u32,
    },
}

fn padded(length: u32) -> u32 {
    length.wrapping_add(7) & !7
}

impl Text<'_> {
    /// Bytes.
    #[inline(always)]
    #[must_use]
    pub fn length(&self) -> u32 {
        match self {
            Self::Given(bytes) => bytes.len() as u32,
            Self::InHeap { length, .. } => *length,
        }
    }

    /// Eight bytes from `offset`, a multiple of 8 below the length; zeros behind the end.
    #[inline(always)]
    fn word(&self, offset: u32) -> u64 {
        match *self {
            Self::Given(bytes) => {
                let rest = &bytes[offset as usize..];
                let mut word = [0; 8];
                let count = rest.len().min(8);
                word[..count].copy_from_slice(&rest[..count]);
                u64::from_le_bytes(word)
            }
            Self::InHeap { memory, at, length } => {
                // Acquire: what validates it is loaded after it.
                let word = memory.load64(at.wrapping_add(offset));
                let left = length.wrapping_sub(offset);
                if left < WORD { word & !(!0 << (left * 8)) } else { word }
            }
        }
    }

    fn words(&self) -> impl Iterator<Item = (u32, u64)> + '_ {
        (0..self.length()).step_by(WORD as usize).map(|offset| (offset, self.word(offset)))
    }

    /// A hash that is the same for each casing; never 0.
    fn tag(&self) -> u8 {
        let mut hash = u64::from(self.length());
        for (_, word) in self.words() {
            hash = (hash ^ (word | CASE)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            hash ^= hash >> 29;
        }
        ((hash >> 56) as u8).max(1)
    }

    /// Whether both are one name.
    fn is_same_name(&self, other: &Text<'_>) -> bool {
        self.length() == other.length()
            && self.words().all(|(offset, word)| {
                let differs = word ^ other.word(offset);
                differs == 0 || (differs & !CASE == 0 && are_letters(word, differs))
            })
    }

    /// Writes it to words that nobody else may write.
    fn write(&self, memory: Memory, to: Address) {
        match *self {
            Self::InHeap { at, length, .. } if length > SHORT => {
                memory.copy_within(at, to, length & !7);
                if length % WORD != 0 {
                    memory.set_own64(to.wrapping_add(length & !7), self.word(length & !7));
                }
                memory.fence();
            }
            _ => {
                for (offset, word) in self.words() {
                    memory.set_own64(to.wrapping_add(offset), word);
                }
            }
        }
    }
}

/// Whether the bytes of `word` in which `differs` is not 0 are letters.
#[cold]
fn are_letters(word: u64, differs: u64) -> bool {
    word.to_le_bytes()
        .iter()
        .zip(differs.to_le_bytes())
        .all(|(byte, differs)| differs == 0 || byte.is_ascii_alphabetic())
}

/// Whether this can be a name: a token.
///
/// # Errors
/// [`Error::InvalidField`], [`Error::FieldsTooLarge`].
pub fn check_name(name: Text<'_>) -> Result<()> {
    check_length(name)?;
    if name.length() == 0 {
        return Err(Error::InvalidField { character: 0, offset: 0 });
    }
    for (offset, word) in name.words() {
        let count = (name.length() - offset).min(WORD);
        for (place, byte) in (0..count).zip(word.to_le_bytes()) {
            if byte >= 0x80 || TOKEN >> byte & 1 == 0 {
                return Err(Error::InvalidField { character: u32::from(byte), offset: offset + place });
            }
        }
    }
    Ok(())
}

/// Whether this can be a value: spaces, tabs, and what is visible in ASCII or above it.
///
/// # Errors
/// [`Error::InvalidField`], [`Error::FieldsTooLarge`].
pub fn check_value(value: Text<'_>) -> Result<()> {
    check_length(value)?;
    for (offset, word) in value.words() {
        // The padding must not look like a control character.
        let left = value.length() - offset;
        let word = if left < WORD { word | (CASE & (!0 << (left * 8))) } else { word };
        let below_space = word.wrapping_sub(LOWEST * 0x20) & !word & HIGHEST;
        let delete = word ^ (LOWEST * 0x7F);
        let is_delete = delete.wrapping_sub(LOWEST) & !delete & HIGHEST;
        if (below_space | is_delete) != 0 {
            check_bytes(word, offset)?;
        }
    }
    Ok(())
}

#[cold]
fn check_bytes(word: u64, offset: u32) -> Result<()> {
    for (place, byte) in (0..).zip(word.to_le_bytes()) {
        if (byte < 0x20 && byte != b'\t') || byte == 0x7F {
            return Err(Error::InvalidField { character: u32::from(byte), offset: offset + place });
        }
    }
    Ok(())
}

fn check_length(text: Text<'_>) -> Result<()> {
    if text.length() > LARGEST { Err(too_large(u64::from(text.length()))) } else { Ok(()) }
}

#[cold]
fn too_large(size: u64) -> Error {
    Error::FieldsTooLarge { size, maximum: u64::from(LARGEST) }
}

/// One line.
#[derive(Clone, Copy)]
struct Line<'a> {
    tag: u8,
    name: Text<'a>,
    value: Text<'a>,
}

/// A block as far as it can be trusted: it lies in memory. What is read of it holds once the commit word is seen
/// unchanged.
#[derive(Clone, Copy)]
struct Image {
    memory: Memory,
    /// Where the block is; 0: no lines.
    at: Address,
    count: u32,
    bytes: u32,
}

impl Image {
    /// `None` when no block can be there.
    #[inline(always)]
    fn of(memory: Memory, commit: Commit) -> Option<Self> {
        let at = commit.address();
        if at == 0 {
            return Some(Self { memory, at, count: 0, bytes: 0 });
        }
        let end = u64::from(memory.pages()) * u64::from(PAGE);
        if u64::from(at) + u64::from(HEAD) > end {
            return None;
        }
        let head = memory.load64(at);
        let (count, bytes) = (head as u32, (head >> 32) as u32);
        let fits = count != 0 && count <= MOST && bytes % WORD == 0 && bytes <= LARGEST * 2;
        let image = Self { memory, at, count, bytes };
        (fits && u64::from(at) + u64::from(image.size()) <= end).then_some(image)
    }

    fn texts(self) -> Address {
        self.at.wrapping_add(HEAD).wrapping_add(self.count * WORD)
    }

    fn size(self) -> u32 {
        HEAD + self.count * WORD + self.bytes
    }

    #[inline(always)]
    fn word(self, index: u32) -> u64 {
        self.memory.load64(self.at.wrapping_add(HEAD).wrapping_add(index * WORD))
    }

    /// The line of a word; `None` when it does not lie in the block.
    #[inline(always)]
    fn line(self, word: u64) -> Option<Line<'static>> {
        let (value, name) = ((word & LENGTH) as u32, (word >> 18 & LENGTH) as u32);
        let begin = ((word >> 44) as u32) * WORD;
        let middle = begin + padded(name);
        if middle + padded(value) > self.bytes {
            return None;
        }
        let memory = self.memory;
        Some(Line {
            tag: (word >> 36) as u8,
            name: Text::InHeap { memory, at: self.texts().wrapping_add(begin), length: name },
            value: Text::InHeap { memory, at: self.texts().wrapping_add(middle), length: value },
        })
    }

    /// Calls `f` with each line of this name; `None` when the block is not well-formed, or was changed meanwhile.
    #[inline(always)]
    fn find(self, name: &Text<'_>, tag: u8, mut f: impl FnMut(Line<'static>)) -> Option<()> {
        for index in 0..self.count {
            let word = self.word(index);
            if (word >> 36) as u8 == tag {
                let line = self.line(word)?;
                if line.name.is_same_name(name) {
                    f(line);
                }
            }
        }
        Some(())
    }

    /// The block, as what it says of itself.
    fn block(self) -> Option<Block> {
        let generation = |at: Address| self.memory.load64(at.wrapping_add(WORD)) as u32;
        (self.at != 0).then(|| Block { address: self.at, generation: generation(self.at) })
    }
}

/// Where the lines of a new block go: first they are measured, then they are written.
struct Sink {
    memory: Memory,
    /// The block; 0 while measuring.
    at: Address,
    count: u32,
    bytes: u32,
    /// As [`LARGEST`] counts.
    size: u64,
    /// Whether there is a difference to the old block.
    changed: bool,
    /// What was measured.
    measured: (u32, u32),
    /// More was to be written than was measured: what was read changed in between.
    overflown: bool,
}

impl Sink {
    fn measuring(memory: Memory) -> Self {
        Self { memory, at: 0, count: 0, bytes: 0, size: 0, changed: false, measured: (0, 0), overflown: false }
    }

    fn writing(&self, at: Address) -> Self {
        Self { at, measured: (self.count, self.bytes), ..Self::measuring(self.memory) }
    }

    #[inline(always)]
    fn put(&mut self, line: Line<'_>) {
        let Line { tag, name, value } = line;
        let (name_length, value_length) = (name.length(), value.length());
        let room = padded(name_length) + padded(value_length);
        if self.at == 0 {
            self.size += u64::from(name_length) + u64::from(value_length) + u64::from(OVERHEAD);
        } else {
            let (count, bytes) = self.measured;
            if self.count >= count || room > bytes - self.bytes {
                self.overflown = true;
                return;
            }
            let word = u64::from(value_length)
                | u64::from(name_length) << 18
                | u64::from(tag) << 36
                | u64::from(self.bytes / WORD) << 44;
            let words = self.at.wrapping_add(HEAD);
            let text = words.wrapping_add(count * WORD).wrapping_add(self.bytes);
            self.memory.set_own64(words.wrapping_add(self.count * WORD), word);
            name.write(self.memory, text);
            value.write(self.memory, text.wrapping_add(padded(name_length)));
        }
        self.count = self.count.saturating_add(1);
        // What is too large is refused after the measuring.
        self.bytes = self.bytes.saturating_add(room);
    }

    /// A new line, in the casing that the name has already.
    fn add(&mut self, tag: u8, name: Text<'_>, value: Text<'_>) {
        self.changed = true;
        let mut line = Line { tag, name, value };
        // While measuring, the casing makes no difference.
        if self.at != 0 {
            let (count, bytes) = self.measured;
            let written = Image { memory: self.memory, at: self.at, count, bytes };
            for index in 0..self.count {
                let word = written.word(index);
                if (word >> 36) as u8 == tag
                    && let Some(found) = written.line(word)
                    && found.name.is_same_name(&name)
                {
                    line.name = found.name;
                    break;
                }
            }
        }
        self.put(line);
    }

    /// The head of a block that is written.
    fn finish(&self, block: Block) {
        self.memory.set_own64(block.address, u64::from(self.count) | u64::from(self.bytes) << 32);
        self.memory.set_own64(block.address.wrapping_add(WORD), u64::from(block.generation));
    }

    fn room(&self) -> u32 {
        HEAD + self.count * WORD + self.bytes
    }
}

fn allocate(operation: &Operation, size: u32) -> Result<Block> {
    operation.allocate(size, 16, Kind::Fields).or_else(|error| {
        claim::finish_all(operation)?;
        operation.allocate(size, 16, Kind::Fields).map_err(|_| error)
    })
}

/// Makes anonymous fields of these lines. They live until [`claim::release`].
///
/// # Errors
/// [`Error::InvalidField`], [`Error::FieldsTooLarge`]: nothing was made; [`Error::OutOfMemory`].
pub fn create<'a>(operation: &Operation, lines: impl Iterator<Item = (Text<'a>, Text<'a>)> + Clone) -> Result<Handle> {
    let memory = operation.memory();
    let mut measure = Sink::measuring(memory);
    for (name, value) in lines.clone() {
        check_name(name)?;
        check_value(value)?;
        measure.put(Line { tag: 0, name, value });
    }
    if measure.size > u64::from(LARGEST) {
        return Err(too_large(measure.size));
    }
    if measure.count == 0 {
        return make(operation, None);
    }
    let claim = claim(operation, Type::Fields)?;
    let block = match allocate(operation, measure.room()) {
        Ok(block) => block,
        Err(error) => {
            claim::abandon(operation, claim);
            return Err(error);
        }
    };
    let mut sink = measure.writing(block.address);
    for (name, value) in lines {
        sink.add(name.tag(), name, value);
    }
    sink.finish(block);
    claim::publish(operation, claim, Commit::first(block.address).0, Info::new(0, None), Some(block))
}

/// Fields without a line.
pub(crate) fn make(operation: &Operation, bucket: Option<u8>) -> Result<Handle> {
    let claim = claim(operation, Type::Fields)?;
    claim::publish(operation, claim, Commit::first(0).0, Info::new(0, bucket), None)
}

/// Makes anonymous fields of the same lines, which can be changed whether these can or not.
///
/// # Errors
/// [`Error::StaleHandle`], [`Error::WrongType`], [`Error::OutOfMemory`], [`Error::Corrupt`].
pub fn duplicate(operation: &Operation, handle: Handle) -> Result<Handle> {
    let claim = claim(operation, Type::Fields)?;
    match copy(operation, handle) {
        Ok(block) => {
            let commit = Commit::first(block.map_or(0, |block| block.address));
            claim::publish(operation, claim, commit.0, Info::new(0, None), block)
        }
        Err(error) => {
            claim::abandon(operation, claim);
            Err(error)
        }
    }
}

/// A private copy of the block; `None` when there are no lines.
fn copy(operation: &Operation, handle: Handle) -> Result<Option<Block>> {
    // Lock-free: another round means that another agent changed the fields.
    loop {
        let size = read(Table::of(operation), handle, |image, _| Some(image.size()))?;
        if size == HEAD {
            return Ok(None);
        }
        let block = allocate(operation, size)?;
        let copied = read(Table::of(operation), handle, |image, _| {
            if image.size() == size {
                copy_words(image.memory, image.at, block.address, size);
            }
            Some(image.size() == size)
        });
        if copied == Ok(true) {
            operation.memory().set_own64(block.address.wrapping_add(WORD), u64::from(block.generation));
            return Ok(Some(block));
        }
        operation.free(block)?;
        copied?;
    }
}

/// Copies whole words that others may be writing, so that what is loaded afterwards is loaded after them.
fn copy_words(memory: Memory, from: Address, to: Address, length: u32) {
    if length > SHORT {
        memory.copy_within(from, to, length);
        memory.fence();
        return;
    }
    for offset in (0..length).step_by(WORD as usize) {
        memory.set_own64(to.wrapping_add(offset), memory.load64(from.wrapping_add(offset)));
    }
}

/// Reads: `f` is called until the block was the same before and after it. `f` answers `None` when what it sees is not
/// well-formed.
#[inline(always)]
fn read<R>(table: Table, handle: Handle, mut f: impl FnMut(Image, Commit) -> Option<R>) -> Result<R> {
    let entry = table.entry(handle.index).ok_or_else(|| handle.stale())?;
    table.check(entry, handle, Type::Fields)?;
    // Lock-free: another round means that another agent changed the fields.
    loop {
        let commit = Commit(table.memory.load64(entry.wrapping_add(VALUE)));
        let found = Image::of(table.memory, commit).and_then(|image| f(image, commit));
        let same = is_unchanged(table.memory, entry, commit);
        // The commit word is this object's, and so is what was read.
        table.check(entry, handle, Type::Fields)?;
        if same {
            return found.ok_or(Error::Corrupt { rule: rule::FIELDS_BLOCK, address: commit.address() });
        }
    }
}

#[inline(always)]
fn is_unchanged(memory: Memory, entry: Address, commit: Commit) -> bool {
    #[cfg(feature = "controls")]
    if crate::controls::is_on(crate::controls::READ_WITHOUT_CHECK) {
        return true;
    }
    memory.load64_ordered(entry.wrapping_add(VALUE)) == commit.0
}

/// What [`get`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Got {
    /// The fields are those of the sequence that the caller knows: nothing was looked for.
    Unchanged,
    /// There is no line of this name.
    Absent,
    /// The values, joined by `", "`, have so many bytes. They are there if they had room.
    Value(u32),
}

/// Copies the values of `name`, joined by `", "`, to `room` bytes at `to` (a multiple of 8) that only this agent uses.
/// Answers the sequence too: while that stays, so does the answer. Stores nothing else.
///
/// # Errors
/// [`Error::StaleHandle`], [`Error::WrongType`], [`Error::Corrupt`].
#[inline(always)]
pub fn get(
    table: Table,
    handle: Handle,
    name: Text<'_>,
    known: Option<u32>,
    to: Address,
    room: u32,
) -> Result<(Got, u32)> {
    read(table, handle, |image, commit| {
        let sequence = commit.sequence();
        if known == Some(sequence) {
            return Some((Got::Unchanged, sequence));
        }
        let mut total = None;
        image.find(&name, name.tag(), |line| total = Some(join(image.memory, total, line.value, to, room)))?;
        Some((total.map_or(Got::Absent, Got::Value), sequence))
    })
}

/// Adds a value to what is joined; answers its length.
fn join(memory: Memory, total: Option<u32>, value: Text<'_>, to: Address, room: u32) -> u32 {
    let Text::InHeap { at, length, .. } = value else { return 0 };
    let Some(before) = total else {
        if padded(length) <= room {
            copy_words(memory, at, to, padded(length));
        }
        return length;
    };
    let end = before.saturating_add(2).saturating_add(length);
    if end <= room {
        let to = to.wrapping_add(before);
        memory.copy_in(to, b", ");
        memory.copy_within(at, to.wrapping_add(2), length);
        memory.fence();
    }
    end
}

/// Whether there is a line of this name. Loads only.
///
/// # Errors
/// [`Error::StaleHandle`], [`Error::WrongType`], [`Error::Corrupt`].
pub fn has(table: Table, handle: Handle, name: Text<'_>) -> Result<bool> {
    read(table, handle, |image, _| {
        let mut found = false;
        image.find(&name, name.tag(), |_| found = true)?;
        Some(found)
    })
}

/// Whether the fields are frozen. Loads only.
///
/// # Errors
/// [`Error::StaleHandle`], [`Error::WrongType`].
pub fn is_frozen(table: Table, handle: Handle) -> Result<bool> {
    let entry = table.entry(handle.index).ok_or_else(|| handle.stale())?;
    let commit = Commit(table.memory.load64(entry.wrapping_add(VALUE)));
    table.check(entry, handle, Type::Fields)?;
    Ok(commit.is_frozen())
}

/// What [`lines`] copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copied {
    /// Bytes that there are to copy: of the block, as it is described above.
    pub size: u32,
    /// Which state of the fields that is.
    pub sequence: u32,
}

/// Copies the block from `offset` (a multiple of 8) on, as much as there is room for, to `to`, which only this agent
/// uses. [`Lines`] reads it. Without lines there are the bytes of an empty head.
///
/// # Errors
/// [`Error::StaleHandle`], [`Error::WrongType`], [`Error::Corrupt`].
pub fn lines(table: Table, handle: Handle, offset: u32, to: Address, room: u32) -> Result<Copied> {
    read(table, handle, |image, commit| {
        let size = image.size();
        let length = size.saturating_sub(offset).min(room & !7);
        if image.at == 0 {
            for at in (0..length).step_by(WORD as usize) {
                table.memory.set_own64(to.wrapping_add(at), 0);
            }
        } else {
            copy_words(image.memory, image.at.wrapping_add(offset), to, length);
        }
        Some(Copied { size, sequence: commit.sequence() })
    })
}

/// The lines in a private copy of a block, as [`lines`] makes it.
#[derive(Clone, Copy, Debug)]
pub struct Lines<'a> {
    words: &'a [u8],
    texts: &'a [u8],
}

impl<'a> Lines<'a> {
    /// Of the whole copy; `None` when it is none.
    #[must_use]
    pub fn new(copy: &'a [u8]) -> Option<Self> {
        let count = u32::from_le_bytes(copy.get(..4)?.try_into().ok()?) as usize;
        let (words, texts) = copy.get(HEAD as usize..)?.split_at_checked(count.checked_mul(WORD as usize)?)?;
        Some(Self { words, texts })
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (word, rest) = self.words.split_at_checked(WORD as usize)?;
        self.words = rest;
        let word = u64::from_le_bytes(word.try_into().ok()?);
        let (value, name) = ((word & LENGTH) as u32, (word >> 18 & LENGTH) as u32);
        let begin = ((word >> 44) as u32) * WORD;
        let middle = begin + padded(name);
        let text = |from: u32, length: u32| self.texts.get(from as usize..(from + length) as usize);
        Some((text(begin, name)?, text(middle, value)?))
    }
}

/// Gives `name` these values in place of those it has, where the first of them stood; no values: as [`delete`].
///
/// # Errors
/// [`Error::InvalidField`], [`Error::FieldsTooLarge`], [`Error::Immutable`]: nothing was changed;
/// [`Error::StaleHandle`], [`Error::WrongType`], [`Error::OutOfMemory`].
pub fn set<'a>(
    operation: &Operation,
    handle: Handle,
    name: Text<'_>,
    values: impl Iterator<Item = Text<'a>> + Clone,
) -> Result<()> {
    check_name(name)?;
    for value in values.clone() {
        check_value(value)?;
    }
    let tag = name.tag();
    change(operation, handle, |old, sink| {
        let mut first = true;
        for index in 0..old.count {
            let line = old.line(old.word(index))?;
            if line.tag != tag || !line.name.is_same_name(&name) {
                sink.put(line);
                continue;
            }
            sink.changed = true;
            if first {
                values.clone().for_each(|value| sink.put(Line { value, ..line }));
                first = false;
            }
        }
        if first {
            for value in values.clone() {
                sink.changed = true;
                sink.put(Line { tag, name, value });
            }
        }
        Some(())
    })
}

/// Adds lines behind those that there are.
///
/// # Errors
/// As [`set`].
pub fn append<'a>(
    operation: &Operation,
    handle: Handle,
    lines: impl Iterator<Item = (Text<'a>, Text<'a>)> + Clone,
) -> Result<()> {
    for (name, value) in lines.clone() {
        check_name(name)?;
        check_value(value)?;
    }
    change(operation, handle, |old, sink| {
        for index in 0..old.count {
            sink.put(old.line(old.word(index))?);
        }
        for (name, value) in lines.clone() {
            sink.add(name.tag(), name, value);
        }
        Some(())
    })
}

/// Removes every line of this name.
///
/// # Errors
/// As [`set`].
pub fn delete(operation: &Operation, handle: Handle, name: Text<'_>) -> Result<()> {
    set(operation, handle, name, core::iter::empty())
}

/// From here on every change is refused. Done again it is still done.
///
/// # Errors
/// [`Error::StaleHandle`], [`Error::WrongType`].
pub fn freeze(operation: &Operation, handle: Handle) -> Result<()> {
    let entry = hold::hold(operation, handle, Type::Fields)?;
    let memory = operation.memory();
    let cell = entry.wrapping_add(VALUE);
    let mut word = memory.load64(cell);
    // Lock-free: another round means that another agent changed the fields.
    while !Commit(word).is_frozen() {
        match memory.compare_exchange64(cell, word, Commit(word).frozen().0) {
            Ok(_) => break,
            Err(found) => word = found,
        }
    }
    Ok(())
}

/// Changes the fields: `pass` gives every line that the new block is to have to the sink, twice, the same lines each
/// time. It answers `None` when what it sees is not well-formed.
#[inline(always)]
fn change(operation: &Operation, handle: Handle, mut pass: impl FnMut(Image, &mut Sink) -> Option<()>) -> Result<()> {
    let entry = hold::hold(operation, handle, Type::Fields)?;
    let mut large = false;
    // Lock-free: another round means that another agent changed the fields.
    let result = loop {
        match attempt(operation, entry, handle, &mut pass, &mut large) {
            Ok(true) => break Ok(()),
            Ok(false) => {}
            Err(error) => break Err(error),
        }
    };
    if large {
        hold::let_go(operation, handle)?;
    }
    result
}

/// One round of a change: `false` when the fields were changed meanwhile.
#[inline(always)]
fn attempt(
    operation: &Operation,
    entry: Address,
    handle: Handle,
    pass: &mut impl FnMut(Image, &mut Sink) -> Option<()>,
    large: &mut bool,
) -> Result<bool> {
    let memory = operation.memory();
    let cell = entry.wrapping_add(VALUE);
    let commit = Commit(memory.load64(cell));
    if commit.is_frozen() {
        return Err(Error::Immutable { index: handle.index });
    }
    let unchanged = || memory.load64_ordered(cell) == commit.0;
    // An error is one only if it was not another agent's change that was seen.
    let refuse = |error: Error| if unchanged() { Err(error) } else { Ok(false) };
    let corrupt = Error::Corrupt { rule: rule::FIELDS_BLOCK, address: commit.address() };
    let Some(old) = Image::of(memory, commit) else { return refuse(corrupt) };
    let mut measure = Sink::measuring(memory);
    if pass(old, &mut measure).is_none() {
        return refuse(corrupt);
    }
    if measure.size > u64::from(LARGEST) {
        return refuse(too_large(measure.size));
    }
    if !measure.changed {
        return Ok(unchanged());
    }
    let retired = old.block();
    *large = old.bytes > LARGE;
    let new = if measure.count == 0 { None } else { Some(allocate(operation, measure.room())?) };
    let mut whole = true;
    if let Some(block) = new {
        let mut sink = measure.writing(block.address);
        whole = pass(old, &mut sink).is_some()
            && !sink.overflown
            && (sink.count, sink.bytes) == (measure.count, measure.bytes);
        sink.finish(block);
    }
    // What was retired goes into the record, where recovery believes it: its generation was read while the commit word
    // named it.
    let next = commit.next(new.map_or(0, |block| block.address));
    if whole && unchanged() && operation.replace(cell, commit.0, next.0, new, retired)?.is_ok() {
        return Ok(true);
    }
    if let Some(block) = new {
        operation.free(block)?;
    }
    if whole { Ok(false) } else { refuse(corrupt) }
}

/// The block of a commit word that stands in an entry, if that is so still when the entry is looked at again.
pub(crate) fn block(memory: Memory, word: u64) -> Option<Block> {
    Image::of(memory, Commit(word))?.block()
}

/// The block of a commit word, if there is one, when its lines are well-formed; the outer `None` when they are not.
pub(crate) fn audit(memory: Memory, word: u64) -> Option<Option<Block>> {
    let image = Image::of(memory, Commit(word))?;
    let mut bytes = 0;
    for index in 0..image.count {
        let word = image.word(index);
        let line = image.line(word)?;
        let begins = ((word >> 44) as u32) * WORD;
        if begins != bytes || line.tag != line.name.tag() {
            return None;
        }
        check_name(line.name).and_then(|()| check_value(line.value)).ok()?;
        bytes += padded(line.name.length()) + padded(line.value.length());
    }
    (bytes == image.bytes).then(|| image.block())
}
