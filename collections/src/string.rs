//! Values that have no place in their word: strings, bytes and big integers, in immutable blocks.
//!
//! A block is a head, u64 {length in units 32 · form 8}, and then the bytes. A string has one byte a unit when all its
//! units are below 256, else two: units and not characters, so ill-formed UTF-16 comes out as it went in. Each value has
//! one form ([`Given::new`]), so two values are the same exactly if form, length and bytes are.
//!
//! # Reading while others write
//! A word names its block by address and 16 bits of its generation. A block that is taken out of its word is freed at
//! once and may be taken again at once, so whoever reads it
//!
//! 1. loads the word W, finds the block that starts there and notes its whole header and its page's word ([`Sight`]);
//! 2. reads the head, checks it against the block's room, copies;
//! 3. fences, and sees that the word is still W, the header and the page's word still those: else begins again.
//!
//! Whoever frees the block has exchanged W for another word before, and whoever writes into it next has changed its
//! header before that and fences (`block::allocate`); so a reader that copied one byte of the next contents sees another word
//! or another header in step 3. That the word was W, then others, then W again does not deceive it: the block was freed
//! in between, so its header has another generation, all 32 bits of which are compared, or its page another life (20
//! bits, two steps each time that a page is given back and taken). What deceives it is to be stopped in the middle of
//! one read for exactly a multiple of 2³² uses of the block, or 2¹⁹ lives of its page, that end in the same word.
//!
//! Each round of a reader means that a writer succeeded. Writers never look for readers.

use coheap_alloc::{Address, Block, Error, Kind, Memory, Operation, Result, Sight, sight};

use crate::object::{Handle, Table};
use crate::value::{self, Tag};
use crate::{atom, block, bytes, nested};

/// Bytes of a block before its contents.
pub const HEAD: u32 = 8;

/// Bytes that are looked at together.
const PIECE: usize = 256;

/// What a block holds, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Form {
    /// A string of units below 128, a byte each.
    Ascii = 1,
    /// A string of units below 256, a byte each, one of them above 127.
    Latin1 = 2,
    /// A string of units of two bytes (little end first), one of them above 255.
    Utf16 = 3,
    /// Bytes.
    Bytes = 4,
    /// An integer: words of eight bytes, the lowest first, the last one not 0; none for 0.
    Natural = 5,
    /// The same, below 0.
    Negative = 6,
    /// A reference to another object: its handle's word. What else stands in the block is [`crate::nested`]'s.
    Reference = 7,
}

impl Form {
    /// The form of a number that came from outside or from the heap, or `None`.
    #[must_use]
    pub fn from_tag(tag: u32) -> Option<Self> {
        Some(match tag {
            1 => Self::Ascii,
            2 => Self::Latin1,
            3 => Self::Utf16,
            4 => Self::Bytes,
            5 => Self::Natural,
            6 => Self::Negative,
            7 => Self::Reference,
            _ => return None,
        })
    }

    /// What a word says of such a block.
    #[must_use]
    pub fn tag(self) -> Tag {
        match self {
            Self::Ascii | Self::Latin1 | Self::Utf16 => Tag::String,
            Self::Bytes | Self::Natural | Self::Negative => Tag::Data,
            Self::Reference => Tag::Object,
        }
    }

    fn width(self) -> u32 {
        if self == Self::Utf16 { 2 } else { 1 }
    }
}

pub(crate) fn head_of(form: Form, length: u32) -> u64 {
    u64::from(length / form.width()) | (form as u64) << 32
}

/// Form and length in bytes of a head; `None` for a word that is none.
pub(crate) fn parse_head(head: u64) -> Option<(Form, u32)> {
    let form = Form::from_tag((head >> 32) as u32)?;
    Some((form, (head as u32).checked_mul(form.width())?))
}

/// Where the bytes of a value are, on its way into the heap. Nobody writes them meanwhile.
#[derive(Clone, Copy, Debug)]
pub enum Source<'a> {
    /// In a Rust program.
    Slice(&'a [u8]),
    /// In memory that only this agent uses: its transfer buffer.
    Buffer {
        /// The first byte.
        at: Address,
        /// How many.
        length: u32,
    },
    /// In a byte region of this agent's: for what does not fit the transfer buffer.
    Region {
        /// The region.
        handle: Handle,
        /// How many of its bytes.
        length: u32,
    },
}

