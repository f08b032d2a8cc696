//! The four words that are truth, and how their bits are laid out: block header, page word, granule word, slot word.

mod granule;
mod header;
mod page;
mod slot;

pub use granule::GranuleWord;
pub use header::{Header, Kind, State};
pub use page::{PageKind, PageName, PageWord};
pub use slot::SlotWord;
