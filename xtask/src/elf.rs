//! Sizes in a 32-bit ELF program.

/// What the program takes, in bytes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sizes {
    /// Code, constants and the initial values of variables.
    pub flash: u32,
    /// Variables; the stack not included.
    pub ram: u32,
    /// Of the flash, the table of exceptions and interrupts.
    pub vectors: u32,
}

/// Reads section headers; `None` if this is no little-endian 32-bit ELF file.
pub fn sizes(file: &[u8]) -> Option<Sizes> {
    const WRITE: u32 = 1;
    const ALLOCATE: u32 = 2;
    const NO_BITS: u32 = 8;
    if !file.starts_with(&[0x7F, b'E', b'L', b'F', 1, 1]) {
        return None;
    }
    let word = |at: usize| Some(u32::from_le_bytes(*file.get(at..)?.first_chunk()?));
    let half = |at: usize| Some(u16::from_le_bytes(*file.get(at..)?.first_chunk()?));
    let (table, entry, count) = (word(32)? as usize, half(46)?, half(48)?);
    let names = word(table + usize::from(half(50)?) * usize::from(entry) + 16)? as usize;
    let mut sizes = Sizes::default();
    for index in 0..count {
        let header = table + usize::from(index) * usize::from(entry);
        let (kind, flags, size) = (word(header + 4)?, word(header + 8)?, word(header + 20)?);
        if flags & ALLOCATE != 0 {
            sizes.flash += if kind == NO_BITS { 0 } else { size };
            let name = file.get(names + word(header)? as usize..)?;
            sizes.vectors += if name.starts_with(b".vector_table\0") { size } else { 0 };
            sizes.ram += if flags & WRITE != 0 { size } else { 0 };
        }
    }
    Some(sizes)
}