impl Source<'_> {
    pub(crate) fn length(&self) -> u32 {
        match *self {
            Self::Slice(slice) => slice.len() as u32,
            Self::Buffer { length, .. } | Self::Region { length, .. } => length,
        }
    }

    fn cut(self, length: u32) -> Self {
        match self {
            Self::Slice(slice) => Self::Slice(slice.get(..length as usize).unwrap_or(slice)),
            Self::Buffer { at, .. } => Self::Buffer { at, length },
            Self::Region { handle, .. } => Self::Region { handle, length },
        }
    }

    /// Copies bytes from `offset`, which with `into` lies inside.
    #[inline(never)]
    pub(crate) fn piece(&self, table: Table, offset: u32, into: &mut [u8]) -> Result<()> {
        match *self {
            Self::Slice(slice) => {
                let from = slice.get(offset as usize..).unwrap_or_default();
                into.copy_from_slice(from.get(..into.len()).unwrap_or_default());
            }
            Self::Buffer { at, .. } => table.memory.copy_out(at.wrapping_add(offset), into),
            Self::Region { handle, .. } => bytes::read(table, handle, u64::from(offset), into)?,
        }
        Ok(())
    }

    fn copy_to(&self, table: Table, to: Address) -> Result<()> {
        match *self {
            Self::Slice(slice) => table.memory.copy_in(to, slice),
            Self::Buffer { at, length } => table.memory.copy_within(at, to, length),
            Self::Region { handle, length } => bytes::read_to(table, handle, 0, to, length)?,
        }
        Ok(())
    }

    fn is_ascii(&self, table: Table) -> Result<bool> {
        const HIGH: u64 = 0x8080_8080_8080_8080;
        if let Self::Buffer { at, length } = *self
            && at.is_multiple_of(8)
        {
            let mut seen = 0;
            for word in 0..length / 8 {
                seen |= table.memory.own64(at.wrapping_add(word * 8));
            }
            if seen & HIGH != 0 {
                return Ok(false);
            }
            let rest = length % 8;
            return Self::Buffer { at: at.wrapping_add(length - rest), length: rest }
                .all(table, |piece| piece.is_ascii());
        }
        self.all(table, |piece| piece.is_ascii())
    }

    /// Calls `f` with all bytes, in order, a few at a time, until it answers false; whether it never did.
    fn all(&self, table: Table, mut f: impl FnMut(&[u8]) -> bool) -> Result<bool> {
        let mut done = 0u32;
        while done < self.length() {
            let count = (self.length() - done).min(PIECE as u32);
            let mut piece = [0; PIECE];
            let piece = &mut piece[..count as usize];
            self.piece(table, done, piece)?;
            if !f(piece) {
                return Ok(false);
            }
            done = done.saturating_add(count);
        }
        Ok(true)
    }
}

/// What a block is to hold.
#[derive(Clone, Copy, Debug)]
pub struct Body<'a> {
    form: Form,
    source: Source<'a>,
    /// The source has two bytes for each byte of the contents, the second of them 0.
    narrow: bool,
}

/// A value on its way into the heap, in its one form.
#[derive(Clone, Copy, Debug)]
pub enum Given<'a> {
    /// One that its word holds.
    Word(u64),
    /// One that needs a block.
    Block(Body<'a>),
    /// Another object, to which the agent has a reference.
    Reference(Handle),
}

impl<'a> Given<'a> {
    /// A number.
    #[must_use]
    pub fn number(number: f64) -> Self {
        Self::Word(value::from_number(number))
    }

    /// A string of units below 256, a byte each. Names that are atoms for ever become those.
    #[must_use]
    pub fn text(units: &'a [u8]) -> Self {
        if let Some(word) = value::from_short(units) {
            return Self::Word(word);
        }
        if let Some(atom) = atom::find_fixed(units) {
            return Self::Word(value::tagged(Tag::Atom, u64::from(atom)));
        }
        let form = if units.is_ascii() { Form::Ascii } else { Form::Latin1 };
        Self::Block(Body { form, source: Source::Slice(units), narrow: false })
    }

    /// Bytes.
    #[must_use]
    pub fn bytes(bytes: &'a [u8]) -> Self {
        Self::Block(Body { form: Form::Bytes, source: Source::Slice(bytes), narrow: false })
    }

    /// An atom; `None` when there is none of this number. What fits into its word stands there.
    #[must_use]
    pub fn atom(table: Table, atom: u32) -> Option<Self> {
        atom::word(table, atom).map(Self::Word).or_else(|| Self::text_of_atom(table, atom))
    }

    /// The text of an atom, as of a string that has none; `None` when there is no such atom.
    pub(crate) fn text_of_atom(table: Table, atom: u32) -> Option<Self> {
        Self::new(table, Form::Latin1, atom::source(table, atom)?).ok()
    }

