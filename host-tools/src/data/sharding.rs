//! Writes sources into a sharded set: images one by one, other sources one source at a time. A set that no
//! memory holds is made from an image folder, or from several files that memory does hold.

use super::dataset::{Dataset, Element, RawExample, Scratch};
use super::shards::{Summary, Writer};
use super::{images, is_image_folder, load, numbered_classes};
use crate::error::{Error, Result};
use crate::graph::Shape;
use crate::progress::interrupt;
use std::path::Path;

/// Writes the data that `specs` name, one after another, into the new folder `out`.
///
/// # Errors
/// If a source cannot be read, sources differ in shape, element, parts or classes, or the folder cannot be
/// written.
pub fn shard(specs: &[String], data_dir: Option<&Path>, out: &Path, shard_bytes: u64) -> Result<Summary> {
    let mut sharding = Sharding { out, shard_bytes, writer: None, class_names: None, parts: None };
    for spec in specs {
        if is_image_folder(spec) {
            sharding.add_images(spec)?;
        } else {
            for (part, set) in load(spec, data_dir)?.parts() {
                sharding.add_set(part, set)?;
            }
        }
    }
    let Sharding { writer: Some(writer), class_names: Some(class_names), .. } = sharding else {
        return Err(Error::invalid("data to shard", "no example", "at least one"));
    };
    writer.finish(class_names)
}

struct Sharding<'a> {
    out: &'a Path,
    shard_bytes: u64,
    writer: Option<Writer>,
    class_names: Option<Vec<String>>,
    /// Whether the sources have official parts.
    parts: Option<bool>,
}

impl Sharding<'_> {
    fn add_set(&mut self, part: &str, set: &Dataset) -> Result<()> {
        self.agree(&set.name, part, &set.class_names)?;
        let mut scratch = Scratch::default();
        for (index, &label) in set.labels.iter().enumerate() {
            let example = set.raw(index, &mut scratch)?;
            self.writer(&set.name, set.shape, example.element())?.push(part, example, label)?;
        }
        Ok(())
    }

    fn add_images(&mut self, spec: &str) -> Result<()> {
        for (part, listing) in images::list_parts(Path::new(spec))? {
            self.agree(spec, part, &listing.class_names)?;
            let mut first = None;
            for (file, label) in &listing.files {
                let (shape, pixels) = images::read_image(file)?;
                images::require_size(file, shape, *first.get_or_insert(shape), &listing.files[0].0)?;
                self.writer(spec, shape, Element::U8)?.push(part, RawExample::U8(&pixels), *label)?;
            }
        }
        Ok(())
    }

    /// The writer, begun with the first example; asked for with each one, so that the user can stop here.
    fn writer(&mut self, name: &str, shape: Shape, element: Element) -> Result<&mut Writer> {
        if interrupt::requested() {
            return Err(Error::Interrupted);
        }
        match &mut self.writer {
            Some(writer) => Ok(writer),
            none => Ok(none.insert(Writer::create(self.out, name, shape, element, self.shard_bytes)?)),
        }
    }

    /// All sources have the same parts and classes. Numbered classes are counted up to the largest.
    fn agree(&mut self, source: &str, part: &str, class_names: &[String]) -> Result<()> {
        let is_official = part != "whole";
        if *self.parts.get_or_insert(is_official) != is_official {
            let expected = "official train and test parts in all sources, or in none";
            return Err(Error::invalid(format!("parts of {source}"), part, expected));
        }
        let known = self.class_names.get_or_insert_with(|| class_names.to_vec());
        let are_numbered = |names: &[String]| numbered_classes(names.len()) == names;
        if are_numbered(known) && are_numbered(class_names) {
            *known = numbered_classes(known.len().max(class_names.len()));
        } else if known != class_names {
            let what = format!("classes of {source}");
            return Err(Error::invalid(what, class_names.join(", "), known.join(", ")));
        }
        Ok(())
    }
}
