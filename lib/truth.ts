/**
 * Holding the verdicts against what a simulator planted: which faults were caught under which reason, which were missed,
 * and which clean tick was wrongly rejected.
 *
 * **In** the text of a `--truth` file, the sound ticks of the books, the closed books, **Out** a score.
 * **Knows** `books`, `plant`, `tick`, `failure`.
 */
import { z } from "@zod/zod";
import type { Books } from "./books.ts";
import { Misuse, reasonOf } from "./failure.ts";
import type { ValidTick } from "./tick.ts";

/** A line of the file: where a fault was planted and what must become of it. */
const Line = z.object({
  partition: z.int().min(0),
  offset: z.int().min(0),
  fault: z.string(),
  symbol: z.string(),
  type: z.enum(["trade", "quote"]),
  /** Of a gap the number that is missing. */
  sequence: z.int().nullable(),
  reason: z.string(),
  outcome: z.enum(["rejected", "flagged"]),
  also: z.array(z.string()),
});
type Line = Readonly<z.infer<typeof Line>>;

/** How the planted faults fared. */
export interface Score {
  readonly planted: number;
  /** Under their own reason, by reason. */
  readonly caught: Readonly<Record<string, number>>;
  /** Not caught, or under a reason that the fault cannot have. */
  readonly missed: readonly { readonly place: string; readonly fault: string; readonly found: string }[];
  /** Gaps whose window had not closed at the cut: nobody can have declared them yet. */
  readonly open: number;
  /** Beyond the cut: not judged yet. */
  readonly behind: number;
  /** Rejected, or flagged with anything but a gap and another order, though nothing was planted there. */
  readonly wronglyRejected: readonly { readonly place: string; readonly found: string }[];
  readonly wronglyFlagged: readonly { readonly place: string; readonly found: string }[];
}

/** Bounds of the window in which a missing number may still arrive; as the rules in force have them. */
export interface WindowBounds {
  readonly windowMax: number;
  readonly lateMsMax: number;
}

/** Gaps of one series. */
interface Planted {
  readonly bounds: WindowBounds;
  /** In the order of their numbers. */
  readonly gaps: readonly Line[];
  /** How many of them have opened: a tick behind the missing one was there. */
  opened: number;
  /** Of those that have opened and whose window has not closed, in order: the newest event time when they did, µs. */
  readonly waiting: { readonly gap: Line; readonly openedAt: number }[];
  /** Highest number and newest event time of the series so far. */
  highest: number;
  newest: number;
}

/**
 * What was planted. A gap is caught by one tick alone: the one with which the window closes over the missing number, and
 * which has to bear the flag. So it is shown every sound tick of the books, in the order of the log.
 */
export class Truth {
  readonly #lines: readonly Line[];
  readonly #series = new Map<string, Planted>();
  /** What the tick that closed its window was flagged with. */
  readonly #closed = new Map<Line, readonly string[]>();

  /** `bounds` are those in force for a series in its partition. @throws {Misuse} for a line that is no truth */
  constructor(
    path: string,
    text: string,
    bounds: (partition: number, symbol: string, type: Line["type"]) => WindowBounds,
  ) {
    this.#lines = text.split("\n").flatMap((line, i) => line === "" ? [] : [lineOf(path, i + 1, line)]);
    const gaps = Map.groupBy(
      this.#lines.filter(isGap),
      ({ partition, symbol, type }) => seriesOf(partition, { venue: "sim", symbol, type }),
    );
    for (const [series, list] of gaps) {
      this.#series.set(series, {
        bounds: bounds(list[0]!.partition, list[0]!.symbol, list[0]!.type),
        gaps: list.toSorted((a, b) => a.sequence! - b.sequence!),
        ...{ opened: 0, waiting: [], highest: -1, newest: -1 },
      });
    }
  }

  /** The next sound tick of a partition. */
  see(partition: number, tick: ValidTick): void {
    if (tick.sequence === null) return;
    const series = this.#series.get(seriesOf(partition, tick));
    if (series === undefined) return;
    const { bounds, gaps, waiting } = series;
    series.newest = Math.max(series.newest, tick.eventTime);
    series.highest = Math.max(series.highest, tick.sequence);
    // It opens when the numbers have gone beyond it, whichever of them arrives first.
    for (
      let gap = gaps[series.opened];
      gap !== undefined && gap.sequence! < series.highest;
      gap = gaps[++series.opened]
    ) {
      waiting.push({ gap, openedAt: series.newest });
    }
    const lowest = series.highest - bounds.windowMax, expired = series.newest - bounds.lateMsMax * 1_000;
    while (waiting.length > 0 && (waiting[0]!.gap.sequence! < lowest || waiting[0]!.openedAt < expired)) {
      this.#closed.set(waiting.shift()!.gap, tick.flags ?? []);
    }
  }

  /** Scores the books, whose sound ticks it has seen. */
  score(books: readonly Books[]): Score {
    const caught: Record<string, number> = {};
    const missed: { place: string; fault: string; found: string }[] = [];
    const known = new Set<string>();
    let open = 0;
    let behind = 0;
    for (const line of this.#lines) {
      const book = books[line.partition];
      const place = `${line.partition}/${line.offset}`;
      if (book === undefined || line.offset >= book.cut) {
        behind++;
        continue;
      }
      known.add(place);
      const found = isGap(line)
        ? this.#closed.get(line)
        : (line.outcome === "rejected" ? book.rejections : book.flagged).get(line.offset) ?? [];
      if (found === undefined) {
        open++;
        continue;
      }
      const others = found.filter((reason) => reason !== line.reason && !line.also.includes(reason));
      const fits = line.outcome === "rejected"
        ? found[0] === line.reason && others.length === 0
        : found.includes(line.reason) && !others.some(isNoticed);
      if (fits) caught[line.reason] = (caught[line.reason] ?? 0) + 1;
      else missed.push({ place, fault: line.fault, found: found.join(",") || "nothing" });
    }
    const unplanted = (partition: number, found: ReadonlyMap<number, readonly string[]>) =>
      [...found].map(([origin, names]) => ({ place: `${partition}/${origin}`, found: names.join(",") }))
        .filter(({ place }) => !known.has(place));
    const wronglyRejected = books.flatMap(({ partition, rejections }) => unplanted(partition, rejections));
    const wronglyFlagged = books.flatMap(({ partition, flagged }) =>
      unplanted(partition, new Map([...flagged].filter(([, flags]) => flags.some(isNoticed))))
    );
    return { planted: this.#lines.length, caught, missed, open, behind, wronglyRejected, wronglyFlagged };
  }
}

/** A gap is told by whichever tick closes its window, and the order is whatever it is. */
const isNoticed = (flag: string): boolean => flag !== "gap" && flag !== "reordered";
const isGap = ({ reason, sequence }: Line): boolean => reason === "gap" && sequence !== null;
const seriesOf = (partition: number, tick: { venue: string; symbol: string; type: string }): string =>
  `${partition} ${tick.venue}:${tick.symbol}/${tick.type}`;

function lineOf(path: string, number: number, text: string): Line {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw badLine(path, number, reasonOf(error));
  }
  const { data, error } = Line.safeParse(value);
  if (data !== undefined) return data;
  const issue = error!.issues[0]!;
  throw badLine(path, number, `${issue.path.join(".") || "its value"}: ${issue.message}`);
}

const badLine = (path: string, number: number, why: string): Misuse =>
  new Misuse(`Cannot read truth "${path}": line ${number} is no truth (${why}), must be as simulate wrote it`);
