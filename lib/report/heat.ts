/**
 * Coverage as a heat map: an instrument a row, an hour a column, the worst of the hour as its colour and as its mark; below
 * it every hole with its reason.
 *
 * **In** coverages, **Out** HTML. **Knows** `coverage`.
 */
import { type Cover, type Coverage, type Fate, FATES, type Hour } from "../coverage.ts";
import { escaped } from "./escape.ts";

/** Holes that are listed; the worst come first. */
const HOLES_SHOWN = 500;

export const count = (n: number): string => n.toLocaleString("en");
export const plural = (n: number, word: string): string => `${count(n)} ${word}${n === 1 ? "" : "s"}`;

const KEY: readonly (readonly [fate: Fate, text: string])[] = [
  ["collected", "collected"],
  ["quiet", "quiet: open and connected, no rows"],
  ["closed", "closed"],
  ["lost", "lost, as was told (minutes)"],
  ["unaccounted", "unaccounted: a hole that nobody recorded (minutes)"],
  ["unasked", "not asked for, or not over yet"],
];

/** What an hour is: its worst, however short, and else what most of it was. */
export function worstOf({ minutes }: Hour): Fate {
  if (minutes.unaccounted > 0) return "unaccounted";
  if (minutes.lost > 0) return "lost";
  const [most] = FATES.toSorted((a, b) => minutes[b] - minutes[a]);
  return minutes.collected > 0 ? "collected" : most!;
}

/** The map of a date with its key. */
export function heatOf({ instruments }: Coverage): string {
  const hours = Array.from({ length: 24 }, (_, hour) => `<th scope="col">${String(hour).padStart(2, "0")}</th>`);
  const isOne = new Set(instruments.map(({ venue }) => venue)).size === 1;
  const key = KEY.map(([fate, text]) => `<li><i class="${fate}"></i>${text}</li>`).join("");
  return `<ul class="key">${key}</ul>
<div class="wide" role="region" aria-label="Coverage by hour" tabindex="0"><table class="heat${
    isOne ? " one" : ""
  }"><thead><tr><th scope="col">Instrument</th>${
    hours.join("")
  }<th scope="col">Expected</th><th scope="col">Lost</th><th scope="col">Unaccounted</th></tr></thead><tbody>
${instruments.map(rowOf).join("\n")}
</tbody></table></div>`;
}

function rowOf({ venue, symbol, hours, expected, minutes }: Cover): string {
  return `<tr><th scope="row">${escaped(symbol)}<small>${escaped(venue)}</small></th>${hours.map(cellOf).join("")}${
    [expected, minutes.lost, minutes.unaccounted].map((n) => `<td class="number">${n === 0 ? "" : timeText(n)}</td>`)
      .join("")
  }</tr>`;
}

function cellOf(hour: Hour): string {
  const fate = worstOf(hour);
  const told = FATES.filter((each) => hour.minutes[each] > 0).map((each) => `${each} ${hour.minutes[each]} min`);
  const mark = fate === "lost" || fate === "unaccounted" ? hour.minutes[fate] : "";
  return `<td class="${fate}" title="${told.join(", ")}, ${plural(hour.rows, "row")}">${mark}</td>`;
}

/** Every hole of a date, the worst first, as a table. */
export function holesOf({ instruments }: Coverage): string {
  const holes = instruments.flatMap(({ venue, symbol, holes }) => holes.map((hole) => ({ venue, symbol, ...hole })));
  if (holes.length === 0) return "";
  const worst = holes.toSorted((a, b) =>
    FATES.indexOf(a.fate) - FATES.indexOf(b.fate) || b.to - b.from - (a.to - a.from)
  );
  const rows = worst.slice(0, HOLES_SHOWN).map(({ venue, symbol, fate, from, to, why }) =>
    `<tr><td class="first short"><span class="mark ${
      fate === "lost" ? "warning" : "error"
    }">${fate}</span></td><th scope="row">${escaped(symbol)}<small>${
      escaped(venue)
    }</small></th><td class="short" data-label="From and to">${clockText(from)} to ${
      clockText(to)
    }</td><td class="number" data-label="How long">${timeText(to - from)}</td><td data-label="Why">${
      escaped(why)
    }</td></tr>`
  );
  const more = worst.length > HOLES_SHOWN ? `<p class="nothing">and ${count(worst.length - HOLES_SHOWN)} more</p>` : "";
  const heads = ["Fate", "Instrument", "From and to", "How long", "Why"].map((head) =>
    `<th scope="col"${head === "How long" ? ' class="number"' : ""}><span>${head}</span></th>`
  );
  return `<h2>Holes <small>${count(holes.length)}</small></h2>
<div class="wide"><table class="cards"><thead><tr>${heads.join("")}</tr></thead><tbody>${
    rows.join("\n")
  }</tbody></table>${more}</div>`;
}

/** Minutes as hours and minutes. */
export const timeText = (minutes: number): string =>
  minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h${minutes % 60 === 0 ? "" : ` ${minutes % 60} min`}`;

/** A minute of the day on the clock. */
export const clockText = (minute: number): string =>
  `${String(Math.floor(minute / 60)).padStart(2, "0")}:${String(minute % 60).padStart(2, "0")}`;