    /// A value of this form from these bytes; whatever form it came in, it gets its one form. Linear in its length.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for half a unit; those of [`bytes::read`] for a region.
    pub fn new(table: Table, form: Form, source: Source<'a>) -> Result<Self> {
        let length = source.length();
        let block = |form, source, narrow| Self::Block(Body { form, source, narrow });
        match form {
            Form::Bytes => Ok(block(form, source, false)),
            Form::Natural | Form::Negative => Self::integer(table, form, source),
            Form::Reference => {
                let mut word = [0; 8];
                if length as usize != word.len() {
                    return Err(Error::out_of_range(0, u64::from(length), word.len() as u64));
                }
                source.piece(table, 0, &mut word)?;
                Ok(Self::Reference(Handle::from_word(u64::from_le_bytes(word))))
            }
            Form::Ascii | Form::Latin1 => {
                let mut units = [0; value::SHORTEST];
                if let Some(units) = units.get_mut(..length as usize) {
                    source.piece(table, 0, units)?;
                    return Ok(value::from_short(units).map_or(block(form, source, false), Self::Word));
                }
                let ascii = form == Form::Ascii || source.is_ascii(table)?;
                Ok(block(if ascii { Form::Ascii } else { Form::Latin1 }, source, false))
            }
            Form::Utf16 => {
                if !length.is_multiple_of(2) {
                    return Err(Error::out_of_range(0, u64::from(length), u64::from(length & !1)));
                }
                let mut ascii = true;
                let narrow = source.all(table, |piece| {
                    ascii &= piece.iter().all(|&byte| byte < 128);
                    piece.chunks(2).all(|unit| unit.last() == Some(&0))
                })?;
                if !narrow {
                    return Ok(block(form, source, false));
                }
                let body = Body { form: if ascii { Form::Ascii } else { Form::Latin1 }, source, narrow };
                let mut units = [0; value::SHORTEST];
                match units.get_mut(..body.length() as usize) {
                    Some(units) => {
                        body.piece(table, 0, units)?;
                        Ok(value::from_short(units).map_or(Self::Block(body), Self::Word))
                    }
                    None => Ok(Self::Block(body)),
                }
            }
        }
    }

    fn integer(table: Table, form: Form, source: Source<'a>) -> Result<Self> {
        let given = source.length();
        if !given.is_multiple_of(8) {
            return Err(Error::out_of_range(0, u64::from(given), u64::from(given & !7)));
        }
        let mut length = given;
        while length > 0 {
            let mut word = [0; 8];
            source.piece(table, length - 8, &mut word)?;
            if word != [0; 8] {
                break;
            }
            length -= 8;
        }
        let form = if length == 0 { Form::Natural } else { form };
        Ok(Self::Block(Body { form, source: source.cut(length), narrow: false }))
    }
}

impl<'a> Body<'a> {
    /// What it is.
    pub(crate) fn form(&self) -> Form {
        self.form
    }

    /// The words in memory of contents that stand at a multiple of 8 already: where they begin.
    #[inline]
    fn aligned(&self) -> Option<Address> {
        match self.source {
            Source::Buffer { at, .. } if !self.narrow && at.is_multiple_of(8) => Some(at),
            _ => None,
        }
    }

    /// Calls `f` with the contents, eight bytes at a time, the last with zeros behind them.
    pub(crate) fn words(&self, table: Table, mut f: impl FnMut(u64)) -> Result<()> {
        if let Some(at) = self.aligned() {
            for offset in (0..self.length()).step_by(8) {
                f(cut(table.memory.own64(at.wrapping_add(offset)), self.length() - offset));
            }
            return Ok(());
        }
        let mut done = 0u32;
        while done < self.length() {
            let count = (self.length() - done).min(PIECE as u32);
            let mut piece = [0; PIECE];
            self.piece(table, done, &mut piece[..count as usize])?;
            for word in piece[..count.next_multiple_of(8) as usize].chunks(8) {
                f(u64::from_le_bytes(word.try_into().unwrap_or_default()));
            }
            done = done.saturating_add(count);
        }
        Ok(())
    }

    /// Bytes of the contents.
    pub(crate) fn length(&self) -> u32 {
        if self.narrow { self.source.length() / 2 } else { self.source.length() }
    }

    fn piece(&self, table: Table, offset: u32, into: &mut [u8]) -> Result<()> {
        if !self.narrow {
            return self.source.piece(table, offset, into);
        }
        for (number, byte) in (offset..).zip(into) {
            let mut unit = [0; 2];
            self.source.piece(table, number.wrapping_mul(2), &mut unit)?;
            *byte = unit[0];
        }
        Ok(())
    }

