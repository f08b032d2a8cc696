//! The directory: a name finds or creates an object, the same one in every agent.
//!
//! 256 root words in the control area, one a bucket: 0, or the word of one immutable block that lists the bucket's
//! names. A change builds a new block and replaces the root with it. A block is
//!
//! | offset | word |
//! |---|---|
//! | 0 | u64: bytes of the entries |
//! | 8 | the entries, one after the other: u64 handle · u64 {type 8 · length of the name 32} · the name, padded to 8 |
//!
//! A name is taken when its entry names a live object that has not lost its name: so removing a name is one
//! compare-exchange of the object's information word, which needs no memory, and an entry whose object has none is left
//! out of the next block. The directory has a reference to each object that has a name ([`crate::count`]); when the name
//! is removed, that one goes, and the object with it unless somebody else has one.
//!
//! # Consistency
//! [`open`] and [`remove`] are linearizable. Of agents that create the same name at once, one's object is listed and
//! all answer that one. A lookup reads the block while others may replace it, and then looks at the root again: the
//! root is the same word (block and generation), so the block was this bucket the whole time.
//!
//! # If the caller dies here
//! An object is published before it is listed. Until it is, the record of its maker names it, and recovery takes it
//! back; from then on it is an object like any other. A name that was removed stays removed, and recovery gives the
//! directory's reference back.
//!
//! Nothing here blocks. A call is linear in the names of its bucket. Where a loop has no bound, each round means that
//! another agent changed the bucket.

use coheap_alloc::layout::control;
use coheap_alloc::{Address, Block, Error, Kind, Memory, Operation, Result};

use crate::block;
use crate::holdings::Holder;
use crate::object::{Handle, INFO, Info, Table, Type};
use crate::string::Given;
use crate::wait::Wake;
use crate::{bytes, cell, claim, count, fields, list, map, pipe, rule};

/// Bytes that a name may have. It has at least one.
pub const LONGEST: u32 = 1024;

/// Bytes of a block's head, and half of an entry's.
const HEAD: u32 = 8;
/// Bytes of an entry before its name.
const ENTRY: u32 = 16;
/// Bytes that are copied or compared at once.
const PIECE: usize = 256;

/// What to make when there is no object of a name.
#[derive(Clone, Copy, Debug)]
pub enum Shape<'a> {
    /// A cell that holds this number.
    Cell(f64),
    /// A cell that holds this value.
    Holding(Given<'a>),
    /// A region of so many zero bytes.
    Bytes(u32),
    /// Fields without a line.
    Fields,
    /// A map without an entry.
    Map,
    /// A pipe with room for so many bytes.
    Pipe(u32),
    /// A list without a value.
    List,
}

impl Shape<'_> {
    /// The type of such an object.
    #[must_use]
    pub fn kind(self) -> Type {
        match self {
            Self::Cell(_) | Self::Holding(_) => Type::Cell,
            Self::Bytes(_) => Type::Bytes,
            Self::Fields => Type::Fields,
            Self::Map => Type::Map,
            Self::Pipe(_) => Type::Pipe,
            Self::List => Type::List,
        }
    }

    fn make(self, operation: &Operation, bucket: Option<u8>) -> Result<Handle> {
        match self {
            Self::Cell(number) => cell::make(operation, number, bucket),
            Self::Holding(given) => cell::make_holding(operation, given, bucket),
            Self::Bytes(length) => bytes::make(operation, length, bucket),
            Self::Fields => fields::make(operation, bucket),
            Self::Map => map::make(operation, bucket),
            Self::Pipe(capacity) => pipe::make(operation, capacity, bucket),
            Self::List => list::make(operation, bucket),
        }
    }

    /// Makes an anonymous object of this shape.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`], [`Error::InvalidLayout`].
    pub fn create(self, operation: &Operation) -> Result<Handle> {
        self.make(operation, None)
    }
}

/// One listed object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its handle.
    pub handle: Handle,
    /// The number of its type.
    pub kind: u32,
}

/// The object called `name`, which is made in `shape` if there is none. This agent has a reference to it.
///
/// # Errors
/// [`Error::WrongType`] when the name belongs to an object of another type, [`Error::NameTooLong`],
/// [`Error::OutOfRange`] for an empty name, [`Error::OutOfMemory`], [`Error::Corrupt`].
#[inline(never)]
pub fn open(operation: &Operation, name: &[u8], shape: Shape<'_>) -> Result<Handle> {
    let (number, root) = bucket_of(operation, name)?;
    let mut last = None;
    // Lock-free: another round means that another agent removed the name.
    loop {
        let listed = match find_in(operation, root, name)? {
            Some(listed) => listed,
            None => match make(operation, number, root, name, shape)? {
                Named::Made(handle) => return Ok(handle),
                Named::Found(listed) => listed,
            },
        };
        let expected = shape.kind();
        if listed.kind != expected as u32 {
            return Err(Error::wrong_type(expected as u32, listed.kind));
        }
        match count::acquire(operation, listed.handle, Some(expected)) {
            Err(Error::StaleHandle { .. }) if last != Some(listed.handle) => last = Some(listed.handle),
            // It has a name, and no reference of the directory's.
            Err(Error::StaleHandle { .. }) => return Err(Error::corrupt(rule::COUNT, root)),
            other => return other.map(|_| listed.handle),
        }
    }
}

