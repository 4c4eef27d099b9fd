/**
 * A past day judged once more by other rules: which verdicts would have been others. Two judges read the log from its
 * beginning, since rules remember; one hears the rules files of the log, the other the new one alone.
 *
 * **In** the records of `ticks.raw`, rules, a day; **Out** what would have become of messages otherwise, with examples.
 * **Knows** `judge`, `reading`, `transport`.
 */
import { Judge, type Verdict } from "./judge.ts";
import { textOf } from "./reading.ts";
import type { LogRecord, Range, Transport } from "./transport.ts";

const EXAMPLES_MAX = 3;
const DAY = 86_400_000_000;

/** Messages that one thing became of, and that another would have become of. */
export interface Change {
  /** `sound`, or `reject`, `quarantine` or `flag`, and the rules for which it was that. */
  readonly was: string;
  readonly would: string;
  readonly count: number;
  readonly examples: readonly { readonly place: string; readonly message: string }[];
}
export interface Retrial {
  /** Messages whose event is of the day. */
  readonly judged: number;
  /** Those among them whose verdict would be another. */
  readonly changed: number;
  readonly passing: { readonly was: number; readonly would: number };
  readonly changes: readonly Change[];
  /** The earliest and the latest event time of what passed on any day, µs; null where nothing did. */
  readonly span: readonly [first: number, last: number] | null;
}

/** Judges a day again. `record` is the control record of the rules that are tried. */
export async function retry(
  { log, topic, ranges, date, record, signal }: {
    readonly log: Pick<Transport, "read">;
    readonly topic: string;
    readonly ranges: readonly Range[];
    readonly date: string;
    readonly record: string;
    readonly signal: AbortSignal;
  },
): Promise<Retrial> {
  const from = Date.parse(`${date}T00:00:00Z`) * 1_000;
  const changes = new Map<string, { -readonly [Name in keyof Change]: Change[Name] }>();
  const passing = { was: 0, would: 0 };
  let judged = 0, changed = 0, first = Infinity, last = -Infinity;
  for (const [partition, { low, high }] of ranges.entries()) {
    const was = new Judge({ topic, partition }), would = new Judge({ topic, partition });
    would.judge({ offset: low, key: null, value: record, control: true });
    for await (const records of log.read(topic, partition, low, high, signal)) {
      for (const each of records) {
        const before = was.judge(each);
        if (before.to === "control") {
          if (!saysRules(each)) would.judge(each);
          continue;
        }
        const after = would.judge(each);
        const time = eventTimeIn(each);
        if (before.to === "valid" && time >= 0) {
          first = Math.min(first, time);
          last = Math.max(last, time);
        }
        if (!(time >= from && time < from + DAY)) continue;
        judged++;
        if (before.to === "valid") passing.was++;
        if (after.to === "valid") passing.would++;
        const [stood, stands] = [standingOf(before), standingOf(after)];
        if (stood === stands) continue;
        changed++;
        const name = `${stood} → ${stands}`;
        let change = changes.get(name);
        if (change === undefined) changes.set(name, change = { was: stood, would: stands, count: 0, examples: [] });
        change.count++;
        if (change.examples.length >= EXAMPLES_MAX) continue;
        const place = `${topic}/${partition}/${each.offset}`;
        change.examples = [...change.examples, { place, message: (textOf(each.value) ?? "").slice(0, 300) }];
      }
    }
  }
  const sorted = [...changes.values()].sort((a, b) => b.count - a.count);
  return { judged, changed, passing, changes: sorted, span: first > last ? null : [first, last] };
}

/** What became of a message, all in all. */
function standingOf(verdict: Verdict): string {
  if (verdict.to === "rejected") return `${verdict.severity} ${verdict.reasons.join(", ")}`;
  const flags = verdict.to === "valid" ? /,"flags":\["([a-z",-]+)"\]\}$/.exec(verdict.text)?.[1] : undefined;
  return flags === undefined ? "sound" : `flag ${flags.split('","').join(", ")}`;
}

/** Event time of a message, µs; NaN where it says none. */
function eventTimeIn({ value }: LogRecord): number {
  const text = typeof value === "string" ? value : textOf(value) ?? "";
  const at = text.indexOf('"eventTime":');
  return at < 0 ? NaN : parseInt(text.slice(at + 12, at + 32));
}

function saysRules({ value }: LogRecord): boolean {
  return JSON.parse(textOf(value)!).control === "rules";
}
