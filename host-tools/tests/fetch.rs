//! Downloads against a local HTTP server: right files, wrong checksums, broken connections.

use flate2::{Compression, write::GzEncoder};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use stf_host::data::fetch::{Packing, Remote, Source, fetch};
use stf_host::data::named::Name;

/// An answer: the body, and how many of its bytes are sent before the connection is cut.
type Answer = (Vec<u8>, usize);

/// Serves `files` (by path) until the process ends; everything else is 404.
fn serve(files: HashMap<String, Answer>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let files = Arc::new(files);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut request = String::new();
            reader.read_line(&mut request).unwrap();
            let mut line = String::new();
            while reader.read_line(&mut line).unwrap() > 2 {
                line.clear();
            }
            let path = request.split(' ').nth(1).unwrap_or("").to_string();
            let _ = match files.get(&path) {
                Some((body, sent)) => {
                    let head = format!(
                        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                        body.len()
                    );
                    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body[..*sent]))
                }
                None => stream
                    .write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
            };
        }
    });
    address
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn whole(bytes: Vec<u8>) -> Answer {
    let len = bytes.len();
    (bytes, len)
}

fn source(mirrors: Vec<String>, content: &[u8], packing: Packing) -> Source {
    let len = content.len() as u64;
    let file = Remote { name: "file".into(), packing, len, sha256: sha256(content) };
    Source { name: "set".into(), mirrors, files: vec![file] }
}

fn entries(folder: &Path) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}

#[test]
fn compressed_and_plain_content_is_checked_and_moved() {
    let content: Vec<u8> = (0..200_000_u32).map(|i| (i % 251) as u8).collect();
    for body in [gzip(&content), content.clone()] {
        let server = serve(HashMap::from([("/file.gz".to_string(), whole(body))]));
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("deep/set");
        // The first mirror has nothing: the second is tried.
        let mirrors = vec![format!("{server}/nothing"), format!("{server}/")];
        source(mirrors, &content, Packing::Content).download(&folder).unwrap();
        assert_eq!(std::fs::read(folder.join("file")).unwrap(), content);
        assert_eq!(entries(folder.parent().unwrap()), 1);
    }
}

#[test]
fn whatever_goes_wrong_leaves_nothing_behind() {
    let content = vec![7; 100_000];
    let mut other = content.clone();
    other[500] = 8;
    let packed = gzip(&content);
    let cases = [
        (whole(gzip(&other)), "SHA-256"),
        (whole(gzip(&content[..99_999])), "bytes: found 99999"),
        (whole(gzip(&[&content[..], &[7]].concat())), "bytes: found more"),
        ((content.clone(), 50_000), "download"),
        (whole(packed[..packed.len() / 2].to_vec()), "download"),
        ((packed.clone(), packed.len() / 2), "download"),
    ];
    for (answer, expected) in cases {
        let server = serve(HashMap::from([("/file.gz".to_string(), answer)]));
        let dir = tempfile::tempdir().unwrap();
        let error =
            source(vec![server], &content, Packing::Content).download(&dir.path().join("set")).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!(entries(dir.path()), 0);
    }
    let dir = tempfile::tempdir().unwrap();
    let server = serve(HashMap::new());
    let error =
        source(vec![server], &content, Packing::Content).download(&dir.path().join("set")).unwrap_err();
    assert!(error.to_string().contains("404"), "{error}");
    assert_eq!(entries(dir.path()), 0);
}

#[test]
fn archives_are_unpacked_without_their_paths() {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, content) in
        [("cifar-10-batches-bin/test_batch.bin", "one"), ("cifar-10-batches-bin/readme.html", "no")]
    {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, content.as_bytes()).unwrap();
    }
    let archive = gzip(&tar.into_inner().unwrap());
    let server = serve(HashMap::from([("/file".to_string(), whole(archive.clone()))]));
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("set");
    source(vec![server], &archive, Packing::Archive).download(&folder).unwrap();
    assert_eq!(std::fs::read_to_string(folder.join("test_batch.bin")).unwrap(), "one");
    assert_eq!((entries(&folder), entries(dir.path())), (1, 1));
}

#[test]
fn a_named_set_from_a_wrong_mirror_is_refused() {
    let server = serve(HashMap::from([("/train-images-idx3-ubyte.gz".to_string(), whole(gzip(b"not it")))]));
    let dir = tempfile::tempdir().unwrap();
    let error = fetch(Name::Mnist, Some(dir.path()), Some(&server)).unwrap_err().to_string();
    assert!(error.contains("bytes: found 6, expected 47040016"), "{error}");
    assert_eq!(entries(dir.path()), 0);
    assert!(fetch(Name::Digits, Some(dir.path()), None).is_err());
}

#[test]
fn the_real_files_pass_their_checksums() {
    let Some(real) = std::env::var_os("STF_TEST_DATA") else {
        eprintln!(
            "SKIPPED: the_real_files_pass_their_checksums needs $STF_TEST_DATA (a folder with mnist/ ...)"
        );
        return;
    };
    for name in [Name::Mnist, Name::FashionMnist] {
        let folder = Path::new(&real).join(name.as_str());
        let files = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        let answer = |path: std::path::PathBuf| {
            (
                format!("/{}", path.file_name().unwrap().to_str().unwrap()),
                whole(std::fs::read(&path).unwrap()),
            )
        };
        let server = serve(files.map(answer).collect());
        let dir = tempfile::tempdir().unwrap();
        let fetched = fetch(name, Some(dir.path()), Some(&server)).unwrap();
        assert_eq!(entries(&fetched), 4);
        // A second time nothing is downloaded: the mirror given does not exist.
        assert_eq!(fetch(name, Some(dir.path()), Some("http://127.0.0.1:1")).unwrap(), fetched);
    }
}