    fn copy_to(&self, table: Table, to: Address) -> Result<()> {
        if !self.narrow {
            return self.source.copy_to(table, to);
        }
        let mut done = 0u32;
        while done < self.length() {
            let count = (self.length() - done).min(PIECE as u32);
            let mut piece = [0; PIECE];
            let piece = &mut piece[..count as usize];
            self.piece(table, done, piece)?;
            table.memory.copy_in(to.wrapping_add(done), piece);
            done = done.saturating_add(count);
        }
        Ok(())
    }

    /// Whether the contents are these bytes.
    fn is(&self, table: Table, form: Form, text: &[u8]) -> Result<bool> {
        if self.form != form || self.length() as usize != text.len() {
            return Ok(false);
        }
        let mut copy = [0; atom::LONGEST];
        let Some(copy) = copy.get_mut(..text.len()) else { return Ok(false) };
        self.piece(table, 0, copy)?;
        Ok(copy == text)
    }
}

/// The first `left` bytes of a word.
#[inline]
fn cut(word: u64, left: u32) -> u64 {
    if left < 8 { word & !(!0 << (left * 8)) } else { word }
}

/// A value that this operation made and nobody knows: its word, and the block that the word names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Made {
    /// The word.
    pub word: u64,
    /// Its block, still private.
    pub block: Option<Block>,
}

impl Made {
    /// Gives the block back, unless it was published. Never blocks.
    ///
    /// # Errors
    /// [`Error::NotAllocated`] when somebody freed it.
    pub fn discard(self, operation: &Operation) -> Result<()> {
        match self.block {
            Some(block) if value::is_reference(self.word) => nested::discard(operation, block),
            // A block that was published has a header that says so, or another generation.
            Some(block) if operation.is_private(block) => block::free(operation, block),
            _ => Ok(()),
        }
    }
}

/// Makes the word of a value, and its block if it needs one: private to the operation until a word that others read is
/// replaced by it. If the caller dies before, the block goes back.
///
/// # Errors
/// [`Error::OutOfMemory`], [`Error::InvalidLayout`] for more than 4 GiB; those of [`bytes::read`] for a region;
/// [`Error::UnexpectedValue`] for a reference, which only structures hold ([`crate::nested`]).
#[inline(never)]
pub fn make(operation: &Operation, given: Given<'_>) -> Result<Made> {
    match given {
        Given::Word(word) => Ok(Made { word, block: None }),
        Given::Block(body) => {
            let block = allocate(operation, body.form, body.length())?;
            if let Err(error) = body.copy_to(Table::of(operation), block.address.wrapping_add(HEAD)) {
                block::free(operation, block)?;
                return Err(error);
            }
            Ok(Made { word: value::from_block(body.form.tag(), block), block: Some(block) })
        }
        Given::Reference(_) => Err(Error::UnexpectedValue { expected: Tag::Data as u32, found: Tag::Object as u32 }),
    }
}

/// A private block of this form with these contents.
///
/// # Errors
/// As [`make`].
pub(crate) fn make_block(operation: &Operation, form: Form, source: Source<'_>) -> Result<Block> {
    let block = allocate(operation, form, source.length())?;
    if let Err(error) = source.copy_to(Table::of(operation), block.address.wrapping_add(HEAD)) {
        block::free(operation, block)?;
        return Err(error);
    }
    Ok(block)
}

fn allocate(operation: &Operation, form: Form, length: u32) -> Result<Block> {
    let Some(size) = length.checked_add(HEAD) else {
        return Err(Error::invalid_layout(u64::from(length), 16));
    };
    let block = block::allocate(operation, size, Kind::String)?;
    operation.memory().set_own64(block.address, head_of(form, length));
    Ok(block)
}

/// A value's block, as it was seen.
#[derive(Clone, Copy, Debug)]
pub struct Stored {
    /// What it holds.
    pub form: Form,
    /// Bytes of the contents.
    pub length: u32,
    sight: Sight,
}

impl Stored {
    /// The block.
    #[must_use]
    pub fn block(&self) -> Block {
        self.sight.block
    }

    /// In which of its page's lives the block was.
    #[must_use]
    pub fn life(&self) -> u32 {
        self.sight.life()
    }

    /// The first byte of the contents.
    #[must_use]
    pub fn at(&self) -> Address {
        self.sight.block.address.wrapping_add(HEAD)
    }

    /// Whether the block was this one all the time since it was found. After a fence.
    #[inline]
    #[must_use]
    pub fn is_same(&self, memory: Memory) -> bool {
        self.sight.is_same(memory)
    }

