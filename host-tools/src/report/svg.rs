//! Draws a plot as SVG. The legend stands above the area, in as many rows as it takes: it never covers
//! what it explains.

use super::plot::{LabelledBox, Mark, Plot};
use super::style::{COLOURS, DASHES, of_file};
use std::fmt::Write;

/// Width in units of the view box; the picture scales with the page.
const WIDTH: f64 = 480.0;

/// Height of the area that holds the marks.
const AREA: f64 = 250.0;

/// Room to the right of the area, and below it for tick labels and the title of the axis.
const RIGHT: f64 = 16.0;
const BELOW: f64 = 47.0;

/// Where the legend begins, and the height of its rows.
const LEGEND_TOP: f64 = 32.0;
const LEGEND_ROW: f64 = 18.0;

/// Width of a character, taken a little too wide: fonts differ.
const CHARACTER: f64 = 7.3;

impl Plot {
    /// An `<svg>` element that takes its style from the page.
    #[must_use]
    pub fn svg(&self) -> String {
        Picture::new(self).element("", "")
    }

    /// An SVG file of its own.
    #[must_use]
    pub fn svg_file(&self) -> String {
        let picture = Picture::new(self);
        let size = format!(" width=\"{WIDTH}\" height=\"{}\"", picture.height());
        picture.element(&size, &format!("<style>{}</style>", of_file()))
    }
}

/// A plot and the places of its parts, in units of the view box.
struct Picture<'a> {
    plot: &'a Plot,
    /// Entries of the legend: mark, text, left end, row.
    legend: Vec<(&'a Mark, &'a str, f64, usize)>,
    x_ticks: Vec<(f64, String)>,
    y_ticks: Vec<(f64, String)>,
    left: f64,
    top: f64,
}

impl<'a> Picture<'a> {
    fn new(plot: &'a Plot) -> Self {
        let (x_ticks, y_ticks) = (plot.x.ticks(), plot.y.ticks());
        let widest = y_ticks.iter().map(|(_, text)| text.chars().count()).max().unwrap_or(0);
        let left = 36.0 + CHARACTER * widest as f64;
        let legend = place_legend(&plot.marks);
        let rows = legend.last().map_or(0, |(.., row)| row + 1);
        let top = LEGEND_TOP + 6.0 + LEGEND_ROW * rows as f64;
        Self { plot, legend, x_ticks, y_ticks, left, top }
    }

    fn height(&self) -> f64 {
        self.bottom() + BELOW
    }

    fn bottom(&self) -> f64 {
        self.top + AREA
    }

    fn right(&self) -> f64 {
        WIDTH - RIGHT
    }

    fn at_x(&self, x: f64) -> f64 {
        let axis = &self.plot.x;
        self.left + (x - axis.min) / (axis.max - axis.min) * (self.right() - self.left)
    }

    fn at_y(&self, y: f64) -> f64 {
        let axis = &self.plot.y;
        self.bottom() - (y - axis.min) / (axis.max - axis.min) * AREA
    }

    fn element(&self, size: &str, style: &str) -> String {
        let (id, height) = (&self.plot.id, self.height());
        let [title, description] = [&self.plot.title, &self.plot.description].map(|text| escape(text));
        let mut svg = String::new();
        // Writing to a string cannot fail.
        let _ = write!(
            svg,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"plot\" id=\"{id}\"{size} viewBox=\"0 0 {WIDTH} {height}\" \
             role=\"img\" aria-labelledby=\"{id}-title {id}-description\"><title id=\"{id}-title\">{title}</title>\
             <desc id=\"{id}-description\">{description}</desc>{style}\
             <rect class=\"ground\" width=\"{WIDTH}\" height=\"{height}\"/>\
             <text class=\"title\" x=\"14\" y=\"21\">{title}</text>"
        );
        self.axes(&mut svg);
        let _ = write!(
            svg,
            "<clipPath id=\"{id}-area\"><rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"/></clipPath>\
             <g clip-path=\"url(#{id}-area)\">",
            self.left,
            self.top - 4.0,
            self.right() - self.left + 4.0,
            AREA + 8.0
        );
        self.plot.marks.iter().for_each(|mark| self.mark(&mut svg, mark));
        svg.push_str("</g>");
        self.legend.iter().for_each(|entry| key(&mut svg, entry));
        svg.push_str("</svg>");
        svg
    }

    fn axes(&self, svg: &mut String) {
        let (left, right, top, bottom) = (self.left, self.right(), self.top, self.bottom());
        for (value, text) in &self.x_ticks {
            let at = self.at_x(*value);
            let _ = write!(
                svg,
                "<path class=\"grid\" d=\"M{at:.1} {top}V{bottom}\"/>\
                 <text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{text}</text>",
                bottom + 20.0
            );
        }
        for (value, text) in &self.y_ticks {
            let at = self.at_y(*value);
            let _ = write!(
                svg,
                "<path class=\"grid\" d=\"M{left:.1} {at:.1}H{right}\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{text}</text>",
                left - 6.0,
                at + 4.5
            );
        }
        let _ = write!(
            svg,
            "<path class=\"axis\" d=\"M{left:.1} {top}V{bottom}H{right}\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\
             <text transform=\"translate(18 {:.1}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
            (left + right) / 2.0,
            bottom + 39.0,
            escape(&self.plot.x.title),
            (top + bottom) / 2.0,
            escape(&self.plot.y.title)
        );
    }

