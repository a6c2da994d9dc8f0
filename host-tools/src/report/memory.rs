//! Where each tensor lies in the arena, and when.

use super::plot::{Axis, LabelledBox, Mark, Plot};
use super::text::bytes;
use super::{Block, Section};
use serde::Serialize;
use std::collections::BTreeMap;
use stf_bnn::Model;
use stf_bnn::artifact::{Layer, Tensor};

/// The arena of one draw, as the artifact plans it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MemoryMap {
    /// Its size in bytes.
    pub arena_bytes: u32,
    /// The largest set of tensors alive at one time: no plan can be smaller.
    pub lower_bound_bytes: u64,
    /// Tensors in the order of their layers.
    pub tensors: Vec<Place>,
}

/// One tensor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Place {
    /// Layer that writes it.
    pub written: usize,
    /// Last layer that reads it.
    pub read: usize,
    /// First byte.
    pub offset: u32,
    /// Length in bytes.
    pub bytes: u64,
    /// Rows, columns, channels.
    pub shape: [u16; 3],
}

/// The plan that an artifact carries.
#[must_use]
pub fn memory_map(model: &Model<'_>) -> MemoryMap {
    let layers: Vec<Layer> = model.layers().collect();
    let mut tensors: Vec<Place> = Vec::new();
    for (index, layer) in layers.iter().enumerate() {
        // The first layer reads the caller's input, which lies elsewhere.
        let inputs = [Some(layer.input()), layer.second_input()].into_iter().flatten().filter(|_| index > 0);
        for input in inputs {
            // Who wrote last what lies there wrote the tensor.
            if let Some(place) = tensors.iter_mut().rev().find(|place| place.holds(&input)) {
                place.read = index;
            }
        }
        tensors.extend(layer.output().map(|output| Place {
            written: index,
            read: index,
            offset: output.offset,
            bytes: output.len(),
            shape: [output.height, output.width, output.channels],
        }));
    }
    let lower_bound_bytes = (0..layers.len()).map(|at| alive(&tensors, at)).max().unwrap_or(0);
    MemoryMap { arena_bytes: model.manifest().arena_bytes, lower_bound_bytes, tensors }
}

impl Place {
    fn holds(&self, tensor: &Tensor) -> bool {
        (self.offset, self.bytes) == (tensor.offset, tensor.len())
    }
}

/// Bytes alive while one layer runs; a tensor written in place of another counts once.
fn alive(tensors: &[Place], at: usize) -> u64 {
    let alive = tensors.iter().filter(|place| (place.written..=place.read).contains(&at));
    alive.map(|place| (place.offset, place.bytes)).collect::<BTreeMap<_, _>>().values().sum()
}

/// The map as a section.
pub fn section(map: &MemoryMap, layers: &[&'static str]) -> Section {
    // In place: the box of what is overwritten ends where its successor's begins.
    let overwritten = |place: &Place| {
        map.tensors.iter().any(|next| {
            next.written == place.read && next.written > place.written && next.offset == place.offset
        })
    };
    let boxes = map.tensors.iter().map(|place| {
        let end = place.read as f64 + if overwritten(place) { 0.0 } else { 1.0 };
        let [height, width, channels] = place.shape;
        let bottom = f64::from(place.offset);
        LabelledBox {
            x: (place.written as f64, end),
            y: (bottom, bottom + place.bytes as f64),
            text: format!("{height}×{width}×{channels}"),
        }
    });
    let count = map.tensors.iter().map(|place| place.read + 1).max().unwrap_or(1);
    let every = count.div_ceil(12);
    let numbers = (0..count).step_by(every).map(|at| (at as f64 + 0.5, at.to_string())).collect();
    let (arena, bound) = (u64::from(map.arena_bytes), map.lower_bound_bytes);
    let arena_line = vec![(0.0, arena as f64), (count as f64, arena as f64)];
    let plot = Plot {
        id: "memory".into(),
        title: "Memory map of the arena, one draw".into(),
        description: format!(
            "{} tensors in {}; at most {} are alive at one time.",
            map.tensors.len(),
            bytes(arena),
            bytes(bound)
        ),
        x: Axis::new("layer", 0.0, count as f64).named(numbers),
        y: Axis::fitting("place in the arena, bytes", 0.0, [arena as f64]),
        marks: vec![
            Mark::Boxes {
                boxes: boxes.collect(), colour: 0, name: "tensor (rows×columns×channels)".into()
            },
            Mark::Rule { points: arena_line, name: "end of the arena".into() },
        ],
    };
    let names = layers.iter().enumerate().map(|(at, name)| format!("{at} {name}")).collect::<Vec<_>>();
    let caption = format!(
        "Each box is a tensor, from the layer that writes it to the last that reads it. Layers: {}.",
        names.join(", ")
    );
    let words = format!(
        "The arena takes {} a draw; the largest set of tensors alive at one time is {}, so that no plan can be \
         smaller than that.",
        bytes(arena),
        bytes(bound)
    );
    Section {
        id: "memory-map",
        title: "Memory",
        blocks: vec![Block::Text(words), Block::Plots(vec![(plot, caption)])],
    }
}
