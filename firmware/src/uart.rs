//! The serial line of Arm's MPS2 boards (CMSDK APB UART), by polling. A real board puts its own here:
//! three functions.

/// Base address of UART 0 on AN385, AN386 and AN500.
const BASE: usize = 0x4000_4000;
const DATA: *mut u32 = BASE as *mut u32;
const STATE: *mut u32 = (BASE + 0x4) as *mut u32;
const CONTROL: *mut u32 = (BASE + 0x8) as *mut u32;
const DIVIDER: *mut u32 = (BASE + 0x10) as *mut u32;
const TRANSMIT_FULL: u32 = 1;
const RECEIVE_FULL: u32 = 2;

/// The line; one program has one.
#[derive(Debug)]
pub struct Uart(());

impl Uart {
    /// Opens the line at 25 MHz / 217 = 115,200 baud.
    #[must_use]
    pub fn open() -> Self {
        // SAFETY: registers of UART 0 on these boards (Arm DDI 0479, section 4.3), aligned; this
        // program has no other user of them.
        unsafe {
            DIVIDER.write_volatile(217);
            CONTROL.write_volatile(TRANSMIT_FULL | RECEIVE_FULL); // the same bits enable both ways
        }
        Self(())
    }

    /// Waits for a byte.
    pub fn read(&mut self) -> u8 {
        // SAFETY: as in `open`.
        unsafe {
            while STATE.read_volatile() & RECEIVE_FULL == 0 {}
            DATA.read_volatile().to_le_bytes()[0]
        }
    }

    /// Sends a byte.
    pub fn write(&mut self, byte: u8) {
        // SAFETY: as in `open`.
        unsafe {
            while STATE.read_volatile() & TRANSMIT_FULL != 0 {}
            DATA.write_volatile(byte.into());
        }
    }
}
