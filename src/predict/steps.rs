//! Layers in a form that is quicker to read than the artifact's: fixed words in the workspace, with a check,
//! so that a flip in memory makes no layer of another shape. Beside each layer stands how many bytes its packed
//! weights take.

use crate::artifact::{Blob, Clamp, Layer, Tensor, Weights, Window};

/// Words of the facts of one layer.
const FACTS: usize = 20;

/// Words that are checked: the facts, the bytes of packed weights, and zeros up to a multiple of all lanes.
const CHECKED: usize = 24;

/// Words of one layer: those that are checked, and 64 bits to check them by.
pub(super) const WORDS: usize = CHECKED + 2;

/// Pairs of words that are summed side by side.
const LANES: usize = 4;

/// The check of a layer's words. Every step is a bijection of the sum, no two pairs of words give it the same sum,
/// and neither do two sums of a lane: damage to one pair is always seen, damage to several is missed by chance
/// alone, of about 2^-64.
fn check(index: usize, words: &[u32; CHECKED]) -> [u32; 2] {
    // Odd: the golden ratio in 64 bits.
    let step = |sum: u64, word: u64| {
        let product = (sum ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        product ^ product >> 32
    };
    let mut sums = [index as u64; LANES];
    for pairs in words.as_chunks::<{ 2 * LANES }>().0 {
        for (sum, &[low, high]) in sums.iter_mut().zip(pairs.as_chunks::<2>().0) {
            *sum = step(*sum, u64::from(low) | u64::from(high) << 32);
        }
    }
    // A flip of a sum's highest bits leaves its step in few bits, 32 apart: no multiple of 13 brings those of two
    // lanes together.
    let sum = sums.into_iter().fold(0, |all: u64, sum| all.rotate_left(13) ^ sum);
    [sum as u32, (sum >> 32) as u32]
}

/// Layer `index` and the bytes of its packed weights as words; `None` if they do not fit, which those of no layer
/// of today do not.
pub(super) fn encode(index: usize, layer: &Layer, packed: usize) -> Option<[u32; WORDS]> {
    let mut words = [0; WORDS];
    let (checked, check_words) = words.split_first_chunk_mut::<CHECKED>()?;
    checked[..FACTS].copy_from_slice(&facts(layer)?);
    checked[FACTS] = u32::try_from(packed).ok()?;
    check_words.copy_from_slice(&check(index, checked));
    Some(words)
}

/// What [`encode`] made words of; `None` if they were damaged since.
#[inline]
pub(super) fn decode(index: usize, words: &[u32; WORDS]) -> Option<(Layer, usize)> {
    let (checked, sum) = words.split_first_chunk::<CHECKED>()?;
    let (facts, packed) = checked.split_first_chunk::<FACTS>()?;
    if check(index, checked) == *sum { Some((read(facts)?, *packed.first()? as usize)) } else { None }
}

fn facts(layer: &Layer) -> Option<[u32; FACTS]> {
    let mut to = Writer { words: [0; FACTS], at: 0 };
    match *layer {
        Layer::Conv2d { input, output, window, weights, clamp } => {
            to.word(0).tensor(input).tensor(output).window(window).weights(weights).clamp(clamp)
        }
        Layer::DepthwiseConv2d { input, output, window, weights, clamp } => {
            to.word(1).tensor(input).tensor(output).window(window).weights(weights).clamp(clamp)
        }
        Layer::Dense { input, output, weights, clamp } => {
            to.word(2).tensor(input).tensor(output).weights(weights).clamp(clamp)
        }
        Layer::MaxPool { input, output, window } => to.word(3).tensor(input).tensor(output).window(window),
        Layer::AvgPool { input, output, window, count_padding, clamp } => {
            to.word(4).tensor(input).tensor(output).window(window).word(count_padding.into()).clamp(clamp)
        }
        Layer::Add { a, b, output, multiplier_a, multiplier_b, clamp } => to
            .word(5)
            .tensor(a)
            .tensor(b)
            .tensor(output)
            .word(multiplier_a.to_bits())
            .word(multiplier_b.to_bits())
            .clamp(clamp),
        Layer::Lookup { input, output, table } => to.word(6).tensor(input).tensor(output).blob(table),
        Layer::DenseOutput { input, weights } => to.word(7).tensor(input).weights(weights),
        Layer::Dequantize { input } => to.word(8).tensor(input),
        Layer::Sub { a, b, output, multiplier_a, multiplier_b, clamp } => to
            .word(9)
            .tensor(a)
            .tensor(b)
            .tensor(output)
            .word(multiplier_a.to_bits())
            .word(multiplier_b.to_bits())
            .clamp(clamp),
        Layer::Mul { a, b, output, multiplier, clamp } => {
            to.word(10).tensor(a).tensor(b).tensor(output).word(multiplier.to_bits()).clamp(clamp)
        }
        Layer::Concat { a, b, output, axis, multiplier_a, multiplier_b, clamp } => to
            .word(11)
            .tensor(a)
            .tensor(b)
            .tensor(output)
            .word(axis.into())
            .word(multiplier_a.to_bits())
            .word(multiplier_b.to_bits())
            .clamp(clamp),
        Layer::Pad { input, output, begin } => to.word(12).tensor(input).tensor(output).pair(begin),
    };
    (to.at <= FACTS).then_some(to.words)
}

/// What [`facts`] made words of.
#[inline(always)]
fn read(words: &[u32; FACTS]) -> Option<Layer> {
    let mut from = Reader { words, at: 0 };
    Some(match from.word() {
        kind @ (0 | 1) => {
            let (input, output, window) = (from.tensor(), from.tensor(), from.window());
            let (weights, clamp) = (from.weights(), from.clamp());
            if kind == 0 {
                Layer::Conv2d { input, output, window, weights, clamp }
            } else {
                Layer::DepthwiseConv2d { input, output, window, weights, clamp }
            }
        }
        2 => Layer::Dense {
            input: from.tensor(),
            output: from.tensor(),
            weights: from.weights(),
            clamp: from.clamp(),
        },
        3 => Layer::MaxPool { input: from.tensor(), output: from.tensor(), window: from.window() },
        4 => Layer::AvgPool {
            input: from.tensor(),
            output: from.tensor(),
            window: from.window(),
            count_padding: from.word() != 0,
            clamp: from.clamp(),
        },
        5 => Layer::Add {
            a: from.tensor(),
            b: from.tensor(),
            output: from.tensor(),
            multiplier_a: f32::from_bits(from.word()),
            multiplier_b: f32::from_bits(from.word()),
            clamp: from.clamp(),
        },
        6 => Layer::Lookup { input: from.tensor(), output: from.tensor(), table: from.blob() },
        7 => Layer::DenseOutput { input: from.tensor(), weights: from.weights() },
        8 => Layer::Dequantize { input: from.tensor() },
        9 => Layer::Sub {
            a: from.tensor(),
            b: from.tensor(),
            output: from.tensor(),
            multiplier_a: f32::from_bits(from.word()),
            multiplier_b: f32::from_bits(from.word()),
            clamp: from.clamp(),
        },
        10 => Layer::Mul {
            a: from.tensor(),
            b: from.tensor(),
            output: from.tensor(),
            multiplier: f32::from_bits(from.word()),
            clamp: from.clamp(),
        },
        11 => Layer::Concat {
            a: from.tensor(),
            b: from.tensor(),
            output: from.tensor(),
            axis: from.word() as u8,
            multiplier_a: f32::from_bits(from.word()),
            multiplier_b: f32::from_bits(from.word()),
            clamp: from.clamp(),
        },
        12 => Layer::Pad { input: from.tensor(), output: from.tensor(), begin: from.pair() },
        _ => return None,
    })
}

struct Writer {
    words: [u32; FACTS],
    at: usize,
}

impl Writer {
    fn word(&mut self, word: u32) -> &mut Self {
        if let Some(to) = self.words.get_mut(self.at) {
            *to = word;
        }
        self.at += 1;
        self
    }

    fn pair(&mut self, [low, high]: [u16; 2]) -> &mut Self {
        self.word(u32::from(low) | u32::from(high) << 16)
    }

    fn tensor(&mut self, t: Tensor) -> &mut Self {
        let last = [t.channels, u16::from(t.zero_point as u8)];
        self.word(t.offset).word(t.scale.to_bits()).pair([t.height, t.width]).pair(last)
    }

    fn window(&mut self, w: Window) -> &mut Self {
        self.pair(w.kernel).pair(w.stride).pair(w.dilation).pair(w.pad)
    }

    fn blob(&mut self, blob: Blob) -> &mut Self {
        self.word(blob.offset).word(blob.len)
    }

    fn weights(&mut self, weights: Weights) -> &mut Self {
        self.blob(weights.values).blob(weights.bias).blob(weights.multiplier)
    }

    fn clamp(&mut self, clamp: Clamp) -> &mut Self {
        self.pair([u16::from(clamp.min as u8), u16::from(clamp.max as u8)])
    }
}

struct Reader<'a> {
    words: &'a [u32; FACTS],
    at: usize,
}

