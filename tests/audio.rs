//! The audio front end against a float64 oracle (`audio/make_golden.py`) and against hostile samples.

use stf_bnn::audio::{FrontEnd, Settings, Stream, Tables};

/// Largest error of a log-mel band or a coefficient, in units of log2 of the energy (3.01 dB), by sample rate
/// of the oracle's cases. What remains is rounding noise of a full-scale tone, far below it in other bands.
fn tolerance(settings: &Settings) -> f64 {
    match settings.sample_rate {
        8_000 => 0.01,
        _ => 0.03,
    }
}

fn numbers(line: &str) -> Vec<f64> {
    line.split(' ').map(|word| word.parse().unwrap()).collect()
}

fn settings(line: &str) -> Settings {
    let all = numbers(line);
    let [rate, frame, fft, bands, coefficients, low, high, floor, reference] = all[..] else {
        panic!("{line}");
    };
    Settings {
        sample_rate: rate as u32,
        frame: frame as u16,
        hop: frame as u16 / 2,
        fft: fft as u16,
        bands: bands as u8,
        coefficients: coefficients as u8,
        low_hz: low as u32,
        high_hz: high as u32,
        floor_log2: floor as u8,
        reference_log2: reference as u8,
        steps_log2: 1,
    }
}

fn fixed(settings: Settings, samples: &[i16]) -> Vec<i32> {
    let mut tables = vec![0; settings.table_words()];
    let mut workspace = vec![0; settings.workspace_words()];
    let tables = Tables::write(settings, &mut tables).unwrap();
    let mut features = vec![0; settings.values()];
    FrontEnd::new(tables, &mut workspace).unwrap().fixed(samples, &mut features).unwrap();
    features
}

/// Largest distance of 2^-16 from the exact values.
fn error(found: &[i32], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let far = found.iter().zip(expected).map(|(&found, &exact)| (f64::from(found) / 65536.0 - exact).abs());
    far.fold(0.0, f64::max)
}

#[test]
fn features_are_within_the_stated_error_of_float64() {
    let golden = include_str!("audio/golden.txt");
    let lines: Vec<&str> = golden.lines().skip(1).collect();
    assert_eq!(lines.len(), 4 * 14 * 5);
    let mut largest = [0.0_f64; 2];
    for case in lines.chunks_exact(5) {
        let settings = settings(case[1]);
        let samples: Vec<i16> = numbers(case[2]).iter().map(|&sample| sample as i16).collect();
        let bands = fixed(Settings { coefficients: 0, ..settings }, &samples);
        let errors = [error(&bands, &numbers(case[3])), error(&fixed(settings, &samples), &numbers(case[4]))];
        println!("{} {} Hz: {errors:.6?}", case[0], settings.sample_rate);
        assert!(errors.iter().all(|&error| error < tolerance(&settings)), "{}: {errors:?}", case[0]);
        largest = [largest[0].max(errors[0]), largest[1].max(errors[1])];
    }
    println!("largest: {largest:.6?}");
}

/// xorshift: samples that a test can repeat.
fn noise(seed: u64) -> impl FnMut() -> i16 {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as i16
    }
}

/// Settings at the ends of their ranges, and common ones.
fn extremes() -> [Settings; 6] {
    let speech = Settings::SPEECH_8K;
    [
        speech,
        Settings { floor_log2: 0, reference_log2: 48, steps_log2: 8, ..speech },
        Settings { frame: 16, hop: 1, fft: 16, bands: 128, coefficients: 128, low_hz: 0, ..speech },
        Settings { frame: 4096, hop: 4096, fft: 4096, bands: 1, coefficients: 1, ..speech },
        Settings {
            frame: 1026,
            hop: 7,
            fft: 4096,
            floor_log2: 16,
            reference_log2: 0,
            steps_log2: -4,
            ..speech
        },
        Settings { coefficients: 0, ..Settings::speech(96_000) },
    ]
}

/// Tests run with overflow checks: every sum that does not say that it wraps is checked here.
#[test]
fn no_samples_overflow_or_panic() {
    for settings in extremes() {
        settings.check().unwrap();
        let frame = usize::from(settings.frame);
        // No band holds more than a full-scale frame's whole energy, 2^15 squared times frame times fft.
        let most = 30.0 + (frame as f64 * f64::from(settings.fft)).log2() + 1.0;
        let check = |samples: &[i16]| {
            let bands = fixed(Settings { coefficients: 0, ..settings }, samples);
            let log2 = |band: &i32| f64::from(*band) / 65536.0 + f64::from(settings.reference_log2);
            let range = f64::from(settings.floor_log2) - 1e-3..=most;
            assert!(bands.iter().map(log2).all(|band| range.contains(&band)), "{settings:?}: {bands:?}");
            fixed(settings, samples);
        };
        for sample in [0, 1, -1, 2, 255, 256, i16::MAX, i16::MIN] {
            check(&vec![sample; frame]);
            for period in [2, 3, 4, 5, 16, 31, 100] {
                let square = (0..frame).map(|i| if i % period < period / 2 { sample } else { !sample });
                check(&square.collect::<Vec<_>>());
            }
        }
        for seed in 0..60 {
            let (mut next, shift) = (noise(seed), seed % 16);
            check(&(0..frame).map(|_| next() >> shift).collect::<Vec<_>>());
            check(&(0..frame).map(|_| if next() < 0 { i16::MIN } else { i16::MAX }).collect::<Vec<_>>());
        }
    }
}

