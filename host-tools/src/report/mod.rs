//! Reports for people: one self-contained HTML page, each of its plots as an SVG file, each of its figures
//! as JSON.
//!
//! A [`Report`] is a list of sections of a few kinds of blocks. What a section says is decided in a file
//! of its own; [`classifier`], [`regression`] and [`anomaly`] put them together. `page` and `svg` know nothing of networks.

mod anomaly;
mod anomaly_figures;
mod anomaly_plots;
mod classes;
mod classifier;
mod cost;
mod coverage;
mod drift;
mod examples;
mod memory;
mod page;
mod parts;
mod picture;
pub mod plot;
mod provenance;
mod quality;
mod regression;
mod style;
mod subject;
mod svg;
mod target_plots;
mod targets;
mod text;
mod uncertainty;

pub use anomaly::anomaly;
pub use classifier::classifier;
pub use memory::{MemoryMap, Place, memory_map};
pub use regression::regression;
pub use subject::Subject;

use crate::error::{Error, Result};
use crate::files::write_atomic;
use plot::Plot;
use std::path::{Path, PathBuf};

/// Everything on a page.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Heading.
    pub title: String,
    /// One sentence under it.
    pub summary: String,
    /// In the order of the page.
    pub sections: Vec<Section>,
    /// All figures: a name, and a JSON value as text, which keeps each number as `stf eval` prints it.
    pub figures: Vec<(&'static str, String)>,
}

/// A part of a page.
#[derive(Debug, Clone, PartialEq)]
pub struct Section {
    /// Anchor: letters, digits and hyphens; no plot's id.
    pub id: &'static str,
    /// Heading.
    pub title: &'static str,
    /// What it holds, in order.
    pub blocks: Vec<Block>,
}

/// What a section is made of. Every text is plain: none of it is read as markup.
#[derive(Debug, Clone, PartialEq)]
pub enum Block {
    /// A paragraph.
    Text(String),
    /// Key figures: name, value, note.
    Tiles(Vec<[String; 3]>),
    /// Plots side by side where the screen is wide enough, each with a caption.
    Plots(Vec<(Plot, String)>),
    /// A table.
    Table(Table),
    /// Examples under a heading.
    Examples(String, Vec<Card>),
    /// Text as it is.
    Verbatim(String),
}

/// A table; the first cell of a row names the row.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// What it shows, in words.
    pub name: String,
    /// One title a column.
    pub head: Vec<String>,
    /// As many cells a row.
    pub rows: Vec<Vec<String>>,
}

/// An example.
#[derive(Debug, Clone, PartialEq)]
pub struct Card {
    /// PNG, base64; `None` where the input is no picture.
    pub png: Option<String>,
    /// What the picture shows, in words.
    pub alternative: String,
    /// First line.
    pub title: String,
    /// Whether the first line names a mistake.
    pub wrong: bool,
    /// Further lines.
    pub lines: Vec<String>,
}

impl Table {
    /// A table of these columns.
    #[must_use]
    pub fn new(name: &str, head: &[&str], rows: Vec<Vec<String>>) -> Self {
        Self { name: name.into(), head: head.iter().map(|&title| title.into()).collect(), rows }
    }
}

impl Report {
    /// All plots, in the order of the page.
    pub fn plots(&self) -> impl Iterator<Item = &Plot> {
        self.sections
            .iter()
            .flat_map(|section| &section.blocks)
            .flat_map(|block| match block {
                Block::Plots(plots) => plots.as_slice(),
                _ => &[],
            })
            .map(|(plot, _)| plot)
    }

    /// The page.
    #[must_use]
    pub fn html(&self) -> String {
        page::page(self)
    }

    /// Writes the page.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn write_page(&self, path: &Path) -> Result<()> {
        let html = self.html();
        write_atomic(path, |writer| writer.write_all(html.as_bytes()))
    }

    /// Writes `figures.json` and every plot, `ID.svg`, into a folder, which is made if it is not there.
    /// Returns what was written.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn write_files(&self, folder: &Path) -> Result<Vec<PathBuf>> {
        std::fs::create_dir_all(folder).map_err(Error::io(folder, "create"))?;
        let figures = self.figures.iter().map(|(name, json)| format!("\"{name}\": {json}"));
        let figures = format!("{{\n{}\n}}\n", figures.collect::<Vec<_>>().join(",\n")).into_bytes();
        let plots = self.plots().map(|plot| (format!("{}.svg", plot.id), plot.svg_file().into_bytes()));
        let mut written = Vec::new();
        for (name, bytes) in [("figures.json".to_string(), figures)].into_iter().chain(plots) {
            let path = folder.join(name);
            write_atomic(&path, |writer| writer.write_all(&bytes))?;
            written.push(path);
        }
        Ok(written)
    }
}
