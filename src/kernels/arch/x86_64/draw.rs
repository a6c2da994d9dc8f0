//! Noise of four streams side by side, with AVX-512.
//!
//! The generators' states are four lanes of 128-bit vectors. Four steps of them make one vector of 16
//! random numbers, which become Gaussians by one gather from the table of nodes.

use super::zmm::Zmm;
use crate::kernels::{NoiseDraw, OutputDraw, STREAMS, reference};
use crate::random::{MAX_EPS, NODES, state};
use core::arch::x86_64::*;

/// The states of four generators, a word of each in a vector.
struct Streams([__m128i; 4]);

impl Streams {
    /// `None` for fewer than two streams, and for a state that is not its seed's: the specification draws those.
    fn new(_proof: Zmm, seed: u64, streams: &[u64]) -> Option<Self> {
        let mut states = [[0_u32; STREAMS]; 4];
        for (lane, &stream) in streams.iter().enumerate().take(STREAMS) {
            let bytes = state(seed, stream);
            for (word, four) in bytes.as_chunks::<4>().0.iter().enumerate() {
                states[word][lane] = u32::from_le_bytes(*four);
            }
            if bytes == [0; 16] {
                return None;
            }
        }
        let lanes = |words: [u32; 4]| {
            let [a, b, c, d] = words.map(|word| word as i32);
            // SAFETY: every x86-64 CPU has SSE2.
            unsafe { _mm_setr_epi32(a, b, c, d) }
        };
        (streams.len() >= 2).then(|| Self(states.map(lanes)))
    }

    /// The next four Gaussians of each stream, those of a step side by side.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512cd")]
    fn next(&mut self) -> __m512i {
        let bits = [(); 4].map(|()| next(&mut self.0));
        let low = _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(bits[0]), bits[1]);
        let high = _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(bits[2]), bits[3]);
        gaussian(_mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), high))
    }
}

/// See [`reference::draw`].
pub(super) fn draw(proof: Zmm, draw: &NoiseDraw<'_>, noise: &mut [i8]) {
    let room = noise.len() >= draw.streams.len() * draw.log_var.len();
    match Streams::new(proof, draw.seed, draw.streams) {
        // SAFETY: a `Zmm` is only made where the CPU has these features.
        Some(streams) if room => unsafe { weights(streams, draw, noise) },
        _ => reference::draw(draw, noise),
    }
}