/// What has a name after the attempt to give it to a new object.
enum Named {
    Made(Handle),
    Found(Listed),
}

fn make(operation: &Operation, number: u8, root: Address, name: &[u8], shape: Shape<'_>) -> Result<Named> {
    let made = shape.make(operation, Some(number))?;
    let answer = list(operation, root, name, made, shape);
    if !matches!(answer, Ok(Named::Made(_))) {
        // Somebody else's object has the name, or there is no memory for the list.
        claim::take_back(operation, Holder::of(operation), made)?;
    }
    answer
}

/// Lists `made` under `name`, or answers the object that has the name already.
fn list(operation: &Operation, root: Address, name: &[u8], made: Handle, shape: Shape<'_>) -> Result<Named> {
    // Lock-free: another round means that another agent changed the bucket.
    loop {
        let word = operation.memory().load64(root);
        let added = Entry { handle: made, kind: shape.kind() as u32, name: Text::Given(name) };
        match look_up(operation, word, name) {
            Ok(Some(listed)) if unchanged(operation, root, word) => return Ok(Named::Found(listed)),
            Err(error) if unchanged(operation, root, word) => return Err(error),
            Ok(None) if replace(operation, root, word, Some(added))? => return Ok(Named::Made(made)),
            _ => {}
        }
    }
}

/// The object called `name`, or `None`. Loads only.
///
/// # Errors
/// [`Error::NameTooLong`], [`Error::OutOfRange`] for an empty name, [`Error::Corrupt`].
pub fn find(operation: &Operation, name: &[u8]) -> Result<Option<Listed>> {
    let (_, root) = bucket_of(operation, name)?;
    find_in(operation, root, name)
}

fn find_in(operation: &Operation, root: Address, name: &[u8]) -> Result<Option<Listed>> {
    // Lock-free: another round means that another agent changed the bucket.
    loop {
        let word = operation.memory().load64(root);
        let found = look_up(operation, word, name);
        if unchanged(operation, root, word) {
            return found;
        }
    }
}

/// Removes `name`; its object ends unless somebody has a reference to it. Answers whether there was one, and who is to
/// be woken. Works when memory is exhausted.
///
/// # Errors
/// [`Error::NameTooLong`], [`Error::OutOfRange`] for an empty name, [`Error::Corrupt`].
pub fn remove(operation: &Operation, name: &[u8]) -> Result<(bool, Wake)> {
    let (_, root) = bucket_of(operation, name)?;
    let Some(listed) = find_in(operation, root, name)? else { return Ok((false, Wake::NONE)) };
    match count::unname(operation, listed.handle) {
        Ok(Some(wake)) => {
            tidy(operation, root);
            Ok((true, wake))
        }
        // Another agent removed it between the two looks.
        Ok(None) | Err(Error::StaleHandle { .. }) => Ok((false, Wake::NONE)),
        Err(error) => Err(error),
    }
}

/// Leaves the entries of objects without a name out of a bucket, if there is memory for that and nobody else is at it.
fn tidy(operation: &Operation, root: Address) {
    let word = operation.memory().load64(root);
    // Not done is no harm: whoever changes the bucket next leaves them out.
    let _ = replace(operation, root, word, None);
}

/// Whether the bucket lists this object. For recovery: the object's maker is gone, so the answer stays.
pub(crate) fn lists(operation: &Operation, bucket: u8, handle: Handle) -> Result<bool> {
    let root = root(operation.control(), bucket);
    // Lock-free: another round means that another agent changed the bucket.
    loop {
        let word = operation.memory().load64(root);
        let found = Bucket::of(operation, word).and_then(|bucket| {
            let mut listed = false;
            bucket.each(|entry| {
                listed |= entry.handle == handle;
                Ok(())
            })?;
            Ok(listed)
        });
        if unchanged(operation, root, word) {
            return found;
        }
    }
}

/// The root word of a bucket.
pub(crate) fn root(control_area: Address, bucket: u8) -> Address {
    control_area.wrapping_add(control::ROOTS).wrapping_add(u32::from(bucket) * 8)
}

