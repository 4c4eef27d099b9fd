/**
 * Holding the verdicts against what a simulator planted: which faults were caught under which reason, which were missed,
 * and which clean tick was wrongly rejected.
 *
 * **In** the lines of a `--truth` file and the closed books, **Out** a score.
 * **Knows** `books`, `plant`.
 */
import { z } from "@zod/zod";
import type { Books } from "./books.ts";

/** A line of the file: where a fault was planted and what must become of it. */
const Line = z.object({
  partition: z.int().min(0),
  offset: z.int().min(0),
  fault: z.string(),
  symbol: z.string(),
  type: z.string(),
  sequence: z.int().nullable(),
  reason: z.string(),
  outcome: z.enum(["rejected", "flagged"]),
  also: z.array(z.string()),
  /** Of a gap: event time of the tick behind the missing one, µs; that is when the hole opened. */
  eventTime: z.int().optional(),
});
type Line = z.infer<typeof Line>;

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
  /** Rejected though nothing was planted there. */
  readonly wronglyRejected: readonly { readonly place: string; readonly found: string }[];
}

/** Bounds of the window in which a missing number may still arrive; as the rules in force have them. */
export interface WindowBounds {
  readonly windowMax: number;
  readonly lateMsMax: number;
}

/** Scores the books against the lines of a truth file. @throws {z.ZodError} for a line that is no truth */
export function score(lines: Iterable<string>, books: readonly Books[], bounds: WindowBounds): Score {
  const caught: Record<string, number> = {};
  const missed: { place: string; fault: string; found: string }[] = [];
  const known = new Set<string>();
  const gaps = new Map<string, Line[]>();
  let planted = 0;
  let behind = 0;
  for (const text of lines) {
    const line = Line.parse(JSON.parse(text));
    const book = books[line.partition];
    const place = `${line.partition}/${line.offset}`;
    planted++;
    if (book === undefined || line.offset >= book.cut) {
      behind++;
      continue;
    }
    if (line.reason === "gap") {
      const series = `${line.partition} sim:${line.symbol}/${line.type}`;
      gaps.set(series, [...gaps.get(series) ?? [], line]);
      continue;
    }
    if (line.outcome === "rejected") known.add(place);
    const found = (line.outcome === "rejected" ? book.rejections : book.flagged).get(line.offset)?.reasons ?? [];
    const fits = line.outcome === "rejected"
      ? found[0] === line.reason && found.every((reason) => reason === line.reason || line.also.includes(reason))
      : found.includes(line.reason);
    if (fits) caught[line.reason] = (caught[line.reason] ?? 0) + 1;
    else missed.push({ place, fault: line.fault, found: found.join(",") || "nothing" });
  }
  let open = 0;
  for (const [key, list] of gaps) {
    const [partition, series] = key.split(" ", 2) as [string, string];
    const book = books[Number(partition)]!;
    const declared = [...book.flagged].filter(([, tick]) => tick.series === series && tick.reasons.includes("gap"));
    const newest = book.newest.get(series);
    for (const gap of list) {
      const closing = declared.find(([origin]) => origin >= gap.offset);
      if (closing !== undefined) caught.gap = (caught.gap ?? 0) + 1;
      else if (newest === undefined || isOpen(gap, newest, bounds)) open++;
      else missed.push({ place: `${gap.partition}/${gap.offset}`, fault: gap.fault, found: "nothing" });
    }
  }
  const wronglyRejected = books.flatMap((book) =>
    [...book.rejections].filter(([origin]) => !known.has(`${book.partition}/${origin}`)).map((
      [origin, { reasons }],
    ) => ({
      place: `${book.partition}/${origin}`,
      found: reasons.join(","),
    }))
  );
  return { planted, caught, missed, open, behind, wronglyRejected };
}

/**
 * Whether a missing number may still arrive: the series has not gone `windowMax` numbers beyond it, and `lateMsMax` of
 * event time has not passed since the hole opened.
 */
function isOpen(gap: Line, newest: { sequence: number; eventTime: number }, bounds: WindowBounds): boolean {
  return newest.sequence - (gap.sequence ?? 0) <= bounds.windowMax &&
    newest.eventTime - (gap.eventTime ?? 0) <= bounds.lateMsMax * 1000;
}
