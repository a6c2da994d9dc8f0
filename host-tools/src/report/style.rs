//! Colours and layout. Colours are variables with one set for light and one for dark screens; paper
//! gets the light one. Hues are those of Okabe and Ito, which the colour-blind tell apart, darkened or
//! lightened until they stand out from the ground by 3 to 1 or more.

/// Number of colours, dashes and shapes.
pub const COLOURS: usize = 6;

/// Dashes of lines, by colour: `stroke-dasharray`.
pub const DASHES: [&str; COLOURS] = ["none", "9 4", "2 3", "9 3 2 3", "14 3", "5 2 1 2"];

const LIGHT: &str = "--ink:#1b2129;--soft:#4d5763;--grid:#e3e7ec;--line:#c9d0d8;--ground:#fff;--card:#f5f7f9;\
--bad:#a3210b;--link:#0a5a92;--c0:#0068a8;--c1:#c44e00;--c2:#00795a;--c3:#a3437f;--c4:#8a6700;--c5:#4d5763";

const DARK: &str = "--ink:#e8ecf1;--soft:#aab4c0;--grid:#2b323b;--line:#404a56;--ground:#12161b;--card:#1a2027;\
--bad:#ff9a84;--link:#7cc4f5;--c0:#56b4e9;--c1:#ff9a4a;--c2:#3ecf9e;--c3:#e88fc6;--c4:#e6d23c;--c5:#aab4c0";

const PLOT: &str = "\
.plot{font:13px system-ui,-apple-system,'Segoe UI',Roboto,sans-serif}\
.plot .ground{fill:var(--ground)}.plot text{fill:var(--soft)}.plot .title{fill:var(--ink);font-weight:600;font-size:15px}\
.plot .grid{stroke:var(--grid)}.plot .axis{stroke:var(--soft);fill:none}\
.plot .rule{stroke:var(--soft);stroke-width:1.5;stroke-dasharray:5 4;fill:none}\
.plot .line{fill:none;stroke-width:2.2;stroke-linejoin:round}.plot .thin{fill:none;stroke-width:1.6}\
.plot .wash{fill-opacity:.2;stroke:none}.plot .box{fill-opacity:.22;stroke-width:1.2}.plot .in{fill:var(--ink);font-size:12px}\
.plot .s0{stroke:var(--c0)}.plot .s1{stroke:var(--c1)}.plot .s2{stroke:var(--c2)}.plot .s3{stroke:var(--c3)}.plot .s4{stroke:var(--c4)}.plot .s5{stroke:var(--c5)}\
.plot .f0{fill:var(--c0)}.plot .f1{fill:var(--c1)}.plot .f2{fill:var(--c2)}.plot .f3{fill:var(--c3)}.plot .f4{fill:var(--c4)}.plot .f5{fill:var(--c5)}";