fn bucket_of(operation: &Operation, name: &[u8]) -> Result<(u8, Address)> {
    let length = u32::try_from(name.len()).unwrap_or(u32::MAX);
    if length == 0 {
        return Err(Error::out_of_range(0, 0, u64::from(LONGEST)));
    }
    if length > LONGEST {
        return Err(Error::name_too_long(length, LONGEST));
    }
    let number = bucket_number(operation.memory(), operation.control(), name);
    Ok((number, root(operation.control(), number)))
}

/// Which bucket a name is in: keyed by the heap's seed, so that nobody outside can fill one bucket on purpose.
#[must_use]
pub fn bucket_number(memory: Memory, control_area: Address, name: &[u8]) -> u8 {
    let seed = memory.own64(control_area.wrapping_add(control::SEED));
    let mut hash = seed ^ name.len() as u64;
    for part in name.chunks(8) {
        let mut word = [0; 8];
        word[..part.len()].copy_from_slice(part);
        hash = (hash ^ u64::from_le_bytes(word)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        hash ^= hash >> 32;
    }
    (hash.wrapping_mul(seed | 1) >> 56) as u8
}

fn unchanged(operation: &Operation, root: Address, word: u64) -> bool {
    #[cfg(feature = "controls")]
    if crate::controls::is_on(crate::controls::READ_WITHOUT_CHECK) {
        return true;
    }
    operation.memory().load64_ordered(root) == word
}

fn look_up(operation: &Operation, word: u64, name: &[u8]) -> Result<Option<Listed>> {
    let table = Table::of(operation);
    let bucket = Bucket::of(operation, word)?;
    let mut found = None;
    bucket.each(|entry| {
        if entry.is_called(bucket.memory, name) && has_name(table, entry.handle) {
            found = Some(Listed { handle: entry.handle, kind: entry.kind });
        }
        Ok(())
    })?;
    Ok(found)
}

/// Whether the object is live and has not lost its name. Two loads: the look at the entry proves whose information it is.
fn has_name(table: Table, handle: Handle) -> bool {
    table.entry(handle.index).is_some_and(|entry| {
        let info = Info(table.memory.load64(entry.wrapping_add(INFO)));
        table.check_any(entry, handle).is_ok() && info.bucket().is_some()
    })
}

/// Where an entry's name is.
#[derive(Clone, Copy)]
enum Text<'a> {
    Given(&'a [u8]),
    InHeap { at: Address, length: u32 },
}

/// An entry of a bucket.
#[derive(Clone, Copy)]
pub(crate) struct Entry<'a> {
    pub(crate) handle: Handle,
    pub(crate) kind: u32,
    name: Text<'a>,
}

fn padded(length: u32) -> u32 {
    length.wrapping_add(7) & !7
}

impl Entry<'_> {
    fn length(&self) -> u32 {
        match self.name {
            Text::Given(name) => name.len() as u32,
            Text::InHeap { length, .. } => length,
        }
    }

    fn size(&self) -> u32 {
        ENTRY.wrapping_add(padded(self.length()))
    }

    fn is_called(&self, memory: Memory, name: &[u8]) -> bool {
        match self.name {
            Text::Given(own) => own == name,
            Text::InHeap { at, length } => {
                length as usize == name.len()
                    && name.chunks(PIECE).enumerate().all(|(number, part)| {
                        let mut piece = [0; PIECE];
                        let piece = &mut piece[..part.len()];
                        memory.copy_out(at.wrapping_add((number * PIECE) as u32), piece);
                        piece == part
                    })
            }
        }
    }

    /// Writes the entry into a private block.
    fn write(&self, memory: Memory, at: Address) {
        write_word(memory, at, self.handle.to_word());
        write_word(memory, at.wrapping_add(HEAD), u64::from(self.kind) | (self.length() as u64) << 32);
        let to = at.wrapping_add(ENTRY);
        match self.name {
            Text::Given(name) => memory.copy_in(to, name),
            Text::InHeap { at: from, length } => {
                let mut done = 0u32;
                while done < length {
                    let count = (length - done).min(PIECE as u32);
                    let mut piece = [0; PIECE];
                    let piece = &mut piece[..count as usize];
                    memory.copy_out(from.wrapping_add(done), piece);
                    memory.copy_in(to.wrapping_add(done), piece);
                    done = done.wrapping_add(count);
                }
            }
        }
    }
}

fn write_word(memory: Memory, at: Address, word: u64) {
    memory.copy_in(at, &word.to_le_bytes());
}