#[test]
fn bytes_are_the_rounded_values() {
    for steps_log2 in -4..=8 {
        let settings = Settings { steps_log2, ..Settings::SPEECH_8K };
        let mut next = noise(3);
        let samples: Vec<i16> = (0..320).map(|_| next() >> 3).collect();
        let (mut tables, mut workspace) =
            (vec![0; settings.table_words()], vec![0; settings.workspace_words()]);
        let tables = Tables::write(settings, &mut tables).unwrap();
        let mut bytes = [0; 10];
        FrontEnd::new(tables, &mut workspace).unwrap().bytes(&samples, &mut bytes).unwrap();
        for (&byte, value) in bytes.iter().zip(fixed(settings, &samples)) {
            let exact = f64::from(value) / 65536.0 * f64::from(steps_log2).exp2() + 128.0;
            assert_eq!(byte, (exact + 0.5).floor().clamp(0.0, 255.0) as u8);
        }
    }
}

/// Pieces of any length give the frames of the whole.
#[test]
fn a_stream_gives_the_features_of_its_frames() {
    for (hop, wanted) in [(160, 6), (320, 3), (100, 1), (1, 5)] {
        let settings = Settings { hop, ..Settings::SPEECH_8K };
        let mut next = noise(hop.into());
        let samples: Vec<i16> = (0..3000).map(|_| next() >> 4).collect();
        let (mut tables, mut words) = (vec![0; settings.table_words()], vec![0; settings.workspace_words()]);
        let mut other = words.clone();
        let tables = Tables::write(settings, &mut tables).unwrap();
        let (mut held, mut ring) = ([0; 320], vec![0xA5; wanted * 10]);
        let front_end = FrontEnd::new(tables, &mut words).unwrap();
        let mut stream = Stream::new(front_end, &mut held, &mut ring).unwrap();
        let mut direct = FrontEnd::new(tables, &mut other).unwrap();
        let (mut given, mut size, mut frames) = (0, 1, 0);
        while given < samples.len() {
            let end = (given + size).min(samples.len());
            frames += stream.push(&samples[given..end]);
            (given, size) = (end, size * 3 % 1000);
            assert_eq!(frames, settings.frames(given));
            let (mut latest, mut expected) = (vec![0; wanted * 10], vec![0; wanted * 10]);
            assert_eq!(stream.latest(&mut latest).unwrap(), frames >= wanted);
            let missing = wanted.saturating_sub(frames);
            for (place, features) in expected.chunks_exact_mut(10).enumerate().skip(missing) {
                let start = (frames + place - wanted) * usize::from(hop);
                direct.bytes(&samples[start..start + 320], features).unwrap();
            }
            assert_eq!(latest, expected);
        }
        stream.clear();
        assert!(!stream.latest(&mut vec![0; wanted * 10]).unwrap());
        assert_eq!(stream.push(&samples[..319]), 0);
    }
}

#[test]
fn wrong_lengths_are_named() {
    let settings = Settings::SPEECH_8K;
    let mut tables = vec![0; settings.table_words()];
    let tables = Tables::write(settings, &mut tables).unwrap();
    let error = FrontEnd::new(tables, &mut [0; 5]).unwrap_err();
    assert_eq!(error.to_string(), "audio, words of workspace: found 5, expected 552");
    let mut words = vec![0; settings.workspace_words()];
    let mut front_end = FrontEnd::new(tables, &mut words).unwrap();
    let error = front_end.bytes(&[0; 300], &mut [0; 10]).unwrap_err();
    assert_eq!(error.to_string(), "audio, samples of a frame: found 300, expected 320");
    assert_eq!(front_end.bytes(&[0; 320], &mut [0; 9]).unwrap_err().field, "features");
    let error = Stream::new(front_end, &mut [0; 320], &mut [0; 15]).unwrap_err();
    assert_eq!(error.to_string(), "audio, bytes of the ring: found 15, expected 10");
}
