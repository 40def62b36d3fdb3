// Building and keeping elements. Text goes in as text alone: names of files are hostile, and no markup is ever parsed.

export const byId = id => document.getElementById(id);

/** An element with properties, and children that are nodes or text; `null` children are left out. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(properties)) {
    if (key === "data") Object.assign(element.dataset, value);
    else if (key in element) element[key] = value;
    else element.setAttribute(key, value);
  }
  element.append(...children.filter(child => child !== null && child !== undefined));
  return element;
}

/** Set the text only where it differs: a screen reader is not told the same thing twice, and a selection stays. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * Let `parent` show one child for each item, in order: known ones (by key) stay and are updated, so that focus and
 * loaded pictures survive; others come and go.
 */
export function keep(parent, items, keyOf, create, update) {
  const former = new Map([...parent.children].map(child => [child.dataset.key, child]));
  const children = items.map(item => {
    const key = String(keyOf(item));
    const child = former.get(key) ?? create(item);
    child.dataset.key = key;
    update(child, item);
    former.delete(key);
    return child;
  });
  for (const gone of former.values()) gone.remove();
  children.forEach((child, n) => {
    if (parent.children[n] !== child) parent.insertBefore(child, parent.children[n] ?? null);
  });
}
