//! Values on their way into the heap, in their one form.

use super::*;

/// Bytes that are looked at together.
pub(super) const PIECE: usize = 256;

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

    pub(super) fn cut(self, length: u32) -> Self {
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

    pub(super) fn copy_to(&self, table: Table, to: Address) -> Result<()> {
        match *self {
            Self::Slice(slice) => table.memory.copy_in(to, slice),
            Self::Buffer { at, length } => table.memory.copy_within(at, to, length),
            Self::Region { handle, length } => bytes::read_to(table, handle, 0, to, length)?,
        }
        Ok(())
    }

    pub(super) fn is_ascii(&self, table: Table) -> Result<bool> {
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
    pub(super) fn all(&self, table: Table, mut f: impl FnMut(&[u8]) -> bool) -> Result<bool> {
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
    pub(super) form: Form,
    pub(super) source: Source<'a>,
    /// The source has two bytes for each byte of the contents, the second of them 0.
    pub(super) narrow: bool,
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

    pub(super) fn integer(table: Table, form: Form, source: Source<'a>) -> Result<Self> {
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
    pub(super) fn aligned(&self) -> Option<Address> {
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

    pub(super) fn piece(&self, table: Table, offset: u32, into: &mut [u8]) -> Result<()> {
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

    pub(super) fn copy_to(&self, table: Table, to: Address) -> Result<()> {
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
    pub(super) fn is(&self, table: Table, form: Form, text: &[u8]) -> Result<bool> {
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
pub(super) fn cut(word: u64, left: u32) -> u64 {
    if left < 8 { word & !(!0 << (left * 8)) } else { word }
}