    /// A path through points; those that are no numbers are left out.
    fn path(&self, points: impl IntoIterator<Item = (f64, f64)>) -> String {
        let finite = points.into_iter().filter(|(x, y)| x.is_finite() && y.is_finite());
        let mut path = String::new();
        for (i, (x, y)) in finite.enumerate() {
            // Far outside the area a renderer's coordinates may overflow.
            let y = self.at_y(y).clamp(self.top - AREA, self.bottom() + AREA);
            let _ = write!(path, "{}{:.1} {y:.1}", if i == 0 { 'M' } else { 'L' }, self.at_x(x));
        }
        path
    }

    fn mark(&self, svg: &mut String, mark: &Mark) {
        let colour = mark.legend().0.unwrap_or(0) % COLOURS;
        let _ = match mark {
            Mark::Line { points, .. } => write!(
                svg,
                "<path class=\"line s{colour}\" stroke-dasharray=\"{}\" d=\"{}\"/>",
                DASHES[colour],
                self.path(points.iter().copied())
            ),
            Mark::Rule { points, .. } => {
                write!(svg, "<path class=\"rule\" d=\"{}\"/>", self.path(points.iter().copied()))
            }
            Mark::Band { points, .. } => {
                let there = points.iter().map(|&(x, low, _)| (x, low));
                let back = points.iter().rev().map(|&(x, _, high)| (x, high));
                write!(svg, "<path class=\"wash f{colour}\" d=\"{}Z\"/>", self.path(there.chain(back)))
            }
            Mark::Steps { bars, .. } => self.steps(svg, bars, colour),
            Mark::Points { points, .. } => {
                points.iter().for_each(|&point| self.point(svg, point, colour));
                Ok(())
            }
            Mark::Boxes { boxes, .. } => {
                boxes.iter().for_each(|one| self.labelled_box(svg, one, colour));
                Ok(())
            }
        };
    }

    fn steps(&self, svg: &mut String, bars: &[(f64, f64, f64)], colour: usize) -> std::fmt::Result {
        let (Some(first), Some(last)) = (bars.first(), bars.last()) else { return Ok(()) };
        let corners = bars.iter().flat_map(|&(left, right, height)| [(left, height), (right, height)]);
        let outline = self.path([(first.0, 0.0)].into_iter().chain(corners).chain([(last.1, 0.0)]));
        write!(
            svg,
            "<path class=\"wash f{colour}\" d=\"{outline}Z\"/>\
             <path class=\"thin s{colour}\" stroke-dasharray=\"{}\" d=\"{outline}\"/>",
            DASHES[colour]
        )
    }

    fn point(&self, svg: &mut String, (x, y, low, high): (f64, f64, f64, f64), colour: usize) {
        let (x, y) = (self.at_x(x), self.at_y(y));
        let _ = write!(
            svg,
            "<path class=\"thin s{colour}\" d=\"M{x:.1} {:.1}V{:.1}\"/>",
            self.at_y(low),
            self.at_y(high)
        );
        shape(svg, x, y, colour);
    }

    fn labelled_box(&self, svg: &mut String, one: &LabelledBox, colour: usize) {
        let (x, y) = (self.at_x(one.x.0), self.at_y(one.y.1));
        let (width, height) = (self.at_x(one.x.1) - x, self.at_y(one.y.0) - y);
        let _ = write!(
            svg,
            "<rect class=\"box f{colour} s{colour}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"/>"
        );
        if width >= CHARACTER * one.text.chars().count() as f64 * 0.93 + 4.0 && height >= 14.0 {
            let _ = write!(
                svg,
                "<text class=\"in\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                x + width / 2.0,
                y + height / 2.0 + 4.0,
                escape(&one.text)
            );
        }
    }
}

/// Entries side by side as far as they fit, then the next row.
fn place_legend(marks: &[Mark]) -> Vec<(&Mark, &str, f64, usize)> {
    let (mut left, mut row, mut entries) = (14.0, 0, Vec::new());
    for (mark, name) in marks.iter().map(|mark| (mark, mark.legend().1)).filter(|(_, name)| !name.is_empty())
    {
        let width = 30.0 + CHARACTER * name.chars().count() as f64 + 14.0;
        if left > 14.0 && left + width > WIDTH {
            (left, row) = (14.0, row + 1);
        }
        entries.push((mark, name, left, row));
        left += width;
    }
    entries
}

