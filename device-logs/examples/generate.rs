//! Writes a made-up log of four classes as Parquet: `generate FILE ROWS [FIRST]`.
//!
//! Row `i` follows from `i` alone: probabilities in 1/256, labels drawn from a blunter version of them, a device
//! of eight, so that files of any length can be made again.

use datafusion::arrow::array::{
    ArrayRef, FixedSizeListArray, Float32Array, Int32Array, RecordBatch, StringArray, UInt16Array,
};
use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::basic::{Compression, ZstdLevel};
use datafusion::parquet::file::properties::WriterProperties;
use std::error::Error;
use std::fs::File;
use std::sync::Arc;

const CLASSES: usize = 4;
const BATCH: u64 = 65_536;

/// SplitMix64.
fn bits(i: u64) -> u64 {
    let mut z = i.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Label and probabilities of a row.
fn row(i: u64) -> (i32, [f32; CLASSES]) {
    let z = bits(i);
    let greatest = 96 + (z & 0x9f).min(159) as u32;
    let (first, rest) = ((z >> 8) as usize % CLASSES, 256 - greatest);
    let second = (z >> 16) as u32 % (rest + 1);
    let third = (z >> 32) as u32 % (rest - second + 1);
    let mut parts = [0; CLASSES];
    for (offset, part) in [greatest, second, third, rest - second - third].into_iter().enumerate() {
        parts[(first + offset) % CLASSES] = part;
    }
    // A sixteenth of the labels ignore the probabilities.
    let pick = (z >> 48) as u32 % 256;
    let mut label = (z >> 56) as usize % CLASSES;
    if pick >= 16 {
        let mut left = bits(z) as u32 % 256;
        label = parts
            .iter()
            .position(|&part| left.checked_sub(part).map(|rest| left = rest).is_none())
            .unwrap_or(0);
    }
    (label as i32, parts.map(|part| part as f32 / 256.0))
}

fn batch(rows: std::ops::Range<u64>) -> Result<RecordBatch, Box<dyn Error>> {
    let made: Vec<(i32, [f32; CLASSES])> = rows.clone().map(row).collect();
    let values = Float32Array::from_iter_values(made.iter().flat_map(|(_, p)| *p));
    let item = Arc::new(Field::new_list_field(DataType::Float32, false));
    let lists = FixedSizeListArray::try_new(item, CLASSES as i32, Arc::new(values), None)?;
    let devices = rows.clone().map(|i| format!("device {}", i / 1000 % 8));
    let columns: [(&str, ArrayRef); 4] = [
        ("device", Arc::new(StringArray::from_iter_values(devices))),
        ("label", Arc::new(Int32Array::from_iter_values(made.iter().map(|(label, _)| *label)))),
        ("passes", Arc::new(UInt16Array::from_iter_values(rows.map(|i| if i % 4 == 0 { 9 } else { 1 })))),
        ("probabilities", Arc::new(lists)),
    ];
    Ok(RecordBatch::try_from_iter(columns)?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [path, rows, rest @ ..] = &arguments[..] else {
        return Err("usage: generate FILE ROWS [FIRST]".into());
    };
    let (rows, first): (u64, u64) = (rows.parse()?, rest.first().map_or(Ok(0), |text| text.parse())?);
    let properties =
        WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?)).build();
    let mut writer = ArrowWriter::try_new(File::create(path)?, batch(0..0)?.schema(), Some(properties))?;
    let mut at = first;
    while at < first + rows {
        let end = (at + BATCH).min(first + rows);
        writer.write(&batch(at..end)?)?;
        at = end;
    }
    writer.close()?;
    Ok(())
}
