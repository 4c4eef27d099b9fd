/**
 * Dead letters: what `validate` rejected, read back with its original bytes from the hot store, or from the topic.
 *
 * A letter is named by its raw place, `ticks.raw/2/418223`. It has no time of its own: what is said of "since" holds for
 * the time of receipt that it tells, and a letter that tells none is older than nothing.
 * **In** a store or a log, **Out** letters in the order of their origin, what they tell, and whether they are wanted.
 * **Knows** `fence`, `hot`, `reading`, `schema`, `table`, `tick`, `transport`, `failure`.
 */
import { Buffer } from "node:buffer";
import { Misuse } from "./failure.ts";
import { rejectedOf } from "./fence.ts";
import type { Hot } from "./hot.ts";
import { parse, textOf } from "./reading.ts";
import { HOT_TABLES } from "./schema.ts";
import type { Row } from "./table.ts";
import { isMicros, isSymbol, isVenue, type TickType, TYPES } from "./tick.ts";
import { type Range, TOPICS, type Transport } from "./transport.ts";

export const SEVERITIES = ["reject", "quarantine"] as const;

/** A rejected message, wherever it was read. */
export interface Letter {
  readonly partition: number;
  /** Offset of the raw message. */
  readonly origin: number;
  readonly key: string | null;
  /** The first broken rule, and all of them. */
  readonly reason: string;
  readonly reasons: readonly string[];
  readonly severity: string;
  /** The rules that it broke. */
  readonly rules: string;
  /** How often it had been redriven. */
  readonly replays: number;
  /** Where it stood in its series; null where that is not known. */
  readonly standing: string | null;
  readonly raw: string | null;
  readonly rawBase64: string | null;
}

/** What a letter tells of itself, null where it does not. */
export interface Contents {
  readonly venue: string | null;
  readonly symbol: string | null;
  readonly type: TickType | null;
  /** µs. */
  readonly receivedTime: number | null;
  readonly frame: string | null;
  /** The text of it, and the object that the text is. */
  readonly text: string | null;
  readonly value: Readonly<Record<string, unknown>> | null;
}

/** Which letters are wanted; null for any. */
export interface Filter {
  readonly reason: string | null;
  readonly venue: string | null;
  readonly symbol: string | null;
  readonly severity: string | null;
  /** µs. */
  readonly since: number | null;
}

/** Where letters lie. */
export interface Letters {
  readonly store: "hot" | "topic";
  /** Letters of a partition with `from <= origin < to`, as far as they go when this is asked. */
  read(partition: number, from: number, to: number): AsyncIterable<readonly Letter[]>;
}

/** The raw place that names a letter. */
export const placeOf = ({ partition, origin }: Pick<Letter, "partition" | "origin">): string =>
  `${TOPICS.raw}/${partition}/${origin}`;

/** Letters of the hot store. */
export function lettersInHot(hot: Pick<Hot, "rows">): Letters {
  return {
    store: "hot",
    async *read(partition, from, to) {
      for await (const rows of hot.rows("rejected", partition, from, to)) yield rows.map(letterOf);
    },
  };
}

/** Letters of the topic, each once. */
export function lettersInTopic(
  log: Pick<Transport, "read">,
  ranges: () => Promise<readonly Range[]>,
  signal: AbortSignal,
): Letters {
  return {
    store: "topic",
    async *read(partition, from, to) {
      const topic = TOPICS.rejected;
      const { low, high } = (await ranges())[partition] ?? { low: 0, high: 0 };
      let highest = from - 1;
      if (low >= high) return;
      for await (const records of log.read(topic, partition, low, high, signal)) {
        const letters: Letter[] = [];
        for (const record of records) {
          const message = rejectedOf(record, { topic, partition });
          if (message.origin <= highest || message.origin >= to) continue;
          highest = message.origin;
          letters.push(message);
        }
        if (letters.length > 0) yield letters;
      }
    },
  };
}

const AT = Object.fromEntries(HOT_TABLES.rejected.map(({ name }, i) => [name, i]));

function letterOf(row: Row): Letter {
  const cell = (name: string) => row[AT[name]!] ?? null;
  return {
    partition: cell("partition") as number,
    origin: cell("origin") as number,
    key: cell("key") as string | null,
    reason: cell("reason") as string,
    reasons: JSON.parse(String(cell("reasons"))) as string[],
    severity: cell("severity") as string,
    rules: cell("rules") as string,
    replays: cell("replays") as number,
    standing: cell("standing") as string | null,
    raw: cell("raw") as string | null,
    rawBase64: cell("raw_base64") as string | null,
  };
}

/** Whether the letter holds the first bytes of its message alone. */
export const isCut = ({ raw, rawBase64 }: Letter): boolean => raw !== null && rawBase64 !== null;

/** The original bytes; the first of them where the letter is cut. */
export function bytesIn({ raw, rawBase64 }: Letter): Buffer {
  return rawBase64 === null ? Buffer.from(raw!) : Buffer.from(rawBase64, "base64");
}

/** What the letter tells. Venue and symbol may be told by its key alone. */
export function contentsOf(letter: Letter): Contents {
  const text = isCut(letter) ? null : textOf(letter.raw ?? bytesIn(letter));
  const parsed = text === null ? undefined : parse(text);
  const value = isObject(parsed) ? parsed : null;
  const colon = letter.key?.indexOf(":") ?? -1;
  const named = colon < 0 ? [null, null] : [letter.key!.slice(0, colon), letter.key!.slice(colon + 1)];
  const or = <T>(is: (v: unknown) => v is T, ...told: unknown[]): T | null => told.find(is) ?? null;
  return {
    venue: or(isVenue, value?.venue, named[0]),
    symbol: or(isSymbol, value?.symbol, named[1]),
    type: TYPES.find((type) => type === value?.type) ?? null,
    receivedTime: or(isMicros, value?.receivedTime),
    frame: typeof value?.frame === "string" ? value.frame : null,
    ...{ text, value },
  };
}

/** Whether the letter is one of those that are wanted. */
export function isWanted(filter: Filter, letter: Letter, contents: Contents): boolean {
  return (filter.reason === null || filter.reason === letter.reason) &&
    (filter.severity === null || filter.severity === letter.severity) &&
    (filter.venue === null || filter.venue === contents.venue) &&
    (filter.symbol === null || filter.symbol === contents.symbol) &&
    (filter.since === null || contents.receivedTime !== null && contents.receivedTime >= filter.since);
}

const UNITS = { s: 1e6, m: 60e6, h: 3_600e6, d: 86_400e6 } as const;

/** Since when, µs: a time, or how long before `now`. @throws {Misuse} for what is neither */
export function sinceOf(text: string, now: number): number {
  const ago = /^(\d{1,9})([smhd])$/.exec(text);
  if (ago !== null) return now - Number(ago[1]) * UNITS[ago[2] as keyof typeof UNITS];
  if (/^\d{16}$/.test(text)) return Number(text);
  try {
    return Number(Temporal.Instant.from(text).epochNanoseconds / 1_000n);
  } catch {
    throw new Misuse(
      `Cannot use --since "${text}": it is no time, must be like 1h, 30m, 7d, 2026-11-20T10:00:00Z or µs since the epoch`,
    );
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
