//! Every instruction set against plain loops in f64.

use super::*;

fn numbers(count: usize, seed: u32) -> Vec<f32> {
    let value = |i: u32| ((i.wrapping_mul(2_654_435_761).wrapping_add(seed) >> 20) as f32 - 2048.0) / 2048.0;
    (0..count as u32).map(value).collect()
}

fn isas() -> Vec<Isa> {
    let mut isas = vec![Isa::Portable];
    #[cfg(target_arch = "x86_64")]
    {
        if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
            isas.push(Isa::Avx2);
        }
        if std::arch::is_x86_feature_detected!("avx512f") {
            isas.push(Isa::Avx512);
        }
    }
    isas
}

/// Channels below, at and beyond a vector of every width; columns that leave remainders.
fn walks() -> Vec<Walk> {
    let mut walks = Vec::new();
    for channels in [1, 4, 6, 16, 20, 33, 64] {
        for (rows, columns) in [(1, 1), (3, 5), (2, 29)] {
            for (taps, width, inputs, stride) in [(1, 1, 3, 1), (3, 3, 5, 1), (5, 4, 1, 2), (3, 3, 16, 2)] {
                let image_stride = ((columns - 1) * stride + width + 1) * inputs;
                walks.push(Walk {
                    rows,
                    columns,
                    channels,
                    taps,
                    row: width * inputs,
                    image_stride,
                    row_step: stride * image_stride,
                    column_step: stride * inputs,
                });
            }
        }
    }
    walks
}

fn image_index(walk: &Walk, row: usize, column: usize, tap: usize, value: usize) -> usize {
    row * walk.row_step + tap * walk.image_stride + column * walk.column_step + value
}

/// Packs for an instruction set that need not be the machine's best.
fn packed(walk: &Walk, isa: Isa, weight: &[f32]) -> Vec<f32> {
    let (patch, padded) = (walk.taps * walk.row, walk.channels.next_multiple_of(isa.lanes()));
    let mut packed = vec![0.0; patch * padded];
    for (i, value) in weight.iter().enumerate() {
        packed[i % patch * padded + i / patch] = *value;
    }
    packed
}

#[test]
fn forward_equals_the_plain_loops_on_every_instruction_set() {
    for walk in walks() {
        let image = numbers(walk.reach(), 1);
        let weight = numbers(walk.channels * walk.taps * walk.row, 2);
        let bias = numbers(walk.channels, 3);
        let old = numbers(walk.rows * walk.columns * walk.channels, 4);
        for isa in isas() {
            for accumulate in [false, true] {
                let mut y = old.clone();
                forward_on(isa, &walk, &image, &packed(&walk, isa, &weight), Some(&bias), &mut y, accumulate);
                for (i, found) in y.iter().enumerate() {
                    let (position, channel) = (i / walk.channels, i % walk.channels);
                    let (row, column) = (position / walk.columns, position % walk.columns);
                    let mut sum = f64::from(bias[channel]) + if accumulate { f64::from(old[i]) } else { 0.0 };
                    for tap in 0..walk.taps {
                        for value in 0..walk.row {
                            let w = weight[(channel * walk.taps + tap) * walk.row + value];
                            sum +=
                                f64::from(w) * f64::from(image[image_index(&walk, row, column, tap, value)]);
                        }
                    }
                    assert!((f64::from(*found) - sum).abs() < 1e-4, "{isa:?} {walk:?} {i}: {found} {sum}");
                }
            }
        }
    }
}

#[test]
fn weight_gradient_equals_the_plain_loops_on_every_instruction_set() {
    for walk in walks() {
        let image = numbers(walk.reach(), 1);
        for isa in isas() {
            let padded = walk.channels.next_multiple_of(isa.lanes());
            let dy = numbers(walk.rows * walk.columns * padded, 2);
            let old = numbers(walk.taps * walk.row * padded, 3);
            let mut dw = old.clone();
            weight_gradient_on(isa, &walk, &image, &dy, &mut dw);
            for (i, found) in dw.iter().enumerate() {
                let (value, channel) = (i / padded, i % padded);
                let mut sum = f64::from(old[i]);
                for row in 0..walk.rows {
                    for column in 0..walk.columns {
                        let x = image[image_index(&walk, row, column, value / walk.row, value % walk.row)];
                        let slope = dy[(row * walk.columns + column) * padded + channel];
                        sum += f64::from(x) * f64::from(slope);
                    }
                }
                assert!((f64::from(*found) - sum).abs() < 1e-4, "{isa:?} {walk:?} {i}: {found} {sum}");
            }
        }
    }
}

#[test]
fn input_gradient_equals_the_plain_loops_on_every_instruction_set() {
    for walk in walks() {
        let weight = numbers(walk.channels * walk.taps * walk.row, 1);
        let dy = numbers(walk.rows * walk.columns * walk.channels, 2);
        let mut expected = vec![0.0f64; walk.reach()];
        for (i, slope) in dy.iter().enumerate() {
            let (position, channel) = (i / walk.channels, i % walk.channels);
            for (j, w) in weight[channel * walk.taps * walk.row..][..walk.taps * walk.row].iter().enumerate()
            {
                let (row, column) = (position / walk.columns, position % walk.columns);
                let at = image_index(&walk, row, column, j / walk.row, j % walk.row);
                expected[at] += f64::from(*slope) * f64::from(*w);
            }
        }
        for isa in isas() {
            let overlap = Overlap::of(&walk, isa);
            let mut packed = Vec::new();
            overlap.pack(&walk, &weight, &mut packed);
            let mut images = vec![0.0; overlap.copies * overlap.copy_len];
            input_gradient_on(isa, &walk, &dy, &packed, &mut images);
            for (i, wanted) in expected.iter().enumerate() {
                let found: f32 = (0..overlap.copies).map(|copy| images[copy * overlap.copy_len + i]).sum();
                assert!((f64::from(found) - wanted).abs() < 1e-3, "{isa:?} {walk:?} {i}: {found} {wanted}");
            }
        }
    }
}

#[test]
fn packing_is_undone_by_unpacking() {
    for walk in walks() {
        let weight = numbers(walk.channels * walk.taps * walk.row, 2);
        let (mut there, mut back) = (Vec::new(), vec![0.0; weight.len()]);
        walk.pack(&weight, &mut there);
        walk.unpack(&there, &mut back);
        assert_eq!(weight, back);
    }
}

#[test]
#[should_panic(expected = "an image that holds")]
fn a_short_image_is_caught() {
    let walk = walks()[20];
    let image = vec![0.0; walk.reach() - 1];
    let mut y = vec![0.0; walk.rows * walk.columns * walk.channels];
    forward(&walk, &image, &vec![0.0; walk.packed_len()], None, &mut y, false);
}
