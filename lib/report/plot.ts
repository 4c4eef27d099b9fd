/**
 * A measure over a day as a small drawing, in the page itself: a line that breaks where nothing was measured.
 *
 * **In** plots, **Out** SVG. **Knows** `check`.
 */
import type { Plot } from "../check.ts";
import { escaped } from "./escape.ts";

const WIDTH = 288, HEIGHT = 56;
const CAPTIONS: Readonly<Record<Plot["name"], (minutes: number) => string>> = {
  count: (minutes) => `Rows in ${minutes} min`,
  spread: () => "Spread, basis points",
  gap: () => "Longest gap, s",
};
/** The order in which they stand beside each other. */
const ORDER: readonly Plot["name"][] = ["count", "spread", "gap"];

const shown = new Intl.NumberFormat("en", { maximumSignificantDigits: 4 });

/** The day of an instrument: a card with its plots beside each other. */
export function dayOf(plots: readonly Plot[]): string {
  const { venue, symbol, date } = plots[0]!;
  const ordered = plots.toSorted((a, b) => ORDER.indexOf(a.name) - ORDER.indexOf(b.name));
  return `<article class="day" data-venue="${escaped(venue)}" data-symbol="${escaped(symbol)}"><h3>${
    escaped(symbol)
  }<small>${escaped(venue)}, ${escaped(date)}</small></h3><div class="plots">${
    ordered.map(figureOf).join("")
  }</div></article>`;
}

function figureOf({ name, minutes, values }: Plot): string {
  const caption = CAPTIONS[name](minutes);
  const known = values.filter((value) => value !== null).sort((a, b) => a - b);
  if (known.length === 0) {
    return `<figure><figcaption><b>${escaped(caption)}</b><span>nothing measured</span></figcaption></figure>`;
  }
  const least = known[0]!, most = known.at(-1)!, median = known[known.length >> 1]!;
  const told = `${shown.format(least)} to ${shown.format(most)}, median ${shown.format(median)}`;
  const { line, area } = pathOf(values, Math.min(0, least), most);
  return `<figure><figcaption><b>${escaped(caption)}</b><span>${told}</span></figcaption>` +
    `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none" role="img" aria-label="${
      escaped(`${caption}: ${told}`)
    }"><path class="area" d="${area}"/><path class="line" d="${line}"/></svg>` +
    '<div class="hours" aria-hidden="true"><span>00</span><span>06</span><span>12</span><span>18</span><span>24</span></div></figure>';
}

/** The line through the measures, broken where there is none, and the area below it. */
function pathOf(values: readonly (number | null)[], least: number, most: number): { line: string; area: string } {
  const x = (i: number): string => ((i + 0.5) / values.length * WIDTH).toFixed(1);
  const y = (value: number): string => (HEIGHT - (value - least) / (most - least || 1) * HEIGHT).toFixed(1);
  let line = "", area = "", begun = -1;
  values.forEach((value, i) => {
    if (value === null) return;
    if (i === 0 || values[i - 1] === null) begun = i;
    const place = `${x(i)} ${y(value)}`;
    line += begun === i ? `M${place}` : `L${place}`;
    area += begun === i ? `M${x(i)} ${HEIGHT}L${place}` : `L${place}`;
    if (i === values.length - 1 || values[i + 1] === null) {
      // One measure alone would be a line without length.
      if (begun === i) line += "h1.5";
      area += `L${x(i)} ${HEIGHT}Z`;
    }
  });
  return { line, area };
}
