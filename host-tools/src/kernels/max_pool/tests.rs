//! Every instruction set against the definition, bit for bit.

use super::*;

type Forward = unsafe fn(&Windows<'_>, f32, &[f32], &mut [f32], &mut [u8]);
type Backward = unsafe fn(&Windows<'_>, &[f32], &[u8], &mut [f32], bool);

/// What this machine has, by name.
fn kernels() -> Vec<(&'static str, Forward, Backward)> {
    let mut found: Vec<(&str, Forward, Backward)> = Vec::new();
    #[cfg(target_arch = "x86_64")]
    {
        if x86::has_avx2() {
            found.push(("avx2", x86::forward_avx2, x86::backward_avx2));
        }
        if x86::has_avx512() {
            found.push(("avx512", x86::forward_avx512, x86::backward_avx512));
        }
    }
    found
}

/// Few different values, so that many are equal; zeros of both signs, infinities and NaN among them.
fn values(count: usize, seed: u32) -> Vec<f32> {
    let special = [0.0, -0.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY];
    let value = |i: u32| {
        let number = i.wrapping_mul(2_654_435_761).wrapping_add(seed.wrapping_mul(40_503)) >> 20;
        special.get(number as usize % 29).copied().unwrap_or((number % 7) as f32 - 3.0)
    };
    (0..count as u32).map(value).collect()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// Rows of windows with and without overlap, with missing taps, and with none at all.
fn cases() -> Vec<(Vec<Tap>, usize, usize, usize)> {
    let mut cases = Vec::new();
    for channels in [1, 3, 6, 8, 15, 16, 17, 33] {
        for (kernel, stride, count) in [(2, 2, 14), (3, 2, 5), (1, 1, 3), (3, 1, 1)] {
            let stride_of_rows = (count * stride + kernel) * channels;
            let at = |number: usize| number / kernel * stride_of_rows + number % kernel * channels;
            let all = (0..kernel * kernel).map(|number| Tap { number, at: at(number) });
            let odd = all.clone().filter(|tap| tap.number % 2 == 1).collect();
            for taps in [all.collect(), odd] {
                cases.push((taps, count, stride * channels, channels));
            }
        }
    }
    cases
}

#[test]
fn every_instruction_set_is_the_definition() {
    for (taps, count, step, channels) in cases() {
        let windows = Windows { taps: &taps, count, step, channels };
        let (reach, outputs) = (windows.reach(), count * channels);
        let (x, dy, old) = (values(reach, 1), values(outputs, 2), values(reach, 3));
        for start in [0.0, f32::NEG_INFINITY] {
            let (mut y, mut winner) = (vec![7.0; outputs], vec![7; outputs]);
            reference::forward(&windows, start, &x, &mut y, &mut winner);
            for (name, forward, backward) in kernels() {
                let (mut found, mut numbers) = (vec![8.0; outputs], vec![8; outputs]);
                // SAFETY: `kernels` detected the instruction set; the slices are of the windows' sizes.
                unsafe { forward(&windows, start, &x, &mut found, &mut numbers) };
                assert_eq!(bits(&found), bits(&y), "{name} {windows:?}");
                assert_eq!(numbers, winner, "{name} {windows:?}");
                for accumulate in [false, true] {
                    let (mut dx, mut expected) = (old.clone(), old.clone());
                    reference::backward(&windows, &dy, &winner, &mut expected, accumulate);
                    // SAFETY: as above.
                    unsafe { backward(&windows, &dy, &winner, &mut dx, accumulate) };
                    // NaN plus NaN may keep the payload of either.
                    let same = |(a, b): (&f32, &f32)| a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan();
                    assert!(dx.iter().zip(&expected).all(same), "{name} {accumulate} {windows:?}");
                }
            }
        }
    }
}

#[test]
fn the_definition_by_hand() {
    let taps = [0, 1, 2, 3].map(|number| Tap { number, at: number });
    let windows = Windows { taps: &taps, count: 2, step: 4, channels: 1 };
    let x = [1.0, 5.0, 5.0, f32::NAN, -3.0, -4.0, -2.0, -2.0];
    let (mut y, mut winner, mut dx) = ([0.0; 2], [0u8; 2], [9.0; 8]);
    forward(&windows, false, &x, &mut y, &mut winner);
    assert_eq!((y, winner), ([5.0, -2.0], [1, 2]), "the first of equal ones; NaN never");
    backward(&windows, &[10.0, 20.0], &winner, &mut dx, false);
    assert_eq!(dx, [0.0, 10.0, 0.0, 0.0, 0.0, 0.0, 20.0, 0.0]);
    backward(&windows, &[1.0, 1.0], &winner, &mut dx, true);
    assert_eq!(dx, [0.0, 11.0, 0.0, 0.0, 0.0, 0.0, 21.0, 0.0]);
    let mut wide = [0u16; 2];
    forward(&windows, true, &x, &mut y, &mut wide);
    assert_eq!((y, wide), ([5.0, 0.0], [1, u16::NONE]), "ReLU leaves no winner");
}

#[test]
#[should_panic(expected = "an image that holds")]
fn a_short_image_is_caught() {
    let windows = Windows { taps: &[Tap { number: 0, at: 3 }], count: 2, step: 4, channels: 1 };
    forward(&windows, false, &[0.0; 7], &mut [0.0; 2], &mut [0u8; 2]);
}
