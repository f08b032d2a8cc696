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
//! | 8 | u64: the block's own generation 32, so that who holds the commit word can name the block · its size 32, as [`LARGEST`] counts |
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
//! Nothing here blocks. A call is linear in the size of the fields, at most [`LARGEST`]; adding several lines compares the
//! name of each with those before it. Where a loop has no bound, each
//! round means that another agent changed the fields.

use coheap_alloc::layout::PAGE;
use coheap_alloc::{Address, Block, Error, Kind, Memory, Operation, Result};

use crate::block;
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
/// Which bytes may stand in a token.
static TOKEN: [bool; 256] = {
    let signs = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut table = [false; 256];
    let mut index = 0;
    while index < signs.len() {
        table[signs[index] as usize] = true;
        index += 1;
    }
    table
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

/// A name or a value: bytes of the heap at a multiple of 8, padded to one. What a program has elsewhere goes through its
/// agent's transfer buffer first. Each word is read as often as it is needed.
#[derive(Clone, Copy, Debug)]
pub struct Text {
    /// Which memory.
    pub memory: Memory,
    /// Where.
    pub at: Address,
    /// Bytes.
    pub length: u32,
}

/// The first `left` bytes of a word.
#[inline]
fn cut(word: u64, left: u32) -> u64 {
    if left < WORD { word & !(!0 << (left * 8)) } else { word }
}

fn padded(length: u32) -> u32 {
    length.wrapping_add(7) & !7
}

impl Text {
    /// Eight bytes from `offset`, a multiple of 8 below the length; zeros behind the end.
    #[inline]
    fn word(self, offset: u32) -> u64 {
        cut(self.memory.own64(self.at.wrapping_add(offset)), self.length - offset)
    }

    /// As [`Text::word`], so that what validates it is loaded after it.
    #[inline]
    fn word_acquired(self, offset: u32) -> u64 {
        cut(self.memory.load64(self.at.wrapping_add(offset)), self.length - offset)
    }

    /// The words, each with its offset.
    #[inline]
    fn words(self) -> impl Iterator<Item = (u32, u64)> {
        (0..self.length.div_ceil(WORD)).map(move |number| (number * WORD, self.word(number * WORD)))
    }

    /// A hash that is the same for each casing; never 0.
    fn tag(self) -> u8 {
        let mut hash = u64::from(self.length);
        for (_, word) in self.words() {
            hash = (hash ^ (word | CASE)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            hash ^= hash >> 29;
        }
        ((hash >> 56) as u8).max(1)
    }

    /// Whether this, which others may be changing, is that name.
    #[inline]
    fn is_same_name(self, name: Self) -> bool {
        if self.length != name.length {
            return false;
        }
        let mut offset = 0;
        while offset < name.length {
            let word = self.word_acquired(offset);
            let differs = word ^ name.word(offset);
            if differs != 0 && (differs & !CASE != 0 || !are_letters(word, differs)) {
                return false;
            }
            offset += WORD;
        }
        true
    }

    /// Writes it to words that nobody else may write.
    #[inline]
    fn write(self, memory: Memory, to: Address) {
        let mut offset = 0;
        if self.length > SHORT {
            offset = self.length & !7;
            memory.copy_within(self.at, to, offset);
        }
        while offset < self.length {
            memory.set_own64(to.wrapping_add(offset), self.word(offset));
            offset += WORD;
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
pub fn check_name(name: Text) -> Result<()> {
    check_length(name)?;
    if name.length == 0 {
        return Err(Error::InvalidField { character: 0, offset: 0 });
    }
    for (offset, word) in name.words() {
        let count = (name.length - offset).min(WORD);
        for (place, byte) in (0..count).zip(word.to_le_bytes()) {
            if !TOKEN[byte as usize] {
                return Err(Error::InvalidField { character: u32::from(byte), offset: offset + place });
            }
        }
    }
    Ok(())
}

/// A name that a field can have.
#[derive(Clone, Copy, Debug)]
pub struct Name {
    text: Text,
    tag: u8,
}

impl Name {
    /// The name in `text`.
    ///
    /// # Errors
    /// As [`check_name`].
    #[inline]
    pub fn new(text: Text) -> Result<Self> {
        check_name(text)?;
        Ok(Self { text, tag: text.tag() })
    }

    /// A name that was one before, with [`Name::tag`] of then. With another tag it would not be found again.
    #[inline]
    #[must_use]
    pub fn known(text: Text, tag: u8) -> Self {
        Self { text, tag }
    }

    /// A name to look for, which none may have.
    #[inline]
    #[must_use]
    pub fn wanted(text: Text) -> Self {
        Self { text, tag: text.tag() }
    }

    /// A hash that is the same for each casing; never 0.
    #[must_use]
    pub fn tag(&self) -> u8 {
        self.tag
    }
}

/// Whether this can be a value: spaces, tabs, and what is visible in ASCII or above it.
///
/// # Errors
/// [`Error::InvalidField`], [`Error::FieldsTooLarge`].
pub fn check_value(value: Text) -> Result<()> {
    check_length(value)?;
    for (offset, word) in value.words() {
        // The padding must not look like a control character.
        let left = value.length - offset;
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

fn check_length(text: Text) -> Result<()> {
    if text.length > LARGEST { Err(too_large(u64::from(text.length))) } else { Ok(()) }
}

#[cold]
fn too_large(size: u64) -> Error {
    Error::fields_too_large(size, u64::from(LARGEST))
}

/// One line.
#[derive(Clone, Copy)]
struct Line {
    name: Text,
    value: Text,
}

/// How many lines, bytes of their texts in a block, and bytes as [`LARGEST`] counts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Amount {
    count: u32,
    bytes: u32,
    size: u32,
}

impl Amount {
    fn of(name: u32, value: u32) -> Self {
        Self { count: 1, bytes: padded(name) + padded(value), size: name + value + OVERHEAD }
    }

    // What is read while others change it makes no sense, and is refused later.
    fn plus(self, other: Self) -> Self {
        let (count, bytes) = (self.count.wrapping_add(other.count), self.bytes.wrapping_add(other.bytes));
        Self { count, bytes, size: self.size.saturating_add(other.size) }
    }

    fn minus(self, other: Self) -> Self {
        let (count, bytes) = (self.count.wrapping_sub(other.count), self.bytes.wrapping_sub(other.bytes));
        Self { count, bytes, size: self.size.saturating_sub(other.size) }
    }

    /// Bytes of a block of so much.
    fn room(self) -> u32 {
        HEAD + self.count * WORD + self.bytes
    }
}

fn tag_of(word: u64) -> u8 {
    (word >> 36) as u8
}

/// Where the texts of a line begin.
fn begin_of(word: u64) -> u32 {
    ((word >> 44) as u32) * WORD
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
    #[inline]
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
        (fits && u64::from(at) + u64::from(image.room()) <= end).then_some(image)
    }

    fn texts(self) -> Address {
        self.at.wrapping_add(HEAD).wrapping_add(self.count * WORD)
    }

    fn room(self) -> u32 {
        HEAD + self.count * WORD + self.bytes
    }

    /// Generation 32 · size 32, both of the block.
    fn about(self) -> u64 {
        if self.at == 0 { 0 } else { self.memory.load64(self.at.wrapping_add(WORD)) }
    }

    fn amount(self) -> Amount {
        Amount { count: self.count, bytes: self.bytes, size: (self.about() >> 32) as u32 }
    }

    #[inline]
    fn word(self, index: u32) -> u64 {
        self.memory.load64(self.at.wrapping_add(HEAD).wrapping_add(index * WORD))
    }

    /// The line of a word; `None` when it does not lie in the block.
    #[inline]
    fn line(self, word: u64) -> Option<Line> {
        let (value, name) = ((word & LENGTH) as u32, (word >> 18 & LENGTH) as u32);
        let begin = begin_of(word);
        let middle = begin + padded(name);
        if middle + padded(value) > self.bytes {
            return None;
        }
        let memory = self.memory;
        Some(Line {
            name: Text { memory, at: self.texts().wrapping_add(begin), length: name },
            value: Text { memory, at: self.texts().wrapping_add(middle), length: value },
        })
    }

    /// Calls `f` with the number of each line of this name, and the line. `None` when the block is not well-formed, or
    /// was changed meanwhile.
    #[inline]
    fn find(self, Name { text: name, tag }: Name, mut f: impl FnMut(u32, Line) -> Option<()>) -> Option<()> {
        for index in 0..self.count {
            let word = self.word(index);
            if tag_of(word) == tag {
                let line = self.line(word)?;
                if line.name.is_same_name(name) {
                    f(index, line)?;
                }
            }
        }
        Some(())
    }

    /// The block, as what it says of itself.
    fn block(self) -> Option<Block> {
        (self.at != 0).then(|| Block { address: self.at, generation: self.about() as u32 })
    }
}

/// Fills a new block.
struct Writer {
    /// The block when it is full.
    image: Image,
    count: u32,
    bytes: u32,
}

impl Writer {
    fn new(memory: Memory, block: Block, amount: Amount) -> Self {
        let Amount { count, bytes, size } = amount;
        memory.set_own64(block.address, u64::from(count) | u64::from(bytes) << 32);
        memory.set_own64(block.address.wrapping_add(WORD), u64::from(block.generation) | u64::from(size) << 32);
        Self { image: Image { memory, at: block.address, count, bytes }, count: 0, bytes: 0 }
    }

    /// Where the next word and the next texts go; `None` when there is no room for them: what was read to measure it
    /// was another agent's change.
    #[inline]
    fn place(&mut self, count: u32, bytes: u32) -> Option<(Address, Address)> {
        let Self { image, count: done, bytes: filled } = *self;
        if count > image.count - done || bytes > image.bytes - filled {
            return None;
        }
        self.count += count;
        self.bytes += bytes;
        let word = image.at.wrapping_add(HEAD).wrapping_add(done * WORD);
        Some((word, image.texts().wrapping_add(filled)))
    }

    /// Copies the lines from number `from` up to `to`.
    #[inline]
    fn run(&mut self, old: Image, from: u32, to: u32) -> Option<()> {
        if from == to {
            return Some(());
        }
        let begin = begin_of(old.word(from));
        let end = if to == old.count { old.bytes } else { begin_of(old.word(to)) };
        if begin > end || end > old.bytes {
            return None;
        }
        let shift = u64::from(self.bytes / WORD).wrapping_sub(u64::from(begin / WORD)) << 44;
        let (word, texts) = self.place(to - from, end - begin)?;
        let memory = old.memory;
        for index in from..to {
            let at = word.wrapping_add((index - from) * WORD);
            memory.set_own64(at, old.word(index).wrapping_add(shift));
        }
        copy_private(memory, old.texts().wrapping_add(begin), texts, end - begin);
        Some(())
    }

    /// Writes a line.
    #[inline]
    fn line(&mut self, Name { text: name, tag }: Name, value: Text) -> Option<()> {
        let (name_length, value_length) = (name.length, value.length);
        let begin = self.bytes / WORD;
        let (word, texts) = self.place(1, padded(name_length) + padded(value_length))?;
        let about =
            u64::from(value_length) | u64::from(name_length) << 18 | u64::from(tag) << 36 | u64::from(begin) << 44;
        let memory = self.image.memory;
        memory.set_own64(word, about);
        name.write(memory, texts);
        value.write(memory, texts.wrapping_add(padded(name_length)));
        Some(())
    }

    /// Writes a line at the end, in the casing that the name has already.
    fn append(&mut self, name: Name, value: Text) -> Option<()> {
        for index in 0..self.count {
            let word = self.image.word(index);
            if tag_of(word) == name.tag
                && let Some(found) = self.image.line(word)
                && found.name.is_same_name(name.text)
            {
                return self.line(Name { text: found.name, ..name }, value);
            }
        }
        self.line(name, value)
    }

    fn is_full(&self) -> bool {
        (self.count, self.bytes) == (self.image.count, self.image.bytes)
    }
}

/// Checks values and measures the lines; those that replace others have that name.
fn measure(replaced: Option<Name>, lines: impl Iterator<Item = Result<(Name, Text)>>) -> Result<Amount> {
    let mut amount = Amount::default();
    for line in lines {
        let (name, value) = line?;
        check_value(value)?;
        amount = amount.plus(Amount::of(replaced.unwrap_or(name).text.length, value.length));
        check_amount(amount)?;
    }
    Ok(amount)
}

fn check_amount(amount: Amount) -> Result<()> {
    if amount.size > LARGEST { Err(too_large(u64::from(amount.size))) } else { Ok(()) }
}

fn allocate(operation: &Operation, size: u32) -> Result<Block> {
    block::allocate(operation, size, Kind::Fields)
}

/// Makes anonymous fields of these lines; the agent has a reference to them.
///
/// # Errors
/// [`Error::InvalidField`], [`Error::FieldsTooLarge`]: nothing was made; [`Error::OutOfMemory`].
pub fn create(operation: &Operation, lines: impl Iterator<Item = Result<(Name, Text)>> + Clone) -> Result<Handle> {
    let amount = measure(None, lines.clone())?;
    if amount.count == 0 {
        return make(operation, None);
    }
    let claim = claim(operation, Type::Fields)?;
    let block = match allocate(operation, amount.room()) {
        Ok(block) => block,
        Err(error) => {
            claim::abandon(operation, claim);
            return Err(error);
        }
    };
    let mut writer = Writer::new(operation.memory(), block, amount);
    let mut lines = lines;
    let written = lines.try_for_each(|line| line.ok().and_then(|(name, value)| writer.append(name, value)));
    if written.is_none() || !writer.is_full() {
        // The lines are in memory that others write to.
        claim::abandon(operation, claim);
        return Err(Error::Corrupt { rule: rule::FIELDS_BLOCK, address: block.address });
    }
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
        let size = read(Table::of(operation), handle, |image, _| Some(image.room()))?;
        if size == HEAD {
            return Ok(None);
        }
        let block = allocate(operation, size)?;
        let copied = read(Table::of(operation), handle, |image, _| {
            if image.room() == size {
                copy_words(image.memory, image.at, block.address, size);
            }
            Some(image.room() == size)
        });
        if matches!(copied, Ok(true)) {
            // The size is the same, the generation the copy's own.
            let size = operation.memory().own64(block.address.wrapping_add(WORD)) >> 32 << 32;
            operation.memory().set_own64(block.address.wrapping_add(WORD), size | u64::from(block.generation));
            return Ok(Some(block));
        }
        block::free(operation, block)?;
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
    let mut offset = 0;
    while offset < length {
        memory.set_own64(to.wrapping_add(offset), memory.load64(from.wrapping_add(offset)));
        offset += WORD;
    }
}

/// As [`copy_words`], for a change: its compare-exchange is a read-modify-write, before which all this is loaded.
fn copy_private(memory: Memory, from: Address, to: Address, length: u32) {
    if length > SHORT {
        memory.copy_within(from, to, length);
        return;
    }
    let mut offset = 0;
    let word = |offset: u32| {
        memory.set_own64(to.wrapping_add(offset), memory.own64(from.wrapping_add(offset)));
    };
    // Four at once: engines look for interrupts in every round of a loop.
    while length - offset >= WORD * 4 {
        word(offset);
        word(offset + WORD);
        word(offset + WORD * 2);
        word(offset + WORD * 3);
        offset += WORD * 4;
    }
    while offset < length {
        word(offset);
        offset += WORD;
    }
}

/// Reads: `f` is called until the block was the same before and after it. `f` answers `None` when what it sees is not
/// well-formed.
#[inline]
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

#[inline]
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
#[inline]
pub fn get(table: Table, handle: Handle, name: Name, known: Option<u32>, to: Address, room: u32) -> Result<(Got, u32)> {
    read(table, handle, |image, commit| {
        let sequence = commit.sequence();
        if known == Some(sequence) {
            return Some((Got::Unchanged, sequence));
        }
        let mut total = None;
        image.find(name, |_, line| {
            total = Some(join(image.memory, total, line.value, to, room));
            Some(())
        })?;
        Some((total.map_or(Got::Absent, Got::Value), sequence))
    })
}

/// Adds a value to what is joined; answers its length.
fn join(memory: Memory, total: Option<u32>, value: Text, to: Address, room: u32) -> u32 {
    let Text { at, length, .. } = value;
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
pub fn has(table: Table, handle: Handle, name: Name) -> Result<bool> {
    read(table, handle, |image, _| {
        let mut found = false;
        image.find(name, |_, _| {
            found = true;
            Some(())
        })?;
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
        let size = image.room();
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
pub fn set(
    operation: &Operation,
    handle: Handle,
    name: Name,
    values: impl Iterator<Item = Text> + Clone,
) -> Result<()> {
    change(operation, handle, Some(name), values.map(|value| Ok((name, value))))
}

/// Adds lines behind those that there are.
///
/// # Errors
/// As [`set`].
pub fn append(
    operation: &Operation,
    handle: Handle,
    lines: impl Iterator<Item = Result<(Name, Text)>> + Clone,
) -> Result<()> {
    change(operation, handle, None, lines)
}

/// Removes every line of this name.
///
/// # Errors
/// As [`set`].
pub fn delete(operation: &Operation, handle: Handle, name: Name) -> Result<()> {
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
    hold::let_go(operation, handle)
}

/// Both [`set`] and [`append`]: the lines of `replaced`, if there is such a name, give way to new ones, which then all
/// have that name whatever they say.
///
/// # Errors
/// As [`set`].
pub fn change(
    operation: &Operation,
    handle: Handle,
    replaced: Option<Name>,
    lines: impl Iterator<Item = Result<(Name, Text)>> + Clone,
) -> Result<()> {
    let added = measure(replaced, lines.clone())?;
    let entry = hold::hold(operation, handle, Type::Fields)?;
    let mut large = false;
    // Lock-free: another round means that another agent changed the fields.
    let result = loop {
        match attempt(operation, entry, handle, replaced, added, lines.clone(), &mut large) {
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
#[inline]
fn attempt(
    operation: &Operation,
    entry: Address,
    handle: Handle,
    replaced: Option<Name>,
    added: Amount,
    lines: impl Iterator<Item = Result<(Name, Text)>>,
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
    let mut removed = Amount::default();
    let mut first = None;
    if let Some(name) = replaced {
        let found = old.find(name, |index, line| {
            removed = removed.plus(Amount::of(line.name.length, line.value.length));
            first = first.or(Some((index, line.name)));
            Some(())
        });
        if found.is_none() {
            return refuse(corrupt);
        }
    }
    if (removed.count, added.count) == (0, 0) {
        return Ok(unchanged());
    }
    let amount = old.amount().minus(removed).plus(added);
    if let Err(error) = check_amount(amount) {
        return refuse(error);
    }
    let retired = old.block();
    *large = old.bytes.max(amount.bytes) > LARGE;
    if amount.count == 0 {
        let next = commit.next(0);
        return Ok(unchanged() && operation.replace(cell, commit.0, next.0, None, retired)?.is_ok());
    }
    if amount.count > MOST || amount.bytes > LARGEST * 2 {
        return refuse(corrupt);
    }
    let block = allocate(operation, amount.room())?;
    let mut writer = Writer::new(memory, block, amount);
    let whole = write(&mut writer, old, replaced, first, removed.count, lines).is_some() && writer.is_full();
    // What is retired goes into the record, where recovery believes it: its generation was read while the commit word
    // named it.
    let next = commit.next(block.address);
    if whole && unchanged() && operation.replace(cell, commit.0, next.0, Some(block), retired)?.is_ok() {
        return Ok(true);
    }
    block::free(operation, block)?;
    #[cfg(feature = "controls")]
    if crate::controls::is_on(crate::controls::LOST_UPDATE) {
        // Seeded bug: what met the change of another agent is said to have happened.
        return Ok(whole);
    }
    if whole { Ok(false) } else { refuse(corrupt) }
}

/// Writes the lines of the new block: those that stay, and the new ones in the place of the first that goes, or behind
/// all.
#[inline]
fn write(
    writer: &mut Writer,
    old: Image,
    replaced: Option<Name>,
    first: Option<(u32, Text)>,
    removed: u32,
    mut lines: impl Iterator<Item = Result<(Name, Text)>>,
) -> Option<()> {
    let mut done = 0;
    if let (Some(name), Some((index, text))) = (replaced, first) {
        writer.run(old, 0, index)?;
        let name = Name { text, ..name };
        lines.try_for_each(|line| line.ok().and_then(|(_, value)| writer.line(name, value)))?;
        done = index + 1;
        if removed > 1 {
            old.find(name, |index, _| {
                if index >= done {
                    writer.run(old, done, index)?;
                    done = index + 1;
                }
                Some(())
            })?;
        }
    }
    writer.run(old, done, old.count)?;
    // None is left, or there was no such name.
    lines.try_for_each(|line| {
        let (name, value) = line.ok()?;
        match replaced {
            Some(name) => writer.line(name, value),
            None => writer.append(name, value),
        }
    })
}

/// The block of a commit word that stands in an entry, if that is so still when the entry is looked at again.
pub(crate) fn block(memory: Memory, word: u64) -> Option<Block> {
    Image::of(memory, Commit(word))?.block()
}

/// The block of a commit word, if there is one, when its lines are well-formed; the outer `None` when they are not.
pub(crate) fn audit(memory: Memory, word: u64) -> Option<Option<Block>> {
    let image = Image::of(memory, Commit(word))?;
    let mut amount = Amount::default();
    for index in 0..image.count {
        let word = image.word(index);
        let Line { name, value } = image.line(word)?;
        if begin_of(word) != amount.bytes || tag_of(word) != name.tag() {
            return None;
        }
        check_name(name).and_then(|()| check_value(value)).ok()?;
        amount = amount.plus(Amount::of(name.length, value.length));
    }
    (amount == image.amount() && amount.size <= LARGEST).then(|| image.block())
}
