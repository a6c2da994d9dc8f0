//! Plots as data: axes, marks, a sentence for those who cannot see them. `svg` draws them.

/// A plot. It holds everything that its picture needs, in data units.
#[derive(Debug, Clone, PartialEq)]
pub struct Plot {
    /// File name without its ending, and the element's id: letters, digits and hyphens.
    pub id: String,
    /// Title.
    pub title: String,
    /// What it shows, in words: the text alternative of the picture.
    pub description: String,
    /// Horizontal axis.
    pub x: Axis,
    /// Vertical axis.
    pub y: Axis,
    /// Drawn in this order.
    pub marks: Vec<Mark>,
}

/// One direction of a plot.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    /// Title, with unit.
    pub title: String,
    /// First value shown.
    pub min: f64,
    /// Last value shown; greater than the first.
    pub max: f64,
    /// Where ticks are, and what they say; `None`: round numbers.
    pub named: Option<Vec<(f64, String)>>,
}

/// Something drawn. `colour` counts the colours of the style sheet from 0, and with them dashes and
/// shapes, so that no mark is told apart by its colour alone. An empty name has no entry in the legend.
#[derive(Debug, Clone, PartialEq)]
pub enum Mark {
    /// A line through points.
    Line {
        /// `(x, y)`
        points: Vec<(f64, f64)>,
        /// Number of its colour.
        colour: usize,
        /// Entry in the legend.
        name: String,
    },
    /// What to compare with: a thin grey line, dashed.
    Rule {
        /// `(x, y)`
        points: Vec<(f64, f64)>,
        /// Entry in the legend.
        name: String,
    },
    /// The area between two lines: an interval.
    Band {
        /// `(x, low, high)`
        points: Vec<(f64, f64, f64)>,
        /// Number of its colour.
        colour: usize,
        /// Entry in the legend.
        name: String,
    },
    /// A histogram: its outline over a light ground.
    Steps {
        /// `(left, right, height)`
        bars: Vec<(f64, f64, f64)>,
        /// Number of its colour.
        colour: usize,
        /// Entry in the legend.
        name: String,
    },
    /// Points with an interval.
    Points {
        /// `(x, y, low, high)`
        points: Vec<(f64, f64, f64, f64)>,
        /// Number of its colour.
        colour: usize,
        /// Entry in the legend.
        name: String,
    },
    /// Boxes with a text each, shown where it fits.
    Boxes {
        /// The boxes.
        boxes: Vec<LabelledBox>,
        /// Number of its colour.
        colour: usize,
        /// Entry in the legend.
        name: String,
    },
}

/// A box in data units.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelledBox {
    /// Left and right.
    pub x: (f64, f64),
    /// Bottom and top.
    pub y: (f64, f64),
    /// Its text.
    pub text: String,
}

impl Axis {
    /// From `min` to `max`, with round ticks.
    #[must_use]
    pub fn new(title: impl Into<String>, min: f64, max: f64) -> Self {
        let max = if max > min { max } else { min + 1.0 };
        Self { title: title.into(), min, max, named: None }
    }

    /// From `min`, so that all finite `values` are shown with a little room above.
    #[must_use]
    pub fn fitting(title: impl Into<String>, min: f64, values: impl IntoIterator<Item = f64>) -> Self {
        let top = values.into_iter().filter(|value| value.is_finite()).fold(min, f64::max);
        Self::new(title, min, min + (top - min) * 1.06)
    }

    /// Around all finite `values`, with a little room on both sides.
    #[must_use]
    pub fn around(title: impl Into<String>, values: impl IntoIterator<Item = f64>) -> Self {
        let finite = values.into_iter().filter(|value| value.is_finite());
        let ends = finite.fold(None, |ends: Option<(f64, f64)>, value| {
            Some(ends.map_or((value, value), |(low, high)| (low.min(value), high.max(value))))
        });
        let (low, high) = ends.unwrap_or((0.0, 1.0));
        let room = ((high - low) * 0.12).max(high.abs() * 1e-3).max(1e-9);
        Self::new(title, low - room, high + room)
    }

    /// The same axis with ticks that say what they are told to.
    #[must_use]
    pub fn named(self, ticks: Vec<(f64, String)>) -> Self {
        Self { named: Some(ticks), ..self }
    }

    /// Ticks inside the axis with their texts.
    #[must_use]
    pub fn ticks(&self) -> Vec<(f64, String)> {
        let inside = |at: f64| (self.min..=self.max).contains(&at);
        match &self.named {
            Some(named) => named.iter().filter(|(at, _)| inside(*at)).cloned().collect(),
            None => round_ticks(self.min, self.max),
        }
    }
}

