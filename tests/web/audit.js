// What a reader by ear, by keyboard or with weak eyes would miss in the page as it stands.
() => {
  const seen = element => element.checkVisibility();
  const all = selector => [...document.querySelectorAll(selector)].filter(seen);
  const texts = (element, attribute) => (element.getAttribute(attribute) ?? "").split(" ").filter(Boolean)
    .map(id => document.getElementById(id)?.textContent ?? "");
  const labels = element => [...(element.labels ?? [])].map(label => label.textContent);
  const named = element => [element.getAttribute("aria-label") ?? "", element.textContent, ...labels(element),
    ...texts(element, "aria-labelledby")].join("").trim();
  const pointsNowhere = element => ["aria-labelledby", "aria-describedby", "for"].some(attribute =>
    (element.getAttribute(attribute) ?? "").split(" ").some(id => id && !document.getElementById(id)));
  const ids = [...document.querySelectorAll("[id]")].map(element => element.id);
  const shown = elements => elements.map(element => element.outerHTML.slice(0, 200));

  const channel = value => (value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4);
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const colour = text => (text.match(/[\d.]+/g) ?? []).map(Number);
  const ground = element => {
    for (; element; element = element.parentElement) {
      const found = colour(getComputedStyle(element).backgroundColor);
      if (found.length && (found[3] ?? 1) === 1) return found;
    }
    return [255, 255, 255];
  };
  const contrast = element => { // WCAG 2.2, 1.4.3
    const pair = [light(colour(getComputedStyle(element).color)), light(ground(element))].sort((a, b) => b - a);
    return (pair[0] + 0.05) / (pair[1] + 0.05);
  };
  const weak = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement, text = walker.currentNode.data.trim();
    if (text && seen(element) && !element.disabled && contrast(element) < 4.5) weak.push(text);
  }

  return {
    nameless: shown(all("button, input, select, progress, dialog, section, nav, aside, a[href]").filter(e => !named(e))),
    pictures: shown(all("img:not([alt])")),
    doubled: ids.filter((id, n) => ids.indexOf(id) !== n),
    nowhere: shown([...document.querySelectorAll("[aria-labelledby], [aria-describedby], [for]")].filter(pointsNowhere)),
    small: shown(all("button, select, input").filter(e => e.getBoundingClientRect().height < 24)), // WCAG 2.2, 2.5.8
    weak,
    headings: all("h1").length,
    mains: all("main").length,
    language: document.documentElement.lang,
    live: all("[role=status], [role=alert], [aria-live]").map(element => element.id),
  };
}
