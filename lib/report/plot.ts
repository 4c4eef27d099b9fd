/**
 * A measure over a day as a small drawing, in the page itself: a line that breaks where nothing was measured. Of a day of
 * which little was measured that little is drawn, as steps.
 *
 * **In** plots, **Out** SVG. **Knows** `check`.
 */
import type { Plot } from "../check.ts";
import { escaped } from "./escape.ts";
import { clockText } from "./heat.ts";

const WIDTH = 288, HEIGHT = 56;
const DAY = 1_440;

/** Minutes of the day that are drawn; `to` is no longer included. */
interface Span {
  readonly from: number;
  readonly to: number;
}
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
  const span = spanOf(plots);
  const ordered = plots.toSorted((a, b) => ORDER.indexOf(a.name) - ORDER.indexOf(b.name));
  return `<article class="day" data-venue="${escaped(venue)}" data-symbol="${escaped(symbol)}"><h3>${
    escaped(symbol)
  }<small>${escaped(venue)}, ${escaped(date)}</small></h3><div class="plots">${
    ordered.map((plot) => figureOf(plot, span)).join("")
  }</div></article>`;
}

/** From the first to the last bucket of any of them that has something, where that is less than a quarter of the day. */
function spanOf(plots: readonly Plot[]): Span {
  const has = (value: number | null): boolean => value !== null && value !== 0;
  const some = plots.filter(({ values }) => values.some(has));
  const from = Math.min(...some.map(({ minutes, values }) => values.findIndex(has) * minutes));
  const to = Math.max(...some.map(({ minutes, values }) => (values.findLastIndex(has) + 1) * minutes));
  return to - from > 0 && to - from < DAY / 4 ? { from, to } : { from: 0, to: DAY };
}

function figureOf({ name, minutes, values: all }: Plot, { from, to }: Span): string {
  const caption = CAPTIONS[name](minutes);
  const isWhole = to - from === DAY;
  const values = isWhole ? all : all.slice(Math.floor(from / minutes), Math.ceil(to / minutes));
  const known = values.filter((value) => value !== null).sort((a, b) => a - b);
  if (known.length === 0) {
    return `<figure><figcaption><b>${escaped(caption)}</b><span>nothing measured</span></figcaption></figure>`;
  }
  const least = known[0]!, most = known.at(-1)!, median = known[known.length >> 1]!;
  const told = `${shown.format(least)} to ${shown.format(most)}, median ${shown.format(median)}`;
  const { line, area } = isWhole ? pathOf(values, Math.min(0, least), most) : stepsOf(values, Math.min(0, least), most);
  const labels = isWhole
    ? ["00", "06", "12", "18", "24"]
    : [from, ...((to - from) % 2 === 0 ? [(from + to) / 2] : []), to].map(clockText);
  return `<figure><figcaption><b>${escaped(caption)}</b><span>${told}</span></figcaption>` +
    `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none" role="img" aria-label="${
      escaped(`${caption}: ${told}${isWhole ? "" : `, ${clockText(from)} to ${clockText(to)}`}`)
    }"><path class="area" d="${area}"/><path class="line" d="${line}"/></svg>` +
    `<div class="hours" aria-hidden="true">${labels.map((label) => `<span>${label}</span>`).join("")}</div></figure>`;
}

const heightOf = (value: number, least: number, most: number): string =>
  (HEIGHT - (value - least) / (most - least || 1) * HEIGHT).toFixed(1);

/** The measures as steps, each as wide as its bucket. */
function stepsOf(values: readonly (number | null)[], least: number, most: number): { line: string; area: string } {
  const x = (i: number): string => (i / values.length * WIDTH).toFixed(1);
  let line = "", area = "";
  values.forEach((value, i) => {
    if (value === null) return;
    const y = heightOf(value, least, most);
    line += i === 0 || values[i - 1] === null ? `M${x(i)} ${y}` : `V${y}`;
    line += `H${x(i + 1)}`;
    area += `M${x(i)} ${HEIGHT}V${y}H${x(i + 1)}V${HEIGHT}Z`;
  });
  return { line, area };
}

/** The line through the measures, broken where there is none, and the area below it. */
function pathOf(values: readonly (number | null)[], least: number, most: number): { line: string; area: string } {
  const x = (i: number): string => ((i + 0.5) / values.length * WIDTH).toFixed(1);
  const y = (value: number): string => heightOf(value, least, most);
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
