// Looks at a report as a browser has laid it out, and writes what it finds, one line each, into the
// element #probe: "plot ID", "width N" and "wrong ...". Added to a copy of the page by `report.rs`.
addEventListener('load', () => {
  const lines = [];
  const wrong = (text) => lines.push('wrong ' + text);
  const root = document.documentElement;

  lines.push('width ' + innerWidth);
  lines.push('dark ' + matchMedia('(prefers-color-scheme: dark)').matches);
  if (root.scrollWidth > innerWidth) wrong(`the page is ${root.scrollWidth} wide on a screen of ${innerWidth}`);
  for (const entry of performance.getEntriesByType('resource')) {
    if (!entry.name.startsWith('data:')) wrong(`loads ${entry.name}`);
  }
  for (const image of document.images) {
    if (!image.complete || image.naturalWidth === 0) wrong(`picture not shown: ${image.alt}`);
    if (!image.alt) wrong('picture without a text alternative');
  }
  const ids = new Set();
  for (const element of document.querySelectorAll('[id]')) {
    if (ids.has(element.id)) wrong(`two elements have the id ${element.id}`);
    ids.add(element.id);
  }

  // Channels from 0 to 1 of a computed colour, and WCAG's relative luminance of it.
  const channels = (color) => (color.match(/[\d.]+/g) || []).map(Number);
  const luminance = ([r, g, b]) => {
    const linear = (c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4);
    return 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  };
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = channels(getComputedStyle(at).backgroundColor);
      if (color.length === 3 || color[3] > 0) return color;
    }
    return [255, 255, 255];
  };
  const contrast = (a, b) => {
    const [x, y] = [luminance(a) + 0.05, luminance(b) + 0.05];
    return Math.max(x, y) / Math.min(x, y);
  };
  for (const element of document.querySelectorAll('body *')) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!own || element.closest('svg')) continue;
    const ratio = contrast(channels(getComputedStyle(element).color), ground(element));
    if (ratio < 4.5) wrong(`contrast ${ratio.toFixed(2)} of "${element.textContent.slice(0, 40)}"`);
  }

  const apart = (a, b) => a.right <= b.left + 1 || b.right <= a.left + 1 || a.bottom <= b.top + 2 || b.bottom <= a.top + 2;
  for (const svg of document.querySelectorAll('svg.plot')) {
    lines.push('plot ' + svg.id);
    const frame = svg.getBoundingClientRect();
    if (frame.width < 200 || frame.height < 150) wrong(`${svg.id} is ${frame.width} x ${frame.height}`);
    const paper = channels(getComputedStyle(svg.querySelector('.ground')).fill);
    const texts = [...svg.querySelectorAll('text')].map((text) => ({ text, box: text.getBoundingClientRect() }));
    for (const { text, box } of texts) {
      const said = `"${text.textContent}" in ${svg.id}`;
      if (box.left < frame.left - 1 || box.right > frame.right + 1 || box.top < frame.top - 1 || box.bottom > frame.bottom + 1) {
        wrong(`${said} is cut off`);
      }
      const size = parseFloat(getComputedStyle(text).fontSize) * (frame.width / svg.viewBox.baseVal.width);
      if (size < 7) wrong(`${said} is ${size.toFixed(1)} pixels small`);
      if (contrast(channels(getComputedStyle(text).fill), paper) < 4.5) wrong(`${said} is too faint`);
    }
    texts.forEach((a, i) => texts.slice(i + 1).forEach((b) => {
      if (!apart(a.box, b.box)) wrong(`"${a.text.textContent}" over "${b.text.textContent}" in ${svg.id}`);
    }));
    if (!svg.querySelector('desc').textContent.trim()) wrong(`${svg.id} has no description`);
    if (![...svg.querySelectorAll('g path, g rect')].some((mark) => mark.getBBox().width + mark.getBBox().height > 0)) {
      wrong(`${svg.id} shows nothing`);
    }
  }

  const probe = document.createElement('pre');
  probe.id = 'probe';
  probe.textContent = lines.join('\n');
  // The page stands in a frame.
  parent.document.body.append(probe);
});