    /// Calls `f` with the contents, eight bytes at a time, the last with zeros behind them. What is read must be
    /// validated by the caller.
    pub(crate) fn words(&self, memory: Memory, mut f: impl FnMut(u64)) {
        for offset in (0..self.length).step_by(8) {
            f(cut(memory.load64(self.at().wrapping_add(offset)), self.length - offset));
        }
    }

    /// Whether the contents are those of `body`. What is read must be validated by the caller.
    #[inline(never)]
    pub(crate) fn equals(&self, table: Table, body: &Body<'_>) -> Result<bool> {
        if self.form != body.form || self.length != body.length() {
            return Ok(false);
        }
        if let Some(at) = body.aligned() {
            let memory = table.memory;
            return Ok((0..self.length).step_by(8).all(|offset| {
                let (mine, other) =
                    (memory.load64(self.at().wrapping_add(offset)), memory.own64(at.wrapping_add(offset)));
                cut(mine ^ other, self.length - offset) == 0
            }));
        }
        let mut done = 0u32;
        while done < self.length {
            let count = (self.length - done).min(PIECE as u32);
            let (mut mine, mut other) = ([0; PIECE], [0; PIECE]);
            let (mine, other) = (&mut mine[..count as usize], &mut other[..count as usize]);
            table.memory.copy_out(self.at().wrapping_add(done), mine);
            body.piece(table, done, other)?;
            if mine != other {
                return Ok(false);
            }
            done = done.saturating_add(count);
        }
        Ok(true)
    }
}

/// Generation and page's life of the block that a word names, as it is now. Loads only.
#[inline]
pub(crate) fn identity(table: Table, word: u64) -> Option<(u32, u32)> {
    let sight = find_block(table, word)?;
    Some((sight.block.generation, sight.life()))
}

/// The block that a word names, as it is now; `None` when the word names none, or that one is gone. Loads only.
#[must_use]
pub fn find(table: Table, word: u64) -> Option<Stored> {
    let sight = find_block(table, word)?;
    let (form, length) = parse_head(table.memory.load64(sight.block.address))?;
    (length <= sight.room.saturating_sub(HEAD)).then_some(Stored { form, length, sight })
}

/// As [`find`], whatever stands in the block.
#[inline(never)]
fn find_block(table: Table, word: u64) -> Option<Sight> {
    if !value::is_block(word) {
        return None;
    }
    let (address, generation) = value::block_at(word)?;
    let sight = sight(table.memory, table.control, address)?;
    let same = sight.kind == Kind::String && sight.block.generation & 0xFFFF == generation;
    (same && sight.room >= HEAD).then_some(sight)
}

/// The block of a word that cannot change any more, to be retired with the object whose word it is.
pub(crate) fn block_of(table: Table, word: u64) -> Option<Block> {
    find_block(table, word).map(|sight| sight.block)
}

/// Whether the value of `word`, whose block is `stored` if it has one, is `given`. What is read must be validated.
///
/// # Errors
/// Those of [`bytes::read`] for a region.
#[inline(never)]
pub(crate) fn is_given(table: Table, word: u64, stored: Option<&Stored>, given: &Given<'_>) -> Result<bool> {
    let mut text = [0; atom::LONGEST];
    match (given, stored) {
        (Given::Word(given), None) => Ok(*given == word),
        // A string that became an atom after others had stored it.
        (Given::Word(given), Some(stored)) if value::tag(*given) == Some(Tag::Atom) => {
            let Some(length) = atom::text(table, value::payload(*given) as u32, &mut text) else { return Ok(false) };
            let text = &text[..length];
            let form = if text.is_ascii() { Form::Ascii } else { Form::Latin1 };
            stored.equals(table, &Body { form, source: Source::Slice(text), narrow: false })
        }
        (Given::Word(_), Some(_)) => Ok(false),
        (Given::Block(body), None) if value::tag(word) == Some(Tag::Atom) => {
            let Some(length) = atom::text(table, value::payload(word) as u32, &mut text) else { return Ok(false) };
            let text = &text[..length];
            body.is(table, if text.is_ascii() { Form::Ascii } else { Form::Latin1 }, text)
        }
        (Given::Block(_), None) => Ok(false),
        (Given::Block(body), Some(stored)) => stored.equals(table, body),
        (Given::Reference(handle), Some(stored)) => {
            Ok(stored.form == Form::Reference && table.memory.load64(stored.at()) == handle.to_word())
        }
        (Given::Reference(_), None) => Ok(false),
    }
}
