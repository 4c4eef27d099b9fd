/**
 * A past day judged once more by other rules: which verdicts would have been others. Two judges read the log from its
 * beginning, since rules remember; one hears the rules files of the log, the other the new one alone.
 *
 * **In** the records of `ticks.raw`, rules, a day; **Out** what would have changed, by rule, with examples.
 * **Knows** `judge`, `reading`, `transport`.
 */
import { Judge, type Verdict } from "./judge.ts";
import { textOf } from "./reading.ts";
import type { LogRecord, Range, Transport } from "./transport.ts";

const EXAMPLES_MAX = 3;
const DAY = 86_400_000_000;

/** What a rule would have made of messages that it made something else of. */
export interface Change {
  readonly rule: string;
  /** `reject`, `quarantine`, `flag` or `none`. */
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
  let judged = 0, changed = 0;
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
        if (!(time >= from && time < from + DAY)) continue;
        judged++;
        if (before.to === "valid") passing.was++;
        if (after.to === "valid") passing.would++;
        const found = differences(outcomesOf(before), outcomesOf(after));
        if (found.length === 0) continue;
        changed++;
        for (const [rule, was, would] of found) {
          const name = `${rule} ${was} ${would}`;
          let change = changes.get(name);
          if (change === undefined) changes.set(name, change = { rule, was, would, count: 0, examples: [] });
          change.count++;
          if (change.examples.length >= EXAMPLES_MAX) continue;
          const place = `${topic}/${partition}/${each.offset}`;
          change.examples = [...change.examples, { place, message: (textOf(each.value) ?? "").slice(0, 300) }];
        }
      }
    }
  }
  return { judged, changed, passing, changes: [...changes.values()].sort((a, b) => b.count - a.count) };
}

/** What each rule made of a message; those that made nothing of it are not there. */
function outcomesOf(verdict: Verdict): ReadonlyMap<string, string> {
  if (verdict.to === "rejected") return new Map(verdict.reasons.map((name) => [name, verdict.severity]));
  const flags = verdict.to === "valid" ? /,"flags":\["([a-z",-]+)"\]\}$/.exec(verdict.text)?.[1] : undefined;
  return new Map(flags?.split('","').map((name) => [name, "flag"]));
}

function differences(
  was: ReadonlyMap<string, string>,
  would: ReadonlyMap<string, string>,
): (readonly [rule: string, was: string, would: string])[] {
  if (was.size === 0 && would.size === 0) return [];
  return [...new Set([...was.keys(), ...would.keys()])]
    .map((rule) => [rule, was.get(rule) ?? "none", would.get(rule) ?? "none"] as const)
    .filter(([, before, after]) => before !== after);
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
