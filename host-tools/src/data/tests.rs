//! Tests of loading by name and path, and of what every loaded set promises.

use super::testing::{f32_bytes, i64_bytes, idx_bytes, npy_bytes, write};
use super::*;

fn valid() -> Dataset {
    Dataset {
        name: "t".into(),
        shape: Shape::vector(2),
        inputs: Inputs::F32(vec![1.0, 2.0, 3.0, 4.0]),
        labels: vec![0, 1],
        class_names: numbered_classes(2),
        targets: Default::default(),
    }
}

#[test]
fn checked_finds_each_inconsistency() {
    let check = |change: fn(&mut Dataset)| {
        let mut set = valid();
        change(&mut set);
        set.checked(Path::new("p")).map(drop).map_err(|error| error.to_string())
    };
    assert_eq!(check(|_| ()), Ok(()));
    type Change = fn(&mut Dataset);
    let cases: [(Change, &str); 6] = [
        (|set| set.labels[1] = 2, "label 1: found 2, expected below 2"),
        (|set| set.labels.clear(), "at least one example"),
        (|set| set.labels.push(0), "values of 3 examples"),
        (|set| set.class_names.clear(), "label 0: found 0"),
        (|set| set.shape = Shape::vector(0), "at least one example with values"),
        (|set| set.inputs = Inputs::F32(vec![0.0, 0.0, f32::NAN, 0.0]), "example 1, value 0: found NaN"),
    ];
    for (change, field) in cases {
        let message = check(change).unwrap_err();
        assert!(message.contains(field), "{message}");
    }
}

#[test]
fn shapes_are_compared_by_name() {
    assert!(valid().check_fits(Shape::vector(2)).is_ok());
    let message = valid().check_fits(Shape::new(28, 28, 1)).unwrap_err().to_string();
    assert!(message.contains("1x1x2") && message.contains("28x28x1"), "{message}");
}

#[test]
fn digits_load_by_name_and_split() {
    let loaded = load("digits", None).unwrap();
    assert_eq!((loaded.shape(), loaded.parts().count()), (Shape::new(8, 8, 1), 1));
    let parts = splits(loaded, 0).unwrap();
    let sizes = [&parts.train, &parts.validation, &parts.calibration, &parts.test].map(Dataset::len);
    assert_eq!(sizes, [1224, 71, 143, 359]);
}

#[test]
fn paths_of_every_kind_are_recognised() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).display().to_string();
    write(dir.path(), "i.idx", &idx_bytes(&[2, 1, 1], &[1, 2]));
    write(dir.path(), "l.idx", &idx_bytes(&[2], &[0, 1]));
    write(dir.path(), "x.npy", &npy_bytes("<f4", false, "(2, 1)", &f32_bytes(&[1.0, 2.0])));
    write(dir.path(), "y.npy", &npy_bytes("<i8", false, "(2,)", &i64_bytes(&[0, 1])));
    write(dir.path(), "m/t10k-images-idx3-ubyte", &idx_bytes(&[2, 1, 1], &[1, 2]));
    write(dir.path(), "m/t10k-labels-idx1-ubyte", &idx_bytes(&[2], &[0, 1]));
    write(dir.path(), "c/test_batch.bin", &[0; 3073]);
    for (spec, n) in [
        (format!("{},{}", at("i.idx"), at("l.idx")), 2),
        (format!("{},{}", at("x.npy"), at("y.npy")), 2),
        (at("m"), 2),
        (at("c"), 1),
    ] {
        let set = load(&spec, None).unwrap().into_evaluation();
        assert_eq!((set.len(), set.name), (n, spec));
    }
    // The last is a folder whose class folders, `c` and `m`, have no images.
    for bad in [at("i.idx"), at("absent"), format!("{},{}", at("absent"), at("l.idx")), at(".")] {
        assert!(load(&bad, None).is_err(), "{bad}");
    }
    let message = load("imagenet", None).unwrap_err().to_string();
    assert!(message.contains("digits, mnist, fashion-mnist, cifar10"), "{message}");
}

#[test]
fn signs_in_the_names_of_a_pair_choose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("a#1@b");
    let x = write(&folder, "x#2.npy", &npy_bytes("<f4", false, "(2, 1)", &f32_bytes(&[1.0, 2.0])));
    let y = write(&folder, "y@3.npy", &npy_bytes("<i8", false, "(2,)", &i64_bytes(&[0, 1])));
    let pair = format!("{},{}", x.display(), y.display());
    assert_eq!(load(&pair, None).unwrap().into_evaluation().len(), 2);
    assert_eq!(load(&format!("{pair}#1"), None).unwrap().into_evaluation().labels, [1]);
}

#[test]
fn channels_first_are_refused_unless_the_network_reads_them() {
    let dir = tempfile::tempdir().unwrap();
    let x = write(dir.path(), "x.npy", &npy_bytes("|u1", false, "(1, 3, 5, 5)", &[0; 75]));
    let y = write(dir.path(), "y.npy", &npy_bytes("<i8", false, "(1,)", &i64_bytes(&[0])));
    let pair = format!("{},{}", x.display(), y.display());
    let message = load(&pair, None).unwrap_err().to_string();
    assert!(message.contains("found 3x5x5, which looks like channels first"), "{message}");
    assert_eq!(load_raw(&pair, None, Content::Classes).unwrap().shape(), Shape::new(3, 5, 5));
    assert_eq!(read_inputs(&x).unwrap().shape, Shape::new(3, 5, 5));
}

#[test]
fn names_are_found_in_the_data_dir() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "mnist/train-images-idx3-ubyte", &idx_bytes(&[1, 1, 1], &[1]));
    write(dir.path(), "mnist/train-labels-idx1-ubyte", &idx_bytes(&[1], &[7]));
    let set = load("mnist", Some(dir.path())).unwrap().into_evaluation();
    assert_eq!((set.labels, set.class_names.len()), (vec![7], 10));
}