/// One entry of the legend: a sample of the mark, and its name.
fn key(svg: &mut String, &(mark, name, left, row): &(&Mark, &str, f64, usize)) {
    let y = LEGEND_TOP + LEGEND_ROW * row as f64 + 9.0;
    let colour = mark.legend().0.unwrap_or(0) % COLOURS;
    let right = left + 24.0;
    let _ = match mark {
        Mark::Rule { .. } => write!(svg, "<path class=\"rule\" d=\"M{left:.1} {y}H{right:.1}\"/>"),
        Mark::Line { .. } => write!(
            svg,
            "<path class=\"line s{colour}\" stroke-dasharray=\"{}\" d=\"M{left:.1} {y}H{right:.1}\"/>",
            DASHES[colour]
        ),
        Mark::Band { .. } => {
            write!(
                svg,
                "<rect class=\"wash f{colour}\" x=\"{left:.1}\" y=\"{}\" width=\"24\" height=\"12\"/>",
                y - 6.0
            )
        }
        Mark::Steps { .. } => write!(
            svg,
            "<rect class=\"wash f{colour}\" x=\"{left:.1}\" y=\"{0}\" width=\"24\" height=\"12\"/>\
             <path class=\"thin s{colour}\" stroke-dasharray=\"{1}\" d=\"M{left:.1} {0}H{right:.1}\"/>",
            y - 6.0,
            DASHES[colour]
        ),
        Mark::Boxes { .. } => write!(
            svg,
            "<rect class=\"box f{colour} s{colour}\" x=\"{left:.1}\" y=\"{}\" width=\"24\" height=\"12\"/>",
            y - 6.0
        ),
        Mark::Points { .. } => {
            shape(svg, left + 12.0, y, colour);
            Ok(())
        }
    };
    let _ = write!(svg, "<text x=\"{:.1}\" y=\"{}\">{}</text>", left + 30.0, y + 4.5, escape(name));
}

/// Circle, square, triangle, diamond ...
fn shape(svg: &mut String, x: f64, y: f64, colour: usize) {
    let path = match colour % 4 {
        0 => "m-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0",
        1 => "m-3.6 -3.6h7.2v7.2h-7.2z",
        2 => "m0 -4.8l4.6 8h-9.2z",
        _ => "m0 -5l5 5l-5 5l-5 -5z",
    };
    let _ = write!(svg, "<path class=\"f{colour}\" d=\"M{x:.1} {y:.1}{path}\"/>");
}

/// Text for HTML and XML: of no character of it can markup be made.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            // XML has no such characters.
            c if c.is_control() && c != '\n' => safe.push(' '),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::super::plot::Axis;
    use super::*;

    fn plot(marks: Vec<Mark>) -> Plot {
        let axis = |title| Axis::new(title, 0.0, 1.0);
        let (id, title, description) = ("p".into(), "T & U".into(), "rising".into());
        Plot { id, title, description, x: axis("x"), y: axis("y"), marks }
    }

    fn line(points: Vec<(f64, f64)>, name: &str) -> Mark {
        Mark::Line { points, colour: 0, name: name.into() }
    }

    #[test]
    fn values_land_where_the_axes_say() {
        let plot = plot(vec![line(vec![(0.0, 0.0), (f64::NAN, 0.5), (1.0, 1.0)], "a<b")]);
        let svg = plot.svg();
        // Left: 36 and three characters of 7.3. Top: 32 + 6 and one row of legend.
        assert!(svg.contains("d=\"M57.9 306.0L464.0 56.0\""), "{svg}");
        assert!(
            svg.contains("T &amp; U")
                && svg.contains("a&lt;b")
                && svg.contains("<desc id=\"p-description\">rising")
        );
        assert!(!svg.contains("<style>") && plot.svg_file().contains("<style>"));
    }

    #[test]
    fn the_legend_takes_the_rows_it_needs_and_moves_the_area_down() {
        let marks = |count| (0..count).map(|_| line(vec![(0.0, 0.0)], "a name of some length")).collect();
        let (two, five) = (plot(marks(2)), plot(marks(5)));
        let [two, five] = [&two, &five].map(Picture::new);
        let rows = |picture: &Picture<'_>| picture.legend.iter().map(|entry| entry.3).collect::<Vec<_>>();
        assert_eq!((rows(&two), rows(&five)), (vec![0, 0], vec![0, 0, 1, 1, 2]));
        assert_eq!(five.top - two.top, 2.0 * LEGEND_ROW);
        assert!(five.legend.iter().all(|(_, name, left, _)| left + 30.0 + 7.0 * name.len() as f64 <= WIDTH));
    }

    #[test]
    fn no_text_becomes_markup() {
        assert_eq!(escape("<a href='x'>&\u{7}\"</a>"), "&lt;a href=&#39;x&#39;&gt;&amp; &quot;&lt;/a&gt;");
    }
}