impl Mark {
    /// Its colour (`None` for a rule) and its entry in the legend, which may be empty.
    #[must_use]
    pub fn legend(&self) -> (Option<usize>, &str) {
        match self {
            Self::Rule { name, .. } => (None, name),
            Self::Line { colour, name, .. }
            | Self::Band { colour, name, .. }
            | Self::Steps { colour, name, .. }
            | Self::Points { colour, name, .. }
            | Self::Boxes { colour, name, .. } => (Some(*colour), name),
        }
    }
}

/// Ticks at 1, 2 or 5 times a power of ten: three to eight of them, all with as many digits as the
/// distance between them needs.
fn round_ticks(min: f64, max: f64) -> Vec<(f64, String)> {
    let raw = (max - min) / 5.0;
    let power = 10_f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|m| m * power).into_iter().find(|&step| step >= raw * 0.999);
    let step = step.unwrap_or(10.0 * power);
    let digits = (-step.log10().floor()).clamp(0.0, 9.0) as usize;
    let (first, last) = ((min / step - 1e-9).ceil() as i64, (max / step + 1e-9).floor() as i64);
    let at = |i: i64| i as f64 * step;
    (first..=last).map(|i| (at(i), spaced(&format!("{:.digits$}", at(i))))).collect()
}

/// Thousands apart, by a thin space that no line breaks at.
#[must_use]
pub fn spaced(number: &str) -> String {
    let whole = number.find('.').unwrap_or(number.len());
    let start = usize::from(number.starts_with('-'));
    let mut text = String::new();
    for (i, c) in number.char_indices() {
        if i > start && i < whole && (whole - i).is_multiple_of(3) && whole - start > 4 {
            text.push('\u{202f}');
        }
        text.push(c);
    }
    text
}

/// Ticks at powers of ten, at most about eight, on an axis of logarithms to base 10.
#[must_use]
pub fn powers_of_ten(min: f64, max: f64) -> Vec<(f64, String)> {
    let step = ((max - min) / 7.0).ceil().max(1.0) as i64;
    let (first, last) = (min.ceil() as i64, max.floor() as i64);
    let text = |power: i64| match power {
        0 => "1".to_string(),
        1 => "10".to_string(),
        _ => format!("10{}", superscript(power)),
    };
    (first..=last)
        .filter(|power| power.rem_euclid(step) == 0)
        .map(|power| (power as f64, text(power)))
        .collect()
}

fn superscript(power: i64) -> String {
    let raised = |c: char| match c {
        '-' => '⁻',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        _ => c.to_digit(10).and_then(|digit| char::from_u32('⁰' as u32 + digit)).unwrap_or(c),
    };
    power.to_string().chars().map(raised).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(ticks: Vec<(f64, String)>) -> Vec<String> {
        ticks.into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn ticks_are_round_inside_and_few() {
        assert_eq!(texts(Axis::new("", 0.0, 1.0).ticks()), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(texts(Axis::new("", 0.0, 12_000.0).ticks()), ["0", "5000", "10\u{202f}000"]);
        for (min, max) in [(0.0, 3e-4), (-7.0, 12.0), (1e3, 9e6), (0.998, 1.0), (0.1, 0.30001)] {
            let ticks = Axis::new("", min, max).ticks();
            assert!((3..=8).contains(&ticks.len()), "{ticks:?}");
            assert!(ticks.iter().all(|(at, _)| (min - 1e-9..=max * 1.000001).contains(at)), "{ticks:?}");
            let mut texts = texts(ticks);
            texts.dedup();
            assert!(texts.len() >= 3, "{texts:?} look alike");
        }
    }

    #[test]
    fn an_axis_of_nothing_or_of_one_value_can_be_drawn() {
        for axis in [
            Axis::fitting("", 0.0, []),
            Axis::around("", []),
            Axis::around("", [0.0; 3]),
            Axis::new("", 2.0, 2.0),
        ] {
            assert!(axis.max > axis.min, "{axis:?}");
            assert!(!axis.ticks().is_empty(), "{axis:?}");
        }
        assert_eq!(Axis::fitting("", 0.0, [f64::NAN, 2.0, f64::INFINITY]).max, 2.12);
    }

    #[test]
    fn powers_are_raised() {
        assert_eq!(texts(powers_of_ten(-2.5, 3.0)), ["10⁻²", "10⁻¹", "1", "10", "10²", "10³"]);
        assert_eq!(texts(powers_of_ten(-3.0, 30.0)), ["1", "10⁵", "10¹⁰", "10¹⁵", "10²⁰", "10²⁵", "10³⁰"]);
    }

    #[test]
    fn thousands_are_apart() {
        let found = ["1", "1234", "12345", "-1234567.25", "0.12345"].map(spaced);
        assert_eq!(found, ["1", "1234", "12\u{202f}345", "-1\u{202f}234\u{202f}567.25", "0.12345"]);
    }
}
