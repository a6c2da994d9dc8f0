//! Sections as they are added, and those that every report ends with.

use super::subject::Subject;
use super::{Report, Section, memory, provenance};
use crate::error::{Error, Result};
use serde::Serialize;

/// Sections as they are added.
#[derive(Default)]
pub(super) struct Parts {
    sections: Vec<Section>,
    figures: Vec<(&'static str, String)>,
}

impl Parts {
    /// Adds figures under a name.
    pub(super) fn figures(&mut self, name: &'static str, figures: &impl Serialize) -> Result<()> {
        let json = serde_json::to_string(figures)
            .map_err(|error| Error::invalid(format!("report: {name}"), error, "figures with a JSON form"))?;
        self.figures.push((name, json));
        Ok(())
    }

    /// Adds a section of figures that are there already.
    pub(super) fn section(&mut self, section: Section) {
        self.sections.push(section);
    }

    /// Adds figures and the section made of them.
    pub(super) fn add<T: Serialize>(
        &mut self,
        name: &'static str,
        figures: &T,
        section: impl FnOnce(&T) -> Section,
    ) -> Result<()> {
        self.figures(name, figures)?;
        self.sections.push(section(figures));
        Ok(())
    }

    /// Adds what every artifact has, and makes the report.
    pub(super) fn finish(
        mut self,
        subject: &Subject<'_>,
        artifact: &provenance::Artifact,
        mean_passes: f64,
    ) -> Result<Report> {
        let layers: Vec<&str> = subject.model.layers().map(|layer| layer.name()).collect();
        self.add("memory", &memory::memory_map(subject.model), |map| memory::section(map, &layers))?;
        self.add("provenance", artifact, provenance::section)?;
        Ok(Report {
            title: format!("{} on {}", subject.model.manifest().name, subject.data.name),
            summary: subject.summary(mean_passes),
            sections: self.sections,
            figures: self.figures,
        })
    }
}