/// See [`reference::draw_outputs`].
pub(super) fn draw_outputs(proof: Zmm, draw: &OutputDraw<'_>, eps: &mut [i16]) {
    let room = eps.len() >= draw.streams.len() * draw.count;
    match Streams::new(proof, draw.seed, draw.streams) {
        // SAFETY: a `Zmm` is only made where the CPU has these features.
        Some(streams) if room => unsafe { outputs(streams, draw, eps) },
        _ => reference::draw_outputs(draw, eps),
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512cd")]
fn weights(mut streams: Streams, draw: &NoiseDraw<'_>, noise: &mut [i8]) {
    let weights = draw.log_var.len();
    let each_four_times = _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
    let by_stream = _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    for first in (0..weights).step_by(4) {
        let four = &draw.log_var[first..weights.min(first + 4)];
        let mut table = [0_i32; 4];
        for (table, &b) in table.iter_mut().zip(four) {
            *table = i32::from(draw.table[usize::from(b)]);
        }
        let [a, b, c, d] = table;
        let table = _mm512_castsi128_si512(_mm_setr_epi32(a, b, c, d));
        let table = _mm512_permutexvar_epi32(each_four_times, table);
        // `noise_weight`: (table * eps + 2^22) >> 23.
        let product = _mm512_add_epi32(_mm512_mullo_epi32(table, streams.next()), _mm512_set1_epi32(1 << 22));
        let values = _mm512_cvtepi32_epi8(_mm512_srai_epi32::<23>(product));
        let mut bytes = [0_i8; 16];
        let values = _mm_shuffle_epi8(values, by_stream);
        // SAFETY: 16 bytes.
        unsafe { _mm_storeu_si128(bytes.as_mut_ptr().cast(), values) };
        deal(&bytes, draw.streams.len(), weights, first, noise);
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512cd")]
fn outputs(mut streams: Streams, draw: &OutputDraw<'_>, eps: &mut [i16]) {
    let by_stream = _mm256_setr_epi16(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    for first in (0..draw.count).step_by(4) {
        // |eps| <= MAX_EPS, which fits an i16.
        let values = _mm256_permutexvar_epi16(by_stream, _mm512_cvtepi32_epi16(streams.next()));
        let mut words = [0_i16; 16];
        // SAFETY: 16 words.
        unsafe { _mm256_storeu_si256(words.as_mut_ptr().cast(), values) };
        deal(&words, draw.streams.len(), draw.count, first, eps);
    }
}

/// Four values of each stream, from `first` on of the `count` that each has.
#[inline]
fn deal<T: Copy>(values: &[T; 4 * STREAMS], streams: usize, count: usize, first: usize, to: &mut [T]) {
    let left = count - first;
    for (stream, values) in values.as_chunks::<4>().0.iter().enumerate().take(streams) {
        let to = &mut to[stream * count + first..][..left.min(4)];
        match to.as_chunks_mut::<4>() {
            ([to], []) => *to = *values,
            (_, to) => to.copy_from_slice(&values[..left]),
        }
    }
}

/// One step of xoshiro128++ in every lane.
#[inline]
#[target_feature(enable = "avx512f,avx512vl")]
fn next(s: &mut [__m128i; 4]) -> __m128i {
    let sum = _mm_rol_epi32::<7>(_mm_add_epi32(s[0], s[3]));
    let result = _mm_add_epi32(sum, s[0]);
    let t = _mm_slli_epi32::<9>(s[1]);
    s[2] = _mm_xor_si128(s[2], s[0]);
    s[3] = _mm_xor_si128(s[3], s[1]);
    s[1] = _mm_xor_si128(s[1], s[2]);
    s[0] = _mm_xor_si128(s[0], s[3]);
    s[2] = _mm_xor_si128(s[2], t);
    s[3] = _mm_rol_epi32::<11>(s[3]);
    result
}

/// The Gaussians that random bits stand for; see `random::gaussian`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512cd")]
fn gaussian(bits: __m512i) -> __m512i {
    let set = |value: i32| _mm512_set1_epi32(value);
    let tail = _mm512_srli_epi32::<1>(bits);
    // Of 31 bits: the first leading zero is the one shifted in.
    let zeros = _mm512_lzcnt_epi32(_mm512_or_si512(tail, set(1)));
    let octave = _mm512_sub_epi32(zeros, set(1));
    let inside = _mm512_cmplt_epi32_mask(octave, set(17));
    let below = _mm512_sllv_epi32(tail, _mm512_add_epi32(zeros, set(1)));
    let piece = _mm512_srli_epi32::<27>(below);
    let part = _mm512_and_si512(_mm512_srli_epi32::<19>(below), set(0xff));
    let inner = _mm512_sub_epi32(_mm512_add_epi32(_mm512_slli_epi32::<5>(octave), set(31)), piece);
    // Near and far node lie side by side: one gather of 32 bits at the near one.
    // SAFETY: lanes inside have octave < 17 and piece < 32: `inner + 1 <= 544`, the last node.
    let nodes = unsafe {
        let nodes = NODES.as_ptr().cast();
        _mm512_mask_i32gather_epi32::<2>(set(0), inside, inner, nodes)
    };
    let near = _mm512_and_si512(nodes, set(0xffff));
    let far = _mm512_srli_epi32::<16>(nodes);
    // Both factors fit an i16.
    let odd = _mm512_add_epi32(_mm512_add_epi32(part, part), set(1));
    let product = _mm512_madd_epi16(_mm512_sub_epi32(far, near), odd);
    let back = _mm512_srai_epi32::<9>(_mm512_add_epi32(product, set(256)));
    let magnitude = _mm512_mask_sub_epi32(set(MAX_EPS), inside, far, back);
    let negative = _mm512_test_epi32_mask(bits, set(1));
    _mm512_mask_sub_epi32(magnitude, negative, set(0), magnitude)
}