impl Reader<'_> {
    #[inline(always)]
    fn word(&mut self) -> u32 {
        let word = self.words.get(self.at).copied().unwrap_or_default();
        self.at += 1;
        word
    }

    #[inline(always)]
    fn pair(&mut self) -> [u16; 2] {
        let word = self.word();
        [word as u16, (word >> 16) as u16]
    }

    #[inline(always)]
    fn tensor(&mut self) -> Tensor {
        let (offset, scale) = (self.word(), f32::from_bits(self.word()));
        let ([height, width], [channels, zero_point]) = (self.pair(), self.pair());
        Tensor { offset, height, width, channels, scale, zero_point: zero_point as i8 }
    }

    #[inline(always)]
    fn window(&mut self) -> Window {
        Window { kernel: self.pair(), stride: self.pair(), dilation: self.pair(), pad: self.pair() }
    }

    #[inline(always)]
    fn blob(&mut self) -> Blob {
        Blob { offset: self.word(), len: self.word() }
    }

    #[inline(always)]
    fn weights(&mut self) -> Weights {
        Weights { values: self.blob(), bias: self.blob(), multiplier: self.blob() }
    }

    #[inline(always)]
    fn clamp(&mut self) -> Clamp {
        let [min, max] = self.pair();
        Clamp { min: min as i8, max: max as i8 }
    }
}

