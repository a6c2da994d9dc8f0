//! Predicts for a host: requests and replies over the serial line.
#![no_std]
#![no_main]

use cortex_m_rt::entry;
#[cfg(feature = "log")]
use defmt_rtt as _;
use stf_bnn::Predictor;
use stf_device_protocol::Server;
use stf_firmware::uart::Uart;
use stf_firmware::{BUILD, CONFIG, EMPTY, FRAME_BYTES, MODEL, OPERATORS, WORKSPACE_BYTES, fail, model};

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    cortex_m::peripheral::SCB::sys_reset()
}

#[entry]
fn main() -> ! {
    static mut WORKSPACE: [u8; WORKSPACE_BYTES] = [0; WORKSPACE_BYTES];
    let mut place = EMPTY;
    let Some(model) = model(&mut place) else { fail("the embedded model is damaged") };
    let Ok(predictor) = Predictor::with_operators(model, CONFIG, WORKSPACE, &OPERATORS) else {
        fail("no predictor")
    };
    let mut server: Server<'_, '_, FRAME_BYTES> = Server::new(MODEL, model, predictor, BUILD);
    let mut uart = Uart::open();
    #[cfg(feature = "log")]
    defmt::info!(
        "{=str}: model {=str}, {=usize} bytes of workspace",
        BUILD,
        model.manifest().name,
        WORKSPACE_BYTES
    );
    loop {
        let byte = uart.read();
        if let Some(frame) = server.receive(byte) {
            frame.iter().for_each(|&byte| uart.write(byte));
        }
    }
}
