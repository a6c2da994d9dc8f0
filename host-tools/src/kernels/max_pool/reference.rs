//! The definition in plain loops.

use super::{Number, Windows};

/// See [`super::forward`].
pub(super) fn forward<W: Number>(
    windows: &Windows<'_>,
    start: f32,
    x: &[f32],
    y: &mut [f32],
    winner: &mut [W],
) {
    let channels = windows.channels.max(1);
    let outputs = y.chunks_exact_mut(channels).zip(winner.chunks_exact_mut(channels));
    for (window, (y, winner)) in outputs.enumerate() {
        y.fill(start);
        winner.fill(W::NONE);
        for tap in windows.taps {
            let values = &x[window * windows.step + tap.at..][..channels];
            for ((y, winner), value) in y.iter_mut().zip(winner.iter_mut()).zip(values) {
                if *value > *y {
                    (*y, *winner) = (*value, W::new(tap.number));
                }
            }
        }
    }
}

/// See [`super::backward`].
pub(super) fn backward<W: Number>(
    windows: &Windows<'_>,
    dy: &[f32],
    winner: &[W],
    dx: &mut [f32],
    accumulate: bool,
) {
    let channels = windows.channels.max(1);
    for (window, (dy, winner)) in dy.chunks_exact(channels).zip(winner.chunks_exact(channels)).enumerate() {
        for tap in windows.taps {
            let dx = &mut dx[window * windows.step + tap.at..][..channels];
            for ((dx, dy), winner) in dx.iter_mut().zip(dy).zip(winner) {
                let share = if *winner == W::new(tap.number) { *dy } else { 0.0 };
                *dx = if accumulate { *dx + share } else { share };
            }
        }
    }
}
