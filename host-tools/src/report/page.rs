//! The page: one HTML file that needs nothing else, neither a network nor a script; for screens light and
//! dark, phones and paper.

use super::svg::escape;
use super::{Block, Card, Report, Section, Table, style};
use std::fmt::Write;

/// The whole page.
#[must_use]
pub fn page(report: &Report) -> String {
    let (title, summary) = (escape(&report.title), escape(&report.summary));
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\"><link rel=\"icon\" href=\"data:,\">\
         <title>{title}</title><style>{}</style></head>\n<body><header><h1>{title}</h1><p>{summary}</p></header>\n\
         <nav aria-label=\"Sections\">",
        style::of_page()
    );
    // Writing to a string cannot fail.
    for section in &report.sections {
        let _ = write!(html, "<a href=\"#{}\">{}</a>", section.id, escape(section.title));
    }
    html.push_str("</nav>\n<main>");
    report.sections.iter().for_each(|one| section(&mut html, one));
    html.push_str("</main></body></html>\n");
    html
}

fn section(html: &mut String, section: &Section) {
    let _ = write!(html, "<section id=\"{}\"><h2>{}</h2>", section.id, escape(section.title));
    section.blocks.iter().for_each(|one| block(html, one));
    html.push_str("</section>\n");
}

fn block(html: &mut String, block: &Block) {
    let _ = match block {
        Block::Text(text) => write!(html, "<p>{}</p>", escape(text)),
        Block::Verbatim(text) => write!(html, "<pre>{}</pre>", escape(text)),
        Block::Tiles(tiles) => {
            html.push_str("<dl class=\"tiles\">");
            for tile in tiles {
                let [name, value, note] = tile.each_ref().map(|text| escape(text));
                let _ = write!(html, "<div><dt>{name}</dt><dd>{value}</dd><dd>{note}</dd></div>");
            }
            write!(html, "</dl>")
        }
        Block::Plots(plots) => {
            html.push_str("<div class=\"plots\">");
            for (plot, caption) in plots {
                let caption = escape(caption);
                let _ = writeln!(html, "<figure>{}<figcaption>{caption}</figcaption></figure>", plot.svg());
            }
            write!(html, "</div>")
        }
        Block::Table(one) => {
            table(html, one);
            Ok(())
        }
        Block::Examples(title, cards) => {
            let _ = write!(html, "<h3>{}</h3><ul class=\"examples\">", escape(title));
            cards.iter().for_each(|one| card(html, one));
            write!(html, "</ul>")
        }
    };
}

/// A table scrolls by itself where it is wider than the screen; the page never does.
fn table(html: &mut String, table: &Table) {
    let name = escape(&table.name);
    let _ = write!(
        html,
        "<div class=\"table\" role=\"region\" aria-label=\"{name}\" tabindex=\"0\"><table><thead><tr>"
    );
    for title in &table.head {
        let _ = write!(html, "<th scope=\"col\">{}</th>", escape(title));
    }
    html.push_str("</tr></thead><tbody>");
    for row in &table.rows {
        html.push_str("<tr>");
        for (column, cell) in row.iter().enumerate() {
            let cell = escape(cell);
            let _ = if column == 0 {
                write!(html, "<th scope=\"row\">{cell}</th>")
            } else {
                write!(html, "<td>{cell}</td>")
            };
        }
        html.push_str("</tr>");
    }
    html.push_str("</tbody></table></div>");
}

fn card(html: &mut String, card: &Card) {
    html.push_str("<li>");
    if let Some(png) = &card.png {
        let alternative = escape(&card.alternative);
        let _ = write!(html, "<img alt=\"{alternative}\" src=\"data:image/png;base64,{png}\">");
    }
    let class = if card.wrong { " class=\"wrong\"" } else { "" };
    let _ = write!(html, "<b{class}>{}</b>", escape(&card.title));
    for line in &card.lines {
        let _ = write!(html, "<br>{}", escape(line));
    }
    html.push_str("</li>");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_from_data_are_text_and_never_markup() {
        let evil = "<script>alert('x')</script>\"&";
        let card = Card {
            png: None,
            alternative: evil.into(),
            title: evil.into(),
            wrong: true,
            lines: vec![evil.into()],
        };
        let blocks = vec![
            Block::Text(evil.into()),
            Block::Tiles(vec![[evil, evil, evil].map(String::from)]),
            Block::Table(Table::new(evil, &[evil], vec![vec![evil.into(), evil.into()]])),
            Block::Examples(evil.into(), vec![card]),
            Block::Verbatim(evil.into()),
        ];
        let sections = vec![Section { id: "a", title: "A", blocks }];
        let report = Report { title: evil.into(), summary: evil.into(), sections, figures: Vec::new() };
        let html = page(&report);
        assert!(!html.contains("<script") && !html.contains("'x'"), "{html}");
        assert_eq!(html.matches("&lt;script&gt;").count(), 15);
    }
}
