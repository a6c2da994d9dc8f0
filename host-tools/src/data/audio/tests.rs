use super::*;
use crate::data::testing::write;
use crate::data::{load, named, read_inputs};

/// Two digits, three speakers, seven recordings each, that all differ.
fn corpus(folder: &Path) {
    for (index, speaker) in ["ann", "bob", "cid"].iter().enumerate() {
        for digit in 0..2 {
            for number in 0..7 {
                let step = 1 + digit * 50 + index as i32 * 9 + number;
                let samples: Vec<i16> = (0..4_000).map(|n| (n * step * 97 % 9_001 - 4_500) as i16).collect();
                write(folder, &format!("{digit}_{speaker}_{number}.wav"), &wav::bytes(1, 8_000, &samples));
            }
        }
    }
}

fn counts(loaded: &Loaded) -> Vec<usize> {
    loaded.parts().map(|(_, set)| set.len()).collect()
}

#[test]
fn speakers_and_numbers_divide_a_folder() {
    let dir = tempfile::tempdir().unwrap();
    corpus(dir.path());
    let spec = dir.path().display().to_string();
    for (speakers, expected) in [
        ("", vec![42]),
        ("@ann", vec![14]),
        ("@!ann", vec![28]),
        ("@ann,cid", vec![28]),
        ("@test=bob", vec![28, 14]),
    ] {
        assert_eq!(counts(&load(&format!("{spec}{speakers}"), None).unwrap()), expected, "{speakers}");
    }
    let read = |speakers| read("set", dir.path(), Division::ByNumber, speakers).unwrap();
    assert_eq!(counts(&read(None)), [12, 30]);
    assert_eq!(counts(&read(Some("!cid"))), [8, 20]);
    assert_eq!(counts(&read(Some("test=cid"))), [28, 14]);
    let test = read(Some("test=cid")).into_evaluation();
    assert_eq!((test.name.as_str(), test.shape, test.labels[13]), ("set@test=cid", Shape::new(49, 10, 1), 1));
    // It is known which of everybody's recordings they are.
    let some = load(&format!("{spec}@!ann#1"), None).unwrap();
    let Loaded::Chosen { set, origin } = some else { panic!("a choice") };
    let whole = load(&spec, None).unwrap().into_evaluation();
    assert_eq!((set.len(), &origin.labels), (14, &whole.labels));
    assert_eq!(whole.select(&origin.indices).unwrap().inputs, set.inputs);
    let message = load(&format!("{spec}@dan"), None).unwrap_err().to_string();
    assert!(message.contains("speaker: found dan, expected one of ann, bob, cid"), "{message}");
}

#[test]
fn the_named_set_lies_in_its_folder() {
    let dir = tempfile::tempdir().unwrap();
    corpus(&dir.path().join("spoken-digits/recordings"));
    let loaded = named::load(named::Name::SpokenDigits, Some(dir.path())).unwrap();
    assert_eq!(counts(&loaded), [12, 30]);
    let one = load("spoken-digits@!ann#1", Some(dir.path())).unwrap();
    assert_eq!((counts(&one), one.into_evaluation().name), (vec![4, 10], "spoken-digits@!ann#1".to_string()));
}

#[test]
fn a_single_recording_is_an_input() {
    let dir = tempfile::tempdir().unwrap();
    corpus(dir.path());
    let alone = read_inputs(&dir.path().join("1_bob_3.wav")).unwrap();
    let all = load(&dir.path().display().to_string(), None).unwrap().into_evaluation();
    let Inputs::U8(values) = &all.inputs else { panic!("bytes expected") };
    let at = 490 * (21 + 7 + 3);
    assert_eq!((alone.len(), alone.inputs), (1, Inputs::U8(values[at..at + 490].to_vec())));
}