const PAGE: &str = "\
*{box-sizing:border-box}html{-webkit-text-size-adjust:100%}\
body{margin:0 auto;padding:1rem 1rem 4rem;max-width:72rem;font:16px/1.55 system-ui,-apple-system,'Segoe UI',Roboto,sans-serif;color:var(--ink);background:var(--ground)}\
h1{font-size:1.7rem;line-height:1.2;margin:.4em 0 .2em;overflow-wrap:anywhere}h2{font-size:1.25rem;margin:2.4em 0 .3em;padding-top:.4em;border-top:1px solid var(--line)}\
h3{font-size:1rem;margin:1.4em 0 .3em}p{color:var(--soft);margin:.3em 0 .8em;max-width:46rem}a{color:var(--link)}\
nav{display:flex;flex-wrap:wrap;gap:.2rem 1rem;margin:.8rem 0}\
.tiles{display:grid;grid-template-columns:repeat(auto-fill,minmax(10rem,1fr));gap:.7rem;margin:1rem 0;padding:0}\
.tiles>div{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:.55rem .8rem}\
.tiles dt{color:var(--soft);font-size:.9rem}.tiles dd{margin:0;font-size:1.35rem;font-weight:600;font-variant-numeric:tabular-nums}.tiles dd+dd{font-size:.82rem;font-weight:400;color:var(--soft)}\
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,27rem),1fr));gap:1rem;margin:1rem 0}\
.plots figure{max-width:44rem}figure{margin:0;border:1px solid var(--line);border-radius:8px;overflow:hidden;padding-bottom:.6rem;background:var(--ground)}\
figure svg{display:block;width:100%;height:auto}figcaption{padding:0 .9rem;font-size:.9rem;color:var(--soft)}\
.table{overflow-x:auto;margin:.8rem 0}table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.92rem}\
th,td{padding:.25rem .7rem;text-align:right;white-space:nowrap;border-bottom:1px solid var(--line)}tr>:first-child{text-align:left;padding-left:0}tbody th{white-space:normal}thead th{white-space:normal;color:var(--soft);font-weight:600;vertical-align:bottom}tbody th{font-weight:400}\
.examples{display:grid;grid-template-columns:repeat(auto-fill,minmax(7.6rem,1fr));gap:.7rem;margin:.6rem 0;padding:0;list-style:none}\
.examples li{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:.5rem;font-size:.84rem;line-height:1.4;overflow-wrap:anywhere}\
.examples img{width:100%;image-rendering:pixelated;border-radius:4px;display:block;margin-bottom:.35rem}.examples b{font-size:.95rem}.wrong{color:var(--bad)}\
pre{column-width:22rem;white-space:pre-wrap;overflow-wrap:anywhere;background:var(--card);border:1px solid var(--line);border-radius:8px;padding:.7rem;font-size:.8rem;line-height:1.45}\
@media(max-width:34rem){body{padding:.7rem .7rem 3rem}.tiles{grid-template-columns:1fr 1fr}table{font-size:.75rem}th,td{padding:.22rem .18rem}thead th{font-size:.68rem}.examples{grid-template-columns:repeat(3,1fr);gap:.4rem}.examples li{font-size:.76rem;padding:.35rem}}\
@media print{body{max-width:none;padding:0;font-size:12px}nav{display:none}figure,li,tr,.tiles>div{break-inside:avoid}h2,h3{break-after:avoid}.plots{grid-template-columns:1fr 1fr}.examples{grid-template-columns:repeat(auto-fill,minmax(6.4rem,1fr))}.examples li{font-size:.68rem}figcaption{font-size:.72rem}section>p{break-after:avoid}.table{overflow:visible}}";

/// Style of a plot that is a file of its own.
#[must_use]
pub fn of_file() -> String {
    format!("{}{PLOT}", colours(".plot"))
}

/// Style of the page, plots included.
#[must_use]
pub fn of_page() -> String {
    format!(
        "{}:root{{color-scheme:light dark}}@media print{{:root{{color-scheme:light}}}}{PAGE}{PLOT}",
        colours(":root")
    )
}

fn colours(of: &str) -> String {
    format!("{of}{{{LIGHT}}}@media screen and (prefers-color-scheme:dark){{{of}{{{DARK}}}}}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn colour(set: &str, name: &str) -> [f64; 3] {
        let hex = set.split(&format!("--{name}:#")).nth(1).unwrap().split(';').next().unwrap();
        let wide: String =
            if hex.len() == 3 { hex.chars().flat_map(|c| [c, c]).collect() } else { hex.into() };
        [0, 2, 4].map(|i| f64::from(u8::from_str_radix(&wide[i..i + 2], 16).unwrap()) / 255.0)
    }

    /// Relative luminance, WCAG 2.2.
    fn luminance(rgb: [f64; 3]) -> f64 {
        let [r, g, b] = rgb.map(|c| if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) });
        0.2126 * r + 0.7152 * g + 0.0722 * b
    }

    fn contrast(set: &str, a: &str, b: &str) -> f64 {
        let [a, b] = [a, b].map(|name| luminance(colour(set, name)) + 0.05);
        a.max(b) / a.min(b)
    }

    #[test]
    fn text_stands_out_by_four_and_a_half_and_marks_by_three() {
        for set in [LIGHT, DARK] {
            for ground in ["ground", "card"] {
                for text in ["ink", "soft", "bad", "link"] {
                    assert!(contrast(set, text, ground) >= 4.5, "{text} on {ground}");
                }
                for mark in ["c0", "c1", "c2", "c3", "c4", "c5"] {
                    assert!(contrast(set, mark, ground) >= 3.0, "{mark} on {ground}");
                }
            }
        }
        assert!((luminance([1.0; 3]) - 1.0).abs() < 1e-12);
    }
}