#[inline(never)]
fn read_word(memory: Memory, at: Address) -> u64 {
    let mut word = [0; 8];
    memory.copy_out(at, &mut word);
    u64::from_le_bytes(word)
}

/// A bucket's block, as far as it can be trusted: it lies in memory. What is read of it holds once the root is seen
/// unchanged.
#[derive(Clone, Copy)]
pub(crate) struct Bucket {
    memory: Memory,
    /// Where the block is; 0 for an empty bucket.
    at: Address,
    used: u32,
}

impl Bucket {
    /// The bucket of a root word.
    fn of(operation: &Operation, word: u64) -> Result<Self> {
        let memory = operation.memory();
        let Some(block) = Block::from_word(word) else { return Ok(Self { memory, at: 0, used: 0 }) };
        if operation.is_live(block) != Some(Kind::Names) {
            return Err(Error::corrupt(rule::BUCKET, block.address));
        }
        Self::at(memory, block.address, operation.size_of(block))
    }

    /// The bucket in the block of `size` bytes at `at`.
    pub(crate) fn at(memory: Memory, at: Address, size: u32) -> Result<Self> {
        let corrupt = || Error::corrupt(rule::BUCKET, at);
        let end = u64::from(at) + u64::from(size);
        if size < HEAD || !memory.reaches(end) {
            return Err(corrupt());
        }
        let used = read_word(memory, at);
        if used > u64::from(size - HEAD) || !used.is_multiple_of(8) {
            return Err(corrupt());
        }
        Ok(Self { memory, at, used: used as u32 })
    }

    /// Calls `f` with each entry. At most one round for 24 bytes of the block.
    pub(crate) fn each(&self, mut f: impl FnMut(Entry<'static>) -> Result<()>) -> Result<()> {
        let mut done = 0u32;
        while done < self.used {
            let at = self.at.wrapping_add(HEAD).wrapping_add(done);
            let corrupt = || Error::corrupt(rule::BUCKET, at);
            if self.used - done < ENTRY {
                return Err(corrupt());
            }
            let handle = Handle::from_word(read_word(self.memory, at));
            let about = read_word(self.memory, at.wrapping_add(HEAD));
            let length = (about >> 32) as u32;
            if length == 0 || length > LONGEST || padded(length) > self.used - done - ENTRY {
                return Err(corrupt());
            }
            let name = Text::InHeap { at: at.wrapping_add(ENTRY), length };
            f(Entry { handle, kind: about as u32, name })?;
            done = done.wrapping_add(ENTRY).wrapping_add(padded(length));
        }
        Ok(())
    }
}

impl Bucket {
    /// Calls `f` with each entry whose object has its name.
    fn each_named(&self, table: Table, mut f: impl FnMut(Entry<'static>)) -> Result<()> {
        self.each(|entry| {
            if has_name(table, entry.handle) {
                f(entry);
            }
            Ok(())
        })
    }
}

/// Replaces a bucket by one that lists the objects that have their names, and `added`. `false`: the bucket changed meanwhile.
fn replace(operation: &Operation, root: Address, word: u64, added: Option<Entry<'_>>) -> Result<bool> {
    let table = Table::of(operation);
    let old = Block::from_word(word);
    let mut room = added.map_or(0, |entry| entry.size());
    let measured = Bucket::of(operation, word).and_then(|bucket| {
        bucket.each_named(table, |entry| room = room.saturating_add(entry.size()))?;
        Ok(bucket)
    });
    let bucket = match measured {
        Ok(bucket) => bucket,
        Err(error) => return if unchanged(operation, root, word) { Err(error) } else { Ok(false) },
    };
    if room == 0 {
        // An empty bucket has no block, so the last name goes without memory.
        return Ok(word == 0 || operation.replace(root, word, 0, None, old)?.is_ok());
    }
    let block = block::allocate(operation, room.saturating_add(HEAD), Kind::Names)?;
    let entries = block.address.wrapping_add(HEAD);
    let mut used = 0u32;
    let mut put = |entry: Entry<'_>| {
        // Entries only go between the two rounds; what else is larger now was read of a bucket that has changed, and
        // then the exchange fails.
        if entry.size() <= room - used {
            entry.write(bucket.memory, entries.wrapping_add(used));
            used = used.wrapping_add(entry.size());
        }
    };
    let copied = bucket.each_named(table, &mut put);
    if let Some(entry) = added {
        put(entry);
    }
    write_word(bucket.memory, block.address, u64::from(used));
    if copied.is_ok() && operation.replace(root, word, block.to_word(), Some(block), old)?.is_ok() {
        return Ok(true);
    }
    block::free(operation, block)?;
    match copied {
        Err(error) if unchanged(operation, root, word) => Err(error),
        _ => Ok(false),
    }
}
