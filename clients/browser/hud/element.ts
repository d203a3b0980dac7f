/** Attributes of a new element; `class` and `text` are shorthands, the rest is set with `setAttribute`. */
type Attributes = Readonly<Record<string, string>>;

/** Creates an element with attributes and children. Text is never parsed as HTML. */
export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  children: readonly (Node | string)[] = [],
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === 'class') made.className = value;
    else if (name === 'text') made.textContent = value;
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

/** Sets the text only when it differs: a HUD is written sixty times a second and changes once. */
export function setText(target: HTMLElement, text: string): void {
  if (target.textContent !== text) target.textContent = text;
}

/** Scales a bar's fill, `part` 0 to 1. */
export function setPart(fill: HTMLElement, part: number): void {
  const scale = `scaleX(${Math.max(0, Math.min(1, part)).toFixed(3)})`;
  if (fill.style.transform !== scale) fill.style.transform = scale;
}
