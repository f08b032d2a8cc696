//! What JavaScript hands in: `heap.imports(memory)`. Nothing here touches this program's memory but [`copy_out`], which
//! JavaScript checks against its end.

use coheap_alloc::{Error, Result};

/// 0, or the number of an error.
pub(super) type Status = u32;

#[link(wasm_import_module = "coheap")]
unsafe extern "C" {
    #[link_name = "coheap_abi"]
    pub(super) safe fn abi() -> u32;
    #[link_name = "coheap_leave"]
    safe fn leave_heap() -> Status;
    #[link_name = "coheap_detail"]
    pub(super) safe fn detail(index: u32) -> f64;
    /// Copies bytes of this program into the transfer buffer.
    #[link_name = "coheap_copy_in"]
    fn import_bytes(from: *const u8, length: usize, to: u32) -> Status;
    /// Copies bytes of the transfer buffer into this program.
    #[link_name = "coheap_copy_out"]
    fn export_bytes(to: *mut u8, length: usize, from: u32) -> Status;

    #[link_name = "coheap_open"]
    pub(super) safe fn open(kind: u32, name_length: u32, argument: f64) -> Status;
    #[link_name = "coheap_remove"]
    pub(super) safe fn remove(name_length: u32) -> Status;
    #[link_name = "coheap_acquire"]
    pub(super) safe fn acquire(index: u32, generation: u32) -> Status;
    #[link_name = "coheap_release"]
    pub(super) safe fn release(index: u32, generation: u32) -> Status;
    #[link_name = "coheap_atom_text"]
    pub(super) safe fn atom_text(atom: u32) -> u32;

    #[link_name = "coheap_bytes_read"]
    pub(super) safe fn bytes_read(index: u32, generation: u32, offset: f64, length: u32) -> Status;
    #[link_name = "coheap_bytes_write"]
    pub(super) safe fn bytes_write(index: u32, generation: u32, offset: f64, length: u32) -> Status;

    #[link_name = "coheap_cell_get"]
    pub(super) safe fn cell_get(index: u32, generation: u32) -> f64;
    #[link_name = "coheap_cell_take"]
    pub(super) safe fn cell_take(index: u32, generation: u32) -> f64;
    #[link_name = "coheap_cell_snapshot"]
    pub(super) safe fn cell_snapshot(index: u32, generation: u32) -> f64;
    #[link_name = "coheap_cell_put"]
    pub(super) safe fn cell_put(index: u32, generation: u32, kind: u32, number: f64) -> Status;
    #[link_name = "coheap_cell_add"]
    pub(super) safe fn cell_add(index: u32, generation: u32, delta: f64) -> Status;
    #[link_name = "coheap_cell_compare_and_put"]
    pub(super) safe fn cell_compare_and_put(
        index: u32,
        generation: u32,
        expected_kind: u32,
        expected: f64,
        kind: u32,
        number: f64,
    ) -> Status;

    #[link_name = "coheap_map_get"]
    pub(super) safe fn map_get(index: u32, generation: u32, kind: u32, number: f64) -> f64;
    #[link_name = "coheap_map_take"]
    pub(super) safe fn map_take(index: u32, generation: u32, kind: u32, number: f64, at: u32) -> Status;
    #[link_name = "coheap_map_snapshot"]
    pub(super) safe fn map_snapshot(index: u32, generation: u32, kind: u32, number: f64, at: u32) -> Status;
    #[link_name = "coheap_map_has"]
    pub(super) safe fn map_has(index: u32, generation: u32, kind: u32, number: f64) -> f64;
    #[link_name = "coheap_map_size"]
    pub(super) safe fn map_size(index: u32, generation: u32) -> f64;
    #[link_name = "coheap_map_set"]
    pub(super) safe fn map_set(
        index: u32,
        generation: u32,
        kind: u32,
        number: f64,
        value_kind: u32,
        value: f64,
    ) -> Status;
    #[link_name = "coheap_map_insert"]
    pub(super) safe fn map_insert(
        index: u32,
        generation: u32,
        kind: u32,
        number: f64,
        value_kind: u32,
        value: f64,
        at: u32,
    ) -> f64;
    #[link_name = "coheap_map_delete"]
    pub(super) safe fn map_delete(index: u32, generation: u32, kind: u32, number: f64) -> f64;
    #[link_name = "coheap_map_add"]
    pub(super) safe fn map_add(index: u32, generation: u32, kind: u32, number: f64, delta: f64) -> f64;
    #[link_name = "coheap_map_compare_and_set"]
    pub(super) safe fn map_compare_and_set(
        index: u32,
        generation: u32,
        kind: u32,
        number: f64,
        expected_kind: u32,
        expected: f64,
        value_kind: u32,
        value: f64,
    ) -> f64;
    #[link_name = "coheap_map_clear"]
    pub(super) safe fn map_clear(index: u32, generation: u32) -> Status;
    #[link_name = "coheap_map_entries"]
    pub(super) safe fn map_entries(index: u32, generation: u32, from: f64, limit: u32) -> f64;
    #[link_name = "coheap_map_entry_to"]
    pub(super) safe fn map_entry_to(index: u32, generation: u32, from: f64, region: u32, region_generation: u32)
    -> f64;
}

/// The error of a status, unless it is 0.
pub(super) fn check(status: Status) -> Result<()> {
    if status == 0 { Ok(()) } else { Err(refused(status)) }
}

/// The answer of a call that answers minus a status for what it refuses.
pub(super) fn count(answer: f64) -> Result<f64> {
    if answer < 0.0 { Err(refused((-answer) as Status)) } else { Ok(answer) }
}

#[cold]
pub(super) fn refused(status: Status) -> Error {
    // What is no error of Rust's comes from another version of coheap, which the number of the ABI rules out.
    Error::from_code(status, [0, 1, 2].map(|index| detail(index))).unwrap_or(Error::not_a_heap(status))
}

pub(super) fn copy_in(bytes: &[u8], to: u32) -> Result<()> {
    // SAFETY: JavaScript reads these bytes, during the call.
    check(unsafe { import_bytes(bytes.as_ptr(), bytes.len(), to) })
}

pub(super) fn copy_out(bytes: &mut [u8], from: u32) -> Result<()> {
    // SAFETY: JavaScript writes these bytes and no others, during the call; every byte is a u8.
    check(unsafe { export_bytes(bytes.as_mut_ptr(), bytes.len(), from) })
}

pub(super) fn leave() -> Result<()> {
    check(leave_heap())
}