/// A layer with some fields changed at random; `None` if it would be of no kind, or so large that a walk over
/// its outputs had no end in a test.
#[cfg(test)]
pub(super) fn damaged(layer: &Layer, next: &mut impl FnMut(usize) -> usize) -> Option<Layer> {
    const MOST: u64 = 1 << 22;
    let mut facts = facts(layer)?;
    for _ in 0..=next(2) {
        let at = next(FACTS);
        let half = 16 * next(2);
        facts[at] = match next(4) {
            0 => facts[at] ^ 1 << next(32),
            1 => facts[at] & !(0xffff << half),
            2 => facts[at] ^ (facts[at] ^ (next(70) as u32) << half) & 0xffff << half,
            _ => facts[at] | 0xffff << half,
        };
    }
    let layer = read(&facts)?;
    let area = layer.window().map_or(1, |window| u64::from(window.area()).max(1));
    let positions = |tensor: Tensor| {
        [tensor.height, tensor.width, tensor.channels].map(|n| u64::from(n).max(1)).iter().product::<u64>()
    };
    let outputs = layer.output().map_or(1, positions);
    (area.saturating_mul(outputs).saturating_mul(positions(layer.input())) < MOST * 64).then_some(layer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_layer_survives() {
        let tensor = |i: u16| Tensor {
            offset: 70_000 + u32::from(i),
            height: i,
            width: 65_535 - i,
            channels: 300 + i,
            scale: 0.25 / f32::from(i + 1),
            zero_point: -128 + i as i8,
        };
        let (input, output, b) = (tensor(1), tensor(2), tensor(3));
        let blob = |i: u32| Blob { offset: 1_000_000 + i, len: 77 + i };
        let weights = Weights { values: blob(1), bias: blob(2), multiplier: blob(3) };
        let clamp = Clamp { min: -128, max: 90 };
        let window = Window { kernel: [3, 65_535], stride: [1, 2], dilation: [4, 5], pad: [6, 7] };
        let (multiplier_a, multiplier_b) = (0.5, 1e-30);
        let layers = [
            Layer::Conv2d { input, output, window, weights, clamp },
            Layer::DepthwiseConv2d { input, output, window, weights, clamp },
            Layer::Dense { input, output, weights, clamp },
            Layer::MaxPool { input, output, window },
            Layer::AvgPool { input, output, window, count_padding: true, clamp },
            Layer::Add { a: input, b, output, multiplier_a, multiplier_b, clamp },
            Layer::Lookup { input, output, table: blob(9) },
            Layer::DenseOutput { input, weights },
            Layer::Dequantize { input },
            Layer::Sub { a: input, b, output, multiplier_a, multiplier_b, clamp },
            Layer::Mul { a: input, b, output, multiplier: multiplier_a, clamp },
            Layer::Concat { a: input, b, output, axis: 2, multiplier_a, multiplier_b, clamp },
            Layer::Pad { input, output, begin: [3, 65_535] },
        ];
        for (index, layer) in layers.into_iter().enumerate() {
            let words = encode(index, &layer, 64 * index).unwrap();
            assert_eq!(decode(index, &words), Some((layer, 64 * index)));
            assert_eq!(decode(index + 1, &words), None, "the words of another layer");
            let mut damaged = words;
            for bit in 0..32 * WORDS {
                damaged[bit / 32] ^= 1 << (bit % 32);
                assert_eq!(decode(index, &damaged), None, "bit {bit}");
                damaged[bit / 32] ^= 1 << (bit % 32);
            }
        }
        assert_eq!(decode(0, &[u32::MAX; WORDS]), None);
    }

    /// Any damage to one word is seen, and two flips anywhere are.
    #[test]
    fn damage_to_a_word_and_pairs_of_flips_are_seen() {
        let mut word = 1_u32;
        let words = [(); CHECKED].map(|()| {
            word = word.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            word
        });
        let expected = check(3, &words);
        for at in 0..CHECKED {
            for round in 1..2000_u32 {
                let mut damaged = words;
                damaged[at] ^= round.wrapping_mul(0x0101_6B2D);
                assert_ne!(check(3, &damaged), expected, "word {at}");
            }
        }
        for first in 0..32 * CHECKED {
            for second in first + 1..32 * CHECKED {
                let mut damaged = words;
                damaged[first / 32] ^= 1 << (first % 32);
                damaged[second / 32] ^= 1 << (second % 32);
                assert_ne!(check(3, &damaged), expected, "bits {first} and {second}");
            }
        }
    }
}
